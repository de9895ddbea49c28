//! Connections of HTTP between two requests: pools of backends and proxies keep them, and must not lose a request.

use std::time::{Duration, Instant};

use super::support::{Http, TestServer};

const PUSH: &str = r#"{"event":"e","targets":{"broadcast":true}}"#;
/// What a connection is kept for where a test is about another limit: longer than a client waits for its end.
const LONG: Duration = Duration::from_secs(600);

fn push(http: &mut Http) -> u16 {
    http.post("/push/", &[], PUSH).status
}

#[test]
fn an_answer_tells_how_long_its_connection_is_kept() {
    let server = TestServer::new();
    let mut http = server.http();
    for (target, status) in
        [("/health", 200), ("/nothing", 404), ("/socket.io/?EIO=4&transport=polling", 200)]
    {
        let answer = http.get(target);
        let told = (answer.header("connection"), answer.header("keep-alive"));
        assert_eq!((answer.status, told), (status, (Some("keep-alive"), Some("timeout=75"))), "{target}");
    }
    let last = http.request("GET", "/health", &[("Connection", "close")], b"");
    assert_eq!((last.header("connection"), last.header("keep-alive")), (Some("close"), None));
    assert!(http.is_ended());
}

#[test]
fn http_1_0_is_told_only_if_it_asks_for_another_request() {
    let server = TestServer::new();
    for (header, told) in [("Connection: keep-alive\r\n", Some("timeout=75")), ("", None)] {
        let mut http = server.http();
        http.send(format!("GET /health HTTP/1.0\r\n{header}\r\n"));
        let answer = http.read().unwrap();
        assert_eq!((answer.status, answer.header("keep-alive")), (200, told), "{}", answer.head);
        assert_eq!(told.is_none(), answer.header("connection") != Some("keep-alive"), "{}", answer.head);
    }
}

#[test]
fn what_cannot_be_told_in_seconds_is_not_told() {
    let server = TestServer::with(|config| config.limits.idle_wait = Duration::from_millis(900));
    let answer = server.http().get("/health");
    assert_eq!(answer.header("keep-alive"), None, "0 would mean: do not come again");
}

#[test]
fn a_silent_new_connection_ends_although_idle_ones_are_kept() {
    let server = TestServer::with(|config| {
        (config.limits.request_head_wait, config.limits.idle_wait) = (Duration::from_millis(300), LONG);
    });
    let began = Instant::now();
    let (mut silent, mut half, mut used) = (server.http(), server.http(), server.http());
    half.send("GET /health HTTP/1.1\r\nHost: a");
    assert_eq!(push(&mut used), 200);
    assert!(silent.is_ended());
    assert!(half.is_ended());
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!(push(&mut used), 200, "the one that was used is idle, not silent");
}

#[test]
fn the_head_of_a_second_request_has_as_long_as_that_of_the_first() {
    let server = TestServer::with(|config| {
        (config.limits.request_head_wait, config.limits.idle_wait) = (Duration::from_millis(300), LONG);
    });
    let mut http = server.http();
    assert_eq!(push(&mut http), 200);
    let began = Instant::now();
    http.send("GET /health HTTP/1.1\r\n");
    assert!(http.is_ended(), "from its first byte on");
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[test]
fn an_idle_connection_ends_after_its_time_and_a_second() {
    let server = TestServer::with(|config| {
        (config.limits.request_head_wait, config.limits.idle_wait) = (LONG, Duration::from_millis(500));
    });
    let mut http = server.http();
    let began = Instant::now();
    assert_eq!(push(&mut http), 200);
    assert!(http.is_ended());
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
}

/// A pool keeps connections as long as it was told, and sends the next push at the very end of that.
#[test]
fn no_push_is_lost_at_the_edge_of_the_time_that_was_told() {
    const POOL: usize = 25;
    const EDGE: Duration = Duration::from_secs(1);
    let server = TestServer::with(|config| config.limits.idle_wait = EDGE);
    let (mut sent, mut lost) = (0, 0);
    // A busy machine misses some edges.
    for round in (0..4_u64).cycle().take(40) {
        let mut pool: Vec<_> = (0..POOL).map(|_| server.http()).collect();
        let mut idle_since = Vec::new();
        for http in &mut pool {
            let answer = http.post("/push/", &[], PUSH);
            assert_eq!(answer.header("keep-alive"), Some("timeout=1"));
            idle_since.push(Instant::now());
        }
        for (http, since) in pool.iter_mut().zip(idle_since) {
            // From 30 ms before to 15 ms behind the edge.
            let edge = since + EDGE - Duration::from_millis(30) + Duration::from_millis(15 * round);
            while let Some(left) = edge.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            {
                std::thread::park_timeout(left);
            }
            if since.elapsed() < EDGE + EDGE / 4 {
                http.send_request("POST", "/push/", &[], PUSH.as_bytes());
                lost += usize::from(http.read().is_none_or(|answer| answer.status != 200));
                sent += 1;
            }
        }
        if sent >= 4 * POOL {
            break;
        }
    }
    assert!(sent >= POOL, "{sent} were sent at the edge");
    assert_eq!(lost, 0, "of {sent}");
}
