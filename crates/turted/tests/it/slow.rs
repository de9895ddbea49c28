//! Clients that do not read are cut; those beside them notice nothing, and memory stays bounded.

mod backlogs;
mod links;
mod streams;

use std::time::Duration;

use serde_json::json;

use crate::support::marked::EVENT_BYTES;
use crate::support::{Child, Client, Http, Kind, PATIENCE, TestServer, WebSocket, read_some};

/// Broadcasts to stalled readers: 5 MiB for each, of which 1 MiB may wait.
const ROUNDS: usize = 256;

fn push(http: &mut Http, number: usize) -> usize {
    let payload = format!("{number}:{}", "x".repeat(EVENT_BYTES));
    let body = json!({"event": "big", "targets": {"broadcast": true}, "payload": payload}).to_string();
    let answer = http.post("/push", &[("Accept", "application/json")], body);
    usize::try_from(answer.json()["delivered"].as_u64().unwrap()).unwrap()
}

fn number_of(client: &mut Client) -> usize {
    let payload = client.event().payload;
    let (number, rest) = payload.as_str().unwrap().split_once(':').unwrap();
    assert_eq!(rest.len(), EVENT_BYTES);
    number.parse().unwrap()
}

/// A client on a WebSocket with a small receive buffer, which reads nothing from now on.
fn stalled(address: std::net::SocketAddr) -> WebSocket {
    stalled_at(address, &Kind::V3_WEBSOCKET.target("websocket", ""))
}

fn stalled_at(address: std::net::SocketAddr, target: &str) -> WebSocket {
    WebSocket::over(Http::connect_narrow(address), target, &[]).unwrap()
}

#[test]
fn a_slow_reader_that_goes_on_reading_hears_why_it_was_cut() {
    let server = TestServer::with(|config| config.limits.outbox_bytes = 64 * 1024);
    let mut http = server.http();
    for target in ["/ws", "/turted/websocket", &Kind::V3_WEBSOCKET.target("websocket", "")] {
        let mut reader = stalled_at(server.address(), target);
        let cut = (0..ROUNDS).find(|number| push(&mut http, *number) == 0);
        assert!(cut.is_some_and(|number| number > 2), "{target}: {cut:?}");
        assert_eq!(reader.close_code(), Some(4101), "{target}");
    }
}

#[test]
fn stalled_readers_are_cut_and_healthy_ones_receive_all_in_order() {
    let limits = [("TURTED_RECOVERY_LOG_BYTES", "1MiB"), ("TURTED_LIMITS_OUTBOX_BYTES", "1MiB")];
    let child = Child::start(&limits);
    let mut healthy: Vec<_> = Kind::ALL.iter().map(|kind| child.client(*kind)).collect();
    let mut stalled_readers: Vec<_> = (0..8).map(|_| stalled(child.address())).collect();
    // A polling client that asks for nothing any more is no better.
    let mut absent = child.client(Kind::V4_POLLING);
    let mut http = child.http();
    let before = child.memory();
    let mut delivered = Vec::new();
    for number in 0..ROUNDS {
        delivered.push(push(&mut http, number));
        healthy.iter_mut().for_each(|client| assert_eq!(number_of(client), number, "{:?}", client.kind));
    }
    assert_eq!(delivered[0], healthy.len() + 8 + 1);
    assert_eq!(delivered[ROUNDS - 1], healthy.len(), "the stalled ones left the registry: {delivered:?}");
    let grown = child.memory().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more for 9 stalled clients");
    for reader in &mut stalled_readers {
        while reader.read().is_some_and(|frame| frame.opcode == 1) {}
    }
    assert!(absent.receive_all() < ROUNDS, "an absent client was sent home");
    assert!(healthy.iter_mut().all(|client| client.ask("ECHO", "1").starts_with("42[\"ECHO\",1")));
    child.stop();
}

#[test]
fn a_reader_that_stalls_with_little_waiting_is_cut_after_a_while() {
    let server = TestServer::with(|config| {
        config.limits.outbox_stall = Duration::from_millis(200);
        config.limits.outbox_bytes = 64 << 20;
    });
    let mut reader = stalled(server.address());
    let mut healthy = server.client(Kind::V4_WEBSOCKET);
    let mut http = server.http();
    for number in 0..24 {
        push(&mut http, number);
        assert_eq!(number_of(&mut healthy), number);
    }
    let started = std::time::Instant::now();
    while push(&mut http, 24) > 1 {
        assert!(started.elapsed() < PATIENCE, "the stalled one is still there");
        assert_eq!(number_of(&mut healthy), 24);
    }
    while reader.read().is_some_and(|frame| frame.opcode == 1) {}
}

#[test]
fn a_reader_that_is_slow_but_reads_gets_all_in_order() {
    let server = TestServer::new();
    let mut slow = server.client(Kind::V4_WEBSOCKET);
    let mut http = server.http();
    for round in 0..5 {
        (0..40).for_each(|number| assert_eq!(push(&mut http, round * 40 + number), 1));
        // 800 KiB wait, more than the kernel holds and less than the outbox.
        (0..40).for_each(|number| assert_eq!(number_of(&mut slow), round * 40 + number));
    }
}

/// How long an event of so many bytes takes to a client that may acknowledge each segment at once.
fn large_event(server: &TestServer, client: &mut Client, acknowledge: fn(&std::net::TcpStream)) -> Duration {
    const BYTES: usize = 200_000;
    let started = std::time::Instant::now();
    server.dispatcher().broadcast("large", &"x".repeat(BYTES)).unwrap();
    let (stream, mut read) = (&mut client.socket().stream, Vec::new());
    while read.len() < BYTES || !read.ends_with(b"]") {
        acknowledge(stream);
        assert!(read_some(stream, &mut read) > 0, "the end within an event");
    }
    started.elapsed()
}

#[test]
fn a_large_event_does_not_wait_for_delayed_acknowledgements() {
    const ROUNDS: usize = 31;
    // A server each: an event is for all clients.
    let servers = [(); 2].map(|()| TestServer::new());
    let [mut plain, mut quick] = [0, 1].map(|at| servers[at].client(Kind::V3_WEBSOCKET));
    // The kernel forgets the wish with the next segment.
    let at_once = |stream: &_| rustix::net::sockopt::set_tcp_quickack(stream, true).unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        times[0].push(large_event(&servers[0], &mut plain, |_| ()));
        times[1].push(large_event(&servers[1], &mut quick, at_once));
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    let [plain, quick] = [0, 1].map(|at| times[at][ROUNDS / 2]);
    // An acknowledgement that is delayed takes 40 ms, and there would be three: twenty times as long.
    assert!(plain < quick * 5, "{plain:?} where acknowledgements may be delayed, {quick:?} where not");
}

#[test]
fn a_stalled_reader_does_not_hold_up_the_stop() {
    const LONG: Duration = Duration::from_secs(60);
    let server = TestServer::with(|config| (config.drain_timeout, config.limits.outbox_stall) = (LONG, LONG));
    let mut reader = stalled(server.address());
    let mut http = server.http();
    (0..24).for_each(|number| assert_eq!(push(&mut http, number), 1));
    drop(http);
    let started = std::time::Instant::now();
    server.stop();
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    while reader.read().is_some_and(|frame| frame.opcode == 1) {}
}
