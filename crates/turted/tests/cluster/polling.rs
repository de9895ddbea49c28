//! No stickiness: each request of a client that polls goes to the next node.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::request::{Answer, get, post};
use crate::harness::{Cluster, KEPT};
use crate::support::pause;

const WITHIN: Duration = Duration::from_secs(10);
/// Longer than a node may be silent.
const LONG: Duration = Duration::from_secs(20);

/// A client of Engine.IO 4 by long polling, each of whose requests goes to another node than the one before.
struct Polling<'a> {
    cluster: &'a Cluster,
    turn: usize,
    target: String,
}

impl<'a> Polling<'a> {
    /// A client that is connected and in channel `c`, and what it has not looked at yet.
    fn member(cluster: &'a Cluster) -> (Self, Vec<String>) {
        let target = "/socket.io/?EIO=4&transport=polling".to_owned();
        let (mut client, mut waiting) = (Polling { cluster, turn: 0, target }, Vec::new());
        let handshake = client.packet(&mut waiting);
        let handshake: Value =
            serde_json::from_str(handshake.strip_prefix('0').expect("a handshake")).unwrap();
        client.target = format!("{}&sid={}", client.target, handshake["sid"].as_str().unwrap());
        client.send("40");
        assert!(client.packet(&mut waiting).starts_with("40"));
        client.send(r#"42["JOIN",{"channel":"c"}]"#);
        while !client.packet(&mut waiting).starts_with(r#"42["OK","#) {}
        (client, waiting)
    }

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
    let (mut client, mut waiting) = Polling::member(&cluster);
    for number in 0..30 {
        let body = json!({"event": "E", "targets": {"channel": "c"}, "payload": {"n": number}});
        let node = &cluster.nodes[number % 2];
        assert_eq!(node.push(&body).expect("an answer").body, "OK");
        let packet = client.packet(&mut waiting);
        assert!(packet.contains(&format!("\"payload\":{{\"n\":{number}}}")), "{packet}");
    }
    assert!(client.turn > 30);
}

#[test]
fn a_client_that_polls_each_node_in_turn_keeps_its_session_while_redis_is_away() {
    let cluster = Cluster::start(KEPT);
    let (mut client, mut waiting) = Polling::member(&cluster);
    cluster.redis.freeze();
    let frozen = Instant::now();
    while frozen.elapsed() < LONG {
        client.send(r#"42["PING",{}]"#);
        pause(Duration::from_secs(1));
    }
    let metrics = cluster.nodes[0].admin("/metrics").expect("an answer").body;
    assert!(metrics.contains("\nturted_cluster_nodes 3\n"), "each node still knows the others");
    cluster.redis.thaw();
    cluster.await_ready();
    let body = json!({"event": "E", "targets": {"channel": "c"}, "payload": {"n": 7}});
    assert_eq!(cluster.nodes[1].push(&body).expect("an answer").body, "OK");
    while !client.packet(&mut waiting).contains(r#""payload":{"n":7}"#) {}
}
