//! The number of a node, which another process has taken.

use std::time::Duration;

use serde_json::Value;
use turted_core::wire::resp::Reply;

use crate::clients::backends::Manner;
use crate::clients::sse::HEARTBEAT;
use crate::clients::{Backends, Crowd, Way, check};
use crate::harness::{BACK, Cluster, KEPT, Node, until};
use crate::soak::returns_by_way;
use crate::support::{WebSocket, pause};

const LINE: &str = "another node has the number of this one, which takes a new one: its clients come back";
/// Who has taken a number: no process of these tests.
const OTHER: u64 = u64::MAX;

/// What a node says of each node.
fn listed(by: &Node) -> Vec<Value> {
    let listed = by.admin("/api/v1/nodes").expect("an answer").json();
    listed["nodes"].as_array().expect("a list").clone()
}

/// The number of a node, and where others call it.
fn own(node: &Node) -> (u16, String) {
    let own = listed(node).into_iter().find(|node| node["this"] == true).expect("itself");
    let number = own["number"].as_u64().expect("a number");
    (number.try_into().unwrap(), own["address"].as_str().expect("an address").to_owned())
}

/// The numbers that a node knows of the one at this address.
fn numbers_of(address: &str, by: &Node) -> Vec<u64> {
    let nodes = listed(by);
    nodes
        .iter()
        .filter(|node| node["address"] == address)
        .filter_map(|node| node["number"].as_u64())
        .collect()
}

/// The process that has a number.
fn holder(cluster: &Cluster, number: u16) -> Option<u64> {
    match cluster.redis.client().ask(&["GET", &cluster.key(&format!("node:{number}"))]) {
        Reply::Text(value) => Some(u64::from_be_bytes(*value.first_chunk().expect("a process"))),
        _ => None,
    }
}

/// Gives a number to another process, for longer than any test takes.
fn give_away(cluster: &Cluster, number: u16) {
    let name = cluster.key(&format!("node:{number}")).into_bytes();
    cluster.redis.client().ask(&[b"SET", &name[..], &OTHER.to_be_bytes(), b"PX", b"600000"]);
}

/// Gives the number of the first node away, and waits until the node ends its connections, and for so long until all nodes
/// call it by another one. Returns both numbers.
fn take_number(cluster: &Cluster, within: Duration) -> [u16; 2] {
    let (former, address) = own(&cluster.nodes[0]);
    let mut socket = WebSocket::connect(cluster.nodes[0].address(), "/ws", &[]).expect("a WebSocket");
    give_away(cluster, former);
    let told = socket.close_reason();
    assert_eq!(told, Some((1012, "the session goes on at another server".to_owned())));
    for node in &cluster.nodes {
        let numbers = || numbers_of(&address, node);
        let is_new = || matches!(numbers()[..], [number] if number != u64::from(former));
        until(|| format!("not {former} but {:?}", numbers()), within, is_new);
    }
    [former, own(&cluster.nodes[0]).0]
}

#[test]
fn a_node_whose_number_another_one_has_takes_a_new_one_and_its_clients_come_back_without_a_gap() {
    let mut cluster = Cluster::with(KEPT, 2, &[HEARTBEAT]);
    let crowd = Crowd::by(&cluster.directory, 48, &Way::ALL);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    let process = holder(&cluster, own(&cluster.nodes[0]).0);
    let [former, number] = take_number(&cluster, BACK);
    assert_eq!((holder(&cluster, number), holder(&cluster, former)), (process, Some(OTHER)));
    cluster.await_ready();
    crowd.await_all(BACK);
    pause(Duration::from_secs(1));
    backends.stop();
    backends.reach(&crowd, BACK);
    let journals = crowd.finish();
    check(&backends.finish(), &journals).assert_nothing_told();
    let by_way = returns_by_way(&journals);
    assert!(by_way.iter().all(|(_, returns)| *returns > 0), "{by_way:?}");
    let told: Vec<_> = cluster.nodes.iter_mut().map(|node| node.stop().matches(LINE).count()).collect();
    assert_eq!(told, [1, 0]);
}

#[test]
fn a_node_that_takes_a_new_number_tells_the_others_at_once() {
    // No client asks for a heartbeat.
    take_number(&Cluster::with(KEPT, 2, &[]), Duration::from_secs(2));
}
