//! HTTP/2 behind TLS: the same requests, event streams as responses, and what a peer may not do.

mod memory;
mod slow;
mod unread;

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::timeout;

use turted::dispatcher::Receipt;
use turted_core::cursor::Cursor;

use crate::support::http2::{Client, Setting, request};
use crate::support::{PATIENCE, eventually};

#[test]
fn every_plain_route_is_served() {
    let setting = Setting::new(|_| {});
    let mut client = setting.connect();
    let health = setting.get(&mut client, "/health");
    assert_eq!((health.status().as_u16(), setting.body(health).as_str()), (200, "ok\n"));
    assert_eq!(setting.get(&mut client, "/nothing").status(), 404);
    let handshake = setting.get(&mut client, "/socket.io/?EIO=4&transport=polling");
    assert!(setting.body(handshake).starts_with("0{\"sid\":"));
    let push = json!({"event": "e", "targets": {"broadcast": true}, "payload": "x".repeat(500_000)});
    let answer = setting.send(&mut client, request("POST", "/push/", &[], &push.to_string())).unwrap();
    assert_eq!(setting.body(answer), "OK");
    let long = "x".repeat(2 << 20);
    let refused = setting.send(&mut client, request("POST", "/push/", &[], &long)).unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().get("connection")), (413, None));
    assert_eq!(setting.get(&mut client, "/ws").status(), 426, "a WebSocket needs HTTP/1.1");
    let head = setting.send(&mut client, request("HEAD", "/sse", &[], "")).unwrap();
    assert_eq!(
        (head.status().as_u16(), head.headers()["content-type"].to_str().unwrap()),
        (200, "text/event-stream")
    );
    assert_eq!(setting.body(head), "");
    assert_eq!(setting.streams(), 0);
}

/// Whether the body fits the window of its stream or not.
#[test]
fn a_request_whose_body_is_not_read_gets_its_whole_answer() {
    let setting = Setting::new(|_| {});
    let mut client = setting.connect();
    let foreign = [("origin", "https://evil.example")];
    for round in 0..20 {
        for body in [1, 1_000, 60_000, 300_000].map(|bytes| "x".repeat(bytes)) {
            for (path, headers, status) in [("/nothing", &[][..], 404), ("/push/", &foreign[..], 403)] {
                let request = request("POST", path, headers, &body);
                let answer = setting.send(&mut client, request).unwrap();
                assert_eq!(answer.status(), status, "{path}, {} bytes, round {round}", body.len());
                assert_ne!(setting.body(answer), "");
            }
        }
    }
}

#[test]
fn the_head_of_a_file_says_its_length_and_nothing_comes_behind_it() {
    let setting = Setting::new(|_| {});
    let mut client = setting.connect();
    for path in ["/turted.js", "/demo"] {
        let whole = setting.get(&mut client, path);
        let length = setting.body(whole).len().to_string();
        let head = setting.send(&mut client, request("HEAD", path, &[], "")).unwrap();
        assert_eq!(head.headers()["content-length"].to_str().unwrap(), length, "{path}");
        assert_eq!(setting.body(head), "", "{path}");
    }
}

#[test]
fn the_authority_is_the_host_a_push_is_for() {
    let setting = Setting::new(|_| {});
    let mut client = setting.connect();
    let mut push = |authority: &str, headers: &[(&str, &str)]| {
        let mut request = request("POST", "/push/", headers, r#"{"event":"e"}"#);
        *request.uri_mut() = format!("https://{authority}/push/").parse().unwrap();
        let answer = setting.send(&mut client, request).unwrap();
        answer.status().as_u16()
    };
    for authority in ["localhost", "localhost:7117", "127.0.0.1", "[::1]:7117"] {
        assert_eq!(push(authority, &[]), 200, "{authority}");
        assert_eq!(push(authority, &[("origin", &format!("https://{authority}"))]), 200, "{authority}");
        assert_eq!(push(authority, &[("origin", "https://evil.example")]), 403, "{authority}");
        assert_eq!(push(authority, &[("sec-fetch-site", "cross-site")]), 403, "{authority}");
        assert_eq!(push(authority, &[("host", "evil.example")]), 403, "{authority}");
    }
    for authority in ["evil.example", "127.0.0.1.evil.example:7117", "10.0.0.1"] {
        assert_eq!(push(authority, &[]), 403, "{authority}");
        assert_eq!(push(authority, &[("host", "localhost")]), 403, "{authority}");
    }
}

#[test]
fn many_streams_share_a_connection_and_each_gets_its_own() {
    let setting = Setting::new(|_| {});
    let mut client = setting.connect();
    let mut streams: Vec<_> =
        (0..50).map(|number| setting.get(&mut client, &format!("/sse?channel=c{number}"))).collect();
    for stream in &mut streams {
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        assert_eq!(stream.headers()["x-accel-buffering"], "no");
        setting.read_until(stream, "retry: 3000\nid: ");
    }
    assert_eq!(setting.streams(), 50);
    for number in 0..50 {
        setting.server.dispatcher().notify_channel(&format!("c{number}"), "e", &number).unwrap();
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        let read = setting.read_until(stream, "\n\n");
        assert!(read.ends_with(&format!("event: e\ndata: {number}\n\n")), "{read}");
    }
    let last = setting.server.dispatcher().broadcast("last", &0).and_then(Receipt::wait).unwrap().first();
    let id = Cursor { sequence: 1, ..last }.to_string();
    let mut back = setting
        .send(&mut client, request("GET", "/sse?channel=c1&channel=c2", &[("last-event-id", &id)], ""))
        .unwrap();
    let read = setting.read_until(&mut back, "event: last\ndata: 0\n\n");
    let events: Vec<_> = read.lines().filter(|line| line.starts_with("data: ")).collect();
    assert_eq!(events, ["data: 1", "data: 2", "data: 0"], "{read}");
    drop((streams, back));
    eventually("streams that were given up are forgotten", || setting.streams() == 0);
    assert_eq!(setting.get(&mut client, "/health").status(), 200, "and the connection goes on");
}

#[test]
fn a_stream_that_is_not_read_is_cut_and_others_of_its_connection_are_not() {
    let setting = Setting::new(|config| {
        config.limits.outbox_bytes = 64 * 1024;
        config.limits.outbox_stall = Duration::from_millis(500);
    });
    let mut client = setting.connect();
    let slow = setting.get(&mut client, "/sse?channel=c");
    let mut healthy = setting.get(&mut client, "/sse?channel=c");
    setting.read_until(&mut healthy, "retry");
    let payload = "x".repeat(20 * 1024);
    let mut pushed = 0;
    while setting.streams() == 2 {
        setting.server.dispatcher().notify_channel("c", "e", &format!("{pushed}:{payload}")).unwrap();
        let read = setting.read_until(&mut healthy, "\"\n\n");
        assert!(read.contains(&format!("data: \"{pushed}:")));
        pushed += 1;
        assert!(pushed < 100, "a client that does not read is not cut");
    }
    let closes = setting.server.admin().get("/metrics");
    assert!(closes.text().contains("turted_closes_total{reason=\"slow_reader\"} 1\n"), "{}", closes.text());
    assert!(closes.text().contains("turted_outbox_bytes 0\n"), "{}", closes.text());
    setting.server.dispatcher().notify_channel("c", "last", &0).unwrap();
    setting.read_until(&mut healthy, "event: last");
    let read = async { timeout(PATIENCE, slow.into_body().collect()).await };
    assert!(setting.runtime.block_on(read).expect("an end").is_err(), "the stream was reset");
}

#[test]
fn a_server_that_stops_ends_streams_with_a_time_to_come_back() {
    let setting = Setting::new(|_| {});
    let mut client = setting.connect();
    let mut stream = setting.get(&mut client, "/sse?channel=c");
    setting.read_until(&mut stream, "retry");
    setting.server.dispatcher().notify_channel("c", "last", &0).unwrap();
    let Setting { server, runtime, pair } = setting;
    let stopping = std::thread::spawn(move || server.stop());
    let body = runtime
        .block_on(async { timeout(PATIENCE, stream.into_body().collect()).await })
        .expect("an end")
        .unwrap();
    let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    let (events, retry) = body.split_once("retry: ").expect("a time");
    assert!(events.contains("event: last"), "{body}");
    assert!((3_000..=6_000).contains(&retry.trim().parse::<u64>().unwrap()), "{retry}");
    runtime.block_on(async { timeout(PATIENCE, client.driver).await }).expect("the connection ends").unwrap();
    stopping.join().unwrap();
    drop(pair);
}

#[test]
fn a_connection_without_requests_ends_and_one_with_a_stream_does_not() {
    let setting = Setting::new(|config| {
        config.limits.request_head_wait = Duration::from_millis(300);
        config.limits.idle_wait = Duration::from_millis(300);
    });
    let silent = setting.connect();
    let mut busy = setting.connect();
    let mut stream = setting.get(&mut busy, "/sse?channel=c");
    setting.read_until(&mut stream, "retry");
    setting
        .runtime
        .block_on(async { timeout(PATIENCE, silent.driver).await })
        .expect("a silent connection ends")
        .unwrap();
    assert!(!busy.driver.is_finished());
    setting.server.dispatcher().notify_channel("c", "e", &0).unwrap();
    setting.read_until(&mut stream, "event: e");
    drop(stream);
    setting
        .runtime
        .block_on(async { timeout(PATIENCE, busy.driver).await })
        .expect("and when it has none left")
        .unwrap();
}

#[test]
fn heads_that_are_too_large_and_streams_that_are_too_many_are_refused() {
    let setting = Setting::new(|config| config.limits.connections = Some(4));
    let mut client = setting.connect();
    let large = "x".repeat(20 * 1024);
    let refused = setting.send(&mut client, request("GET", "/health", &[("x-large", &large)], ""));
    assert!(refused.is_err() || refused.unwrap().status() == 431);
    let mut client = setting.connect();
    let target = format!("/health?{}", "x".repeat(9 * 1024));
    assert_eq!(setting.get(&mut client, &target).status(), 414);
    let streams: Vec<_> = (0..2).map(|_| setting.get(&mut client, "/sse?channel=c")).collect();
    assert!(streams.iter().all(|stream| stream.headers().get("content-length").is_none()));
    let refused =
        (0..4).map(|_| setting.get(&mut client, "/sse?channel=c")).find(|answer| answer.status() == 503);
    let refused = refused.expect("streams take the places of connections");
    assert!(setting.body(refused).contains("limits.connections"));
    let accept = [("accept", "text/event-stream")];
    let later = setting.send(&mut client, request("GET", "/sse", &accept, "")).unwrap();
    assert_eq!(later.status(), 200);
    assert!(setting.body(later).starts_with("retry: "));
}

#[test]
fn sockjs_polls_and_streams_frame_by_frame() {
    let setting = Setting::new(|config| {
        config.sockjs.response_bytes = 30;
        config.workers = 3;
    });
    let mut client = setting.connect();
    let post = |client: &mut Client, target: &str, body: &str| {
        setting.send(client, request("POST", target, &[], body)).unwrap()
    };
    for (number, transport) in ["xhr_streaming", "eventsource", "htmlfile?c=x"].iter().enumerate() {
        let session = format!("/turted/0/h2_{number}");
        let method = if number == 0 { "POST" } else { "GET" };
        let target = format!("{session}/{transport}");
        let mut stream = setting.send(&mut client, request(method, &target, &[], "")).unwrap();
        let start = setting.read_until(&mut stream, if number == 2 { "(\"o\")" } else { "o" });
        assert!(start.len() > 5, "{start}");
        let echo = r#"["{\"type\":\"echo\",\"data\":\"é\"}"]"#;
        assert_eq!(post(&mut client, &format!("{session}/xhr_send"), echo).status(), 204);
        setting.read_until(&mut stream, "message");
        assert_eq!(setting.body(stream).matches("message").count(), 0, "the response has grown long");
        assert_eq!(post(&mut client, &format!("{session}/xhr_send"), echo).status(), 204);
        let poll = post(&mut client, &format!("{session}/xhr"), "");
        assert!(setting.body(poll).contains("message"));
    }
    let mut stream = post(&mut client, "/turted/0/left/xhr_streaming", "");
    setting.read_until(&mut stream, "o\n");
    drop(stream);
    eventually("the session ends with its receiver", || {
        let poll = post(&mut client, "/turted/0/left/xhr", "");
        setting.body(poll) == "c[1002,\"Connection interrupted\"]\n"
    });
    assert_eq!(setting.get(&mut client, "/turted/websocket").status(), 400, "a WebSocket needs HTTP/1.1");
}

#[test]
fn what_a_sockjs_stream_did_not_take_counts_no_more_when_it_ends() {
    let setting = Setting::new(|config| {
        config.limits.outbox_stall = Duration::from_millis(300);
        config.sockjs.disconnect_delay = Duration::from_millis(500);
        config.sockjs.response_bytes = 16 << 20;
    });
    let waiting = || setting.server.metric("turted_outbox_bytes");
    let mut client = setting.connect();
    let mut stream =
        setting.send(&mut client, request("POST", "/turted/0/stalled/xhr_streaming", &[], "")).unwrap();
    setting.read_until(&mut stream, "o\n");
    for _ in 0..30 {
        setting.server.dispatcher().broadcast("e", &"x".repeat(20_000)).unwrap();
        std::thread::park_timeout(Duration::from_millis(2));
    }
    eventually("the client stalls, and the response and the session end", || waiting() == 0);
}
