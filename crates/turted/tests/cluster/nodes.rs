//! Nodes that are killed, restarted or stand still, under load.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::ClientConnection;
use serde_json::json;

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::{BACK, Cluster, KEPT, until};
use crate::support::{Pair, eventually, pause};

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
    let listed: serde_json::Value =
        serde_json::from_str(&cluster.nodes[0].admin("/api/v1/nodes").unwrap().body).unwrap();
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

#[test]
fn a_node_that_keeps_little_trims_nothing_that_others_keep() {
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    cluster.join(&[("TURTED_RECOVERY_MAX_AGE", "1s")]);
    pause(LONG);
    let length = || cluster.redis.client().number(&["XLEN", &cluster.key("log")]);
    let before = length();
    for _ in 0..100 {
        let pushed = cluster.nodes[0].push(&json!({"event": "E", "targets": {}}));
        assert_eq!(pushed.expect("an answer").status, 200);
    }
    // Longer than the time between two heartbeats, with which nodes trim.
    pause(Duration::from_secs(7));
    assert!(length() >= before + 100, "{} of {before} and 100 are left", length());
}
