//! The SockJS services. What the transport does is tested in `sockjs`; this is what is said in it.

use std::io::Read;

use crate::support::services::Services;
use crate::support::{Http, WebSocket};

/// What a poll of a session gets.
fn poll(services: &Services, session: &str) -> String {
    let polled = Http::connect(services.sockjs).post(&format!("{session}/xhr"), &[], "");
    assert_eq!(polled.status, 200, "{session}");
    polled.text().to_owned()
}

fn say(services: &Services, session: &str, messages: &str) {
    let said = Http::connect(services.sockjs).post(&format!("{session}/xhr_send"), &[], messages);
    assert_eq!(said.status, 204, "{session}: {}", said.text());
}

/// The body of a response that streams, to its end, with the lengths of its chunks.
fn stream(services: &Services, session: &str, meanwhile: impl FnOnce()) -> String {
    let mut http = Http::connect(services.sockjs);
    http.send_request("POST", &format!("{session}/xhr_streaming"), &[], b"");
    assert_eq!(http.read_head().unwrap().status, 200, "{session}");
    meanwhile();
    let (mut stream, buffer) = http.into_parts();
    let mut body = String::from_utf8(buffer).unwrap();
    stream.read_to_string(&mut body).unwrap();
    body
}

#[test]
fn sockjs_echoes_messages() {
    let services = Services::start();
    for service in ["/echo", "/disabled_websocket_echo", "/cookie_needed_echo"] {
        let session = format!("{service}/000/a");
        assert_eq!(poll(&services, &session), "o\n");
        say(&services, &session, r#"["x","é"]"#);
        assert_eq!(poll(&services, &session), "a[\"x\",\"é\"]\n", "{service}");
    }
    let mut raw = WebSocket::connect(services.sockjs, "/echo/websocket", &[]).unwrap();
    raw.send_text("Hello world!\u{FFFF}");
    assert_eq!(raw.text().as_deref(), Some("Hello world!\u{FFFF}"));
}

#[test]
fn each_sockjs_service_has_its_options() {
    let services = Services::start();
    let mut http = Http::connect(services.sockjs);
    let cases = [
        ("/echo", true, false),
        ("/disabled_websocket_echo", false, false),
        ("/cookie_needed_echo", true, true),
    ];
    for (service, websocket, cookie) in cases {
        let info = http.get(&format!("{service}/info")).json();
        assert_eq!(
            (&info["websocket"], &info["cookie_needed"]),
            (&websocket.into(), &cookie.into()),
            "{service}"
        );
        let opened = http.post(&format!("{service}/000/b/xhr"), &[], "");
        assert_eq!(opened.header("set-cookie").is_some(), cookie, "{service}");
        let target = format!("{service}/000/c/websocket");
        assert_eq!(WebSocket::connect(services.sockjs, &target, &[]).is_ok(), websocket, "{service}");
    }
}

#[test]
fn sockjs_ends_a_response_after_four_kibibytes_and_the_session_goes_on() {
    let services = Services::start();
    let message = format!(r#"["{}"]"#, "x".repeat(4_096));
    let body = stream(&services, "/echo/000/d", || say(&services, "/echo/000/d", &message));
    assert!(body.contains("o\n"), "{body}");
    assert!(body.contains(&message), "{body}");
    assert!(body.ends_with("0\r\n\r\n"), "{body}");
    say(&services, "/echo/000/d", r#"["y"]"#);
    assert_eq!(poll(&services, "/echo/000/d"), "a[\"y\"]\n");
}

/// sockjs-protocol 0.3.3, `test_close_frame`; the session ends in the moment in which it begins.
#[test]
fn what_a_session_says_at_its_very_beginning_is_sent_before_its_end() {
    let services = Services::start();
    let close = "c[3000,\"Go away!\"]\n";
    let body = stream(&services, "/close/000/e", || {});
    let prelude = format!("801\r\n{}\n\r\n", "h".repeat(2_048));
    assert_eq!(body, format!("{prelude}2\r\no\n\r\n13\r\n{close}\r\n0\r\n\r\n"));
    let body = stream(&services, "/close/000/e", || {});
    assert_eq!(body, format!("{prelude}13\r\n{close}\r\n0\r\n\r\n"), "and said again to whoever asks");
    assert_eq!(poll(&services, "/close/000/f"), "o\n");
    assert_eq!([poll(&services, "/close/000/f"), poll(&services, "/close/000/f")], [close, close]);
    let mut socket = WebSocket::connect(services.sockjs, "/close/000/g/websocket", &[]).unwrap();
    assert_eq!([socket.text().unwrap(), socket.text().unwrap()], ["o", close.trim()]);
    assert_eq!(socket.close_code(), Some(3000));
}

#[test]
fn the_services_for_demonstrations_tick_amplify_and_broadcast() {
    let services = Services::start();
    let open =
        |service: &str| WebSocket::connect(services.sockjs, &format!("{service}/websocket"), &[]).unwrap();
    assert_eq!(open("/ticker").text().as_deref(), Some("tick!"));
    let mut amplify = open("/amplify");
    for (said, letters) in [("1", 2), ("10", 1_024), ("18", 262_144), ("19", 2), ("0", 2), ("x", 2)] {
        amplify.send_text(said);
        assert_eq!(amplify.text().unwrap(), "x".repeat(letters), "{said}");
    }
    let (mut first, mut second, mut other) = (open("/broadcast"), open("/broadcast"), open("/echo"));
    first.send_text("to all");
    assert_eq!([first.text(), second.text()], [Some("to all".into()), Some("to all".into())]);
    other.send_text("to itself");
    assert_eq!(other.text().as_deref(), Some("to itself"));
}
