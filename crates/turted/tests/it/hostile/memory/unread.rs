//! Replays and answers that nobody reads, over every carrier that has them.

use serde_json::json;
use turted_core::limits::CHANNELS_PER_JOIN_MAX;

use super::super::h2::{self, Frames};
use super::{TLS_BYTES, assert_alive, push};
use crate::support::{Child, Cost, EventSource, Http, Kind, Pair, WebSocket, frame, raise_descriptors};

/// An event of this size passes no socket whose client does not read.
const LARGE_BYTES: usize = 100_000;
/// Dispatches of that size that clients missed: 1 MB.
const MISSED: usize = 10;

/// 1 MB of broadcasts that clients who show the position given here have missed.
fn missed(child: &Child) -> String {
    let mut stream = EventSource::connect(child.address(), "/sse", &[]).unwrap();
    stream.start();
    let position = stream.last_id().to_owned();
    drop(stream);
    for _ in 0..MISSED {
        assert_eq!(push(child, &json!({"broadcast": true}), LARGE_BYTES), 200);
    }
    position
}

#[test]
fn replays_that_nobody_reads_cost_at_most_20_bytes_for_each_byte_that_asks_for_them() {
    raise_descriptors();
    let child = Child::start(&[]);
    let position = missed(&child);
    let mut cost = Cost::of(&child);
    let request = format!("GET /sse HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {position}\r\n\r\n");
    let streams: Vec<_> = (0..200).map(|_| cost.unread(child.address(), request.as_bytes())).collect();
    cost.assert_fair();
    drop(streams);
    assert_alive(&child);
    child.stop();
}

#[test]
fn resumed_sessions_whose_clients_do_not_read_cost_at_most_20_bytes_for_each_byte() {
    raise_descriptors();
    let child = Child::start(&[]);
    // Each is lost before 1 MB is pushed; v1 knows itself by session and cursor, Socket.IO by pid and offset.
    let lost: Vec<_> = (0..100).map(|_| (lost_v1(&child), lost_socketio(&child))).collect();
    let position = missed(&child);
    let mut cost = Cost::of(&child);
    let mut unread = Vec::new();
    for ((session, cursor), pid) in lost {
        let resume = json!({"id": 1, "do": "resume", "session": session, "cursor": cursor});
        let connect = json!({"pid": pid, "offset": position});
        unread.push(resumes(&mut cost, "/ws", &resume.to_string()));
        let target = Kind::V4_WEBSOCKET.target("websocket", "");
        unread.push(resumes(&mut cost, &target, &format!("40{connect}")));
    }
    cost.assert_fair();
    drop(unread);
    assert_alive(&child);
    child.stop();
}

fn resumes(cost: &mut Cost, target: &str, message: &str) -> WebSocket {
    let http = cost.unread(cost.child.address(), b"");
    let mut socket = WebSocket::over(http, target, &[]).unwrap();
    let bytes = frame(0x81, message.as_bytes());
    // What a handshake takes, about.
    cost.sent += 200 + bytes.len();
    socket.send(bytes);
    socket
}

fn lost_v1(child: &Child) -> (String, String) {
    let mut socket = WebSocket::connect(child.address(), "/ws", &[]).unwrap();
    let welcome: serde_json::Value = serde_json::from_str(&socket.text().unwrap()).unwrap();
    let field = |name: &str| welcome["welcome"][name].as_str().unwrap().to_owned();
    (field("session"), field("cursor"))
}

fn lost_socketio(child: &Child) -> String {
    let client = child.client(Kind::V4_WEBSOCKET);
    let connected: serde_json::Value = serde_json::from_str(&client.connected[2..]).unwrap();
    connected["pid"].as_str().unwrap().to_owned()
}

#[test]
fn lists_of_channels_that_are_refused_cost_at_most_20_bytes_for_each_byte_if_nobody_reads() {
    raise_descriptors();
    let child = Child::start(&[]);
    let mut cost = Cost::of(&child);
    let names = vec![""; CHANNELS_PER_JOIN_MAX];
    let join = frame(0x81, json!({"id": 1, "do": "join", "channels": names}).to_string().as_bytes());
    let mut unread = Vec::new();
    for _ in 0..50 {
        let mut socket = resumes(&mut cost, "/ws", "{}");
        for _ in 0..200 {
            cost.sent += join.len();
            socket.send(&join);
        }
        unread.push(socket);
    }
    cost.assert_fair();
    drop(unread);
    assert_alive(&child);
    child.stop();
}

#[test]
fn polls_that_nobody_reads_share_what_they_wait_for() {
    raise_descriptors();
    let child = Child::start(&[]);
    let mut cost = Cost::of(&child);
    let polls: Vec<_> = (0..100).map(|_| unread_poll(&mut cost)).collect();
    assert_eq!(push(&child, &json!({"broadcast": true}), 1_000_000), 200);
    cost.pushed += 1_000_000;
    cost.assert_fair();
    drop(polls);
    assert_alive(&child);
    child.stop();
}

/// A session whose poll waits, and whose client will not take the answer.
fn unread_poll(cost: &mut Cost) -> Http {
    let address = cost.child.address();
    let mut http = cost.unread(address, b"");
    let handshake = http.get(&Kind::V4_POLLING.target("polling", ""));
    let opened: serde_json::Value = serde_json::from_str(&handshake.text()[1..]).unwrap();
    let target = Kind::V4_POLLING.target("polling", opened["sid"].as_str().unwrap());
    assert_eq!(http.post(&target, &[], "40").status, 200);
    assert!(http.get(&target).text().starts_with("40"));
    http.send_request("GET", &target, &[], b"");
    // Four requests.
    cost.sent += 400;
    http
}

#[test]
fn answers_over_http2_that_may_not_be_sent_cost_at_most_20_bytes_for_each_byte() {
    let assets = tempfile::tempdir().unwrap();
    std::fs::write(assets.path().join("socket.io.js"), vec![b'/'; 1_000_000]).unwrap();
    let pair = Pair::new();
    let files = pair.files();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (cert, key, assets) = (path(&files.cert), path(&files.key), path(assets.path()));
    let child =
        Child::start(&[("TURTED_TLS_CERT", &cert), ("TURTED_TLS_KEY", &key), ("TURTED_ASSETS_DIR", &assets)]);
    let tunnel = h2::tunnel(&pair, child.address());
    let mut cost = Cost::of(&child);
    cost.each += TLS_BYTES;
    // The file itself may be kept once.
    cost.pushed += 1_000_000;
    let mut unread = Vec::new();
    for _ in 0..3 {
        let mut frames = Frames::without_window();
        (0..96).for_each(|_| frames.get("/socket.io/socket.io.js"));
        let mut line = cost.unread(tunnel.address(), b"");
        cost.send(&mut line, &frames.bytes);
        unread.push(line);
    }
    cost.assert_fair();
    drop(unread);
    child.stop();
}
