//! Clients that read as fast as a slow link lets them: they get all of it, late, in order, and are not cut.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sockjs::client::{Client as SockJs, Way};
use crate::support::{Client, EventSource, Kind, TestServer, WebSocket, frame, slow_link};

/// A client, whatever it speaks.
enum Reader {
    SocketIo(Client),
    V1(WebSocket),
    Sse(EventSource),
    SockJs(SockJs),
}

impl Reader {
    /// One of each kind of transport and carrier.
    fn all(server: SocketAddr) -> Vec<(String, Self)> {
        let socketio =
            Kind::ALL.map(|kind| (format!("{kind:?}"), Self::SocketIo(Client::connect(server, kind))));
        let sockjs = Way::ALL.map(|way| (format!("{way:?}"), Self::SockJs(SockJs::connect_to(server, way))));
        let mut v1 = WebSocket::connect(server, "/ws", &[]).unwrap();
        v1.text().expect("welcome");
        let sse = EventSource::connect(server, "/sse", &[]).unwrap();
        let others = [("v1".to_owned(), Self::V1(v1)), ("sse".to_owned(), Self::Sse(sse))];
        socketio.into_iter().chain(sockjs).chain(others).collect()
    }

    /// The payload of the next event.
    fn payload(&mut self) -> Value {
        match self {
            Self::SocketIo(client) => client.event().payload,
            Self::V1(socket) => parse(&socket.text().expect("an event"))["payload"].take(),
            Self::Sse(stream) => parse(&stream.event().data),
            Self::SockJs(client) => parse(&client.hear())["data"].take(),
        }
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {}", &text[..text.len().min(100)]))
}

/// Lets a client of each kind read `payloads` over a link of so many bytes per second.
fn read_over_link(server: &TestServer, bytes_per_second: usize, payloads: &[Value]) {
    let link = slow_link(server.address(), bytes_per_second);
    read(Reader::all(link), server, payloads);
}

fn read(readers: Vec<(String, Reader)>, server: &TestServer, payloads: &[Value]) {
    for payload in payloads {
        server.dispatcher().broadcast("e", payload).unwrap();
    }
    thread::scope(|scope| {
        let tasks = readers.into_iter().map(|(name, mut reader)| {
            scope.spawn(move || {
                for (index, payload) in payloads.iter().enumerate() {
                    assert!(reader.payload() == *payload, "{name}, event {index}");
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

#[test]
fn large_events_in_a_row_reach_clients_on_slow_links() {
    let server = TestServer::with(|config| {
        // Each event takes almost as long on this link, and all of them much longer.
        config.limits.outbox_stall = Duration::from_secs(3);
        config.websocket.ping_interval = Duration::from_millis(500);
        config.websocket.ping_timeout = Duration::from_secs(2);
        config.sockjs.heartbeat = Duration::from_millis(500);
        config.sockjs.disconnect_delay = Duration::from_secs(2);
    });
    read_over_link(&server, 150_000, &large_events());
    server.assert_alive();
}

/// In version 3 it is the client that asks, and that waits for the answer before it asks again.
#[test]
fn a_client_that_has_much_to_take_may_ask_late() {
    let server = TestServer::with(|config| {
        config.socketio.ping_interval = Duration::from_secs(1);
        config.socketio.ping_timeout = Duration::from_secs(2);
    });
    let link = slow_link(server.address(), 150_000);
    let mut client = Client::connect(link, Kind::V3_WEBSOCKET);
    for payload in large_events() {
        server.dispatcher().broadcast("e", &payload).unwrap();
    }
    client.send("2");
    // Behind the event that is under way, and before those that wait.
    let order: Vec<_> = (0..5).map(|_| client.receive().expect("more").len()).collect();
    assert_eq!(order.iter().position(|bytes| *bytes == 1), Some(1), "{order:?}");
}

/// Libraries of clients ask with a ping of the WebSocket itself, and give up soon.
#[test]
fn the_pong_of_a_websocket_goes_ahead_of_what_waits() {
    let server = TestServer::new();
    let mut client = WebSocket::connect(slow_link(server.address(), 300_000), "/ws", &[]).unwrap();
    client.text().expect("welcome");
    for payload in large_events() {
        server.dispatcher().broadcast("e", &payload).unwrap();
    }
    client.send(frame(0x89, b"there?"));
    let order: Vec<_> = (0..5).map(|_| client.read().expect("more").payload.len()).collect();
    // Behind the event that is under way.
    assert_eq!(order.iter().position(|bytes| *bytes == 6), Some(1), "{order:?}");
}

#[test]
fn a_heartbeat_waits_for_a_client_that_has_much_to_take() {
    let server = TestServer::with(|config| {
        config.socketio.ping_interval = Duration::from_millis(500);
        config.socketio.ping_timeout = Duration::from_secs(2);
    });
    let link = slow_link(server.address(), 150_000);
    let kinds = [Kind::V4_WEBSOCKET, Kind::V4_POLLING, Kind::V4_UPGRADED];
    let readers = kinds.map(|kind| (format!("{kind:?}"), Reader::SocketIo(Client::connect(link, kind))));
    read(readers.into(), &server, &large_events());
}

fn large_events() -> Vec<Value> {
    (0..4).map(|number| json!([number, "x".repeat(400_000)])).collect()
}

/// `\"` takes three times as much in a frame of `eventsource`, and seven times in one of `htmlfile`.
#[test]
fn one_event_that_fills_several_responses_reaches_clients_of_each_transport() {
    let server = TestServer::new();
    let rows: Vec<_> =
        (0..12_000).map(|id| json!({"id": id, "name": "Bridgekeeper \"the third\""})).collect();
    let payloads = [json!(rows), json!("\"".repeat(250_000)), json!("\"".repeat(300_000))];
    read_over_link(&server, 20_000_000, &payloads);
    server.assert_alive();
}
