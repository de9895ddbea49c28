//! Answers that are cut to what a message between nodes has room for.

use serde_json::{Value, json};
use turted_core::cluster::message::BODY_BYTES_MAX;

use super::ask::Reply;

/// Lists of answers, which may be cut. An answer that has them says with `more` that it is not all.
const LISTS: [&str; 5] = ["connections", "sessions", "users", "channels", "events"];

/// Writes an answer. Its longest list is halved until it fits.
pub(super) fn write(mut reply: Reply) -> Vec<u8> {
    loop {
        let bytes = serde_json::to_vec(&reply).expect("it was read from JSON");
        if bytes.len() <= BODY_BYTES_MAX {
            return bytes;
        }
        if !halve_longest(&mut reply.body) {
            // Nothing of it is a list.
            reply = Reply { status: 507, body: Value::Null };
        }
    }
}

fn halve_longest(body: &mut Value) -> bool {
    let Some(members) = body.as_object_mut() else { return false };
    let lists = members.iter_mut().filter(|(name, _)| LISTS.contains(&name.as_str()));
    let longest = lists.filter_map(|(_, list)| list.as_array_mut()).max_by_key(|list| list.len());
    let Some(longest) = longest.filter(|list| !list.is_empty()) else { return false };
    longest.truncate(longest.len() / 2);
    members.insert("more".to_owned(), json!(true));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_for_a_message_is_cut_and_says_so() {
        let name = "x".repeat(255);
        let entry = json!({"id": "1-2", "users": vec![&name; 100]});
        let reply = |count: usize| Reply {
            status: 200,
            body: json!({"connections": vec![&entry; count], "more": false}),
        };
        let written: Value = serde_json::from_slice(&write(reply(10))).unwrap();
        assert_eq!(
            (&written["body"]["more"], written["body"]["connections"].as_array().unwrap().len()),
            (&json!(false), 10)
        );
        let bytes = write(reply(1_000));
        assert!(bytes.len() <= BODY_BYTES_MAX);
        let written: Value = serde_json::from_slice(&bytes).unwrap();
        let left = written["body"]["connections"].as_array().unwrap().len();
        assert_eq!(written["body"]["more"], json!(true));
        assert!((10..=500).contains(&left), "{left}");
        let huge = Reply { status: 200, body: json!({"name": "x".repeat(BODY_BYTES_MAX)}) };
        assert!(write(huge).len() < 100);
    }
}
