//! One log: push to any node, connect to any, come back to any.

use std::time::Duration;

use serde_json::json;

use crate::clients::backends::Manner;
use crate::clients::journal::Step;
use crate::clients::{Backends, Crowd, check};
use crate::harness::{BACK, Cluster, KEPT};
use crate::support::{Random, pause};

#[test]
fn a_push_to_any_node_reaches_the_clients_of_all_nodes_in_one_order() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 48);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 200, Manner::Mixed);
    backends.await_pushes(400, BACK);
    backends.stop();
    backends.reach(&crowd, BACK);
    let losses = crowd.losses();
    let findings = check(&backends.finish(), &crowd.finish());
    findings.assert_nothing_told();
    assert_eq!((losses, findings.unsure, findings.refused), (0, 0, 0), "{}", findings.figures());
}

#[test]
fn the_answer_to_a_push_counts_the_clients_of_all_nodes() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 30);
    let body = json!({"event": "E", "targets": {"broadcast": true}, "payload": {"n": 0}});
    for node in &cluster.nodes {
        let answer = node.push_json(&body).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let told = answer.json();
        assert_eq!((&told["delivered"], &told["nodes"]), (&json!(crowd.len()), &json!(3)), "{told}");
        assert!(told["id"].is_string() && told.get("silent").is_none(), "{told}");
    }
}

#[test]
fn a_client_comes_back_to_any_node_and_misses_nothing() {
    let cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 48);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 200, Manner::Mixed);
    let mut random = Random::new(2);
    for _ in 0..8 {
        crowd.cut_some(&mut random, 30);
        pause(Duration::from_millis(300));
    }
    backends.stop();
    crowd.await_all(BACK);
    backends.reach(&crowd, BACK);
    let journals = {
        let pushes = backends.finish();
        let journals = crowd.finish();
        check(&pushes, &journals).assert_nothing_told();
        journals
    };
    let mut returns = [0; 3];
    for step in journals.iter().flat_map(|journal| &journal.steps) {
        if let Step::Recovered { place, .. } = step {
            returns[*place] += 1;
        }
    }
    assert!(returns.iter().all(|returns| *returns > 10), "{returns:?}");
}
