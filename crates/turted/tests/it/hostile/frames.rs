//! WebSocket frames that break RFC 6455, and packets that break what stands above it.

use std::time::Duration;

use crate::support::{Client, Kind, TestServer, Transport, frame, payload};

const SOCKETS: [Kind; 4] = [Kind::V3_WEBSOCKET, Kind::V4_WEBSOCKET, Kind::V3_UPGRADED, Kind::V4_UPGRADED];

#[test]
fn frames_that_break_a_rule_are_answered_with_its_close_code() {
    let server = TestServer::new();
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("unmasked", b"\x81\x013".to_vec(), 1002),
        ("reserved bit 1", frame(0xC1, b"3"), 1002),
        ("reserved bit 2", frame(0xA1, b"3"), 1002),
        ("reserved bit 3", frame(0x91, b"3"), 1002),
        ("reserved opcode", frame(0x83, b"3"), 1002),
        ("reserved control opcode", frame(0x8B, b""), 1002),
        ("fragmented ping", frame(0x09, b"x"), 1002),
        ("long ping", frame(0x89, &[b'x'; 126]), 1002),
        ("continuation of nothing", frame(0x80, b"3"), 1002),
        ("text within a message", [frame(0x01, b"3"), frame(0x81, b"3")].concat(), 1002),
        ("63-bit length", b"\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF".to_vec(), 1009),
        ("64-bit length", b"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF".to_vec(), 1002),
        ("length in too many bytes", b"\x81\xFE\x00\x01\0\0\0\x003".to_vec(), 1002),
        ("invalid utf-8", frame(0x81, b"42[\"ECHO\",\"\xFF\"]"), 1007),
        ("half a character", frame(0x81, b"42[\"ECHO\",\"\xC3"), 1007),
        ("an encoded surrogate", frame(0x81, b"42[\"ECHO\",\"\xED\xA0\x80\"]"), 1007),
        ("a close of one byte", frame(0x88, b"x"), 1002),
        ("a close code nobody may send", frame(0x88, b"\x03\xED"), 1002),
        ("a close reason that is no text", frame(0x88, b"\x03\xE8\xFF"), 1007),
    ];
    for kind in SOCKETS {
        for (name, bytes, code) in cases {
            let mut client = server.client(kind);
            client.socket().send(bytes);
            assert_eq!(client.socket().close_code(), Some(*code), "{kind:?}: {name}");
        }
    }
    server.assert_alive();
}

#[test]
fn packets_that_break_a_rule_end_the_session() {
    let server = TestServer::new();
    let cases = [
        "",
        "9",
        "x",
        "4",
        "42",
        "42{}",
        "42[]",
        "42[1]",
        "42[null]",
        r#"42["ECHO""#,
        r#"42["ECHO"]x"#,
        "0",
        "0{}",
        "5",
        "40{}",
        "40",
        "40[]",
        "43[]",
        "44",
        "47",
        "46",
        "421",
        "41x",
        "1x",
        "6x",
        r#"42/ns["ECHO"]"#,
        r#"42/ns,["ECHO"]"#,
        r#"4299999999999999999999["ECHO"]"#,
        "\u{feff}42[\"ECHO\"]",
        "42[\"\\ud800\"]",
    ];
    for kind in Kind::ALL {
        for packet in cases {
            let mut client = server.client(kind);
            if kind.transport == Transport::Polling {
                let response = client.post(payload(kind.version, &[packet]));
                assert!(matches!(response.status, 200 | 400), "{packet}: {}", response.status);
                assert!(client.is_ended(), "{kind:?} {packet}");
            } else {
                client.socket().send_text(packet);
                assert_eq!(client.socket().close_code(), Some(1002), "{kind:?} {packet}");
            }
        }
    }
    server.assert_alive();
}

#[test]
fn binary_frames_nobody_promised_end_the_session() {
    let server = TestServer::new();
    for (kind, data, code) in [
        (Kind::V4_WEBSOCKET, &b"\x01\x02"[..], 1003),
        (Kind::V4_WEBSOCKET, b"", 1003),
        (Kind::V3_WEBSOCKET, b"\x04\x01", 1003),
        (Kind::V3_WEBSOCKET, b"\x01", 1002),
        (Kind::V3_WEBSOCKET, b"", 1002),
    ] {
        let mut client = server.client(kind);
        client.socket().send(frame(0x82, data));
        assert_eq!(client.socket().close_code(), Some(code), "{kind:?} {data:?}");
    }
    server.assert_alive();
}

#[test]
fn a_message_arrives_however_it_is_cut() {
    let server = TestServer::new();
    let text = r#"42["ECHO","é€😀"]"#.as_bytes();
    for kind in SOCKETS {
        let mut client = server.client(kind);
        for byte in frame(0x81, text) {
            client.socket().send([byte]);
        }
        assert!(client.reply().unwrap().starts_with(r#"42["ECHO","é€😀""#), "a byte at a time");
        let last = text.len() - 1;
        for (at, byte) in text.iter().enumerate() {
            let opcode = if at == 0 { 0x01 } else { 0x00 };
            let fin = if at == last { 0x80 } else { 0x00 };
            client.socket().send(frame(fin | opcode, &[*byte]));
            if at == last {
                break;
            }
            client.socket().send(frame(0x89, b"between"));
            assert_eq!(client.socket().read().unwrap().payload, b"between", "a pong within a message");
        }
        assert!(client.reply().unwrap().starts_with(r#"42["ECHO","é€😀""#), "a byte per fragment");
        let many = [frame(0x81, br#"42["ECHO",1]"#), frame(0x81, br#"42["ECHO",2]"#)].concat();
        client.socket().send(many);
        assert_eq!(client.reply().unwrap(), r#"42["ECHO",1]"#);
        assert_eq!(client.reply().unwrap(), r#"42["ECHO",2]"#);
    }
}

#[test]
fn a_message_that_never_ends_is_cut_at_the_limit_of_fragments() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.socket().send(frame(0x01, b"4"));
    (0..10_000).for_each(|_| client.socket().send(frame(0x00, b"")));
    assert!(matches!(client.socket().close_code(), Some(1008) | None));
    server.assert_alive();
}

#[test]
fn a_close_frame_is_answered_with_its_code() {
    let server = TestServer::new();
    for (payload, code) in [(&b""[..], 1000), (b"\x03\xE8", 1000), (b"\x0F\xA0bye", 4000)] {
        let mut client = server.client(Kind::V4_WEBSOCKET);
        client.socket().send(frame(0x88, payload));
        assert_eq!(client.socket().close_code(), Some(code));
    }
}

#[test]
fn a_client_that_never_connects_is_closed() {
    let server = TestServer::with(|config| config.socketio.connect_timeout = Duration::from_millis(50));
    let mut client = Client::open(server.address(), Kind::V4_WEBSOCKET);
    assert_eq!(client.socket().close_code(), Some(1008));
    let mut client = Client::open(server.address(), Kind::V4_POLLING);
    assert!(client.is_ended());
    server.assert_alive();
}

#[test]
fn peers_that_are_silent_are_let_go() {
    let server = TestServer::with(|config| {
        config.socketio.ping_interval = Duration::from_millis(100);
        config.socketio.ping_timeout = Duration::from_millis(100);
    });
    for kind in SOCKETS {
        let mut client = server.client(kind);
        let pings = std::iter::from_fn(|| client.socket().text()).inspect(|packet| assert_eq!(packet, "2"));
        assert_eq!(pings.count(), usize::from(kind.version == 4), "{kind:?}");
    }
}

#[test]
fn heartbeats_keep_a_client_alive() {
    let server = TestServer::with(|config| {
        config.socketio.ping_interval = Duration::from_millis(100);
        config.socketio.ping_timeout = Duration::from_millis(400);
    });
    let mut client = server.client(Kind::V4_WEBSOCKET);
    for _ in 0..8 {
        assert_eq!(client.socket().text().as_deref(), Some("2"));
        client.send("3");
    }
    let mut old = server.client(Kind::V3_WEBSOCKET);
    old.send("2data");
    assert_eq!(old.receive().as_deref(), Some("3"), "the data are not repeated");
}
