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
fn a_bad_record_among_many_costs_only_itself() {
    let gate = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&gate);
    let backend = Backend::that(move |batch, _| {
        eventually("the gate is opened", || is_open.load(Ordering::Acquire));
        Reaction::Answer(if is_bad(batch) { 422 } else { 200 })
    });
    let server = listening(&backend);
    eventually("the first batch", || !backend.batches().is_empty());
    for number in 0..DISPATCHES {
        let event = if number == 37 { "bad" } else { "good" };
        server.dispatcher().broadcast(event, &number).unwrap();
    }
    gate.store(true, Ordering::Release);
    let told = || records(&taken(&backend));
    eventually("all but one", || count(&told(), "dispatch") == DISPATCHES - 1 && count(&told(), "gap") == 1);
    eventually("all who are online", || {
        let behind: Vec<_> = told().into_iter().skip_while(|record| record["type"] != "gap").collect();
        count(&behind, "synced") == 1
    });
    let told = told();
    let numbers = told.iter().filter_map(|record| record["dispatch"]["payload"].as_u64());
    assert!(numbers.eq((0..DISPATCHES as u64).filter(|number| *number != 37)), "in order, each once");
    assert_eq!(told.iter().find(|record| record["type"] == "gap").unwrap()["dropped"], 1);
    assert_eq!(server.metric("turted_hook_dropped_total{hook=\"app\"}"), 1);
    let mut next = 1;
    for batch in taken(&backend) {
        let first = batch.json["sequence"].as_u64().unwrap();
        assert!(first == next || first == next + 1, "one number is missing: {next}, then {first}");
        next = first + batch.json["records"].as_array().unwrap().len() as u64;
    }
    let refused = backend.batches().len() - taken(&backend).len();
    assert!((2..=8).contains(&refused), "halves of 100 records at most: {refused} were refused");
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
    let single = |batch: &Batch| batch.json["records"].as_array().unwrap().len() == 1;
    eventually("a second single record", || {
        backend.batches().iter().filter(|batch| single(batch)).count() >= 2
    });
    let batches = backend.batches();
    assert_eq!(short(&batches[0].json["records"][0]), "started");
    for pair in batches.windows(2).filter(|pair| single(&pair[0])) {
        assert!(pair[1].seconds > pair[0].seconds, "a second later at least");
    }
    assert!(batches.len() <= 12, "{} requests", batches.len());
    server.assert_alive();
}
