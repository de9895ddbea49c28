//! Requests that wait for their answer, and connections between two requests: neither is with hyper, and a client
//! must not notice.

use std::time::{Duration, Instant};

use crate::support::{
    Child, Client, Http, Kind, Pair, Response, TestServer, eventually, pause, payload, raise_descriptors,
    settle,
};

/// Long enough that the server has looked at what came, and has let go of it.
const A_WHILE: Duration = Duration::from_millis(60);
/// What a poll that waits may cost, with its session.
const PARKED_BYTES: usize = 2_600;
/// What a connection between two requests may cost.
const IDLE_BYTES: usize = 1_400;

fn wait_a_while() {
    pause(A_WHILE);
}

/// The target of the polls of a client.
fn target(client: &Client) -> String {
    client.kind.target("polling", &client.sid)
}

/// Pushes to everybody, which answers the polls that wait.
fn push(server: &TestServer) {
    let body = r#"{"event":"e","targets":{"broadcast":true},"payload":1}"#;
    assert_eq!(server.push(body).text(), "OK");
}

/// The names of the headers of an answer, in their order.
fn names(answer: &Response) -> Vec<String> {
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn a_poll_that_waits_is_answered_as_one_that_does_not() {
    let server = TestServer::with(|config| config.workers = 1);
    for (kind, headers) in [
        (Kind::V3_POLLING, &[][..]),
        (Kind::V4_POLLING, &[]),
        (Kind::V4_POLLING, &[("Origin", "http://localhost")]),
    ] {
        let (client, mut http) = (server.client(kind), server.http());
        for _ in 0..3 {
            http.send_request("GET", &target(&client), headers, b"");
            wait_a_while();
            assert!(!http.has_answer());
            push(&server);
            let late = http.read().unwrap();
            push(&server);
            let at_once = http.request("GET", &target(&client), headers, b"");
            assert_eq!(late.status_line(), at_once.status_line());
            assert_eq!(names(&late), names(&at_once), "{kind:?}");
            for name in ["content-type", "content-length", "connection", "keep-alive", "vary"] {
                let values = (late.header(name), at_once.header(name));
                // A client is told its position in a number.
                assert!(values.0 == values.1 || name == "content-length", "{name}: {values:?}");
            }
            assert!(late.text().contains(r#"["EVENT",{"event":"e","payload":1"#), "{}", late.text());
        }
    }
}

#[test]
fn what_a_client_sends_while_its_poll_waits_is_answered_behind_it_and_in_order() {
    let server = TestServer::new();
    let client = server.client(Kind::V4_POLLING);
    let (mut http, target) = (server.http(), target(&client));
    let echo = payload(4, &[r#"42["ECHO",7]"#]);
    http.send_request("GET", &target, &[], b"");
    wait_a_while();
    http.send_request("POST", &target, &[], echo.as_bytes());
    http.send_request("GET", "/health", &[], b"");
    http.send_request("GET", "/nothing", &[], b"");
    wait_a_while();
    assert!(!http.has_answer());
    push(&server);
    let answers = [200, 200, 200, 404].map(|status| {
        let answer = http.read().unwrap();
        assert_eq!(answer.status, status, "{}", answer.head);
        answer
    });
    assert!(answers[0].text().contains(r#"["EVENT","#), "{}", answers[0].text());
    assert_eq!((answers[1].text(), answers[2].text()), ("ok", "ok\n"));
    assert_eq!(http.get(&target).text(), r#"42["ECHO",7]"#);
}

#[test]
fn a_poll_whose_body_comes_late_keeps_its_connection() {
    let server = TestServer::new();
    let client = server.client(Kind::V4_POLLING);
    for (length, body) in [("Transfer-Encoding: chunked", "0\r\n\r\n"), ("Content-Length: 2", "ab")] {
        let mut http = server.http();
        http.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n", target(&client)));
        wait_a_while();
        http.send(format!("{body}GET /health HTTP/1.1\r\nHost: a\r\n\r\n"));
        wait_a_while();
        push(&server);
        for what in ["the poll", "the request behind it"] {
            let answer = http.read().unwrap_or_else(|| panic!("{length}: no answer to {what}"));
            assert_eq!(answer.header("connection"), Some("keep-alive"), "{length}: {what}");
        }
    }
}

#[test]
fn requests_that_come_together_are_answered_in_order_although_some_wait() {
    let server = TestServer::new();
    let clients = [server.client(Kind::V4_POLLING), server.client(Kind::V3_POLLING)];
    let mut http = server.http();
    let [first, second] = clients
        .each_ref()
        .map(|client| format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", target(client)));
    let health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    http.send([health, &first, health, &second, health].concat());
    assert_eq!(http.read().unwrap().text(), "ok\n");
    wait_a_while();
    push(&server);
    for expected in ["EVENT", "ok\n", "EVENT", "ok\n"] {
        let answer = http.read().unwrap();
        assert!(answer.text().contains(expected), "{expected:?}: {}", answer.text());
    }
}

#[test]
fn a_client_that_goes_away_while_its_poll_waits_is_noticed() {
    let server = TestServer::new();
    for kind in [Kind::V3_POLLING, Kind::V4_POLLING] {
        let client = server.client(kind);
        let mut http = server.http();
        http.send_request("GET", &target(&client), &[], b"");
        wait_a_while();
        // Half of the connection is enough.
        http.finish();
        eventually("its session ends", || {
            let body = payload(kind.version, &["6"]);
            server.http().post(&target(&client), &[], body).status == 400
        });
        assert!(http.is_ended());
    }
    let mut http = server.http();
    http.send_request("POST", "/turted/000/going/xhr", &[], b"");
    assert_eq!(http.read().unwrap().text(), "o\n");
    http.send_request("POST", "/turted/000/going/xhr", &[], b"");
    wait_a_while();
    drop(http);
    eventually("its session ends", || {
        server.http().post("/turted/000/going/xhr_send", &[], r#"["a"]"#).status == 404
    });
}

#[test]
fn a_client_that_goes_away_between_two_requests_is_noticed() {
    let server = TestServer::new();
    let client = server.client(Kind::V4_POLLING);
    let (mut polled, mut asked) = (server.http(), server.http());
    polled.send_request("GET", &target(&client), &[], b"");
    wait_a_while();
    push(&server);
    assert_eq!(polled.read().unwrap().status, 200);
    assert_eq!(asked.get("/health").status, 200);
    wait_a_while();
    drop((client, polled, asked));
    eventually("no connection is left", || server.metric("turted_sockets") == 0);
}

#[test]
fn a_waiting_poll_of_http_1_0_keeps_its_connection_only_if_it_asks_for_that() {
    let server = TestServer::new();
    let client = server.client(Kind::V4_POLLING);
    for (header, is_kept) in [("Connection: keep-alive\r\n", true), ("", false)] {
        let mut http = server.http();
        http.send(format!("GET {} HTTP/1.0\r\n{header}\r\n", target(&client)));
        wait_a_while();
        push(&server);
        let answer = http.read().unwrap();
        assert!(answer.head.starts_with("HTTP/1.0 200 OK\r\n"), "{}", answer.head);
        assert_eq!(answer.header("keep-alive").is_some(), is_kept, "{}", answer.head);
        assert_eq!(answer.header("connection") == Some("keep-alive"), is_kept, "{}", answer.head);
        if is_kept {
            assert_eq!(http.get("/health").status, 200);
        } else {
            assert!(http.is_ended());
        }
    }
}

#[test]
fn a_waiting_poll_that_asks_for_the_end_of_its_connection_gets_it() {
    let server = TestServer::new();
    let client = server.client(Kind::V4_POLLING);
    let mut http = server.http();
    http.send_request("GET", &target(&client), &[("Connection", "close")], b"");
    wait_a_while();
    push(&server);
    let answer = http.read().unwrap();
    assert_eq!((answer.header("connection"), answer.header("keep-alive")), (Some("close"), None));
    assert!(http.is_ended());
}

#[test]
fn a_waiting_poll_hears_the_heartbeat_and_the_end_of_its_session() {
    let server = TestServer::with(|config| {
        config.socketio.ping_interval = Duration::from_millis(300);
        config.socketio.ping_timeout = Duration::from_millis(300);
    });
    let mut http = server.http();
    let handshake = http.get(&Kind::V4_POLLING.target("polling", "")).text().to_owned();
    let sid = handshake.split('"').nth(3).unwrap();
    let target = Kind::V4_POLLING.target("polling", sid);
    http.send_request("GET", &target, &[], b"");
    assert_eq!(http.read().unwrap().text(), "2");
    http.send_request("GET", &target, &[], b"");
    // No pong comes.
    assert_eq!(http.read().unwrap().text(), "1");
    assert_eq!(http.get(&target).status, 400);
}

#[test]
fn a_server_that_stops_answers_the_polls_that_wait_and_ends_their_connections() {
    let server = TestServer::new();
    let clients: Vec<_> = (0..8).map(|_| server.client(Kind::V4_POLLING)).collect();
    let mut waiting: Vec<_> = clients
        .iter()
        .map(|client| {
            let mut http = server.http();
            http.send_request("GET", &target(client), &[], b"");
            http
        })
        .collect();
    let mut idle = server.http();
    assert_eq!(idle.get("/health").status, 200);
    wait_a_while();
    server.stop();
    for http in &mut waiting {
        let answer = http.read().unwrap();
        assert_eq!((answer.status, answer.text()), (200, "1"));
        assert!(http.is_ended());
    }
    assert!(idle.is_ended());
}

#[test]
fn what_follows_a_waiting_poll_keeps_the_rules_of_http() {
    let server = TestServer::with(|config| {
        config.limits.request_head_wait = Duration::from_millis(300);
    });
    let client = server.client(Kind::V4_POLLING);
    let polled = || {
        let mut http = server.http();
        http.send_request("GET", &target(&client), &[], b"");
        wait_a_while();
        push(&server);
        assert_eq!(http.read().unwrap().status, 200);
        http
    };
    let mut http = polled();
    http.send("GET /health#x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(http.read().unwrap().status, 400, "no fragment");
    let mut http = polled();
    http.send("GET /health HTTP/1.1\r\n\r\n");
    assert_eq!(http.read().unwrap().status, 400, "a host");
    let mut http = polled();
    let began = Instant::now();
    http.send("GET /health HT");
    assert!(http.is_ended(), "a head takes its time and no more");
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let mut http = polled();
    for piece in ["\r", "\nG", "ET /hea", "lth HTTP/1.1\r\nHost: local", "host\r\n\r", "\n"] {
        http.send(piece);
        pause(A_WHILE / 10);
    }
    assert_eq!(http.read().unwrap().text(), "ok\n", "a head in pieces");
}

#[test]
fn a_connection_that_has_rested_still_ends_after_its_time() {
    let server = TestServer::with(|config| config.limits.idle_wait = Duration::from_millis(200));
    let client = server.client(Kind::V4_POLLING);
    let (mut polled, mut asked) = (server.http(), server.http());
    polled.send_request("GET", &target(&client), &[], b"");
    wait_a_while();
    push(&server);
    assert_eq!(polled.read().unwrap().status, 200);
    assert_eq!(asked.get("/health").status, 200);
    let began = Instant::now();
    for http in [&mut polled, &mut asked] {
        assert!(http.is_ended());
        // Its time and a second of grace.
        assert!(began.elapsed() >= Duration::from_millis(1_150), "{:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}

#[test]
fn a_waiting_poll_may_be_over_tls() {
    let pair = Pair::new();
    let server = TestServer::with(|config| config.tls = Some(pair.files()));
    let tunnel = pair.tunnel(server.address());
    let client = Client::connect(tunnel.address(), Kind::V4_POLLING);
    let mut http = Http::connect(tunnel.address());
    let mut pusher = Http::connect(tunnel.address());
    for payload in ["1".to_owned(), "9".repeat(500_000)] {
        http.send_request("GET", &target(&client), &[], b"");
        wait_a_while();
        let push = format!(r#"{{"event":"e","targets":{{"broadcast":true}},"payload":"{payload}"}}"#);
        assert_eq!(pusher.post("/push/", &[], push).text(), "OK");
        let answer = http.read().unwrap();
        assert!(answer.text().contains(&format!(r#""payload":"{payload}""#)), "{}", answer.head);
        wait_a_while();
        assert_eq!(http.get("/health").text(), "ok\n");
    }
}

/// Connections of a child, and what each of them cost it once some others had come.
fn cost_of_each(child: &Child, begin: impl Fn() -> Http) -> usize {
    let begin = |count: usize| -> Vec<Http> { (0..count).map(|_| begin()).collect() };
    let _first = begin(500);
    settle(child);
    let before = child.memory();
    let more = begin(2_000);
    settle(child);
    child.memory().saturating_sub(before) / more.len()
}

#[test]
fn a_poll_that_waits_costs_little_beside_its_session() {
    raise_descriptors();
    let child = Child::start(&[]);
    let each = cost_of_each(&child, || {
        let mut http = child.http();
        let handshake = http.get(&Kind::V4_POLLING.target("polling", "")).text().to_owned();
        let sid = handshake.split('"').nth(3).unwrap();
        http.send_request("GET", &Kind::V4_POLLING.target("polling", sid), &[], b"");
        http
    });
    println!("{each} bytes each");
    assert!(each <= PARKED_BYTES, "{each} bytes");
}

#[test]
fn an_idle_connection_costs_little() {
    raise_descriptors();
    let child = Child::start(&[]);
    let each = cost_of_each(&child, || {
        let mut http = child.http();
        assert_eq!(http.get("/health").status, 200);
        http
    });
    println!("{each} bytes each");
    assert!(each <= IDLE_BYTES, "{each} bytes");
}
