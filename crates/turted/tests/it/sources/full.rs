//! Inboxes that stay full, because a worker stalls, while a source has much more: it waits, holds no more than it may,
//! loses nothing, and other clients do not wait with it.
//!
//! A source tests it by [`check`], with what makes its backlog.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::accepting::{Accepting, EVENT};
use crate::support::{Client, EventSource, Http, Kind, TestServer, eventually};

/// Messages of the backlog, and bytes of each: 40 MB.
const MESSAGES: usize = 10_000;
const MESSAGE_BYTES: usize = 4_000;
/// What memory may grow by: an eighth of the backlog in messages, and a log, buffers and the heap around them.
const GROWN_MAX: usize = 12 << 20;
/// What a configuration has so that half of an inbox is full soon.
pub(super) const LIMITS: &str = "[limits]\ninbox_dispatches = 200\nbatch_dispatches = 100\n";
/// Deliveries that are compared. Each is one more dispatch in the inbox that is half full.
const DELIVERIES: usize = 61;

/// A message of the backlog. White space means nothing in JSON.
pub(super) fn message(number: usize) -> String {
    let push = format!(r#"{{"event":"{EVENT}","payload":{number},"targets":{{"users":["u"]}}}}"#);
    format!("{push:<MESSAGE_BYTES$}")
}

/// All of them.
pub(super) fn messages() -> impl Iterator<Item = String> {
    (0..MESSAGES).map(message)
}

/// Starts a server with one source, has a worker stall, and has `fill` make the backlog: all [`messages`].
pub(super) fn check(config: &Path, accepted: &Path, fill: impl FnOnce()) {
    let server = Accepting::start(config, accepted);
    let (address, admin) = server.addresses();
    let source = || Http::connect(admin).get("/api/v1/sources").json()["sources"][0].take();
    eventually("the source is up", || source()["up"] == true);
    let mut client = Client::connect(address, Kind::V4_WEBSOCKET);
    let stalled = server.stall(|user| client.emit("IDENT", &format!(r#"{{"username":"{user}"}}"#)));
    let before = server.memory();
    fill();
    let waited = || source()["waiting_seconds"].as_f64().unwrap();
    // It has read as much as it does until there is room.
    eventually("it waits for room", || waited() > 1.0);
    let sum = |outcome: &str| source()["messages"][outcome].as_u64().unwrap();
    assert!((100..200).contains(&sum("accepted")), "{}: half of the inbox", sum("accepted"));
    let grown = server.memory().saturating_sub(before);
    println!("{grown} bytes more with {} in the backlog", MESSAGES * MESSAGE_BYTES);
    assert!(grown < GROWN_MAX, "{grown} bytes more with {} in the backlog", MESSAGES * MESSAGE_BYTES);
    compare_deliveries(address);
    drop(stalled);
    let mut before = 0;
    while before < MESSAGES as u64 {
        let now = sum("accepted");
        eventually("more are accepted", || sum("accepted") > now || now == MESSAGES as u64);
        before = now;
    }
    let numbers: BTreeSet<usize> = server.accepted().iter().map(|number| number.parse().unwrap()).collect();
    assert_eq!((numbers.len(), sum("accepted")), (MESSAGES, MESSAGES as u64), "each once");
    assert_eq!(["refused", "duplicate", "gap"].map(sum), [0; 3]);
}

/// A backend and a client of workers that answer.
struct Pair {
    backend: Http,
    client: EventSource,
}

impl Pair {
    fn of(address: SocketAddr) -> Self {
        let stream: &[_] = &[("Accept", "text/event-stream")];
        let client = EventSource::over(answering(address, "/sse?channel=probe", stream)).unwrap();
        let mut backend = answering(address, "/health", &[]);
        assert_eq!(backend.read().unwrap().status, 200);
        Self { backend, client }
    }

    /// How long a push takes until the client has its event.
    fn deliver(&mut self, number: usize) -> Duration {
        let body = format!(r#"{{"event":"P","targets":{{"channels":["probe"]}},"payload":{number}}}"#);
        let began = Instant::now();
        assert_eq!(
            self.backend.post("/push/", &[], body).text(),
            "OK",
            "half of the inbox is left to others"
        );
        assert_eq!(self.client.event().data, number.to_string());
        began.elapsed()
    }
}

/// A connection on which a request is answered, although a worker stalls to which some connections go.
fn answering(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Http {
    let mut asked = Vec::new();
    let mut found = None;
    eventually("a worker answers", || {
        let mut http = Http::connect(address);
        http.send_request("GET", target, headers, b"");
        asked.push(http);
        found = asked.iter_mut().position(Http::has_answer);
        found.is_some()
    });
    asked.swap_remove(found.unwrap())
}

/// Deliveries take as long as those of a server with nothing else to do, give or take: one of each in turn, so that a busy
/// machine slows both.
fn compare_deliveries(address: SocketAddr) {
    let idle = TestServer::new();
    let mut pairs = [Pair::of(address), Pair::of(idle.address())];
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..DELIVERIES {
        for (pair, times) in pairs.iter_mut().zip(&mut times) {
            times.push(pair.deliver(number));
        }
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    let [full, idle] = [0, 1].map(|at| times[at][DELIVERIES / 2]);
    println!("a delivery takes {full:?} while an inbox is full, {idle:?} elsewhere");
    assert!(full < idle * 3, "{full:?} while an inbox is full, {idle:?} elsewhere");
}
