//! Who hears what.

use std::sync::Arc;

use serde_json::{Value, json};
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::limits::WATCHED_PAYLOAD_BYTES_MAX;

use super::*;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn watch(live: &Live, parameters: &[(&str, &str)]) -> Watching {
    let filter = Filter::read(parameters.iter().copied()).unwrap();
    let watching = live.watch(filter, Some(&Record::new(Kind::Watching))).unwrap();
    assert_eq!(types(&watching), ["watching"]);
    watching
}

fn taken(watching: &Watching) -> Vec<Value> {
    watching.take_now(usize::MAX).iter().map(|record| serde_json::from_str(record).unwrap()).collect()
}

fn types(watching: &Watching) -> Vec<String> {
    taken(watching).iter().map(|record| record["type"].as_str().unwrap().to_owned()).collect()
}

/// Numbers a push, and tells it.
fn push(live: &Live, sequence: u64, (event, targets): (&str, Targets), payload: &str, workers: usize) {
    let payload = serde_json::value::RawValue::from_string(payload.to_owned()).unwrap();
    let dispatch = Dispatch { event: name(event), payload, targets };
    let address = Some([192, 0, 2, 7].into());
    let origin = Arc::new(Origin { source: "rest".into(), address, key: None });
    live.pushed(Cursor { epoch: 1, sequence }, &dispatch, &origin, workers);
}

fn joined<'a>(users: &[&str], channel: &'a Name) -> Record<'a> {
    let users = users.iter().map(|user| name(user)).collect();
    Record {
        users,
        channel: Some(channel),
        address: Some([192, 0, 2, 8].into()),
        ..Record::new(Kind::Joined)
    }
}

#[test]
fn nothing_is_described_where_nobody_watches() {
    let live = Live::default();
    live.tell(|| panic!("described"));
    live.resolved(1, 0, |_| panic!("asked"));
    let watching = watch(&live, &[]);
    assert!(live.is_watched());
    drop(watching);
    live.tell(|| panic!("described"));
    assert!(!live.is_watched());
}

#[test]
fn each_filter_must_hold() {
    let live = Live::default();
    let chat = name("chat");
    for (parameters, passes) in [
        (&[][..], true),
        (&[("user", "adam")], true),
        (&[("user", "eve")], false),
        (&[("channel", "chat")], true),
        (&[("channel", "cha")], false),
        (&[("address", "192.0.2.8")], true),
        (&[("address", "::ffff:192.0.2.8")], true),
        (&[("address", "192.0.2.9")], false),
        (&[("type", "left,joined")], true),
        (&[("type", "left")], false),
        (&[("event", "*")], false),
        (&[("user", "adam"), ("channel", "news")], false),
        (&[("user", "adam"), ("channel", "chat"), ("type", "joined")], true),
    ] {
        let watching = watch(&live, parameters);
        live.tell(|| joined(&["adam", "bert"], &chat));
        assert_eq!(taken(&watching).len(), usize::from(passes), "{parameters:?}");
    }
    for refused in
        [("user", ""), ("address", "x"), ("type", "watching"), ("type", ""), ("payload", "2"), ("x", "1")]
    {
        assert_eq!(Filter::read([refused]).unwrap_err(), FilterRefusal, "{refused:?}");
    }
}

#[test]
fn a_push_is_told_when_every_worker_has_resolved_it() {
    let live = Live::default();
    let watching = watch(&live, &[("event", "MESSAGE:*")]);
    push(&live, 7, ("MESSAGE:NEW", Targets::user(name("adam"))), "[1]", 2);
    push(&live, 8, ("OTHER", Targets::broadcast()), "[1]", 2);
    live.resolved(7, 2, |_| panic!("no user is watched"));
    live.resolved(8, 2, |_| panic!("no user is watched"));
    assert!(taken(&watching).is_empty());
    live.resolved(7, 1, |_| false);
    live.resolved(8, 1, |_| false);
    let mut records = taken(&watching);
    assert_eq!(records.len(), 1);
    assert!(records[0]["at"].take().is_u64());
    assert_eq!(
        records[0],
        json!({"type": "push", "at": null, "source": "rest", "address": "192.0.2.7", "event": "MESSAGE:NEW",
            "targets": {"users": ["adam"], "channels": [], "broadcast": false, "more": 0},
            "bytes": 3, "position": "1-7", "reached": 3})
    );
}

#[test]
fn a_user_is_told_pushes_that_name_him_or_reach_him() {
    let live = Live::default();
    let watching = watch(&live, &[("user", "adam")]);
    let positions = |watching: &Watching| {
        taken(watching)
            .iter()
            .map(|record| record["position"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (sequence, targets) in [
        (1, Targets::user(name("adam"))),
        (2, Targets::user(name("eve"))),
        (3, Targets::channel(name("chat"))),
        (4, Targets::channel(name("chat"))),
        (5, Targets::broadcast()),
    ] {
        push(&live, sequence, ("E", targets), "1", 1);
        // What a worker says of the user: he is in the channel from the fourth on.
        live.resolved(sequence, usize::from(sequence != 1), |user| *user == name("adam") && sequence > 3);
    }
    assert_eq!(positions(&watching), ["1-1", "1-4", "1-5"]);
}

#[test]
fn payloads_are_shown_to_those_who_ask_and_cut_at_4_kib() {
    let live = Live::default();
    let (with, without) = (watch(&live, &[("payload", "1")]), watch(&live, &[]));
    let long = format!("\"{}\u{e4}\u{e4}\"", "x".repeat(WATCHED_PAYLOAD_BYTES_MAX - 2));
    for (sequence, payload) in [(1, "{\n\"a\":\r\n1}"), (2, &long)] {
        push(&live, sequence, ("E", Targets::broadcast()), payload, 1);
        live.resolved(sequence, 1, |_| false);
    }
    let lines = with.take_now(usize::MAX);
    assert!(lines.iter().all(|line| !line.contains(['\n', '\r'])), "{lines:?}");
    let records: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records[0]["payload"], json!({"a": 1}));
    let start = records[1]["payload_start"].as_str().unwrap();
    assert_eq!(start.len(), WATCHED_PAYLOAD_BYTES_MAX - 1, "a character is whole");
    assert_eq!((&records[1]["payload"], &records[1]["bytes"]), (&Value::Null, &json!(long.len())));
    for record in taken(&without) {
        assert!(record.get("payload").or(record.get("payload_start")).is_none(), "{record}");
    }
}

#[test]
fn pushes_that_are_never_counted_are_told_without_their_count() {
    let live = Live::default();
    let watching = watch(&live, &[]);
    for sequence in 0..1_001 {
        push(&live, sequence, ("E", Targets::broadcast()), "1", 1);
    }
    let records = taken(&watching);
    assert_eq!((records.len(), &records[0]["position"]), (1, &json!("1-0")));
    assert!(records[0].get("reached").is_none());
    live.resolved(1_000, 4, |_| false);
    assert_eq!(taken(&watching)[0]["reached"], 4, "the others are still counted");
}

#[test]
fn a_push_to_very_many_names_the_first_hundred_of_each() {
    let live = Live::default();
    let watching = watch(&live, &[("channel", "c-1999")]);
    let names = |prefix: &str| (0..2_000).map(|number| name(&format!("{prefix}-{number}"))).collect();
    push(&live, 1, ("E", Targets { users: names("u"), channels: names("c"), broadcast: false }), "1", 1);
    live.resolved(1, 0, |_| false);
    let records = taken(&watching);
    let targets = &records[0]["targets"];
    let listed = |kind: &str| targets[kind].as_array().unwrap().len();
    assert_eq!((listed("users"), listed("channels"), &targets["more"]), (100, 100, &json!(3_800)));
}

#[test]
fn there_are_at_most_eight_watchers() {
    let live = Live::default();
    let mut watching: Vec<_> = (0..8).map(|_| watch(&live, &[])).collect();
    assert!(live.watch(Filter::default(), None).is_err());
    watching.pop();
    watching.push(watch(&live, &[]));
    let chat = name("chat");
    live.tell(|| joined(&[], &chat));
    assert!(watching.iter().all(|own| types(own) == ["joined"]));
}

#[test]
fn what_a_worker_resolves_between_pushes_is_not_told() {
    let live = Live::default();
    let watching = watch(&live, &[]);
    for sequence in [1, 1 << 20] {
        push(&live, sequence, ("E", Targets::broadcast()), "1", 2);
    }
    // Of these numbers no push is known: they are those of entries that are no dispatches, or of former epochs.
    for sequence in [1, 2, 3, 1 << 19, 1 << 20, 1, (1 << 20) + 1, 1 << 20] {
        live.resolved(sequence, 1, |_| false);
    }
    let told: Vec<_> = taken(&watching).iter().map(|record| record["position"].clone()).collect();
    assert_eq!(told, [json!("1-1"), json!("1-1048576")]);
}

#[test]
fn what_other_nodes_tell_waits_among_the_records_of_this_one_and_each_names_its_node() {
    let live = Live::default();
    let filter = Filter::read([("channel", "chat")]).unwrap().naming("here");
    let watching = live.watch(filter, None).unwrap();
    let feeder = watching.feeder();
    let chat = name("chat");
    live.tell(|| joined(&["adam"], &chat));
    assert!(feeder.put(r#"{"type":"left","at":1}"#, "there"));
    for refused in ["", "{}", "[]", r#"{"at":1}"#, "{\"type\":\"left\",\n\"at\":1}", r#"{"type":"left"} "#] {
        assert!(!feeder.put(refused, "there"), "{refused:?}");
    }
    feeder.dropped(3, "there");
    let of: Vec<_> =
        taken(&watching).iter().map(|record| (record["type"].clone(), record["node"].clone())).collect();
    let expected = [("joined", "here"), ("left", "there"), ("dropped", "there")];
    assert_eq!(of, expected.map(|(kind, node)| (json!(kind), json!(node))));
    drop(watching);
    assert!(feeder.put(r#"{"type":"left","at":1}"#, "there"), "nobody reads it any more");
    assert!(!live.is_watched());
}

#[test]
fn what_other_nodes_tell_is_bounded_as_what_this_one_tells() {
    let live = Live::default();
    let watching = live.watch(Filter::default(), None).unwrap();
    let feeder = watching.feeder();
    for _ in 0..1_003 {
        feeder.put(r#"{"type":"left"}"#, "there");
    }
    let records = taken(&watching);
    assert_eq!((records.len(), &records[1_000]["dropped"]), (1_001, &json!(3)));
}
