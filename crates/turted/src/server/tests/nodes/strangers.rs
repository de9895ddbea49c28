//! Who may call a node, and where what was passed on ends.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use turted_core::secret::Secret;
use turted_core::wire::forwarded::PREAMBLE_BYTES;

use super::cluster::{Cluster, Node, until};
use super::polling::{open, target};
use crate::hub::cluster::claims::Claims;
use crate::hub::cluster::peers::Peers;

const GET_HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What a node answers to these bytes.
fn call(node: &Node, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(node.server.nodes_address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A connection that is refused with unread bytes is reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn refused(node: &Node) -> u64 {
    node.counted(|worker| {
        worker
            .refusals()
            .into_iter()
            .filter(|(rule, _)| *rule == "cluster-preamble")
            .map(|(_, count)| count)
            .sum()
    })
}

#[test]
fn only_nodes_of_the_cluster_are_heard() {
    let cluster = Cluster::start();
    let node = &cluster.nodes[0];
    let client = [192, 0, 2, 7].into();
    let good = cluster.nodes[1].peers.preamble(0, client).unwrap();
    let answer = call(node, &[&good, GET_HEALTH].concat());
    assert!(answer.starts_with("\u{6}HTTP/1.1 200 OK"), "{answer}");
    // Whoever overhears it may say it again for 30 s, to the same node alone: TLS keeps it from being overheard.
    assert!(call(&cluster.nodes[2], &[&good, GET_HEALTH].concat()).is_empty());
    let stranger = Peers::new(&[Secret::from("a guess")], None, Claims::new().0);
    stranger.set_own(Some(1));
    let wrong = stranger.preamble(0, client).unwrap();
    for bytes in [&wrong[..], &[0; PREAMBLE_BYTES], &[b'G'; PREAMBLE_BYTES], &good[..10]] {
        if bytes.len() < PREAMBLE_BYTES {
            let mut stream = TcpStream::connect(node.server.nodes_address().unwrap()).unwrap();
            stream.write_all(bytes).unwrap();
            continue;
        }
        assert_eq!(call(node, &[bytes, GET_HEALTH].concat()), "");
    }
    until(|| refused(node) == 3);
    assert_eq!(refused(&cluster.nodes[2]), 1);
    cluster.wait_until_idle();
}

#[test]
fn a_node_without_the_secret_passes_nothing_on() {
    let cluster = Cluster::start();
    let sid = open(&cluster, 0);
    cluster.nodes[1].peers.set_secrets(&[Secret::from("another secret")]);
    let answer = cluster.ask(1, ("GET", &target(&sid), ""));
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(refused(&cluster.nodes[0]), 1);
}

#[test]
fn what_was_passed_on_is_not_passed_on_again() {
    let cluster = Cluster::start();
    // Each of two nodes is told that the session is at the other one.
    let name = "/turted/iiiiiiii";
    let key = turted_core::session_key::SessionKey::of(name.as_bytes()).to_bytes();
    let name = format!("sockjs:{}", key.map(|byte| format!("{byte:02x}")).concat());
    let send = ("POST", "/turted/000/iiiiiiii/xhr_send", r#"["x"]"#);
    for (asked, claimed) in [(0, 1), (1, 0)] {
        let value = Bytes::copy_from_slice(&u16::to_be_bytes(claimed));
        cluster.values.lock().unwrap().insert(name.clone(), (99, value));
        let answer = cluster.ask(asked, send);
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    let passed_on = [0, 1, 2].map(|node| cluster.nodes[node].counted(|worker| worker.passed_on.get()));
    assert_eq!(passed_on, [1, 1, 0]);
    // A node that answers at the address of another one.
    let sid = open(&cluster, 0);
    let other = cluster.nodes[2].server.nodes_address().unwrap();
    cluster.nodes[1].peers.set_nodes(HashMap::from([(0, other)]));
    assert_eq!(cluster.ask(1, ("GET", &target(&sid), "")).status, 400);
    assert_eq!(refused(&cluster.nodes[2]), 1);
}
