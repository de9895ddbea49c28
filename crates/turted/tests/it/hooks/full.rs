//! More records than may wait for a backend: those of clients go, then the oldest dispatches, are counted, and are told.

use serde_json::Value;
use turted::config::{ChannelPattern, Hook};
use turted::dispatcher::Receipt;

use super::backend::{Backend, Reaction};
use super::{Says, hook, server};
use crate::support::{Kind, TestServer, eventually};

const WAITING_MAX: usize = 10_000;

#[test]
fn what_a_dead_backend_does_not_hear_is_dropped_counted_and_told() {
    let backend = Backend::that(|_, _| Reaction::Answer(503));
    let mut hook = hook(&backend);
    hook.dispatches = vec![ChannelPattern::parse("*").unwrap()];
    let server = server(hook);
    eventually("the first batch", || !backend.batches().is_empty());
    let total = WAITING_MAX + 5_000;
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.join("chat");
    for number in 0..total {
        server.dispatcher().notify_channel("chat", "e", &number).unwrap();
        // Every event is here at once: pushes and deliveries go on.
        assert_eq!(client.event().payload, number);
    }
    assert_eq!(server.metric("turted_hook_waiting_records{hook=\"app\"}"), WAITING_MAX);
    assert_eq!(server.metric("turted_hook_dropped_total{hook=\"app\"}"), 5_000);
    // One who is online by the time that the backend is back.
    client.ident("adam");
    backend.react(|_, _| Reaction::Answer(200));
    let last =
        |records: &[Value]| records.last().is_some_and(|record| record["dispatch"]["payload"] == total - 1);
    eventually("all that is left", || last(&backend.records()));
    let records = backend.records();
    let place = |kind: &str| records.iter().position(|record| record["type"] == kind);
    let gap = place("gap").unwrap();
    let dropped = records[gap]["dropped"].as_u64().unwrap();
    let numbers: Vec<_> =
        records.iter().filter_map(|record| record["dispatch"]["payload"].as_u64()).collect();
    let is_whole = numbers == (5_000..total as u64).collect::<Vec<_>>();
    assert!(is_whole, "what is left is in order: {:?} to {:?}", numbers.first(), numbers.last());
    assert_eq!(dropped, 5_002, "the user and its channel take no places of dispatches");
    assert!(gap < place("dispatch").unwrap(), "it is told where it happened");
    let behind: Vec<_> = records[gap..].iter().filter(|record| record["user"] == "adam").collect();
    let kinds: Vec<_> = behind.iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["user-online", "joined"], "with all who are online");
}

#[test]
fn what_waits_for_a_dead_backend_is_not_counted_for_clients_and_refuses_no_push() {
    let backend = Backend::that(|_, _| Reaction::Answer(503));
    let mut config = crate::support::config();
    config.hooks = vec![Hook { dispatches: vec![ChannelPattern::parse("*").unwrap()], ..hook(&backend) }];
    config.limits.backlog_bytes = Some(1 << 20);
    config.recovery.log_bytes = 1 << 20;
    let server = TestServer::start(config);
    eventually("the first batch, so that it has none of them", || !backend.batches().is_empty());
    for _ in 0..40 {
        // The log has given all but the last ones up; the hook has them.
        server.dispatcher().broadcast("e", &"x".repeat(100_000)).and_then(Receipt::wait).unwrap();
    }
    assert!(server.metric("turted_hook_waiting_bytes{hook=\"app\"}") > 3_900_000);
    eventually("workers have seen them", || server.metric("turted_inbox_dispatches") == 0);
    assert_eq!(server.metric("turted_backlog_bytes"), 0);
}
