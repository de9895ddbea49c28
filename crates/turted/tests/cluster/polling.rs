//! No stickiness: each request of a client that polls goes to the next node.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::request::{Answer, get, post};
use crate::harness::{Cluster, KEPT};

const WITHIN: Duration = Duration::from_secs(10);

/// A client of Engine.IO 4 by long polling, each of whose requests goes to another node than the one before.
struct Polling<'a> {
    cluster: &'a Cluster,
    turn: usize,
    target: String,
}

impl Polling<'_> {
    fn next(&mut self) -> std::net::SocketAddr {
        self.turn += 1;
        self.cluster.nodes[self.turn % self.cluster.nodes.len()].address()
    }

    fn poll(&mut self) -> Vec<String> {
        let node = self.next();
        let answer = get(node, &self.target, WITHIN).expect("an answer to a poll");
        assert_eq!(answer.status, 200, "request {}: {}", self.turn, answer.body);
        answer.body.split('\x1e').map(str::to_owned).collect()
    }

    fn send(&mut self, packet: &str) {
        let node = self.next();
        let Answer { status, body } = post(node, &self.target, "", packet, WITHIN).expect("an answer");
        assert_eq!((status, &*body), (200, "ok"), "request {}", self.turn);
    }

    /// The next packet of Socket.IO, past heartbeats.
    fn packet(&mut self, waiting: &mut Vec<String>) -> String {
        loop {
            while waiting.is_empty() {
                waiting.extend(self.poll());
            }
            match waiting.remove(0) {
                ping if ping == "2" => self.send("3"),
                packet => return packet,
            }
        }
    }
}

#[test]
fn a_client_that_polls_each_node_in_turn_is_served() {
    let cluster = Cluster::start(KEPT);
    let mut client =
        Polling { cluster: &cluster, turn: 0, target: "/socket.io/?EIO=4&transport=polling".to_owned() };
    let mut waiting = Vec::new();
    let handshake = client.packet(&mut waiting);
    let handshake: Value = serde_json::from_str(handshake.strip_prefix('0').expect("a handshake")).unwrap();
    client.target = format!("{}&sid={}", client.target, handshake["sid"].as_str().unwrap());
    client.send("40");
    assert!(client.packet(&mut waiting).starts_with("40"));
    client.send(r#"42["JOIN",{"channel":"c"}]"#);
    while !client.packet(&mut waiting).starts_with(r#"42["OK","#) {}
    for number in 0..30 {
        let body = json!({"event": "E", "targets": {"channel": "c"}, "payload": {"n": number}});
        let node = &cluster.nodes[number % 2];
        assert_eq!(node.push(&body).expect("an answer").body, "OK");
        let packet = client.packet(&mut waiting);
        assert!(packet.contains(&format!("\"payload\":{{\"n\":{number}}}")), "{packet}");
    }
    assert!(client.turn > 30);
}
