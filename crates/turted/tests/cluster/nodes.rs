//! Nodes that are killed, restarted or stand still, under load.

use std::time::{Duration, Instant};

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::{BACK, Cluster, KEPT};
use crate::support::pause;

/// Longer than a node may be silent before its number is given to another.
const LONG: Duration = Duration::from_secs(18);

#[test]
fn a_node_that_is_killed_under_load_loses_nothing() {
    let mut cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 60);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 150, Manner::Mixed);
    pause(Duration::from_secs(1));
    cluster.nodes[1].kill();
    pause(Duration::from_secs(3));
    cluster.nodes[1].run();
    cluster.await_ready();
    crowd.await_all(BACK);
    pause(Duration::from_secs(1));
    backends.stop();
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
}

#[test]
fn a_rolling_restart_under_load_loses_nothing() {
    let mut cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 60);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 150, Manner::Mixed);
    for node in 0..cluster.nodes.len() {
        pause(Duration::from_millis(500));
        cluster.nodes[node].stop();
        cluster.nodes[node].run();
        cluster.nodes[node].await_ready(BACK);
    }
    backends.stop();
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
}

#[test]
fn a_node_that_stood_still_for_longer_than_its_lease_goes_on_and_nothing_is_lost() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 48);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    pause(Duration::from_secs(1));
    cluster.nodes[2].freeze();
    pause(LONG);
    let away = Instant::now();
    cluster.nodes[2].thaw();
    cluster.await_ready();
    backends.stop();
    backends.reach(&crowd, BACK);
    assert!(away.elapsed() < BACK, "{:?}", away.elapsed());
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
}
