//! The life of connections: what a stop does to them, and what they leave behind.

use std::time::Instant;

use rustix::process::Signal;

use super::{BROADCAST, JSON};
use crate::support::{Child, Client, Kind, PATIENCE, TestServer, Transport};

#[test]
fn an_idle_connection_does_not_hold_up_the_stop() {
    let child = Child::start(&[]);
    let mut http = child.http();
    assert_eq!(http.post("/push", &[], BROADCAST).text(), "OK");
    let mut poller = child.client(Kind::V4_POLLING);
    let waiting = poller.send_poll();
    child.signal(Signal::TERM);
    assert!(http.is_ended(), "an idle connection is closed");
    // The session ends before the request, or the request is answered with its end.
    let answer = waiting.read().expect("a waiting request is answered");
    assert!(answer.text() == "1" || answer.status == 400, "{}", answer.head);
    assert!(waiting.is_ended());
    // The clients keep their ends open meanwhile.
    let output = child.finish();
    assert!(!output.contains("tasks cut off at the end"), "{output}");
    drop((http, poller));
}

#[test]
fn clients_are_told_to_come_back_when_the_server_stops() {
    let server = TestServer::new();
    let mut clients: Vec<_> = Kind::ALL.iter().map(|kind| server.client(*kind)).collect();
    // Whoever is in the middle of an upgrade has no WebSocket yet that could be told.
    clients.iter_mut().for_each(|client| drop(client.ask("PING", "1")));
    let stop = std::thread::spawn(move || server.stop());
    for client in &mut clients {
        if client.kind.transport == Transport::Polling {
            continue;
        }
        assert_eq!(client.socket().close_code(), Some(1012), "{:?}: and never packet 41", client.kind);
    }
    drop(clients);
    stop.join().unwrap();
}

#[test]
fn a_push_that_was_accepted_is_delivered_before_the_stop() {
    let server = TestServer::new();
    let mut clients: Vec<_> =
        [Kind::V3_WEBSOCKET, Kind::V4_WEBSOCKET].iter().map(|kind| server.client(*kind)).collect();
    for number in 0..200 {
        server.dispatcher().broadcast("e", &number).unwrap();
    }
    server.dispatcher().broadcast("last", &0).unwrap();
    let dispatcher = server.dispatcher().clone();
    let stop = std::thread::spawn(move || server.stop());
    for client in &mut clients {
        assert_eq!(client.events_until("last").len(), 200);
        assert_eq!(client.socket().close_code(), Some(1012));
    }
    drop(clients);
    stop.join().unwrap();
    assert!(dispatcher.broadcast("e", &0).is_err(), "nothing is accepted any more");
}

/// Waits until `count` says that everything is let go of.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

/// A client that connects, joins and leaves, or just vanishes.
fn come_and_go(child: &Child, number: usize) {
    // Polling costs four times as many connections.
    let kinds = if number.is_multiple_of(10) { &Kind::PLAIN[2..] } else { &Kind::PLAIN[..2] };
    let kind = kinds[number / 10 % 2];
    let mut client: Client = child.client(kind);
    client.send(r#"42["JOIN",{"channel":"c"}]"#);
    // A polling client that just vanishes is missed only by its heartbeat.
    if !number.is_multiple_of(3) || kind.transport == Transport::Polling {
        client.leave();
    }
}

#[test]
fn ten_thousand_clients_leave_nothing_behind() {
    let child = Child::start(&[("TURTED_RECOVERY_SESSIONS", "100")]);
    // Whatever is allocated once is allocated now.
    (0..100).for_each(|_| child.client(Kind::V4_WEBSOCKET).leave());
    let reached = || child.http().post("/push", &[JSON], BROADCAST).json()["delivered"].clone();
    wait_until("the first clients are gone", || reached() == 0);
    let (descriptors, memory) = (child.descriptors(), child.memory());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..5_000).for_each(|number| come_and_go(&child, number)));
        }
    });
    wait_until("every client is gone", || reached() == 0);
    wait_until("every descriptor is closed", || child.descriptors() <= descriptors);
    let grown = child.memory().saturating_sub(memory);
    assert!(grown < 8 << 20, "{grown} bytes more");
    child.stop();
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let server = TestServer::with(|config| {
        config.limits.connections = Some(50);
        config.limits.spare_connections = 0;
    });
    let clients: Vec<_> = (0..50).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    for _ in 0..200 {
        assert_eq!(server.http().read().unwrap().status, 503);
    }
    drop(clients);
    wait_until("there is room again", || server.http().post("/push", &[], BROADCAST).status == 200);
    server.assert_alive();
}
