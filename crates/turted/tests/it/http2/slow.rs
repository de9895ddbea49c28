//! Event streams over HTTP/2 whose clients read slowly, or not at all.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::sleep;

use crate::support::eventually;
use crate::support::http2::{Setting, WINDOW_BYTES};

/// What one client may take before the server waits for it.
const EVENT_BYTES: usize = 4 * WINDOW_BYTES as usize;

#[test]
fn an_event_stream_that_is_read_slowly_is_whole() {
    let setting = Setting::new(|config| config.limits.outbox_stall = Duration::from_millis(1_200));
    let mut client = setting.connect();
    let mut stream = setting.get(&mut client, "/sse");
    for number in 0..3 {
        let payload = json!([number, "x".repeat(EVENT_BYTES)]);
        setting.server.dispatcher().broadcast("large", &payload).unwrap();
    }
    let mut read = String::new();
    // 16 KiB in 90 ms: an event takes longer than a client may do nothing.
    while read.matches("event: large").count() < 3 || !read.ends_with("\n\n") {
        let next = async {
            sleep(Duration::from_millis(90)).await;
            stream.body_mut().frame().await
        };
        let frame = setting.runtime.block_on(next).expect("the stream goes on").unwrap();
        read.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    assert!(read.len() > 3 * EVENT_BYTES);
}

#[test]
fn an_event_stream_that_is_not_read_is_reset_and_holds_nothing() {
    let setting = Setting::new(|config| config.limits.outbox_stall = Duration::from_millis(300));
    let mut client = setting.connect();
    let unread: Vec<_> = (0..5).map(|_| setting.get(&mut client, "/sse")).collect();
    assert_eq!(setting.streams(), 5);
    // More than the window, so that it waits with the server; or less than HTTP/2 holds of it already.
    for bytes in [EVENT_BYTES, 8 * 1024] {
        setting.server.dispatcher().broadcast("large", &"x".repeat(bytes)).unwrap();
    }
    eventually("they are reset", || setting.streams() == 0);
    assert_eq!(setting.server.metric("turted_closes_total{reason=\"slow_reader\"}"), 5);
    eventually("nothing is held", || setting.server.metric("turted_backlog_bytes") == 0);
    drop(unread);
}
