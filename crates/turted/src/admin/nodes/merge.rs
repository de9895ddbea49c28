//! The answers of several nodes as one.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use turted_core::connection_id::ConnectionId;

use super::counts::{self, number};
use crate::hub::worker::queries::LIST_MAX;

/// How answers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) enum Merge {
    /// A list of users or channels, which is the member of this name; so many at most.
    Names(&'static str, usize),
    /// A page of connections; so many at most.
    Connections(usize),
    /// One user or channel.
    Group,
    /// The first answer: one node has it.
    First,
    Sources,
    Trace,
    Counts,
    /// What was done.
    Action,
}

type Members = Map<String, Value>;

impl Merge {
    /// Makes one of the answers of nodes, each with its number. The first one is of the node that was asked.
    pub(super) fn merge(self, values: Vec<(u16, Value)>) -> Members {
        let first = || values.first().and_then(|(_, value)| value.as_object().cloned()).unwrap_or_default();
        match self {
            Self::Names(list, limit) => names(&values, list, limit),
            Self::Connections(limit) => connections(&values, limit),
            Self::Group => group(first(), &values),
            Self::First => first(),
            Self::Sources => sources(&values),
            Self::Trace => trace(first(), &values),
            Self::Counts => counts::merge(first(), &values),
            Self::Action => action(first(), &values),
        }
    }
}

fn sum(values: &[(u16, Value)], member: &str) -> Value {
    json!(values.iter().map(|(_, value)| number(value, member)).fold(0, u64::saturating_add))
}

/// All entries of a list in all answers.
fn entries<'a>(values: &'a [(u16, Value)], list: &'a str) -> impl Iterator<Item = &'a Value> {
    values.iter().filter_map(move |(_, value)| value[list].as_array()).flatten()
}

fn has_more(values: &[(u16, Value)]) -> bool {
    values.iter().any(|(_, value)| value["more"] == json!(true))
}

/// The last place up to which every list goes that is longer than its answer: what is behind it may be missing there.
fn end_of_all<K: Ord>(values: &[(u16, Value)], list: &str, key: impl Fn(&Value) -> Option<K>) -> Option<K> {
    let cut = values.iter().filter(|(_, value)| value["more"] == json!(true));
    cut.filter_map(|(_, value)| key(value[list].as_array()?.last()?)).min()
}

fn names(values: &[(u16, Value)], list: &'static str, limit: usize) -> Members {
    let name = |entry: &Value| entry["name"].as_str().map(str::to_owned);
    let end = end_of_all(values, list, name);
    let mut all = BTreeMap::<String, u64>::new();
    for entry in entries(values, list) {
        if let Some(name) = name(entry) {
            *all.entry(name).or_default() += number(entry, "connections");
        }
    }
    let found = all.len();
    all.retain(|name, _| end.as_ref().is_none_or(|end| name <= end));
    let listed = all.into_iter().take(limit);
    let listed: Vec<_> =
        listed.map(|(name, connections)| json!({"name": name, "connections": connections})).collect();
    let more = has_more(values) || listed.len() < found;
    Members::from_iter([(list.to_owned(), listed.into()), ("more".to_owned(), more.into())])
}

fn id(entry: &Value) -> Option<ConnectionId> {
    entry["id"].as_str()?.parse().ok()
}

fn connections(values: &[(u16, Value)], limit: usize) -> Members {
    let end = end_of_all(values, "connections", id);
    let mut all: Vec<_> =
        entries(values, "connections").filter_map(|entry| Some((id(entry)?, entry))).collect();
    let found = all.len();
    all.sort_by_key(|(id, _)| *id);
    all.retain(|(id, _)| end.is_none_or(|end| *id <= end));
    let listed: Vec<_> = all.into_iter().take(limit).map(|(_, entry)| entry.clone()).collect();
    let more = has_more(values) || listed.len() < found;
    Members::from_iter([("connections".to_owned(), listed.into()), ("more".to_owned(), more.into())])
}

fn group(mut whole: Members, values: &[(u16, Value)]) -> Members {
    whole.insert("connections".to_owned(), sum(values, "connections"));
    if whole.contains_key("online") {
        let online = values.iter().any(|(_, value)| value["online"] == json!(true));
        whole.insert("online".to_owned(), online.into());
    }
    // A user that is nowhere was seen last where it was seen latest.
    if let Some(seen) = values.iter().filter_map(|(_, value)| value["last_seen"].as_u64()).max() {
        whole.insert("last_seen".to_owned(), seen.into());
    }
    let mut ids: Vec<_> = entries(values, "connection_ids")
        .filter_map(|id| id.as_str()?.parse::<ConnectionId>().ok())
        .collect();
    ids.sort_unstable();
    let ids: Vec<_> = ids.iter().take(LIST_MAX).map(ToString::to_string).collect();
    whole.insert("connection_ids".to_owned(), json!(ids));
    whole
}

/// Each source with the node that has it.
fn sources(values: &[(u16, Value)]) -> Members {
    let mut all = Vec::new();
    for (node, value) in values {
        for source in value["sources"].as_array().into_iter().flatten() {
            let mut source = source.clone();
            source["cluster_node"] = json!(node);
            all.push(source);
        }
    }
    Members::from_iter([("sources".to_owned(), all.into())])
}

fn trace(mut whole: Members, values: &[(u16, Value)]) -> Members {
    let key = |entry: &Value| entry["connection"].as_str().and_then(|id| id.parse::<ConnectionId>().ok());
    let mut connections: Vec<_> = entries(values, "connections").cloned().collect();
    connections.sort_by_key(key);
    let mut sessions: Vec<_> = entries(values, "sessions").cloned().collect();
    let more = has_more(values) || connections.len() > LIST_MAX || sessions.len() > LIST_MAX;
    connections.truncate(LIST_MAX);
    sessions.truncate(LIST_MAX);
    whole.insert("connections".to_owned(), connections.into());
    whole.insert("sessions".to_owned(), sessions.into());
    whole.insert("more".to_owned(), more.into());
    whole
}

fn action(mut whole: Members, values: &[(u16, Value)]) -> Members {
    for member in ["connections", "sessions", "away"] {
        if whole.contains_key(member) {
            whole.insert(member.to_owned(), sum(values, member));
        }
    }
    // All nodes keep the same history.
    if whole.contains_key("events") {
        let events = values.iter().map(|(_, value)| number(value, "events")).max();
        whole.insert("events".to_owned(), json!(events));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(merge: Merge, values: &[Value]) -> Value {
        Value::Object(merge.merge((1..).zip(values.iter().cloned()).collect()))
    }

    #[test]
    fn names_are_added_up_and_stand_in_their_order() {
        let (here, there) = (
            json!({"users": [{"name": "b", "connections": 1}, {"name": "d", "connections": 1}], "more": false}),
            json!({"users": [{"name": "a", "connections": 2}, {"name": "b", "connections": 3}], "more": false}),
        );
        let list = |limit| merged(Merge::Names("users", limit), &[here.clone(), there.clone()]);
        let [a, b, d] = [("a", 2), ("b", 4), ("d", 1)]
            .map(|(name, connections)| json!({"name": name, "connections": connections}));
        assert_eq!(list(3), json!({"users": [a, b, d], "more": false}));
        assert_eq!(list(2), json!({"users": [a, b], "more": true}));
    }

    #[test]
    fn a_list_ends_where_one_of_its_nodes_was_cut() {
        let (here, there) = (
            json!({"channels": [{"name": "a", "connections": 1}], "more": true}),
            json!({"channels": [{"name": "a", "connections": 1}, {"name": "b", "connections": 1}], "more": false}),
        );
        let expected = json!({"channels": [{"name": "a", "connections": 2}], "more": true});
        assert_eq!(merged(Merge::Names("channels", 9), &[here, there]), expected);
    }

    #[test]
    fn a_page_of_connections_is_in_the_order_of_their_ids() {
        let page = |ids: &[&str], more: bool| {
            let connections: Vec<_> = ids.iter().map(|id| json!({"id": id})).collect();
            json!({"connections": connections, "more": more})
        };
        let nodes = [page(&["10-0-2-1", "10-0-11-1"], true), page(&["9-1-1-1"], false)];
        assert_eq!(merged(Merge::Connections(9), &nodes), page(&["9-1-1-1", "10-0-2-1", "10-0-11-1"], true));
        assert_eq!(merged(Merge::Connections(1), &nodes), page(&["9-1-1-1"], true));
        let nodes = [page(&["1-0-2-1"], true), page(&["2-0-0-0"], false)];
        assert_eq!(
            merged(Merge::Connections(9), &nodes),
            page(&["1-0-2-1"], true),
            "others may be before it"
        );
    }

    #[test]
    fn a_user_is_online_where_one_node_has_it() {
        let here = json!({"name": "adam", "online": false, "connections": 0, "connection_ids": []});
        let there = json!({"name": "adam", "online": true, "connections": 2, "connection_ids": ["7-0-10-1", "7-0-9-1"]});
        let whole = json!({"name": "adam", "online": true, "connections": 2, "connection_ids": ["7-0-9-1", "7-0-10-1"]});
        assert_eq!(merged(Merge::Group, &[here, there]), whole);
    }

    #[test]
    fn what_was_done_is_added_up_and_history_is_the_same_everywhere() {
        let done = [json!({"connections": 1, "sessions": 0}), json!({"connections": 2, "sessions": 4})];
        assert_eq!(merged(Merge::Action, &done), json!({"connections": 3, "sessions": 4}));
        let deleted = [json!({"events": 2, "on_disk": true}), json!({"events": 3, "on_disk": true})];
        assert_eq!(merged(Merge::Action, &deleted), json!({"events": 3, "on_disk": true}));
    }
}
