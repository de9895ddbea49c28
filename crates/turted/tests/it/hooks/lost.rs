//! What connections cost that have ended and count for `grace` still: no more than the sum of memory says.

use serde_json::json;

use super::backend::Backend;
use super::faults::child_with;
use crate::support::{Child, WebSocket, eventually, settle};
use crate::v1;

/// Connections that fill the pools, and those that are measured.
const FIRST: usize = 100;
const MORE: usize = 400;
const CHANNELS: usize = 126;
/// 300 bytes for the connection, and 200 for each name beside its text, as in the limits.
const EACH_BYTES: usize = 300 + (CHANNELS + 1) * (255 + 200);

/// A user with a name of its own joins as many channels as it may, with the longest names there are, and is gone.
fn come_and_go(child: &Child, number: usize) {
    let mut client = v1::Client::over(WebSocket::connect(child.address(), "/ws", &[]).unwrap());
    let user = format!("{number:u>255}");
    assert_eq!(client.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}))["ok"], true);
    let name = |channel: usize| format!("{:c>255}", format!("-{number}-{channel}"));
    let channels: Vec<_> = (0..CHANNELS).map(name).collect();
    let reply = client.ask(&json!({"id": 2, "do": "join", "channels": channels}));
    assert_eq!(reply["ok"], true, "{reply}");
}

#[test]
fn connections_that_have_ended_cost_what_the_sum_of_memory_says() {
    let (backend, directory) = (Backend::new(), tempfile::tempdir().unwrap());
    let child = child_with(&backend, directory.path(), "1h", "[recovery]\nenabled = false\n");
    let come_and_go = |numbers: std::ops::Range<usize>| {
        numbers.for_each(|number| come_and_go(&child, number));
        eventually("all are gone", || child.metric("turted_sockets") == 0);
        eventually("all was told", || child.metric("turted_hook_waiting_records{hook=\"app\"}") == 0);
        settle(&child);
        child.memory()
    };
    let before = come_and_go(0..FIRST);
    let each = come_and_go(FIRST..FIRST + MORE).saturating_sub(before) / MORE;
    println!("{each} bytes each of {EACH_BYTES}");
    assert!((EACH_BYTES / 2..=EACH_BYTES).contains(&each), "{each} bytes each of {EACH_BYTES}");
    child.stop();
}
