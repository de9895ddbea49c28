//! HTTP requests that break a rule, are slow, or mean two things at once.

use std::io::Write;
use std::time::{Duration, Instant};

use super::h2::{self, Frames};
use crate::support::{Http, Kind, PATIENCE, Pair, TestServer};

const PUSH: &str = r#"{"event":"smuggled","targets":{"broadcast":true}}"#;

#[test]
fn a_request_that_could_be_read_in_two_ways_smuggles_nothing() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let inner =
        format!("POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{PUSH}", PUSH.len());
    let chunked = format!("0\r\n\r\n{inner}");
    let with = |headers: String, body: &str| {
        format!("POST /nowhere HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}")
    };
    let length = chunked.len();
    let cases = [
        ("CL then TE", with(format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"), &chunked)),
        ("TE then CL", with(format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"), &chunked)),
        ("two CLs", with(format!("Content-Length: 0\r\nContent-Length: {}\r\n", inner.len()), &inner)),
        ("a list of CLs", with(format!("Content-Length: 0, {}\r\n", inner.len()), &inner)),
        ("CL with a sign", with("Content-Length: +0\r\n".into(), &inner)),
        ("negative CL", with("Content-Length: -1\r\n".into(), &inner)),
        ("CL in hex", with("Content-Length: 0x0\r\n".into(), &inner)),
        ("TE of two codings", with("Transfer-Encoding: chunked, identity\r\n".into(), &chunked)),
        ("TE of nonsense", with("Transfer-Encoding: xchunked\r\n".into(), &chunked)),
        ("two TEs", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".into(), &chunked)),
        ("space before the colon", with(format!("Content-Length : {length}\r\n"), &chunked)),
        ("obs-fold", with(format!("X: y\r\n Content-Length: {length}\r\n"), &chunked)),
        ("folded TE", with("Transfer-Encoding:\r\n chunked\r\n".into(), &chunked)),
        ("a CR alone", with("X: y\rContent-Length: 0\r\n".into(), &inner)),
        ("NUL in a value", with("X: a\0b\r\nContent-Length: 0\r\n".into(), &inner)),
        (
            "a chunk size that overflows",
            with("Transfer-Encoding: chunked\r\n".into(), &format!("10000000000000000\r\n{inner}")),
        ),
        ("a negative chunk", with("Transfer-Encoding: chunked\r\n".into(), &format!("-1\r\n{inner}"))),
        ("TE in HTTP/1.0", with("Transfer-Encoding: chunked\r\n".into(), &chunked).replacen("1.1", "1.0", 1)),
    ];
    for (name, bytes) in cases {
        let mut http = server.http();
        http.send(bytes);
        http.finish();
        let answers: Vec<_> = std::iter::from_fn(|| http.read()).map(|response| response.status).collect();
        assert!(matches!(answers[..], [] | [400] | [404]), "{name}: {answers:?}");
    }
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.events_until("last").len(), 0, "nothing was smuggled");
    server.assert_alive();
}

#[test]
fn requests_that_are_no_http_are_refused() {
    let server = TestServer::new();
    let cases: [&[u8]; 12] = [
        b"\r\n\r\n\r\n\r\n\0",
        b"GET\r\n\r\n",
        b"GET /\xFF\xFE HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /socket.io/\xC3\x28?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /socket.io/?EIO=4&transport=\xFF HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n: empty\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    for bytes in cases {
        let mut http = server.http();
        http.send(bytes);
        http.finish();
        let answers: Vec<_> = std::iter::from_fn(|| http.read()).map(|response| response.status).collect();
        assert!(answers.len() <= 1, "{bytes:?}: {answers:?}");
        assert!(answers.iter().all(|status| (400..500).contains(status)), "{bytes:?}: {answers:?}");
    }
    server.assert_alive();
}

#[test]
fn names_that_are_escaped_in_a_query_are_checked_like_others() {
    let server = TestServer::new();
    for (query, refused) in
        [("username=a%0d%0ab", true), ("username=a%00b", true), ("username=a+b%C3%A9", false)]
    {
        let response = server.http().get(&format!("/socket.io/?EIO=3&transport=polling&{query}"));
        let sid = response.header("set-cookie").unwrap().strip_prefix("io=").unwrap()[..20].to_owned();
        let polled = server.http().get(&Kind::V3_POLLING.target("polling", &sid));
        let polled = String::from_utf8_lossy(&polled.body);
        assert_eq!(polled.contains(r#"42["ERROR","user name"#), refused, "{polled}");
        assert_eq!(polled.contains(r#"42["OK",{"username":"a bé"}]"#), !refused, "{polled}");
    }
}

#[test]
fn a_head_that_is_too_slow_is_not_waited_for() {
    let server = TestServer::with(|config| {
        config.limits.request_head_wait = Duration::from_millis(200);
        config.limits.idle_wait = Duration::from_millis(200);
    });
    let started = Instant::now();
    let mut silent = server.http();
    let mut half = server.http();
    half.send("POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Le");
    let mut idle = server.http();
    assert_eq!(idle.post("/push/", &[], PUSH).text(), "OK");
    assert!(silent.is_ended());
    assert!(half.is_ended());
    assert!(idle.is_ended());
    assert!(started.elapsed() < PATIENCE);
    server.assert_alive();
}

#[test]
fn a_head_that_comes_a_byte_at_a_time_is_not_waited_for_either() {
    let server = TestServer::with(|config| config.limits.request_head_wait = Duration::from_millis(200));
    let mut http = server.http();
    let pause = Duration::from_millis(20);
    http.stream.set_read_timeout(Some(pause)).unwrap();
    let started = Instant::now();
    let mut byte = [0];
    loop {
        http.send("x");
        // Waits for the end and for the pause between two bytes at once.
        match std::io::Read::read(&mut http.stream, &mut byte) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break,
        }
        assert!(started.elapsed() < PATIENCE, "each byte bought more time");
    }
    server.assert_alive();
}

#[test]
fn a_body_that_is_too_slow_is_answered_408() {
    let server = TestServer::with(|config| config.limits.request_body_wait = Duration::from_millis(100));
    let client = server.client(Kind::V4_POLLING);
    for target in ["/push/".to_owned(), client.kind.target("polling", &client.sid)] {
        let mut http = server.http();
        http.send(format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{"));
        assert_eq!(http.read().unwrap().status, 408, "{target}");
        assert!(http.is_ended());
    }
    server.assert_alive();
}

#[test]
fn a_body_without_end_is_answered_413_long_before_it_is_through() {
    let server = TestServer::with(|config| config.push.password = Some("tiger".into()));
    let client = server.client(Kind::V4_POLLING);
    for target in ["/push/".to_owned(), client.kind.target("polling", &client.sid)] {
        let mut http = server.http();
        http.send(format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"));
        let chunk = [&b"10000\r\n"[..], &[b' '; 0x10000], b"\r\n"].concat();
        let mut sent = 0;
        while sent < 300 << 20 && std::io::Write::write_all(&mut http.stream, &chunk).is_ok() {
            sent += chunk.len();
        }
        assert!(sent < 16 << 20, "{target}: {sent} bytes were taken");
        assert_eq!(http.read().unwrap().status, 413, "{target}");
        assert!(http.is_ended());
    }
    let mut http = server.http();
    http.send("POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000000\r\n\r\n");
    let response = http.read().unwrap();
    assert_eq!((response.status, response.header("connection")), (413, Some("close")), "refused by its head");
    assert!(http.is_ended());
}

#[test]
fn a_client_that_sends_before_it_reads_still_reads_413() {
    let server = TestServer::with(|config| config.limits.push_body_bytes = 1_000);
    let mut http: Http = server.http();
    let body = vec![b' '; 500_000];
    http.send_request("POST", "/push/", &[], &body);
    let response = http.read().unwrap();
    assert_eq!(response.status, 413);
    assert!(response.text().contains("limits.push_body_bytes"), "{}", response.text());
    assert!(http.is_ended());
}

#[test]
fn a_message_with_a_raw_separator_is_two_packets_and_not_one_event() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_POLLING);
    // A separator in JSON must be escaped; raw it ends the packet.
    assert_eq!(client.post("42[\"ECHO\",\"a\u{1e}b\"]").status, 400);
    assert!(client.is_ended());
    let mut client = server.client(Kind::V4_POLLING);
    let reply = client.ask("ECHO", r#"["a\u001eb"]"#);
    assert!(reply.starts_with(r#"42["ECHO",["a\u001eb"]"#), "{reply}");
}

/// Clients such as curl 7.88 take the end of a stream for an error while they still send.
#[test]
fn a_stream_over_http2_outlives_its_answer_until_its_body_has_come() {
    let pair = Pair::new();
    let server = TestServer::with(|config| config.tls = Some(pair.files()));
    let tunnel = h2::tunnel(&pair, server.address());
    let mut http = Http::connect(tunnel.address());
    let mut request = Frames::with_window();
    request.post("/nothing");
    http.stream.write_all(&request.bytes).unwrap();
    let mut seen = Vec::new();
    while !seen.contains(&(h2::DATA, h2::END_STREAM, 1)) {
        seen.extend(h2::frames_until_pong(&mut http.stream));
    }
    // A ping comes back behind what was to be sent before it.
    seen.extend(h2::frames_until_pong(&mut http.stream));
    let part = |flags| h2::frame(h2::DATA, flags, 1, &[b'x'; 16_000]);
    http.stream.write_all(&part(0).repeat(3)).unwrap();
    // The window of the stream opens again when its body is read.
    while !seen.contains(&(h2::WINDOW_UPDATE, 0, 1)) {
        seen.extend(h2::frames_until_pong(&mut http.stream));
    }
    http.stream.write_all(&[part(0), part(0), part(h2::END_STREAM)].concat()).unwrap();
    seen.extend(h2::frames_until_pong(&mut http.stream));
    let ends: Vec<_> = seen.iter().filter(|(kind, ..)| [h2::RST_STREAM, h2::GOAWAY].contains(kind)).collect();
    assert_eq!(ends, Vec::<&(u8, u8, u32)>::new());
}

#[test]
fn a_body_over_http2_that_does_not_end_keeps_no_spare_place() {
    let pair = Pair::new();
    let server = TestServer::with(|config| {
        config.tls = Some(pair.files());
        config.limits.connections = Some(1);
        config.limits.request_head_wait = Duration::from_millis(300);
        config.limits.request_body_wait = 100 * PATIENCE;
    });
    let tunnel = h2::tunnel(&pair, server.address());
    let begin = |ask: fn(&mut Frames)| {
        let (mut http, mut request) = (Http::connect(tunnel.address()), Frames::with_window());
        ask(&mut request);
        http.stream.write_all(&request.bytes).unwrap();
        while !h2::frames_until_pong(&mut http.stream).iter().any(|(kind, ..)| *kind == h2::HEADERS) {}
        http
    };
    let _only = begin(|request| request.get("/health"));
    let mut guest = begin(|request| request.post("/nothing"));
    guest.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::copy(&mut guest.stream, &mut std::io::sink()).expect("its connection ends");
}
