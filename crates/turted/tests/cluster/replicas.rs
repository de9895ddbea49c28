//! With a replica that has to have each push, AOF, and one failure at a time no acknowledged push is lost.

use std::env;
use std::time::Duration;

use turted_core::cursor::Cursor;
use turted_core::wire::resp::Reply;

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::replica::{demote, promote, replica_of};
use crate::harness::server::Server;
use crate::harness::{BACK, Cluster, KEPT, until};
use crate::support::pause;
use crate::support::redis::Redis;

/// Whether the log has an entry at this position.
fn has(redis: &mut Redis, log: &str, at: Cursor) -> bool {
    let id = format!("{}-{}", at.epoch, at.sequence);
    matches!(redis.ask(&["XRANGE", log, &id, &id]), Reply::Array(entries) if entries.len() == 1)
}

#[test]
fn no_acknowledged_push_is_lost_in_a_failover_to_a_replica_that_had_to_have_it() {
    let failovers = env::var("TURTED_TEST_FAILOVERS").map_or(2, |text| text.parse().expect("a number"));
    let redis = Server::replicated(KEPT);
    let mut replica = replica_of(redis.port(), KEPT);
    let mut cluster = Cluster::on(redis, 3, &[("TURTED_CLUSTER_REPLICAS", "1")]);
    let crowd = Crowd::start(&cluster.directory, 30);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Plain);
    let log = cluster.key("log");
    let mut seen = 0;
    for _ in 0..failovers {
        pause(Duration::from_secs(1));
        cluster.redis.kill();
        promote(&replica);
        std::mem::swap(&mut cluster.redis, &mut replica);
        // A node that has read what is lost now makes all forget what was before, and trims it from the log.
        let accepted = backends.positions();
        let mut redis = cluster.redis.client();
        let lost: Vec<_> = accepted[seen..].iter().filter(|at| !has(&mut redis, &log, **at)).collect();
        assert!(
            lost.is_empty(),
            "of {} that were accepted {lost:?} are not in the log",
            accepted.len() - seen
        );
        seen = accepted.len();
        cluster.nodes.iter().for_each(|node| node.proxy.retarget(cluster.redis.node_port()));
        replica.restart();
        demote(&replica, cluster.redis.port());
        cluster.await_ready();
        crowd.await_all(BACK);
        let accepted = backends.accepted();
        until(|| "pushes are accepted again".to_owned(), BACK, || backends.accepted() > accepted + 20);
    }
    assert!(seen > 0, "some were accepted");
    backends.stop();
    backends.reach(&crowd, BACK);
    println!("{}", check(&backends.finish(), &crowd.finish()).assert_sound().figures());
}

#[test]
fn a_push_that_too_few_replicas_have_is_not_acknowledged() {
    let mut cluster = Cluster::on(Server::replicated(KEPT), 1, &[("TURTED_CLUSTER_REPLICAS", "1")]);
    let push = serde_json::json!({"event": "E", "targets": {"broadcast": true}, "payload": {"n": 1}});
    let refused = cluster.nodes[0].push(&push).expect("an answer");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("cluster.replicas"), "{}", refused.body);
    assert!(ready(&cluster).contains("cluster.replicas = 1"), "{}", ready(&cluster));
    let _replica = replica_of(cluster.redis.port(), KEPT);
    let accepted = cluster.nodes[0].push(&push).expect("an answer");
    assert_eq!(accepted.status, 200, "{}", accepted.body);
    until(|| ready(&cluster), BACK, || ready(&cluster).trim_end() == "ready");
    let written = cluster.nodes[0].stop();
    assert!(written.contains("the log takes nothing: pushes are refused"), "{written}");
}

/// What a node says that is ready.
fn ready(cluster: &Cluster) -> String {
    cluster.nodes[0].admin("/ready").expect("an answer").body
}

#[test]
fn a_redis_that_throws_values_away_is_told_at_the_start() {
    let mut cluster = Cluster::with(&["--maxmemory-policy", "volatile-lru"], 1, &[]);
    let written = cluster.nodes[0].stop();
    assert!(written.contains("Redis may throw away sessions and keys of pushes"), "{written}");
    assert!(written.contains("volatile-lru"), "{written}");
}

#[test]
fn a_push_with_a_key_that_too_few_replicas_have_is_refused_at_each_repetition_and_appended_once() {
    let cluster = Cluster::on(Server::replicated(KEPT), 2, &[("TURTED_CLUSTER_REPLICAS", "1")]);
    let replica = replica_of(cluster.redis.port(), KEPT);
    let push = |node: usize, key: &str| {
        let body = serde_json::json!({"event": "E", "targets": {}, "payload": key});
        cluster.nodes[node].push_keyed(key, &body).expect("an answer")
    };
    until(|| "the replica is counted".to_owned(), BACK, || push(0, "before").status == 200);
    replica.freeze();
    for node in [0, 1, 0] {
        let refused = push(node, "repeated");
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(refused.body.contains("log-unavailable"), "{}", refused.body);
    }
    replica.thaw();
    until(|| "the replica has it".to_owned(), BACK, || push(1, "repeated").status == 200);
    assert_eq!(cluster.standing("\"repeated\""), 1);
}
