//! The limits of pushes.

use serde_json::json;
use turted::config::IdentMode;

use super::is_error;
use crate::support::{Kind, TestServer};

#[test]
fn a_push_body_has_the_bytes_it_may_have() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let mut poller = server.client(Kind::V4_POLLING);
    let body = |bytes: usize| {
        let (head, tail) = (r#"{"event":"e","targets":{"broadcast":1},"payload":""#, "\"}");
        format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
    };
    let limit = 1024 * 1024;
    assert_eq!(server.push(body(limit)).text(), "OK");
    let length = body(limit).len() - 52;
    assert_eq!(client.event().payload.as_str().unwrap().len(), length, "the largest push arrives");
    assert_eq!(poller.event().payload.as_str().unwrap().len(), length, "by polling too");
    let mut http = server.http();
    let response = http.post("/push/", &[], body(limit + 1));
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    assert!(http.is_ended());
}

#[test]
fn a_push_has_1000_targets() {
    let server = TestServer::new();
    let names = |count: usize| (0..count).map(|number| format!("n{number}")).collect::<Vec<_>>();
    let push = |targets| server.push(json!({"event": "e", "targets": targets}).to_string());
    assert_eq!(push(json!({"users": names(1_000)})).status, 200);
    assert_eq!(push(json!({"users": names(500), "channels": names(500)})).status, 200);
    for targets in [json!({"users": names(1_001)}), json!({"users": names(501), "channels": names(500)})] {
        let response = push(targets);
        assert_eq!(response.status, 400);
        assert!(response.text().contains("targets-too-many"), "{}", response.text());
    }
}

#[test]
fn a_push_has_64_mib_of_payloads_times_targets() {
    let server = TestServer::new();
    let users: Vec<_> = (0..1_000).map(|number| format!("n{number}")).collect();
    let push = |payload: usize| {
        let payload = "x".repeat(payload - 3);
        server.push(json!({"event": "e", "targets": {"users": users}, "payload": payload}).to_string())
    };
    // With the event's byte 67,108 bytes a target, which is the limit less 864.
    assert_eq!(push(67_108).status, 200);
    let refused = push(67_109);
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("limits.expansion_bytes"), "{}", refused.text());
    assert!(refused.text().contains("expansion-too-large"), "{}", refused.text());
}

#[test]
fn a_batch_has_1000_dispatches() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let batch = |count: usize| json!(vec![json!({"event": "e", "targets": {"broadcast": true}}); count]);
    assert_eq!(server.push(batch(1_001).to_string()).status, 400);
    assert_eq!(server.push(batch(1_000).to_string()).text(), "OK");
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.events_until("last").len(), 1_000);
}

#[test]
fn an_idempotency_key_has_255_characters() {
    let server = TestServer::new();
    let mut http = server.http();
    let mut push = |key: &str| http.post("/push/", &[("Idempotency-Key", key)], r#"{"event":"e"}"#).status;
    assert_eq!((push(&"k".repeat(255)), push(&"k".repeat(256)), push("")), (200, 400, 400));
    assert_eq!(
        (push("a b"), push("a\tb"), push(" a ")),
        (400, 400, 200),
        "only space around it is none of it"
    );
    let twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")];
    let answer = http.post("/push/", &twice, r#"{"event":"e"}"#);
    assert_eq!((answer.status, answer.text().contains("is given once")), (400, true));
}

#[test]
fn idempotency_keys_are_bounded() {
    let server = TestServer::with(|config| config.limits.idempotency_keys = 2);
    let mut http = server.http();
    let mut push = |key: &str| http.post("/push/", &[("Idempotency-Key", key)], r#"{"event":"e"}"#);
    assert_eq!((push("a").status, push("b").status), (200, 200));
    let refused = push("c");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(push("a").status, 200, "a known key needs no room");
}

#[test]
fn limits_of_pushes_are_those_of_the_configuration() {
    let server = TestServer::with(|config| {
        config.limits.targets = 2;
        config.limits.batch_dispatches = 2;
        config.limits.users_per_connection = 2;
        config.auth.ident = IdentMode::Add;
    });
    assert_eq!(server.push(r#"{"event":"e","targets":{"users":["a","b","c"]}}"#).status, 400);
    assert_eq!(server.push(r#"[{"event":"e"},{"event":"e"},{"event":"e"}]"#).status, 400);
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let mut ident = |user: &str| client.ask("IDENT", &json!({"username": user}).to_string());
    assert!(!is_error(&ident("a")));
    assert!(!is_error(&ident("b")));
    assert!(is_error(&ident("c")));
}
