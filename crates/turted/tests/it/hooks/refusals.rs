//! A backend that refuses some records, or all: a bad record costs only itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::Says;
use super::backend::{Backend, Batch, Reaction, short};
use super::faults::listening;
use super::reference::Reference;
use crate::support::{Kind, eventually};

const DISPATCHES: usize = 150;

fn is_bad(batch: &Batch) -> bool {
    batch.body.contains("bad")
}

/// A backend that answers with this status what has something bad.
fn refusing(status: u16) -> Backend {
    Backend::that(move |batch, _| Reaction::Answer(if is_bad(batch) { status } else { 200 }))
}

/// The batches that it took.
fn taken(backend: &Backend) -> Vec<Batch> {
    backend.batches().into_iter().filter(|batch| !is_bad(batch)).collect()
}

fn records(batches: &[Batch]) -> Vec<Value> {
    batches.iter().flat_map(|batch| batch.json["records"].as_array().unwrap().clone()).collect()
}

/// How many of its batches have a record of this type.
fn count(records: &[Value], kind: &str) -> usize {
    records.iter().filter(|record| record["type"] == kind).count()
}

#[test]
fn a_record_that_is_refused_is_told_as_a_gap_and_all_who_are_online_are_told_again() {
    for status in [400, 413, 422] {
        let backend = refusing(status);
        let server = listening(&backend);
        let mut client = server.client(Kind::V4_WEBSOCKET);
        client.ident("adam");
        backend.up_to("user-online adam");
        backend.up_to("synced");
        server.dispatcher().broadcast("bad", &1).unwrap();
        let all = backend.up_to("gap 1");
        assert_eq!(all.last().unwrap(), "gap 1");
        eventually("all again", || count(&backend.records(), "synced") == 2);
        let records = backend.records();
        let kinds: Vec<_> = records.iter().map(|record| record["type"].as_str().unwrap()).collect();
        assert_eq!(kinds[kinds.len() - 3..], ["gap", "user-online", "synced"]);
        assert_eq!(server.metric("turted_hook_dropped_total{hook=\"app\"}"), 1);
    }
}

#[test]
fn bad_records_among_many_cost_only_themselves() {
    let bad = 37..43;
    let good = || (0..DISPATCHES as u64).filter(|number| !bad.contains(number));
    let gate = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&gate);
    let backend = Backend::that(move |batch, _| {
        eventually("the gate is opened", || is_open.load(Ordering::Acquire));
        Reaction::Answer(if is_bad(batch) { 422 } else { 200 })
    });
    let server = listening(&backend);
    eventually("the first batch", || !backend.batches().is_empty());
    for number in 0..DISPATCHES {
        let event = if bad.contains(&(number as u64)) { "bad" } else { "good" };
        server.dispatcher().broadcast(event, &number).unwrap();
    }
    gate.store(true, Ordering::Release);
    let told = || records(&taken(&backend));
    eventually("all that are good", || {
        count(&told(), "dispatch") == good().count() && count(&told(), "gap") == 1
    });
    eventually("all who are online", || {
        let behind: Vec<_> = told().into_iter().skip_while(|record| record["type"] != "gap").collect();
        count(&behind, "synced") == 1
    });
    let told = told();
    let numbers = told.iter().filter_map(|record| record["dispatch"]["payload"].as_u64());
    assert!(numbers.eq(good()), "in order, each once");
    assert_eq!(told.iter().find(|record| record["type"] == "gap").unwrap()["dropped"], 6);
    assert_eq!(server.metric("turted_hook_dropped_total{hook=\"app\"}"), 6);
    let mut next = 1;
    for batch in taken(&backend) {
        let first = batch.json["sequence"].as_u64().unwrap();
        assert!(
            (0..=6).contains(&(first - next)),
            "numbers of the bad ones are missing: {next}, then {first}"
        );
        next = first + batch.json["records"].as_array().unwrap().len() as u64;
    }
    let refused = backend.batches().len() - taken(&backend).len();
    assert!((7..=40).contains(&refused), "halves of 100 records at most: {refused} were refused");
}

#[test]
fn a_user_whom_the_backend_refuses_keeps_it_from_no_other() {
    let backend = refusing(400);
    let server = listening(&backend);
    let (mut bad, mut adam) = (server.client(Kind::V4_WEBSOCKET), server.client(Kind::V4_WEBSOCKET));
    backend.up_to("synced");
    bad.ident("bad");
    adam.ident("adam");
    backend.up_to("gap 1");
    eventually("all who are online", || count(&records(&taken(&backend)), "synced") == 2);
    let mut eve = server.client(Kind::V4_WEBSOCKET);
    eve.ident("eve");
    backend.up_to("user-online eve");
    let told = taken(&backend);
    assert_eq!(count(&records(&told), "gap"), 1, "what it refuses when all are told is not told once more");
    assert_eq!(Reference::of(&told).users().into_iter().collect::<Vec<_>>(), ["adam", "eve"]);
    assert_eq!(server.metric("turted_hook_dropped_total{hook=\"app\"}"), 2);
}

#[test]
fn a_backend_that_refuses_everything_is_not_asked_without_a_pause() {
    let backend = Backend::that(|_, _| Reaction::Answer(400));
    let server = listening(&backend);
    for number in 0..DISPATCHES {
        server.dispatcher().broadcast("e", &number).unwrap();
    }
    // A batch begins behind all that was sent before it. Its halves do not.
    let begins = |batches: &[Batch]| {
        let mut end = 0;
        let mut begins_at = |(index, batch): (usize, &Batch)| {
            let first = batch.json["sequence"].as_u64().unwrap();
            let begins = first >= end;
            end = end.max(first + batch.json["records"].as_array().unwrap().len() as u64);
            begins.then_some(index)
        };
        batches.iter().enumerate().filter_map(&mut begins_at).collect::<Vec<_>>()
    };
    eventually("a third batch", || begins(&backend.batches()).len() >= 3);
    let batches = backend.batches();
    assert_eq!(short(&batches[0].json["records"][0]), "started");
    for index in begins(&batches).into_iter().filter(|index| *index > 0) {
        assert!(batches[index].seconds > batches[index - 1].seconds, "a second later at least");
    }
    server.assert_alive();
}
