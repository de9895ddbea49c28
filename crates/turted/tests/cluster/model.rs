//! Random clients and pushes at three servers against the model of one server: each connection, request and push goes to the next
//! server.
//!
//! `TURTED_TEST_SEED` replays one run, `TURTED_TEST_STEPS` makes runs longer.

#[path = "../it/model/reference.rs"]
mod reference;
#[path = "../it/model/run.rs"]
mod run;

use std::net::SocketAddr;

use self::reference::HISTORY;
use self::run::Run;
use crate::harness::{Cluster, FILE, KEPT, Node};

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

#[test]
fn three_servers_do_what_the_model_does() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turted.toml");
    let rule = format!("[[channels]]\nprefix = \"\"\njoin = \"open\"\nhistory = {HISTORY}\n");
    std::fs::write(&file, rule).unwrap();
    let variables = [(FILE, file.to_str().unwrap()), ("TURTED_LIMITS_MESSAGE_RATE", "1000000")];
    let seed = number("TURTED_TEST_SEED").unwrap_or(1);
    let steps = number("TURTED_TEST_STEPS").unwrap_or(600);
    println!("repeat with TURTED_TEST_SEED={seed} TURTED_TEST_STEPS={steps}");
    let cluster = Cluster::with(KEPT, 3, &variables);
    let servers: Vec<SocketAddr> = cluster.nodes.iter().map(Node::address).collect();
    let mut run = Run::new(&servers, seed);
    (0..steps).for_each(|_| run.step());
    run.end();
}
