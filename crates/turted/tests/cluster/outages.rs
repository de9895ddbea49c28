//! Redis stands still, or is killed and has lost nothing: everything comes, and no client hears of it.

use std::time::{Duration, Instant};

use serde_json::json;
use turted_core::wire::resp::Reply;

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::replica::{promote, replica_of};
use crate::harness::server::Server;
use crate::harness::{BACK, Cluster, KEPT, Node, Way, until};
use crate::support::pause;

/// Asserts that a last push reaches every client, that none missed anything or was told of a gap, and that none was cut.
fn assert_unnoticed(mut backends: Backends, crowd: Crowd) {
    backends.stop();
    backends.reach(&crowd, BACK);
    let losses = crowd.losses();
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
    assert_eq!(losses, 0);
}

#[test]
fn redis_that_stands_still_for_8_s_loses_nothing_and_no_client_hears_of_it() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 48);
    let backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Mixed);
    pause(Duration::from_secs(1));
    cluster.redis.freeze();
    let frozen = Instant::now();
    pause(Duration::from_secs(1));
    let pushed = Instant::now();
    let answer = cluster.nodes[0].push(&json!({"event": "E", "targets": {}})).expect("an answer");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(pushed.elapsed() < Duration::from_secs(3), "{:?}", pushed.elapsed());
    pause(Duration::from_secs(8).saturating_sub(frozen.elapsed()));
    cluster.redis.thaw();
    cluster.await_ready();
    pause(Duration::from_secs(1));
    assert_unnoticed(backends, crowd);
}

#[test]
fn redis_that_is_killed_and_wrote_all_down_loses_nothing_and_no_client_hears_of_it() {
    let mut cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 48);
    let backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Mixed);
    for _ in 0..2 {
        pause(Duration::from_secs(1));
        cluster.redis.kill();
        pause(Duration::from_secs(1));
        cluster.redis.restart();
        cluster.await_ready();
    }
    assert_unnoticed(backends, crowd);
}

#[test]
fn a_node_of_which_redis_takes_nothing_names_that_as_the_reason() {
    let mut cluster = Cluster::with(KEPT, 1, &[]);
    cluster.tell(&["CONFIG", "SET", "maxmemory", "1"]);
    let ready = |node: &Node| node.admin("/ready").expect("an answer");
    until(|| "it is not ready".to_owned(), BACK, || ready(&cluster.nodes[0]).status == 503);
    let said = ready(&cluster.nodes[0]).body;
    assert!(said.contains(": Redis takes nothing of this node: ") && said.contains("OOM"), "{said}");
    cluster.tell(&["CONFIG", "SET", "maxmemory", "0"]);
    cluster.await_ready();
    let said = cluster.nodes[0].stop();
    assert!(said.contains("the log takes nothing: pushes are refused"), "{said}");
    assert!(!said.contains("cannot read the log"), "its connections work: {said}");
}

/// Seconds of the clock of Redis.
fn seconds(cluster: &Cluster) -> u64 {
    let said = cluster.redis.client().ask(&["TIME"]);
    let Reply::Array(said) = said else { panic!("{said:?}") };
    let [Reply::Text(seconds), _] = &said[..] else { panic!("{said:?}") };
    std::str::from_utf8(seconds).unwrap().parse().unwrap()
}

#[test]
fn a_clock_of_redis_that_is_set_back_loses_nothing_and_no_client_hears_of_it() {
    let mut cluster = Cluster::on(Server::with_clock(KEPT), 3, &[]);
    let crowd = Crowd::start(&cluster.directory, 30);
    let backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Mixed);
    pause(Duration::from_secs(1));
    let before = seconds(&cluster);
    cluster.redis.set_clock("-2d");
    until(|| "the clock is set back".to_owned(), BACK, || seconds(&cluster) < before);
    // Longer than the time between two heartbeats.
    pause(Duration::from_secs(7));
    cluster.await_ready();
    // Another process begins another epoch, whose number is above the last one although the clock is not.
    cluster.redis.kill();
    cluster.redis.restart();
    pause(Duration::from_secs(1));
    cluster.await_ready();
    assert!(seconds(&cluster) < before);
    assert_unnoticed(backends, crowd);
}

#[test]
fn a_master_that_gets_its_first_replica_and_forgets_it_begins_no_epoch() {
    let cluster = Cluster::replicated(KEPT);
    let crowd = Crowd::start(&cluster.directory, 30);
    let backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Mixed);
    pause(Duration::from_secs(1));
    let (epoch, id) = (cluster.epoch(), replication_id(&cluster));
    cluster.tell(&["CONFIG", "SET", "repl-backlog-ttl", "8"]);
    let mut replica = replica_of(cluster.redis.port(), &[]);
    let second = replication_id(&cluster);
    assert_ne!(id, second, "Redis takes another id");
    // Longer than the time between two heartbeats.
    pause(Duration::from_secs(6));
    replica.kill();
    until(|| "Redis takes another id again".to_owned(), BACK, || replication_id(&cluster) != second);
    pause(Duration::from_secs(6));
    cluster.await_ready();
    assert_eq!(epoch, cluster.epoch());
    assert_unnoticed(backends, crowd);
}

/// The id under which replicas follow Redis.
fn replication_id(cluster: &Cluster) -> String {
    let said = cluster.redis.client().ask(&["INFO", "replication"]);
    let Reply::Text(said) = said else { panic!("{said:?}") };
    let said = std::str::from_utf8(&said).unwrap();
    said.lines().find_map(|line| line.strip_prefix("master_replid:")).expect("an id").to_owned()
}

#[test]
fn a_failover_that_lost_nothing_is_noticed_by_no_client() {
    let cluster = Cluster::replicated(KEPT);
    let replica = replica_of(cluster.redis.port(), &[]);
    let crowd = Crowd::start(&cluster.directory, 30);
    let backends = Backends::start(&cluster.directory, crowd.len(), 100, Manner::Mixed);
    pause(Duration::from_secs(1));
    // All ways are shut, so that nothing is written which the replica does not have.
    cluster.nodes.iter().for_each(|node| node.proxy.stall(Way::ToRedis));
    pause(Duration::from_millis(500));
    promote(&replica);
    for node in &cluster.nodes {
        node.proxy.retarget(replica.node_port());
        node.proxy.flow();
    }
    cluster.await_ready();
    pause(Duration::from_secs(1));
    assert_unnoticed(backends, crowd);
}
