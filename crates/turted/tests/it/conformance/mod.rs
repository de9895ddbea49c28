//! `turted conformance`: the test services answer as the official suites of the protocols expect, in
//! words of our own, and nobody else can reach them.

mod sockjs;

use std::process::{Command, Output};

use crate::support::services::Line::{Hears, HearsBytes, IsClosed, IsConnected, Says, SaysBytes};
use crate::support::services::{Services, command, next, play};
use crate::support::{TestServer, WebSocket, frame};

const ENGINE_V3: &str = "/engine.io/?EIO=3&transport=websocket";
const ENGINE_V4: &str = "/engine.io/?EIO=4&transport=websocket";
const SOCKETIO_V3: &str = "/socket.io/?EIO=3&transport=websocket";
const SOCKETIO_V4: &str = "/socket.io/?EIO=4&transport=websocket";

#[test]
fn the_handshake_of_a_test_service_names_the_times_that_the_suites_wait_for() {
    let services = Services::start();
    for path in ["/engine.io/", "/socket.io/"] {
        let handshake = services.http().get(&format!("{path}?EIO=4&transport=polling"));
        let handshake: serde_json::Value = serde_json::from_str(&handshake.text()[1..]).unwrap();
        let fields = ["pingInterval", "pingTimeout", "maxPayload"].map(|field| handshake[field].clone());
        assert_eq!(fields, [300, 200, 1_000_000], "{path}");
        assert_eq!(handshake["upgrades"], serde_json::json!(["websocket"]));
    }
}

#[test]
fn requests_that_the_suites_take_for_bad_are_refused() {
    let services = Services::start();
    for path in ["/engine.io/", "/socket.io/"] {
        for query in ["transport=polling", "EIO=abc&transport=polling", "EIO=4", "EIO=4&transport=abc"] {
            assert_eq!(services.http().get(&format!("{path}?{query}")).status, 400, "{path} {query}");
        }
        for method in ["POST", "PUT"] {
            let target = format!("{path}?EIO=4&transport=polling");
            assert_eq!(services.http().request(method, &target, &[], b"").status, 400, "{method}");
        }
    }
}

#[test]
fn engine_io_echoes_what_is_posted_in_the_form_its_client_reads() {
    let services = Services::start();
    let v3 = "/engine.io/?EIO=3&transport=polling";
    let (v3_base64, v3_script) = (format!("{v3}&b64=1"), format!("{v3}&j=0"));
    let v4 = "/engine.io/?EIO=4&transport=polling";
    let binary = b"\x00\x06\xFF4hello\x01\x05\xFF\x04\x01\x02\x03\x04".as_slice();
    let cases: [(&str, &[u8], &[u8]); 8] = [
        (&v3_base64, b"6:4hello", b"6:4hello"),
        (&v3_base64, b"6:4test16:4test26:4test3", b"6:4test16:4test26:4test3"),
        (&v3_base64, b"6:4hello10:b4AQIDBA==", b"6:4hello10:b4AQIDBA=="),
        (v3, b"6:4hello10:b4AQIDBA==", binary),
        (&v3_script, b"d=10%3Ab4AQIDBA%3D%3D", br#"___eio[0]("10:b4AQIDBA==");"#),
        (v4, b"4hello", b"4hello"),
        (v4, b"4test1\x1e4test2\x1e4test3", b"4test1\x1e4test2\x1e4test3"),
        (v4, b"4hello\x1ebAQIDBA==", b"4hello\x1ebAQIDBA=="),
    ];
    for (target, said, heard) in cases {
        let session = services.polling(target);
        let posted = services.http().post(&session, &[], said);
        assert_eq!((posted.status, posted.text()), (200, "ok"), "{target}");
        let polled = services.http().get(&session);
        assert_eq!((polled.status, polled.body.as_slice()), (200, heard), "{target}");
        let kind = if heard == binary { "application/octet-stream" } else { "text/plain; charset=UTF-8" };
        assert_eq!(polled.header("content-type"), Some(kind), "{target}");
    }
}

#[test]
fn a_polling_session_ends_as_the_suites_expect() {
    let services = Services::start();
    for (target, garbage, close, close_poll) in [
        ("/engine.io/?EIO=3&transport=polling&b64=1", "abc", "1:1", "1:6"),
        ("/engine.io/?EIO=4&transport=polling", "abc", "1", "6"),
        ("/socket.io/?EIO=4&transport=polling", "abc", "1", "6"),
    ] {
        let session = services.polling(target);
        assert_eq!(services.http().post(&session, &[], garbage).status, 400, "{target}");
        assert_eq!(services.http().get(&session).status, 400, "{target}");

        let session = services.polling(target);
        let mut waiting = services.http();
        waiting.send_request("GET", &session, &[], b"");
        assert_eq!(services.http().post(&session, &[], close).status, 200, "{target}");
        let polled = waiting.read().unwrap();
        // Whoever came first: a poll that waits ends with nothing, one that comes later finds nobody.
        assert!(polled.text() == close_poll || polled.status == 400, "{target}: {}", polled.text());
        assert_eq!(services.http().get(&session).status, 400, "{target}");
    }
}

#[test]
fn engine_io_echoes_what_comes_on_a_websocket() {
    let services = Services::start();
    let (v3, v4) = (b"\x04\x01\x02\x03\x04", b"\x01\x02\x03\x04");
    play(&services, ENGINE_V3, &[Says("4hello"), Hears("4hello"), SaysBytes(v3), HearsBytes(v3)]);
    play(&services, ENGINE_V4, &[Says("4hello"), Hears("4hello"), SaysBytes(v4), HearsBytes(v4)]);
    for target in [ENGINE_V3, ENGINE_V4] {
        play(&services, target, &[Says("abc"), IsClosed]);
        play(&services, target, &[Says("1"), IsClosed]);
    }
}

#[test]
fn who_sends_no_heartbeats_is_closed_and_who_does_stays() {
    let services = Services::start();
    // Unanswered pings of the server, or none of the client.
    for target in [ENGINE_V3, ENGINE_V4, SOCKETIO_V3, SOCKETIO_V4] {
        let mut socket = services.websocket(target);
        while next(&mut socket).is_some() {}
    }
    play(&services, ENGINE_V3, &[Says("2"), Hears("3"), Says("2hi"), Hears("3")]);
    let mut socket = services.websocket(ENGINE_V4);
    assert!(socket.text().unwrap().starts_with('0'));
    for _ in 0..3 {
        assert_eq!(socket.text().as_deref(), Some("2"));
        socket.send_text("3");
    }
    socket.send_text("4still here");
    assert_eq!(next(&mut socket), Some((1, b"4still here".to_vec())));
}

#[test]
fn socket_io_tells_who_connects_what_came_along() {
    let services = Services::start();
    let auth = r#"42["auth",{}]"#;
    play(&services, SOCKETIO_V4, &[Says("40"), IsConnected("40"), Hears(auth)]);
    let token = r#"42["auth",{"token":"123"}]"#;
    play(&services, SOCKETIO_V4, &[Says(r#"40{"token":"123"}"#), IsConnected("40"), Hears(token)]);
    let custom = r#"42/custom,["auth",{}]"#;
    play(&services, SOCKETIO_V4, &[Says("40/custom,"), IsConnected("40/custom,"), Hears(custom)]);
    let token = r#"42/custom,["auth",{"token":"abc"}]"#;
    let connect = r#"40/custom,{"token":"abc"}"#;
    play(&services, SOCKETIO_V4, &[Says(connect), IsConnected("40/custom,"), Hears(token)]);
    let refused = r#"44/random,{"message":"Invalid namespace"}"#;
    play(&services, SOCKETIO_V4, &[Says("40/random"), Hears(refused), Says("40"), IsConnected("40")]);
    let custom = [Hears("40"), Hears(auth), Says("40/custom"), Hears("40/custom"), Hears(custom)];
    play(&services, SOCKETIO_V3, &custom);
    let refused = r#"44/random,"Invalid namespace""#;
    play(&services, SOCKETIO_V3, &[Hears("40"), Hears(auth), Says("40/random?a=b"), Hears(refused)]);
}

#[test]
fn socket_io_echoes_events_and_answers_acks_with_their_attachments() {
    let services = Services::start();
    let auth = r#"42["auth",{}]"#;
    let placeholders = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    let event: &'static str = format!(r#"452-["message",{placeholders}]"#).leak();
    let echo: &'static str = format!(r#"452-["message-back",{placeholders}]"#).leak();
    let asked: &'static str = format!(r#"452-789["message-with-ack",{placeholders}]"#).leak();
    let ack: &'static str = format!("462-789[{placeholders}]").leak();
    // In version 3 of Engine.IO bytes are marked as a message.
    for (target, first, second) in
        [(SOCKETIO_V3, b"\x04\x01".as_slice(), b"\x04".as_slice()), (SOCKETIO_V4, b"\x01", b"")]
    {
        let script = [
            Says(r#"42["message",1,"2",{"3":[true]}]"#),
            Hears(r#"42["message-back",1,"2",{"3":[true]}]"#),
            Says(r#"42456["message-with-ack",1,"2",{"3":[false]}]"#),
            Hears(r#"43456[1,"2",{"3":[false]}]"#),
            Says(event),
            SaysBytes(first),
            SaysBytes(second),
            Hears(echo),
            HearsBytes(first),
            HearsBytes(second),
            Says(asked),
            SaysBytes(first),
            SaysBytes(second),
            Hears(ack),
            HearsBytes(first),
            HearsBytes(second),
            // An attachment too many.
            SaysBytes(first),
            IsClosed,
        ];
        let mut all = match target {
            SOCKETIO_V3 => vec![Hears("40"), Hears(auth)],
            _ => vec![Says("40"), IsConnected("40"), Hears(auth)],
        };
        all.extend(script);
        play(&services, target, &all);
    }
}

#[test]
fn socket_io_lets_a_client_leave_a_namespace_and_stay_in_the_other() {
    let services = Services::start();
    play(
        &services,
        SOCKETIO_V4,
        &[
            Says("40"),
            IsConnected("40"),
            Hears(r#"42["auth",{}]"#),
            Says("40/custom"),
            IsConnected("40/custom,"),
            Hears(r#"42/custom,["auth",{}]"#),
            Says(r#"42/custom,["message","there"]"#),
            Hears(r#"42/custom,["message-back","there"]"#),
            Says("41/custom"),
            Says(r#"42["message","here"]"#),
            Hears(r#"42["message-back","here"]"#),
            Says(r#"42/custom,["message","there"]"#),
            IsClosed,
        ],
    );
}

#[test]
fn socket_io_closes_whoever_sends_what_is_no_packet_or_does_not_connect() {
    let services = Services::start();
    for garbage in ["4abc", "42{}", r#"42abc["message-with-ack",1]"#, r#"42["disconnect"]"#] {
        play(&services, SOCKETIO_V4, &[Says(garbage), IsClosed]);
        let connected = [Says("40"), IsConnected("40"), Hears(r#"42["auth",{}]"#), Says(garbage), IsClosed];
        play(&services, SOCKETIO_V4, &connected);
    }
    // Heartbeats alone do not keep it.
    let mut socket = services.websocket(SOCKETIO_V4);
    while let Some(text) = socket.text() {
        socket.send_text(if text == "2" { "3" } else { "6" });
    }
}

#[test]
fn a_plain_websocket_echoes_any_message_but_none_above_sixteen_mebibytes() {
    let services = Services::start();
    let mut socket = services.websocket("/ws-echo");
    let long = vec![b'x'; 1 << 20];
    for (first, payload) in
        [(0x81, b"".as_slice()), (0x82, b"\x00\xFF"), (0x81, "é€😀".as_bytes()), (0x81, &long)]
    {
        socket.send(frame(first, payload));
        let echo = socket.read().unwrap();
        assert!(echo.opcode == first & 0x0F, "{} bytes", payload.len());
        assert!(echo.payload == payload, "{} bytes", payload.len());
    }
    // The header alone tells: fin and binary, masked with a length of eight bytes.
    let too_long = (16_u64 << 20) + 1;
    socket.send([&[0x82, 0xFF], too_long.to_be_bytes().as_slice(), &[0; 4]].concat());
    assert_eq!(socket.close_code(), Some(1009));
}

#[test]
fn test_services_are_for_this_machine_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        for flags in [["--listen", address], ["--sockjs-listen", address]] {
            let Output { status, stdout, stderr } = command(&flags).output().unwrap();
            assert_eq!(status.code(), Some(2), "{address}");
            assert!(stdout.is_empty());
            let stderr = String::from_utf8(stderr).unwrap();
            assert!(stderr.contains("is not a loopback address"), "{stderr}");
        }
    }
}

#[test]
fn nothing_of_the_test_services_shows_in_normal_operation() {
    let server = TestServer::new();
    for target in ["/engine.io/?EIO=4&transport=polling", "/ws-echo", "/echo/info", "/close/info"] {
        assert_eq!(server.http().get(target).status, 404, "{target}");
    }
    // The product knows neither the second namespace nor binary data.
    let mut socket = WebSocket::connect(server.address(), SOCKETIO_V4, &[]).unwrap();
    assert!(socket.text().unwrap().starts_with('0'));
    socket.send_text("40/custom,");
    assert_eq!(socket.text().as_deref(), Some(r#"44/custom,{"message":"Invalid namespace"}"#));
    let services = Services::start();
    for target in ["/push/", "/ws", "/turted/info", "/health", "/metrics", "/"] {
        assert_eq!(services.http().get(target).status, 404, "{target}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_turted")).arg("--help").output().unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains("conformance"));
}
