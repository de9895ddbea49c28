//! A node whose way to Redis is cut, stalls, or delivers late.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::{BACK, Cluster, KEPT, Way};
use crate::support::{Random, pause};

#[test]
fn a_node_without_redis_keeps_its_clients_and_refuses_pushes_and_then_everything_comes() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 30);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    let node = &cluster.nodes[0];
    node.proxy.cut();
    let cut = Instant::now();
    let answer = node.push_json(&json!({"event": "E", "targets": {}})).expect("an answer");
    assert!(answer.body.contains("log-unavailable"), "{} {}", answer.status, answer.body);
    assert_eq!(answer.status, 503);
    assert!(cut.elapsed() < Duration::from_secs(3), "{:?}", cut.elapsed());
    pause(Duration::from_secs(5).saturating_sub(cut.elapsed()));
    assert_eq!(node.status("/health"), Some(200));
    assert_eq!(node.status("/ready"), Some(503), "after 5 s without Redis");
    node.proxy.mend();
    cluster.await_ready();
    backends.stop();
    backends.reach(&crowd, BACK);
    let losses = crowd.losses();
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
    assert_eq!(losses, 0, "clients stay where they are");
}

#[test]
fn a_way_that_stalls_in_one_direction_or_both_loses_and_doubles_nothing() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 30);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    for (node, way) in [Way::ToRedis, Way::ToNode, Way::Both].into_iter().enumerate() {
        cluster.nodes[node].proxy.stall(way);
        pause(Duration::from_secs(3));
        cluster.nodes[node].proxy.flow();
        pause(Duration::from_secs(1));
    }
    cluster.await_ready();
    backends.stop();
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
}

#[test]
fn a_way_of_a_tenth_of_a_second_is_slow_and_nothing_more() {
    let cluster = Cluster::start(KEPT);
    cluster.nodes.iter().for_each(|node| node.proxy.delay(Duration::from_millis(100)));
    let crowd = Crowd::start(&cluster.directory, 30);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    pause(Duration::from_secs(4));
    backends.stop();
    backends.reach(&crowd, BACK);
    let findings = check(&backends.finish(), &crowd.finish());
    findings.assert_nothing_told();
    assert_eq!((findings.unsure, findings.refused), (0, 0), "{}", findings.figures());
}

#[test]
fn what_an_abandoned_connection_had_sent_is_not_dispatched_beside_the_repetition() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 12);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    let mut random = Random::new(3);
    for _ in 0..8 {
        let node = &cluster.nodes[random.below(3)];
        let held = node.proxy.hold_back();
        pause(Duration::from_millis(300));
        held.end_for_node();
        pause(Duration::from_millis(700));
        held.deliver_late();
    }
    cluster.await_ready();
    backends.stop();
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
}
