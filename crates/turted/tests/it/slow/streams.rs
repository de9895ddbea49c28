//! A hundred clients that do not read among a hundred that do, for each transport that streams.
//! `bench/endurance` has ten times as many.

use serde_json::json;

use crate::support::marked::{EVENT_BYTES, Way, payload};
use crate::support::{Child, Http, Metrics, eventually};

const STALLED: usize = 100;
const HEALTHY: usize = 100;

/// What may wait for each client. Far below what is sent, so that each is cut.
const OUTBOX_BYTES: usize = 128 * 1024;

/// Broadcasts: 1.3 MB for each client. The kernel takes some of it, far less than this.
const ROUNDS: usize = 64;

fn push(http: &mut Http, number: usize) {
    let body =
        json!({"event": "big", "targets": {"broadcast": true}, "payload": payload(number)}).to_string();
    assert_eq!(http.post("/push", &[], body).text(), "OK");
}

fn connections(child: &Child) -> usize {
    Metrics::read(&mut child.admin()).sum("turted_connections")
}

/// Cuts the stalled ones of one transport, and nobody else.
fn check(kind: Way) {
    let child = Child::start(&[
        ("TURTED_LIMITS_OUTBOX_BYTES", "128KiB"),
        ("TURTED_RECOVERY_LOG_BYTES", "1MiB"),
        // A stream that ends by itself would have to be asked for again.
        ("TURTED_SOCKJS_RESPONSE_BYTES", "1GiB"),
    ]);
    let stalled: Vec<_> =
        (0..STALLED).map(|number| kind.open(number, Http::connect_narrow(child.address()))).collect();
    let mut healthy: Vec<_> = (0..HEALTHY).map(|number| kind.open(STALLED + number, child.http())).collect();
    eventually("all are connected", || connections(&child) == STALLED + HEALTHY);
    let mut http = child.http();
    let before = child.memory();
    let mut waiting_max = 0;
    for number in 0..ROUNDS {
        push(&mut http, number);
        for client in &mut healthy {
            assert_eq!(client.number(), number, "{kind:?}");
        }
        waiting_max = waiting_max.max(child.metric("turted_outbox_bytes"));
    }
    assert!(waiting_max > 0, "{kind:?}: nothing ever waited, so nothing is shown");
    assert!(waiting_max <= STALLED * OUTBOX_BYTES, "{kind:?}: {waiting_max} bytes waited");
    let grown = child.memory().saturating_sub(before);
    assert!(grown < STALLED * OUTBOX_BYTES + (24 << 20), "{kind:?}: {grown} bytes more");
    assert_eq!(connections(&child), HEALTHY, "{kind:?}");
    assert_eq!(child.metric("turted_closes_total{reason=\"slow_reader\"}"), STALLED, "{kind:?}");
    assert_eq!(child.metric("turted_outbox_bytes"), 0, "{kind:?}");
    for client in stalled {
        assert!(client.bytes_to_the_end() < ROUNDS * EVENT_BYTES, "{kind:?}");
    }
    push(&mut http, ROUNDS);
    assert!(healthy.iter_mut().all(|client| client.number() == ROUNDS), "{kind:?}");
    drop(healthy);
    child.stop();
}

#[test]
fn stalled_readers_of_turted_v1_harm_no_healthy_one() {
    check(Way::WebSocket);
}

#[test]
fn stalled_readers_of_event_streams_harm_no_healthy_one() {
    check(Way::EventSource);
}

#[test]
fn stalled_readers_of_sockjs_websockets_harm_no_healthy_one() {
    check(Way::SockJsWebSocket);
}

#[test]
fn stalled_readers_of_sockjs_xhr_streams_harm_no_healthy_one() {
    check(Way::SockJsXhrStreaming);
}
