//! Sessions on a WebSocket, with frames of SockJS and without.

use std::time::Duration;

use super::{Client, Way, new_session};
use crate::support::{TestServer, WebSocket, frame};

const ECHO: &str = r#"{"type":"echo","data":1}"#;
const ECHOED: &str = r#"{"type":"message","data":1}"#;

#[test]
fn a_websocket_is_opened_by_a_frame_and_a_raw_one_by_nothing() {
    let server = TestServer::new();
    for way in [Way::WebSocket, Way::Raw] {
        let mut client = Client::connect(&server, way);
        assert_eq!(client.ask(ECHO), ECHOED, "{way:?}");
    }
}

#[test]
fn requests_that_are_no_handshake_are_400() {
    let server = TestServer::new();
    let upgrade = [("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw==")];
    let cases: [&[(&str, &str)]; 4] = [
        &[],
        &[upgrade[0], upgrade[1], ("Connection", "close"), ("Sec-WebSocket-Version", "13")],
        &[upgrade[0], upgrade[1], ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "6")],
        &[upgrade[0], ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")],
    ];
    for target in ["/turted/websocket", "/turted/0/0/websocket"] {
        for headers in cases {
            let answer = server.http().request("GET", target, headers, b"");
            assert_eq!((answer.status, answer.text()), (400, "Not a valid websocket request"), "{headers:?}");
        }
    }
}

#[test]
fn drafts_with_the_frames_of_today_are_served() {
    let server = TestServer::new();
    for version in ["7", "8", "13"] {
        let mut http = server.http();
        let headers = [
            ("Upgrade", "websocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", version),
            ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw=="),
        ];
        http.send_request("GET", "/turted/0/0/websocket", &headers, b"");
        let head = http.read_head().unwrap();
        assert_eq!(head.status, 101, "{version}");
        assert_eq!(head.header("sec-websocket-accept"), Some("HSmrc0sMlYUkAGmm5OPpG2HaGWk="));
        assert_eq!(head.header("content-length"), None);
    }
}

#[test]
fn an_id_may_be_used_by_several_websockets_at_once() {
    let server = TestServer::new();
    let target = format!("{}/websocket", new_session());
    let mut sockets = [(); 3].map(|()| WebSocket::connect(server.address(), &target, &[]).unwrap());
    for (number, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(socket.text().as_deref(), Some("o"));
        let echo = serde_json::to_string(&[format!(r#"{{"type":"echo","data":{number}}}"#)]).unwrap();
        socket.send(frame(0x81, echo.as_bytes()));
        let echoed = serde_json::to_string(&[format!(r#"{{"type":"message","data":{number}}}"#)]).unwrap();
        assert_eq!(socket.text(), Some(format!("a{echoed}")));
    }
}

#[test]
fn empty_frames_are_ignored_and_a_message_may_come_alone() {
    let server = TestServer::new();
    let mut socket = WebSocket::connect(server.address(), "/turted/0/0/websocket", &[]).unwrap();
    socket.text();
    let one = serde_json::to_string(ECHO).unwrap();
    for text in ["", "[]", &one, &format!("[{one},{one}]")] {
        socket.send(frame(0x81, text.as_bytes()));
    }
    for _ in 0..3 {
        assert_eq!(socket.text(), Some(format!("a{}", serde_json::to_string(&[ECHOED]).unwrap())));
    }
}

#[test]
fn broken_frames_end_the_websocket_without_a_word_of_sockjs() {
    let server = TestServer::new();
    let long = serde_json::to_string(&["x".repeat(64 * 1024 + 1)]).unwrap();
    let many = serde_json::to_string(&vec![""; 257]).unwrap();
    let cases = [("[\"a", 3000), ("{}", 3000), ("7", 3000), ("[7]", 3000), (&long, 1009), (&many, 1008)];
    for (text, code) in cases {
        let mut socket = WebSocket::connect(server.address(), "/turted/0/0/websocket", &[]).unwrap();
        assert_eq!(socket.text().as_deref(), Some("o"));
        socket.send(frame(0x81, text.as_bytes()));
        let frames: Vec<_> = std::iter::from_fn(|| socket.read()).collect();
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert_eq!(frames[0].payload[..2], u16::to_be_bytes(code), "{}", &text[..text.len().min(10)]);
    }
    let mut raw = WebSocket::connect(server.address(), "/turted/websocket", &[]).unwrap();
    raw.send(frame(0x81, &vec![b'x'; 64 * 1024 + 1]));
    assert_eq!(raw.close_code(), Some(1009));
}

#[test]
fn binary_messages_are_not_taken() {
    let server = TestServer::new();
    for target in ["/turted/websocket", "/turted/0/0/websocket"] {
        let mut socket = WebSocket::connect(server.address(), target, &[]).unwrap();
        socket.send(frame(0x82, b"\x01"));
        assert_eq!(socket.close_code(), Some(1003), "{target}");
    }
}

#[test]
fn a_websocket_gets_heartbeats_and_pings_and_a_raw_one_pings_alone() {
    let server = TestServer::with(|config| config.sockjs.heartbeat = Duration::from_millis(20));
    for target in ["/turted/websocket", "/turted/0/0/websocket"] {
        let mut socket = WebSocket::connect(server.address(), target, &[]).unwrap();
        let mut seen = Vec::new();
        while seen.iter().filter(|opcode| **opcode == 9).count() < 2 {
            let frame_in = socket.read().unwrap();
            if frame_in.opcode == 1 {
                assert!(matches!(&frame_in.payload[..], b"o" | b"h"), "{frame_in:?}");
            } else {
                socket.send(frame(0x8A, b""));
            }
            seen.push(frame_in.opcode);
        }
        let texts = seen.iter().filter(|opcode| **opcode == 1).count();
        assert_eq!(texts, if target == "/turted/websocket" { 0 } else { 3 }, "{seen:?}");
    }
}

#[test]
fn a_client_that_answers_no_ping_is_cut() {
    let server = TestServer::with(|config| {
        config.sockjs.heartbeat = Duration::from_millis(20);
        config.websocket.ping_timeout = Duration::from_millis(20);
    });
    for way in [Way::WebSocket, Way::Raw] {
        assert!(Client::connect(&server, way).is_ended());
    }
}

#[test]
fn the_stop_of_the_server_is_told_in_both_ways() {
    let server = TestServer::new();
    let mut framed = Client::connect(&server, Way::WebSocket);
    let mut raw = WebSocket::connect(server.address(), "/turted/websocket", &[]).unwrap();
    raw.send(frame(0x81, ECHO.as_bytes()));
    assert_eq!(raw.text().as_deref(), Some(ECHOED));
    server.stop();
    assert_eq!(framed.frame(), r#"c[1012,"the server is stopping"]"#);
    assert_eq!(framed.next_frame(), None);
    assert_eq!(raw.close_code(), Some(1012));
}
