//! A hundred clients that do not read among a hundred that do, for each transport that streams.
//! `bench/endurance` has ten times as many.

use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::EVENT_BYTES;
use crate::support::{Child, Http, WebSocket, eventually, read_some};

const STALLED: usize = 100;
const HEALTHY: usize = 100;

/// What may wait for each client. Far below what is sent, so that each is cut.
const OUTBOX_BYTES: usize = 128 * 1024;

/// Broadcasts: 1.3 MB for each client. The kernel takes some of it, far less than this.
const ROUNDS: usize = 64;

const BEGIN: &[u8] = b"BEGIN:";
const END: &[u8] = b":END";

/// More than any transport writes behind a payload.
const TAIL_BYTES_MAX: usize = 400;

/// How clients ask for their stream.
#[derive(Clone, Copy, Debug)]
enum Kind {
    WebSocket,
    EventSource,
    SockJsWebSocket,
    SockJsXhrStreaming,
}

impl Kind {
    fn open(self, number: usize, http: Http) -> Reader {
        let session = format!("/turted/000/{number}");
        match self {
            Self::WebSocket => Reader::of_websocket(http, "/ws"),
            Self::EventSource => Reader::of_response(http, "GET", "/sse"),
            Self::SockJsWebSocket => Reader::of_websocket(http, &format!("{session}/websocket")),
            Self::SockJsXhrStreaming => {
                Reader::of_response(http, "POST", &format!("{session}/xhr_streaming"))
            }
        }
    }
}

/// One client: whatever its transport wraps events in, they are found by their ends.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    fn of_websocket(http: Http, target: &str) -> Self {
        let (stream, buffer) = WebSocket::over(http, target, &[]).unwrap().into_parts();
        Self { stream, buffer }
    }

    fn of_response(mut http: Http, method: &str, target: &str) -> Self {
        http.send_request(method, target, &[], b"");
        assert_eq!(http.read_head().unwrap().status, 200);
        let (stream, buffer) = http.into_parts();
        Self { stream, buffer }
    }

    /// The number of the next event, which has come whole. Nobody sends another one meanwhile.
    fn number(&mut self) -> usize {
        loop {
            let tail = self.buffer.len().saturating_sub(TAIL_BYTES_MAX);
            if let Some(at) = find(&self.buffer[tail..], END) {
                let event: Vec<u8> = self.buffer.drain(..tail + at).collect();
                self.buffer.clear();
                let text = &event[find(&event, BEGIN).unwrap() + BEGIN.len()..];
                let (number, letters) = text.split_at(text.iter().position(|byte| *byte == b':').unwrap());
                assert_eq!(letters.len(), 1 + EVENT_BYTES);
                return std::str::from_utf8(number).unwrap().parse().unwrap();
            }
            assert!(read_some(&mut self.stream, &mut self.buffer) > 0, "a healthy client was cut");
        }
    }

    /// Reads to the end, which must come; how many bytes came before it.
    fn bytes_to_the_end(mut self) -> usize {
        while read_some(&mut self.stream, &mut self.buffer) > 0 {}
        self.buffer.len()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn push(http: &mut Http, number: usize) {
    let payload = format!("BEGIN:{number}:{}:END", "x".repeat(EVENT_BYTES));
    let body = json!({"event": "big", "targets": {"broadcast": true}, "payload": payload}).to_string();
    assert_eq!(http.post("/push", &[], body).text(), "OK");
}

/// A connection that holds little before it is full.
fn narrow(address: SocketAddr) -> Http {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    Http::over(TcpStream::from(socket))
}

/// One series without labels, or all of one name together.
fn metric(child: &Child, name: &str) -> usize {
    let page = child.admin().get("/metrics");
    let lines = page.text().lines().filter(|line| line.starts_with(name));
    let values = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    format!("{}", values.sum::<f64>()).parse().unwrap()
}

/// Cuts the stalled ones of one transport, and nobody else.
fn check(kind: Kind) {
    let child = Child::start(&[
        ("TURTED_LIMITS_OUTBOX_BYTES", "128KiB"),
        ("TURTED_RECOVERY_LOG_BYTES", "1MiB"),
        // A stream that ends by itself would have to be asked for again.
        ("TURTED_SOCKJS_RESPONSE_BYTES", "1GiB"),
    ]);
    let stalled: Vec<_> = (0..STALLED).map(|number| kind.open(number, narrow(child.address()))).collect();
    let mut healthy: Vec<_> = (0..HEALTHY).map(|number| kind.open(STALLED + number, child.http())).collect();
    eventually("all are connected", || metric(&child, "turted_connections{") == STALLED + HEALTHY);
    let mut http = child.http();
    let before = child.memory();
    let mut waiting_max = 0;
    for number in 0..ROUNDS {
        push(&mut http, number);
        for client in &mut healthy {
            assert_eq!(client.number(), number, "{kind:?}");
        }
        waiting_max = waiting_max.max(metric(&child, "turted_outbox_bytes "));
    }
    assert!(waiting_max > 0, "{kind:?}: nothing ever waited, so nothing is shown");
    assert!(waiting_max <= STALLED * OUTBOX_BYTES, "{kind:?}: {waiting_max} bytes waited");
    let grown = child.memory().saturating_sub(before);
    assert!(grown < STALLED * OUTBOX_BYTES + (24 << 20), "{kind:?}: {grown} bytes more");
    assert_eq!(metric(&child, "turted_connections{"), HEALTHY, "{kind:?}");
    assert_eq!(metric(&child, "turted_closes_total{reason=\"slow_reader\"}"), STALLED, "{kind:?}");
    assert_eq!(metric(&child, "turted_outbox_bytes "), 0, "{kind:?}");
    for client in stalled {
        assert!(client.bytes_to_the_end() < ROUNDS * EVENT_BYTES, "{kind:?}");
    }
    push(&mut http, ROUNDS);
    assert!(healthy.iter_mut().all(|client| client.number() == ROUNDS), "{kind:?}");
    drop(healthy);
    child.stop();
}

#[test]
fn stalled_readers_of_turted_v1_harm_no_healthy_one() {
    check(Kind::WebSocket);
}

#[test]
fn stalled_readers_of_event_streams_harm_no_healthy_one() {
    check(Kind::EventSource);
}

#[test]
fn stalled_readers_of_sockjs_websockets_harm_no_healthy_one() {
    check(Kind::SockJsWebSocket);
}

#[test]
fn stalled_readers_of_sockjs_xhr_streams_harm_no_healthy_one() {
    check(Kind::SockJsXhrStreaming);
}
