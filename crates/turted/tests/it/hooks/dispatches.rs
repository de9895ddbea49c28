//! Which dispatches are told, and how.

use serde_json::json;
use turted::config::ChannelPattern;

use super::backend::Backend;
use super::{hook, server};

/// A hook that hears these events, and nothing of clients.
fn listening(backend: &Backend, events: &[&str]) -> turted::config::Hook {
    let mut hook = hook(backend);
    hook.clients.clear();
    hook.dispatches = events.iter().map(|text| ChannelPattern::parse(text).unwrap()).collect();
    hook
}

#[test]
fn a_dispatch_that_is_listed_is_told_as_it_was_pushed() {
    let backend = Backend::new();
    let server = server(listening(&backend, &["order:*", "ping"]));
    let pushes = [
        r#"{"event":"order:new","targets":{"users":["adam"],"channels":["a \"b\"","c"]},"payload":{"b":1.50,"a": [ ]}}"#,
        r#"{"event":"order","targets":{"broadcast":true},"payload":1}"#,
        r#"{"event":"pings","targets":{"broadcast":true},"payload":1}"#,
        r#"{"event":"ping","targets":{"broadcast":true},"payload":"<>\u0041"}"#,
    ];
    for push in pushes {
        assert_eq!(server.push(push).text(), "OK");
    }
    backend.up_to("dispatch");
    crate::support::eventually("the start and both", || backend.records().len() >= 3);
    let records = backend.records();
    let told: Vec<_> = records.iter().filter(|record| record["type"] == "dispatch").collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let targets = json!({"users": ["adam"], "channels": ["a \"b\"", "c"], "broadcast": false});
    assert_eq!(
        (&told[0]["dispatch"]["event"], &told[0]["dispatch"]["targets"]),
        (&json!("order:new"), &targets)
    );
    let sent: String = backend.batches().into_iter().map(|batch| batch.body).collect();
    assert!(sent.contains(r#""payload":{"b":1.50,"a": [ ]}"#), "byte for byte: {sent}");
    assert!(sent.contains(r#""payload":"<>\u0041""#), "byte for byte: {sent}");
    let position = told[0]["dispatch"]["position"].as_str().unwrap();
    let (epoch, number) = position.split_once('-').unwrap();
    assert_eq!(told[1]["dispatch"]["position"], format!("{epoch}-{}", number.parse::<u64>().unwrap() + 3));
}

#[test]
fn dispatches_come_in_the_order_of_the_log_and_large_ones_in_batches_of_their_own() {
    let backend = Backend::new();
    let server = server(listening(&backend, &["*"]));
    let large = "x".repeat(300_000);
    for number in 0..60 {
        let payload = if number % 10 == 0 { json!([number, large]) } else { json!([number]) };
        server.dispatcher().broadcast("e", &payload).unwrap();
    }
    server.dispatcher().broadcast("e", &json!([60, "y".repeat(1_000_000)])).unwrap();
    crate::support::eventually("all", || backend.records().len() == 62);
    let records = backend.records();
    let numbers = records.iter().filter(|record| record["type"] == "dispatch");
    let numbers: Vec<_> = numbers.map(|record| record["dispatch"]["payload"][0].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..=60).collect::<Vec<_>>());
}
