//! What a stranger can make the server hold: a connection costs a stated sum, each byte it sends at most
//! twenty, and what has a bound of its own never more than that.
//!
//! The program runs as a child: in a program of tests another allocator counts. Its memory is the peak of
//! what is resident, above what was so before.

mod all;
mod looking;
mod unread;

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::h2::{self, Frames};
use crate::support::{
    CONNECTION_BYTES, Child, Cost, EventSource, Http, Kind, Pair, WebSocket, eventually, frame,
    raise_descriptors, settle,
};

/// What TLS and HTTP/2 need beside it.
const TLS_BYTES: usize = 60_000;
/// What a connection may cost as a stream, and what tables may have grown for it.
const STREAM_BYTES: usize = 1_500;
/// A server that takes no byte for so long is not sent more.
const TAKE_WAIT_MAX: Duration = Duration::from_millis(300);

/// Pushes an event of this size.
fn push(child: &Child, targets: &serde_json::Value, bytes: usize) -> u16 {
    let body = json!({"event": "E", "targets": targets, "payload": "x".repeat(bytes)}).to_string();
    child.http().post("/push/", &[("Connection", "close")], body).status
}

/// The server still serves everybody.
fn assert_alive(child: &Child) {
    assert_eq!(child.client(Kind::V4_WEBSOCKET).ask("ECHO", "1"), r#"42["ECHO",1]"#);
}

#[test]
fn a_connection_costs_at_most_20_kb_until_its_first_answer() {
    raise_descriptors();
    let child = Child::start(&[]);
    // Those that come first fill the pools of the workers.
    let silent = |count: usize| -> (Vec<_>, usize) {
        let mut cost = Cost::of(&child);
        let lines = (0..count).map(|_| cost.unread(child.address(), b"G")).collect();
        settle(&child);
        (lines, cost.gained())
    };
    let (_first, (more, gained)) = (silent(500), silent(1_000));
    let each = gained / more.len();
    assert!(each <= CONNECTION_BYTES, "{each} bytes");
    child.stop();
}

#[test]
fn a_connection_that_streams_costs_little_beside_its_socket() {
    raise_descriptors();
    let child = Child::start(&[]);
    let streams = |count: usize| -> Vec<_> {
        (0..count).map(|_| EventSource::connect(child.address(), "/sse", &[]).unwrap()).collect()
    };
    let _first = streams(1_000);
    settle(&child);
    let before = child.memory();
    let more = streams(2_000);
    settle(&child);
    let each = child.memory().saturating_sub(before) / more.len();
    println!("{each} bytes each");
    assert!(each <= STREAM_BYTES, "{each} bytes");
    child.stop();
}

#[test]
fn control_frames_of_http2_cost_no_memory() {
    let pair = Pair::new();
    let files = pair.files();
    let (cert, key) = (files.cert.to_str().unwrap(), files.key.to_str().unwrap());
    let child = Child::start(&[("TURTED_TLS_CERT", cert), ("TURTED_TLS_KEY", key)]);
    let tunnel = h2::tunnel(&pair, child.address());
    let mut cost = Cost::of(&child);
    cost.each += TLS_BYTES;
    for flood in [h2::ping(), h2::settings(&[]), h2::priority()] {
        let mut line = cost.unread(tunnel.address(), b"");
        line.send(&Frames::without_window().bytes);
        // A server may send such a client home.
        let portion = flood.repeat(2_000);
        let _ = (0..64).try_for_each(|_| send_what_it_takes(&mut line, &portion));
    }
    cost.assert_below(3 * (CONNECTION_BYTES + TLS_BYTES));
    child.stop();
}

/// Sends while the server takes it.
///
/// # Errors
/// The server takes no more.
fn send_what_it_takes(http: &mut Http, bytes: &[u8]) -> std::io::Result<()> {
    http.stream.set_write_timeout(Some(TAKE_WAIT_MAX))?;
    http.stream.write_all(bytes)
}

#[test]
fn chunks_of_one_byte_cost_what_their_body_costs() {
    const BODY_BYTES: usize = 1_000_000;
    let child = Child::start(&[]);
    let mut cost = Cost::of(&child);
    let head = b"POST /push/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bodies: Vec<_> = (0..8)
        .map(|_| {
            let mut http = cost.unread(child.address(), head);
            let _ = send_what_it_takes(&mut http, &b"1\r\n \r\n".repeat(BODY_BYTES));
            http
        })
        .collect();
    cost.assert_below(bodies.len() * (2 * BODY_BYTES + CONNECTION_BYTES));
    drop(bodies);
    assert_alive(&child);
    child.stop();
}

#[test]
fn sessions_of_pipelined_handshakes_cost_no_more_than_connections() {
    const PLACES: usize = 2_000;
    let child = Child::start(&[("TURTED_LIMITS_CONNECTIONS", "2000")]);
    let requests = [
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /turted/0/{}/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ];
    for request in requests {
        let mut cost = Cost::of(&child);
        let mut http = cost.unread(child.address(), b"");
        // Some at a time: who does not take the answers is not served on.
        for turn in 0..PLACES / 100 {
            let name = |number: usize| request.replace("{}", &format!("s{}", turn * 100 + number));
            let portion: String = (0..100).map(name).collect();
            cost.send(&mut http, portion.as_bytes());
            (0..100).for_each(|_| assert!(http.read().is_some()));
        }
        cost.assert_below(PLACES * 8_000);
    }
    child.stop();
}

/// A server with a small bound for all backlogs, so that few clients reach it. The log is no backlog.
const BACKLOG_BYTES: usize = 8 << 20;
/// A fifth more than is counted: the allocator has four sizes from one power of two to the next.
const BACKLOG_ALLOCATED_BYTES: usize = BACKLOG_BYTES / 5 * 6;
/// A message that is not whole yet, in a buffer that doubles.
const MESSAGE_BYTES: usize = 2 * 64 * 1024;
const BACKLOG: [(&str, &str); 3] = [
    ("TURTED_LIMITS_BACKLOG_BYTES", "8MiB"),
    ("TURTED_LIMITS_OUTBOX_BYTES", "4MiB"),
    ("TURTED_RECOVERY_LOG_BYTES", "1MiB"),
];

#[test]
fn users_who_do_not_read_frames_of_their_own_stay_below_the_bound_of_all_backlogs() {
    const USERS: usize = 100;
    let child = Child::start(&BACKLOG);
    let mut cost = Cost::of(&child);
    let sockets: Vec<_> = (0..USERS)
        .map(|number| {
            let http = cost.unread(child.address(), b"");
            let mut socket = WebSocket::over(http, "/ws", &[]).unwrap();
            socket.text().expect("a welcome");
            let ident = json!({"id": 1, "do": "ident", "data": {"username": format!("user-{number}")}});
            socket.send_text(ident.to_string());
            assert!(socket.text().unwrap().contains(r#""ok":true"#));
            socket
        })
        .collect();
    let users: Vec<_> = (0..USERS).map(|number| format!("user-{number}")).collect();
    // 10 MB for each connection of each user: what does not fit is refused, or its readers are cut.
    let answers: Vec<_> = (0..50).map(|_| push(&child, &json!({"users": users}), 200_000)).collect();
    assert!(answers.iter().all(|status| [200, 503].contains(status)), "{answers:?}");
    // One push may be under way above it.
    cost.assert_below(BACKLOG_ALLOCATED_BYTES + USERS * (200_000 + CONNECTION_BYTES));
    drop(sockets);
    assert_alive(&child);
    child.stop();
}

#[test]
fn echoes_that_nobody_reads_stay_below_the_bound_of_all_backlogs() {
    const ECHO_BYTES: usize = 60_000;
    let child = Child::start(&BACKLOG);
    let mut cost = Cost::of(&child);
    let echo = json!({"id": 1, "do": "echo", "data": "x".repeat(ECHO_BYTES)}).to_string();
    let burst = frame(0x81, echo.as_bytes()).repeat(60);
    let sockets: Vec<_> = (0..40)
        .map(|_| {
            let http = cost.unread(child.address(), b"");
            let socket = WebSocket::over(http, "/ws", &[]).unwrap();
            let mut http = Http::over(socket.into_parts().0);
            let _ = send_what_it_takes(&mut http, &burst);
            http
        })
        .collect();
    cost.assert_below(BACKLOG_ALLOCATED_BYTES + sockets.len() * (CONNECTION_BYTES + MESSAGE_BYTES));
    drop(sockets);
    assert_alive(&child);
    child.stop();
}

#[test]
fn bodies_that_do_not_end_stay_below_their_common_bound() {
    const BODIES: usize = 60;
    let child = Child::start(&[("TURTED_LIMITS_BODIES_BYTES", "8MiB")]);
    let mut cost = Cost::of(&child);
    let head = "POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000001\r\n\r\n";
    let bodies: Vec<_> = (0..BODIES)
        .map(|_| {
            let mut http = cost.unread(child.address(), head.as_bytes());
            // One that finds no room is answered, and its connection closed.
            let _ = send_what_it_takes(&mut http, &[b' '; 1_000_000]);
            http
        })
        .collect();
    // Buffers double.
    cost.assert_below(2 * (8 << 20) + BODIES * CONNECTION_BYTES);
    drop(bodies);
    assert_alive(&child);
    child.stop();
}
