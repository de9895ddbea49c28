//! What waits for all clients together, and for those that were away.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::json;

use super::stalled;
use crate::support::{EventSource, Http, Kind, TestServer, eventually};
use turted::dispatcher::DispatchRefusal;

const MIB: usize = 1024 * 1024;

/// A client that polls with scripts, asked for a large event and does not read it. In a script it is twice
/// as large.
fn unread_answer(server: &TestServer) -> Http {
    let handshake = server.http().get("/socket.io/?EIO=3&transport=polling&j=0").text().to_owned();
    let sid = handshake.split(r#"\""#).nth(3).unwrap().to_owned();
    server.dispatcher().broadcast("large", &"\"".repeat(300_000)).unwrap();
    let mut http = Http::connect_narrow(server.address());
    http.send_request("GET", &format!("/socket.io/?EIO=3&transport=polling&j=0&sid={sid}"), &[], b"");
    http
}

fn is_refused(server: &TestServer) -> bool {
    server.dispatcher().broadcast("small", &0).is_err_and(|refusal| refusal == DispatchRefusal::BacklogsFull)
}

#[test]
fn an_answer_counts_until_it_is_taken_and_pushes_are_refused_while_too_much_waits() {
    let server = TestServer::with(|config| {
        config.limits.backlog_bytes = Some(MIB);
        config.limits.outbox_stall = Duration::from_millis(500);
    });
    let unread = unread_answer(&server);
    eventually("the answer waits", || is_refused(&server));
    let body = r#"{"event":"e","targets":{"broadcast":true}}"#;
    let answer = server.push(body);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.text().contains("limits.backlog_bytes"), "{}", answer.text());
    let mut back =
        EventSource::connect(server.address(), "/sse", &[("Last-Event-ID", "00000000-0")]).unwrap();
    assert_eq!(back.event().name, "turted:gap");
    drop(unread);
    eventually("its client is gone", || !is_refused(&server));
    assert_eq!(server.push(body).status, 200);
}

#[test]
fn the_connection_that_something_has_waited_for_longest_is_closed_first() {
    let server = TestServer::with(|config| config.limits.backlog_bytes = Some(4 * MIB));
    let is_online = |number: usize| {
        let user = server.admin().get(&format!("/api/v1/users/u{number}"));
        user.status == 200 && user.json()["connections"] != 0
    };
    let mut readers: Vec<_> = (0..3)
        .map(|number| {
            let mut reader = stalled(server.address());
            reader.send_text(format!(r#"42["IDENT",{{"username":"u{number}"}}]"#));
            eventually("it is identified", || is_online(number));
            reader
        })
        .collect();
    let large = json!("x".repeat(MIB - 100));
    for user in ["u0", "u0", "u1", "u1", "u2"] {
        server.dispatcher().notify_user(user, "e", &large).unwrap();
    }
    eventually("the first is closed", || !is_online(0));
    assert!(is_online(1));
    assert!(is_online(2));
    assert_eq!(readers[0].close_code(), None, "a reason would have to wait behind the rest");
}

#[test]
fn a_response_of_sockjs_that_stops_with_a_later_portion_is_closed_too() {
    let server = TestServer::with(|config| {
        config.workers = 1;
        config.limits.backlog_bytes = Some(4 * MIB);
        config.limits.outbox_stall = Duration::from_secs(600);
        config.sockjs.response_bytes = 64 * MIB;
    });
    assert_eq!(server.http().post("/turted/0/s/xhr", &[], "").text(), "o\n");
    let large = "x".repeat(100_000);
    (0..20).for_each(|_| {
        server.dispatcher().broadcast("e", &large).unwrap();
    });
    let (mut stream, _) = Http::connect_narrow(server.address()).into_parts();
    stream
        .write_all(b"POST /turted/0/s/xhr_streaming HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    stream.read_exact(&mut vec![0; 500_000]).unwrap();
    // It stops in the middle: more waits than may until it is closed.
    eventually("it is closed", || {
        // Refused once too much waits.
        let _ = server.dispatcher().broadcast("e", &large);
        server.metric("turted_closes_total{reason=\"slow_reader\"}") == 1
    });
}

#[test]
fn what_was_missed_may_be_more_than_an_outbox_holds() {
    let server = TestServer::with(|config| {
        config.limits.push_body_bytes = 200_000;
        config.limits.outbox_bytes = 200_000;
    });
    let mut stream = EventSource::connect(server.address(), "/sse?channel=c", &[]).unwrap();
    stream.start();
    let position = stream.last_id().to_owned();
    drop(stream);
    for number in 0..12 {
        server.dispatcher().notify_channel("c", "e", &json!([number, "x".repeat(100_000)])).unwrap();
    }
    let headers = [("Last-Event-ID", position.as_str())];
    let mut back = EventSource::connect(server.address(), "/sse?channel=c", &headers).unwrap();
    // It comes behind what was missed, however late that is read.
    server.dispatcher().notify_channel("c", "e", &json!([12, ""])).unwrap();
    for number in 0..=12 {
        let payload: serde_json::Value = serde_json::from_str(&back.event().data).unwrap();
        assert_eq!(payload[0], number);
    }
}

#[test]
fn clients_that_missed_the_same_share_its_frames() {
    const EVENTS: usize = 10;
    const CLIENTS: usize = 50;
    let server = TestServer::with(|config| config.workers = 1);
    let mut stream = EventSource::connect(server.address(), "/sse", &[]).unwrap();
    stream.start();
    let position = stream.last_id().to_owned();
    drop(stream);
    eventually("it is gone", || server.metric("turted_closes_total{reason=\"transport_lost\"}") == 1);
    for number in 0..EVENTS {
        server.dispatcher().broadcast("e", &number).unwrap();
    }
    let headers = [("Last-Event-ID", position.as_str())];
    let mut back: Vec<_> =
        (0..CLIENTS).map(|_| EventSource::connect(server.address(), "/sse", &headers).unwrap()).collect();
    for client in &mut back {
        (0..EVENTS).for_each(|number| assert_eq!(client.event().data, number.to_string()));
    }
    assert_eq!(server.metric("turted_frames_encoded_total"), EVENTS);
}

#[test]
fn an_answer_to_a_poll_has_a_bound_and_the_rest_comes_with_the_next() {
    let server = TestServer::new();
    for kind in [Kind::V3_POLLING, Kind::V4_POLLING] {
        let mut client = server.client(kind);
        let large = "x".repeat(100_000);
        (0..5).for_each(|_| {
            server.dispatcher().broadcast("e", &large).unwrap();
        });
        let mut counts = Vec::new();
        while counts.iter().sum::<usize>() < 5 {
            let response = client.send_poll().read().unwrap();
            let body = String::from_utf8_lossy(&response.body).into_owned();
            counts.push(body.matches(r#"["EVENT""#).count());
        }
        assert_eq!(counts, [2, 2, 1], "{kind:?}");
    }
}
