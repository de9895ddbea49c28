//! How many users and channels several nodes have, each counted once, however many nodes know it.
//!
//! Each node sends its smallest hashes of names. If all nodes send all of theirs, the number is exact. If not, the smallest
//! of all tell how dense hashes are, and so how many there are: within 1 % (k minimum values, k = [`HASHES_MAX`]).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Hashes that a node sends of users, and of channels. Both together have 700 KB as JSON, and fit into a message. The number
/// of more names than these is wrong by 1 part in the root of it, which is 128.
const HASHES_MAX: usize = 16_384;

/// The smallest of these hashes, as many as are sent.
pub(super) fn smallest(hashes: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut hashes: Vec<_> = hashes.into_iter().collect();
    if hashes.len() > HASHES_MAX {
        hashes.select_nth_unstable(HASHES_MAX);
        hashes.truncate(HASHES_MAX);
    }
    hashes
}

/// A number in an answer.
pub(super) fn number(value: &Value, member: &str) -> u64 {
    value[member].as_u64().unwrap_or(0)
}

/// The counts of all nodes.
pub(super) fn merge(mut whole: Map<String, Value>, values: &[(u16, Value)]) -> Map<String, Value> {
    let mut connections = Map::new();
    for (transport, open) in values.iter().filter_map(|(_, value)| value["connections"].as_object()).flatten()
    {
        let before = connections.get(transport).and_then(Value::as_u64).unwrap_or(0);
        connections.insert(transport.clone(), json!(before + open.as_u64().unwrap_or(0)));
    }
    whole.insert("connections".to_owned(), connections.into());
    let workers: u64 = values.iter().map(|(_, value)| number(value, "workers")).sum();
    whole.insert("workers".to_owned(), workers.into());
    for (member, hashes) in [("users", "user_hashes"), ("channels", "channel_hashes")] {
        whole.remove(hashes);
        let of_node = |(_, value): &(u16, Value)| {
            let hashes = value[hashes].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            (number(value, member), hashes)
        };
        let nodes: Vec<(u64, Vec<u64>)> = values.iter().map(of_node).collect();
        whole.insert(member.to_owned(), distinct(&nodes).into());
    }
    whole
}

/// How many names there are: of each node their number, and its smallest hashes.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is an estimate"
)]
fn distinct(nodes: &[(u64, Vec<u64>)]) -> u64 {
    let all: BTreeSet<u64> = nodes.iter().flat_map(|(_, hashes)| hashes).copied().collect();
    if nodes.iter().all(|(names, hashes)| *names <= hashes.len() as u64) {
        return all.len() as u64;
    }
    let last = all.iter().nth(HASHES_MAX - 1).copied().unwrap_or(u64::MAX);
    let estimate = ((HASHES_MAX - 1) as f64 * (u64::MAX as f64 / last.max(1) as f64)) as u64;
    // It is known between which bounds it is.
    let (most, least) =
        (nodes.iter().map(|(names, _)| names).sum(), nodes.iter().map(|(names, _)| *names).max());
    estimate.clamp(least.unwrap_or(0), most)
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::ops::Range;

    use super::*;

    fn node(names: Range<u64>) -> (u64, Vec<u64>) {
        let hash = |name: u64| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish()
        };
        (names.end - names.start, smallest(names.map(hash)))
    }

    #[test]
    fn names_on_several_nodes_count_once() {
        assert_eq!(distinct(&[]), 0);
        assert_eq!(distinct(&[node(0..0), node(0..3)]), 3);
        assert_eq!(distinct(&[node(0..10_000), node(5_000..16_000), node(0..3)]), 16_000);
    }

    #[test]
    fn many_names_are_estimated_within_a_hundredth_or_two() {
        let found = distinct(&[node(0..100_000), node(50_000..150_000)]);
        assert!((147_000..153_000).contains(&found), "{found}");
        assert_eq!(distinct(&[node(0..100_000), node(0..0)]), 100_000, "only one node has any");
    }
}
