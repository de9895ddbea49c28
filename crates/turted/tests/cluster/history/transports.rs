//! The history of a channel over each transport, at each node, also when nodes were killed and stopped.

use std::net::SocketAddr;
use std::thread;

use serde_json::{Value, json};

use super::Nodes;
use crate::harness::{BACK, until};
use crate::sockjs::client::{Client as SockJs, Way as SockJsWay};
use crate::support::{Client, EventSource, Kind, WebSocket};

/// How many events a client asks for, of how many.
const WANTED: u64 = 5;
const PUSHED: usize = 8;
/// Behind all that a client has to hear.
const END: &str = "end";

#[derive(Clone, Copy, Debug)]
enum Way {
    V1,
    Sse,
    SocketIo(Kind),
    SockJs(SockJsWay),
}

impl Way {
    fn all() -> impl Iterator<Item = Self> {
        let socketio = Kind::ALL.into_iter().map(Self::SocketIo);
        [Self::V1, Self::Sse].into_iter().chain(socketio).chain(SockJsWay::ALL.into_iter().map(Self::SockJs))
    }
}

/// A client that has joined a channel with history.
enum Joined {
    V1(WebSocket),
    Sse(Box<EventSource>),
    SocketIo(Box<Client>),
    SockJs(Box<SockJs>),
}

impl Joined {
    /// Joins at one node, or with each request at the next one.
    fn join(nodes: &[SocketAddr], way: Way, channel: &str) -> Self {
        let request = json!({"id": 1, "do": "join", "channel": channel, "history": WANTED}).to_string();
        match way {
            Way::V1 => {
                let mut socket = WebSocket::connect(nodes[0], "/ws", &[]).unwrap();
                socket.text().expect("a welcome");
                socket.send_text(&request);
                assert_replayed(&socket.text().expect("a reply"));
                Self::V1(socket)
            }
            Way::Sse => {
                let target = format!("/sse?envelope=1&channel={channel}&history={WANTED}");
                Self::Sse(Box::new(EventSource::connect(nodes[0], &target, &[]).unwrap()))
            }
            Way::SocketIo(kind) => {
                let mut client = Client::connect_in_turn(nodes, kind, "40");
                let argument = json!({"channel": channel, "history": WANTED}).to_string();
                assert_replayed(&client.ask("JOIN", &argument));
                Self::SocketIo(Box::new(client))
            }
            Way::SockJs(way) => {
                let mut client = SockJs::connect_to(nodes[0], way);
                client.ask(r#"{"type":"hello","protocol":"turted.v1"}"#);
                assert_replayed(&client.ask(&request));
                Self::SockJs(Box::new(client))
            }
        }
    }

    /// The next event: its name, its number, and whether it comes from history.
    fn event(&mut self) -> (String, u64, bool) {
        let message: Value = match self {
            Self::V1(socket) => serde_json::from_str(&socket.text().expect("an event")).unwrap(),
            Self::SockJs(client) => serde_json::from_str(&client.hear()).unwrap(),
            Self::Sse(stream) => serde_json::from_str(&stream.event().data).unwrap(),
            Self::SocketIo(client) => {
                let packet = client.receive().expect("an event");
                let told: Vec<Value> = serde_json::from_str(packet.strip_prefix("42").unwrap()).unwrap();
                assert_eq!(told[0], "EVENT", "{packet}");
                told[1].clone()
            }
        };
        let number = message["payload"][0].as_u64().unwrap_or_else(|| panic!("no number: {message}"));
        (message["event"].as_str().unwrap().to_owned(), number, message["replayed"] == true)
    }

    /// The numbers of what comes from history and of what is new, up to the end.
    fn heard(&mut self) -> [Vec<u64>; 2] {
        let mut heard = [Vec::new(), Vec::new()];
        loop {
            let (event, number, replayed) = self.event();
            if event == END {
                return heard;
            }
            heard[usize::from(!replayed)].push(number);
        }
    }
}

fn assert_replayed(reply: &str) {
    let is_whole = reply.contains(&format!(r#""replayed":{WANTED},"complete":true"#));
    assert!(is_whole, "{reply}");
}

/// Over each transport a client that joins at a node gets the last events, then what is new.
fn assert_told(nodes: &Nodes, channel: &str, last: u64) {
    let addresses: Vec<SocketAddr> = nodes.cluster.nodes.iter().map(|node| node.address()).collect();
    let mut joined: Vec<_> = Way::all()
        .enumerate()
        .map(|(turn, way)| {
            let mut addresses = addresses.clone();
            addresses.rotate_left(turn % 3);
            (way, Joined::join(&addresses, way, channel))
        })
        .collect();
    push(nodes, channel, "e", last + 1);
    push(nodes, channel, END, last + 2);
    thread::scope(|scope| {
        for (way, joined) in &mut joined {
            scope.spawn(move || {
                let expected = [(last - WANTED + 1..=last).collect(), vec![last + 1]];
                assert_eq!(joined.heard(), expected, "{way:?}");
            });
        }
    });
}

fn push(nodes: &Nodes, channel: &str, event: &str, number: u64) {
    let body = json!({"event": event, "targets": {"channels": [channel]}, "payload": [number]});
    let node = &nodes.cluster.nodes[number as usize % 3];
    assert_eq!(node.push_json(&body).expect("an answer").status, 200);
}

#[test]
fn history_comes_over_each_transport_at_each_node_also_at_one_that_was_killed_or_stopped() {
    let mut nodes = Nodes::start(1_000);
    for channel in ["c-first", "c-killed", "c-stopped"] {
        nodes.push(channel, 0..PUSHED, 10);
    }
    let last = PUSHED as u64 - 1;
    assert_told(&nodes, "c-first", last);
    nodes.cluster.nodes[0].kill();
    nodes.cluster.nodes[0].run();
    nodes.cluster.await_ready();
    assert_told(&nodes, "c-killed", last);
    for node in 0..3 {
        nodes.cluster.nodes[node].stop();
        nodes.cluster.nodes[node].run();
        nodes.cluster.nodes[node].await_ready(BACK);
    }
    let counted = || nodes.cluster.nodes.iter().map(|node| super::numbers(node, "c-stopped").len());
    until(|| format!("{:?}", counted().collect::<Vec<_>>()), BACK, || counted().all(|count| count == PUSHED));
    assert_told(&nodes, "c-stopped", last);
}
