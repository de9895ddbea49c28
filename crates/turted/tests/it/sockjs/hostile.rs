//! Clients of SockJS that mean harm, or whose page was left open.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Chunks, Client, Way, new_session};
use crate::support::{Child, Http, PATIENCE, TestServer};

#[test]
fn bodies_are_as_long_as_a_message_escaped_in_the_dearest_way_and_no_longer() {
    let server = TestServer::with(|config| config.limits.message_bytes = 1024);
    let mut client = Client::connect(&server, Way::Jsonp);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let escaped = |count: usize| format!("d=[\"{}\"]", "%5Cu0041".repeat(count));
    let just = escaped(1023);
    assert_eq!(client.post("jsonp_send", &form, just.as_bytes()).text(), "ok");
    assert!(client.hear().contains("json object"));
    for (target, body) in [("xhr_send", "x".repeat(8 * 1024 + 1)), ("jsonp_send", escaped(1024))] {
        let answer = client.post(target, &form, body.as_bytes());
        assert_eq!(answer.status, 413, "{target}: {}", answer.text());
    }
    let long = serde_json::to_string(&["x".repeat(1025)]).unwrap();
    let answer = client.post("xhr_send", &[], long.as_bytes());
    assert_eq!(
        (answer.status, answer.text()),
        (413, "a message has at most 1024 bytes (limits.message_bytes)")
    );
    let many = serde_json::to_string(&vec![""; 257]).unwrap();
    assert_eq!(client.post("xhr_send", &[], many.as_bytes()).status, 413);
    assert!(client.ask(r#"{"type":"echo","data":1}"#).contains("message"), "the session lives");
    let deep = format!("[\"{}\"]", "[".repeat(1000));
    assert_eq!(client.post("xhr_send", &[], deep.as_bytes()).status, 204);
    assert_eq!(client.post("xhr_send", &[], "[".repeat(1000).as_bytes()).status, 500);
    assert_eq!(client.post("xhr_send", &[], b"[\"\xff\"]").status, 500);
    assert_eq!(client.post("xhr_send", &[], br#"["\ud800"]"#).status, 500);
}

#[test]
fn ids_are_as_long_as_the_protocol_needs_and_no_longer() {
    let server = TestServer::new();
    for (length, status) in [(128, 200), (129, 404)] {
        let target = format!("/turted/0/{}/xhr", "x".repeat(length));
        assert_eq!(server.http().post(&target, &[], "").status, status, "{length}");
    }
    for id in ["constructor", "__proto__", "%00", "%2e%2e", "%0d%0a", "a'b\"c"] {
        let target = format!("/turted/0/{id}/xhr");
        assert_eq!(server.http().post(&target, &[], "").text(), "o\n", "{id}");
    }
}

#[test]
fn endless_sessions_are_refused_when_there_are_as_many_as_connections() {
    let server = TestServer::with(|config| {
        config.limits.connections = Some(20);
        config.sockjs.disconnect_delay = Duration::from_millis(300);
    });
    let mut http = server.http();
    let mut sessions = 0;
    let refused = loop {
        let session = new_session();
        let answer = http.post(&format!("{session}/xhr"), &[], "");
        if answer.status != 200 {
            break answer;
        }
        // One that nobody came back to would give way.
        assert_eq!(http.post(&format!("{session}/xhr_send"), &[], "[]").status, 204);
        sessions += 1;
        assert!(sessions <= 20);
    };
    assert_eq!((sessions, refused.status), (20, 503));
    assert_eq!(refused.header("retry-after"), Some("5"));
    let mut streaming = Chunks::open(&server, ("POST", &format!("{}/xhr_streaming", new_session())));
    assert_eq!(streaming.head.status, 503);
    assert!(streaming.next().unwrap().contains("limits.connections"));
    assert_eq!(streaming.next(), None);
    let started = Instant::now();
    while http.post(&format!("{}/xhr", new_session()), &[], "").status != 200 {
        assert!(started.elapsed() < PATIENCE, "sessions that nobody receives make room");
    }
}

#[test]
fn a_body_that_never_ends_and_a_request_behind_a_stream_cost_nothing() {
    let server = TestServer::new();
    let target = format!("{}/xhr_streaming", new_session());
    let mut http = server.http();
    http.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"));
    assert_eq!(http.read().unwrap().status, 413);
    let mut client = Client::connect(&server, Way::XhrStreaming);
    let stream = client.stream();
    std::io::Write::write_all(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_bytes()).unwrap();
    assert!(client.ask(r#"{"type":"echo","data":1}"#).contains("message"));
    // The server may have ended the connection before it was sent all.
    let _ = std::io::Write::write_all(client.stream(), &[b'x'; 64 * 1024]);
    let started = Instant::now();
    let mut told = String::new();
    while !told.starts_with('c') || told.contains("2010") {
        assert!(started.elapsed() < PATIENCE, "{told}");
        told = server.http().post(&format!("{}/xhr", client.session), &[], "").text().to_owned();
    }
    assert!(told.contains("1009") || told.contains("1002"), "{told}");
}

/// A client that reads nothing of its stream.
fn stalled(address: std::net::SocketAddr, way: Way) -> Http {
    let mut http = Http::connect_narrow(address);
    let (method, target) = way.receiver(&new_session());
    http.send_request(method, &target, &[], b"");
    assert_eq!(http.read_head().unwrap().status, 200);
    http
}

#[test]
fn stalled_streams_are_cut_and_sessions_without_receiver_too_and_memory_stays() {
    const ROUNDS: usize = 256;
    const EVENT_BYTES: usize = 20 * 1024;
    let child = Child::start(&[
        ("TURTED_RECOVERY_LOG_BYTES", "1MiB"),
        ("TURTED_LIMITS_OUTBOX_BYTES", "1MiB"),
        ("TURTED_SOCKJS_RESPONSE_BYTES", "1GiB"),
        ("TURTED_SOCKJS_DISCONNECT_DELAY", "60s"),
    ]);
    let mut stalled_ones: Vec<_> =
        (0..9).map(|number| stalled(child.address(), Way::STREAMING[number % 3])).collect();
    let absent = format!("{}/xhr", new_session());
    assert_eq!(child.http().post(&absent, &[], "").text(), "o\n");
    let before = child.memory();
    let mut http = child.http();
    let mut delivered = Vec::new();
    for number in 0..ROUNDS {
        let payload = format!("{number}:{}", "x".repeat(EVENT_BYTES));
        let body = json!({"event": "big", "targets": {"broadcast": true}, "payload": payload}).to_string();
        let answer = http.post("/push", &[("Accept", "application/json")], body);
        delivered.push(answer.json()["delivered"].as_u64().unwrap());
    }
    assert_eq!((delivered[0], delivered[ROUNDS - 1]), (10, 0), "{delivered:?}");
    let grown = child.memory().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more for 10 that do not read");
    let told = child.http().post(&absent, &[], "");
    assert_eq!(told.text(), "c[4101,\"slow reader\"]\n");
    assert!(stalled_ones.iter_mut().all(Http::is_ended));
    child.stop();
}

#[test]
fn nothing_is_left_of_sessions_that_ended_in_any_way() {
    let server = TestServer::with(|config| config.sockjs.disconnect_delay = Duration::from_millis(50));
    for way in Way::ALL {
        let mut client = Client::connect(&server, way);
        client.say(r#"{"type":"join","data":{"channel":"chat"}}"#);
        client.leave();
    }
    let gauges = || {
        let page = server.admin().get("/metrics").text().to_owned();
        let level = |name: &str| {
            let lines = page.lines().filter(|line| line.starts_with(name) && !line.starts_with('#'));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
        };
        [level("turted_connections{"), level("turted_channels"), level("turted_outbox_bytes")]
    };
    let started = Instant::now();
    while gauges() != [0.0; 3] {
        assert!(started.elapsed() < PATIENCE, "{:?}", gauges());
    }
}
