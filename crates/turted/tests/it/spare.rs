//! A server with all connections taken: those who look after it are let in.

use std::time::{Duration, Instant};

use super::metrics::expect;
use super::support::{Child, Client, Http, Kind, TestServer, eventually};

const PUSH: &str = r#"{"event":"e","targets":{"broadcast":true}}"#;

fn full(spare: usize) -> (TestServer, Vec<Client>) {
    let server = TestServer::with(|config| {
        config.limits.connections = Some(3);
        config.limits.spare_connections = spare;
    });
    let clients = (0..3).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    (server, clients)
}

#[test]
fn a_full_server_takes_pushes_and_answers_health_checks_one_for_each_connection() {
    let (server, mut clients) = full(1);
    for _ in 0..20 {
        // The place of the one before is free once the server has seen it end.
        eventually("a push is taken", || {
            let mut http = server.http();
            http.send_request("POST", "/push/", &[], PUSH.as_bytes());
            http.read().is_some_and(|answer| {
                assert_ne!((answer.status, answer.header("connection")), (200, Some("keep-alive")));
                answer.status == 200 && http.is_ended()
            })
        });
        assert_eq!(clients[0].event().name, "e");
    }
    eventually("it lives", || {
        let mut http = server.http();
        http.send_request("GET", "/health", &[], b"");
        http.read().is_some_and(|answer| answer.status == 200 && answer.header("keep-alive").is_none())
    });
}

#[test]
fn what_is_no_push_is_told_to_come_back() {
    let (server, clients) = full(64);
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/socket.io/?EIO=4&transport=polling"),
        ("GET", "/ws"),
        ("GET", "/sse?channel=c"),
        ("POST", "/turted/000/session/xhr"),
        ("GET", "/healthy"),
        ("POST", "/pushes"),
    ] {
        let mut http = server.http();
        let refused = http.request(method, target, &[("Origin", "https://a.example")], b"");
        let headers = (refused.header("retry-after"), refused.header("connection"));
        assert_eq!((refused.status, headers), (503, (Some("5"), Some("close"))), "{target}");
        assert!(refused.text().contains("limits.connections"), "{}", refused.text());
        assert!(refused.header("access-control-allow-origin").is_some(), "a page reads why");
        assert!(http.is_ended());
    }
    let later = server.http().request("GET", "/sse?channel=c", &[("Accept", "text/event-stream")], b"");
    assert_eq!(later.status, 200, "an EventSource comes back: {}", later.head);
    assert!(later.text().starts_with("retry: "), "an EventSource comes back: {}", later.head);
    drop(clients);
}

#[test]
fn a_place_that_came_free_is_for_whoever_came_too_late_for_it() {
    let (server, mut clients) = full(2);
    let mut waiting = server.http();
    eventually("it is let in", || {
        let page = server.admin().get("/metrics");
        page.text().contains("turted_spare_sockets 1\n")
    });
    clients.pop().unwrap().leave();
    eventually("there is room", || server.admin().get("/metrics").text().contains("turted_sockets 2\n"));
    let answer = waiting.get("/nothing");
    assert_eq!((answer.status, answer.header("connection")), (404, Some("keep-alive")));
    expect(
        &server,
        &[("turted_sockets", 3.0), ("turted_sockets_limit", 3.0), ("turted_spare_sockets_limit", 2.0)],
    );
    assert_eq!(waiting.get("/nothing").status, 404, "for good");
}

#[test]
fn who_holds_a_spare_place_without_a_word_loses_it_after_two_seconds() {
    let (server, _clients) = full(1);
    let began = Instant::now();
    assert!(server.http().is_ended());
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn beyond_the_spare_connections_the_answer_comes_before_any_request() {
    let (server, _clients) = full(2);
    let mut silent: Vec<Http> = (0..2).map(|_| server.http()).collect();
    eventually("they are let in", || {
        server.admin().get("/metrics").text().contains("turted_spare_sockets 2\n")
    });
    assert_eq!(server.http().read().unwrap().status, 503);
    assert!(silent.iter_mut().all(|http| http.get("/health").status == 200));
}

#[test]
fn a_full_server_says_so_once_and_what_it_has_room_for_at_the_start() {
    let child = Child::start_with_descriptors(128, &[]);
    let crowd: Vec<_> = (0..70).map(|_| child.http()).collect();
    eventually("it is full", || child.admin().get("/metrics").text().contains("turted_spare_sockets 6\n"));
    drop(crowd);
    let output = child.stop();
    assert!(
        output.contains("room for 64 connections and 16 for pushes and health, of 128 file descriptors"),
        "{output}"
    );
    assert_eq!(output.matches("all connections are taken (limits.connections)").count(), 1, "{output}");
}

#[test]
fn more_connections_than_descriptors_are_a_warning() {
    let child = Child::start_with_descriptors(128, &[("TURTED_LIMITS_CONNECTIONS", "100")]);
    let output = child.stop();
    assert!(output.contains("`limits.connections` = 100"), "{output}");
    assert!(output.contains("WARN"), "{output}");
}
