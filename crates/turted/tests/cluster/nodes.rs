//! Nodes that are killed, restarted or stand still, under load.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::ClientConnection;
use serde_json::{Value, json};

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, Target, check};
use crate::harness::{BACK, Cluster, Directory, KEPT, until};
use crate::support::{Pair, SlowReader, eventually, pause};

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

#[test]
fn a_hangup_reads_the_certificate_for_other_nodes_again() {
    let pair = Pair::new();
    let files = pair.files();
    let variables = [
        ("TURTED_CLUSTER_TLS_CERT", files.cert.to_str().unwrap()),
        ("TURTED_CLUSTER_TLS_KEY", files.key.to_str().unwrap()),
        ("TURTED_CLUSTER_CA", files.cert.to_str().unwrap()),
    ];
    let mut cluster = Cluster::with(KEPT, 1, &variables);
    let listed: Value = serde_json::from_str(&cluster.nodes[0].admin("/api/v1/nodes").unwrap().body).unwrap();
    let address: SocketAddr = listed["nodes"][0]["address"].as_str().unwrap().parse().unwrap();
    let is_shown = |pair: &Pair| {
        let client = Arc::new(pair.client(rustls::ALL_VERSIONS));
        let mut connection = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut socket).is_err() {
                return false;
            }
        }
        true
    };
    assert!(is_shown(&pair));
    let pair = pair.renewed();
    assert!(!is_shown(&pair), "nothing changes by itself");
    cluster.nodes[0].child().signal(Signal::HUP);
    eventually("the new one is shown", || is_shown(&pair));
    let log = cluster.nodes[0].stop();
    let number = &listed["nodes"][0]["number"];
    let place = format!("node {number} of the cluster turted in redis://127.0.0.1:");
    assert!(log.contains(&place) && log.contains(&format!("other nodes call it at {address}")), "{log}");
}

#[test]
fn nodes_with_another_password_say_so_and_name_the_key() {
    let with = |password| [("TURTED_PUSH_PASSWORD", password), ("TURTED_LIMITS_OUTBOX_STALL", "20s")];
    let mut cluster = Cluster::with(KEPT, 1, &with("a password of the first"));
    cluster.join(&with("a password of the second"));
    let differing = || {
        let listed = cluster.nodes[0].admin("/api/v1/nodes").expect("an answer").json();
        let nodes = listed["nodes"].as_array().expect("a list").clone();
        nodes.iter().find(|node| node["this"] == false).map(|node| node["other_rules"].clone())
    };
    until(|| format!("{:?}", differing()), BACK, || differing() == Some(json!(["push.password"])));
    let said = cluster.nodes[1].stop();
    assert!(said.contains("push.password") && !said.contains("outbox_stall"), "{said}");
    assert!(!said.contains("of the first"), "{said}");
}

/// How many nodes that drain the first node lists.
fn draining(cluster: &Cluster) -> Option<usize> {
    let listed = cluster.nodes[0].admin("/api/v1/nodes")?.json();
    Some(listed["nodes"].as_array()?.iter().filter(|node| node["draining"] == true).count())
}

#[test]
fn a_node_that_drains_is_heard_until_its_last_client_is_told_also_over_two_starts_of_redis() {
    let variables = [("TURTED_DRAIN_TIMEOUT", "60s"), ("TURTED_LIMITS_OUTBOX_BYTES", "67108864")];
    let mut cluster = Cluster::with(KEPT, 3, &variables);
    // It takes nearly a minute to take this, and is told behind it.
    let slow = SlowReader::start(cluster.nodes[2].address());
    let large = json!({"event": "LARGE", "targets": {"broadcast": true}, "payload": "x".repeat(100_000)});
    for _ in 0..50 {
        assert_eq!(
            cluster.nodes[2].push_json(&vec![large.clone(); 9].into()).expect("an answer").status,
            200
        );
    }
    let crowd = Crowd::start(&cluster.directory, 24);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    cluster.nodes[2].begin_to_stop();
    for calm in [Duration::from_secs(2), LONG] {
        pause(calm);
        assert_eq!(draining(&cluster), Some(1), "it is heard after {calm:?}");
        cluster.redis.kill();
        cluster.redis.restart();
        until(|| format!("{:?}", draining(&cluster)), BACK, || draining(&cluster) == Some(1));
    }
    assert!(cluster.nodes[2].is_running(), "it drains still");
    drop(slow);
    let said = cluster.nodes[2].finish();
    // For longer than a node that says nothing is waited for.
    pause(LONG);
    backends.stop();
    backends.reach(&crowd, BACK);
    for node in &cluster.nodes[..2] {
        assert_eq!(node.child().metric("turted_cluster_losses_total"), 0, "{said}");
    }
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
}

#[test]
fn a_node_that_keeps_little_trims_nothing_that_others_keep() {
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    cluster.join(&[("TURTED_RECOVERY_MAX_AGE", "1s"), ("TURTED_RECOVERY_LOG_DISPATCHES", "10")]);
    pause(LONG);
    let own = Arc::<Directory>::default();
    let open = |own: &Directory| (0..2).for_each(|node| own.set(node, Some(cluster.nodes[node].address())));
    open(&own);
    let crowd = Crowd::start(&own, 8);
    let length = || cluster.redis.client().number(&["XLEN", &cluster.key("log")]);
    let before = length();
    let backends = Backends::idle(&cluster.directory);
    // What these clients miss the node that keeps little has no more.
    (0..2).for_each(|node| own.set(node, None));
    (0..crowd.len()).for_each(|number| crowd.cut(number));
    until(|| "all are away".to_owned(), BACK, || crowd.count(|journal| journal.is_in) == 0);
    for _ in 0..100 {
        backends.push(Target::Everyone);
    }
    // Longer than the time between two heartbeats, with which nodes trim.
    pause(Duration::from_secs(7));
    assert!(length() >= before + 100, "{} of {before} and 100 are left", length());
    open(&own);
    crowd.await_all(BACK);
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
}
