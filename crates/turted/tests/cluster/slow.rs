//! A slow network between nodes and Redis, and entries that take it long.

use std::time::Duration;

use serde_json::json;

use crate::clients::{Backends, Crowd, check};
use crate::harness::{Cluster, Node};
use crate::strangers::{entry_with, foreign};

const MIB: usize = 1024 * 1024;
/// Bytes a second of a network of 80 Mbit/s.
const SLOW: u64 = 10_000_000;
/// How long it takes for 200 MiB, for what is asked for twice, and until the node follows.
const CARRIED: Duration = Duration::from_secs(60);

/// Appends an entry of this size, which no node would write.
fn append_huge(cluster: &Cluster, bytes: usize) {
    let (log, id) = (cluster.key("log"), format!("{}-*", cluster.epoch()));
    cluster.redis.client().ask(&[b"XADD", log.as_bytes(), id.as_bytes(), b"d", &vec![1; bytes]]);
}

#[test]
fn an_entry_of_100_mib_over_a_slow_network_is_skipped_and_its_bytes_are_not_kept() {
    // A disk that has to take it at once is not what is tried.
    let cluster = Cluster::with(&[], 2, &[]);
    let crowd = Crowd::start(&cluster.directory, 4);
    let backends = Backends::idle(&cluster.directory);
    let before = cluster.nodes.iter().map(|node| {
        node.proxy.slow_down(SLOW);
        node.child().forget_most_memory();
        (foreign(node), node.child().memory())
    });
    let before: Vec<_> = before.collect();
    append_huge(&cluster, 100 * MIB);
    backends.reach(&crowd, CARRIED);
    cluster.await_ready();
    for (node, (foreign_before, memory)) in cluster.nodes.iter().zip(before) {
        assert_eq!(foreign(node), foreign_before + 1);
        let most = node.child().most_memory();
        assert!(most < memory + 50 * MIB, "{memory} bytes before, {most} at most");
    }
    let losses = crowd.losses();
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
    assert_eq!(losses, 0);
}

#[test]
fn a_node_starts_over_a_slow_network_though_the_last_entry_has_100_mib() {
    let mut cluster = Cluster::with(&[], 1, &[]);
    append_huge(&cluster, 100 * MIB);
    cluster.join_slowly(SLOW, &[]);
    cluster.nodes[1].await_ready(CARRIED);
    assert_eq!(foreign(&cluster.nodes[1]), 1);
    assert!(cluster.nodes.iter_mut().all(Node::is_running));
}

#[test]
fn a_node_starts_over_a_slow_network_with_a_log_of_200_mib() {
    const ROOM: [(&str, &str); 1] = [("TURTED_RECOVERY_LOG_BYTES", "400000000")];
    let mut cluster = Cluster::with(&[], 1, &ROOM);
    // As large as a push may be.
    let push = json!({"event": "LARGE", "targets": {"broadcast": true}, "payload": "x".repeat(MIB - 1024)});
    assert_eq!(cluster.nodes[0].push(&push).expect("an answer").status, 200);
    let large = entry_with(&cluster, "LARGE");
    let (log, id) = (cluster.key("log").into_bytes(), format!("{}-*", cluster.epoch()).into_bytes());
    let mut redis = cluster.redis.client();
    for _ in 0..200 {
        redis.ask(&[b"XADD", &log[..], &id, b"d", &large]);
    }
    cluster.join_slowly(SLOW, &ROOM);
    cluster.nodes[1].await_ready(CARRIED);
    assert_eq!(foreign(&cluster.nodes[1]), 0);
}
