//! A node whose way to Redis is cut, stalls, or delivers late.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::{BACK, Cluster, KEPT, Node, Way, until};
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

#[test]
fn a_push_without_an_answer_that_redis_has_lost_since_is_refused_and_not_appended_anew() {
    let cluster = Cluster::start(KEPT);
    let node = &cluster.nodes[0];
    node.proxy.stall(Way::ToNode);
    let refused = thread::scope(|scope| {
        let pushing =
            scope.spawn(|| node.push_json(&json!({"event": "E", "targets": {}, "payload": "once"})));
        until(|| "it stands in the log".to_owned(), BACK, || cluster.standing("\"once\"") == 1);
        // Nodes that were not cut off have read it.
        cluster.tell(&["FLUSHALL"]);
        node.proxy.break_off();
        node.proxy.flow();
        pushing.join().unwrap().expect("an answer")
    });
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("log-unavailable"), "{}", refused.body);
    cluster.await_ready();
    let accepted =
        node.push_json(&json!({"event": "E", "targets": {}, "payload": "next"})).expect("an answer");
    assert_eq!(accepted.status, 200, "{}", accepted.body);
    assert_eq!((cluster.standing("\"once\""), cluster.standing("\"next\"")), (0, 1));
}

#[test]
fn a_node_whose_own_push_was_trimmed_before_it_read_it_takes_pushes_again() {
    let cluster = Cluster::start(KEPT);
    let (node, body) = (&cluster.nodes[0], json!({"event": "E", "targets": {}}));
    let status = |node: &Node| node.push(&body).expect("an answer").status;
    cluster.stall_role(0, "reader");
    assert_eq!(status(node), 200, "it is in the log");
    until(|| "the node is behind".to_owned(), BACK, || status(node) == 503);
    assert_eq!(status(&cluster.nodes[1]), 200);
    cluster.tell(&["XTRIM", &cluster.key("log"), "MAXLEN", "1"]);
    node.proxy.break_off();
    until(|| "it takes pushes again".to_owned(), BACK, || status(node) == 200);
    node.await_ready(BACK);
    assert_eq!(status(node), 200);
}

#[test]
fn the_first_question_after_a_reconnect_is_answered_by_all_nodes() {
    let cluster = Cluster::start(KEPT);
    let body = json!({"event": "E", "targets": {"broadcast": true}});
    for asking in [0, 1, 2] {
        // Nobody is told of it: who asks, and who answers, finds out by what is to be sent.
        cluster.nodes.iter().for_each(|node| node.proxy.break_off());
        pause(Duration::from_secs(1));
        cluster.await_ready();
        let told = cluster.nodes[asking].push_json(&body).expect("an answer").json();
        assert!(told["nodes"] == 3 && told.get("silent").is_none(), "{asking}: {told}");
        let other = &cluster.nodes[(asking + 1) % 3];
        let told = other.admin("/api/v1/connections").expect("an answer").json();
        assert!(told["nodes"] == 3 && told.get("silent").is_none(), "{asking}: {told}");
    }
}

/// What a node says if one of its connections breaks, by their roles.
const BROKEN: [(&str, &str); 4] = [
    ("writer", "this node cannot append to the log in Redis"),
    ("reader", "this node cannot read the log in Redis"),
    ("values", "this node cannot reach sessions in Redis"),
    ("ears", "this node cannot hear other nodes over Redis"),
];

#[test]
fn a_node_says_which_of_its_connections_to_redis_breaks() {
    let mut clusters = BROKEN.map(|(role, _)| (role, Cluster::with(KEPT, 1, &[])));
    for (role, cluster) in &clusters {
        let mut ids = Vec::new();
        until(
            || format!("there is the {role}"),
            BACK,
            || {
                ids = cluster.connections(role, "id=");
                !ids.is_empty()
            },
        );
        ids.iter().for_each(|id| cluster.tell(&["CLIENT", "KILL", "ID", id]));
    }
    for ((role, cluster), (_, line)) in clusters.iter_mut().zip(BROKEN) {
        let node = &cluster.nodes[0];
        let is_noticed = || {
            let page = node.admin("/metrics").expect("an answer").body;
            !page.contains("\nturted_cluster_reconnects_total 0\n")
        };
        until(|| format!("the {role} is missed"), BACK, is_noticed);
        node.await_ready(BACK);
        let said = cluster.nodes[0].stop();
        for (_, other) in BROKEN {
            assert_eq!(said.contains(other), other == line, "{role}: {said}");
        }
    }
}
