//! A dispatch as a backend hears of it: the position, and the members of a push.
//!
//! It is written when it is accepted, once for all hooks. A hook that kept the dispatch itself would keep it out of the
//! log's hands, which then counts it among what waits for clients.
//!
//! It is put together by hand: the payload is JSON already, and the dispatcher waits meanwhile.

use std::sync::Arc;

use turted_core::dispatch::Targets;
use turted_core::name::Name;

use crate::hub::dispatch::log::Accepted;

/// Bytes beside the names and the payload.
const FRAME_BYTES: usize = 160;

/// Writes an accepted dispatch.
pub(super) fn write(accepted: &Accepted) -> Arc<str> {
    let dispatch = &accepted.dispatch;
    let Targets { users, channels, broadcast } = &dispatch.targets;
    let payload = dispatch.payload.get();
    let mut json = String::with_capacity(FRAME_BYTES + payload.len());
    json.push_str(r#"{"position":""#);
    json.push_str(&accepted.cursor.to_string());
    json.push_str(r#"","event":"#);
    push_name(&mut json, &dispatch.event);
    json.push_str(r#","targets":{"users":"#);
    push_names(&mut json, users);
    json.push_str(r#","channels":"#);
    push_names(&mut json, channels);
    json.push_str(if *broadcast {
        r#","broadcast":true},"payload":"#
    } else {
        r#","broadcast":false},"payload":"#
    });
    json.push_str(payload);
    json.push('}');
    json.into()
}

fn push_names(json: &mut String, names: &[Name]) {
    json.push('[');
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        push_name(json, name);
    }
    json.push(']');
}

/// A name has no control characters, so these two are all that a JSON string escapes (RFC 8259 7).
fn push_name(json: &mut String, name: &Name) {
    json.push('"');
    if name.as_str().contains(['"', '\\']) {
        json.push_str(&name.as_str().replace('\\', r"\\").replace('"', r#"\""#));
    } else {
        json.push_str(name.as_str());
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_json() {
        for text in ["chat", "a \"b\"", r"back\slash", r#"\""#, "é\u{2028}", "/"] {
            let mut json = String::new();
            push_names(&mut json, &[Name::new(text).unwrap(), Name::new("b").unwrap()]);
            assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [text, "b"]);
        }
    }
}
