//! A push with an `Idempotency-Key` is dispatched once, whichever nodes it is repeated at and whatever breaks meanwhile.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, check};
use crate::harness::{BACK, Cluster, KEPT};
use crate::support::{Random, pause};

fn to_everyone(number: u64) -> Value {
    json!({"event": "E", "targets": {"broadcast": true}, "payload": {"n": number}})
}

/// Pushes with keys, which are repeated until they are accepted, while ways break, deliver late, and so many nodes, and Redis
/// as often, are killed in between.
fn assert_dispatched_once(pushes: usize, rate: u64, kills: usize) {
    let mut cluster = Cluster::start(KEPT);
    let crowd = Crowd::start(&cluster.directory, 12);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), rate, Manner::Keyed);
    let mut random = Random::new(4);
    let mut killed = 0;
    let longest = Duration::from_secs(60 + 5 * pushes as u64 / rate);
    let began = Instant::now();
    while backends.count() < pushes {
        assert!(began.elapsed() < longest, "{} pushes after {longest:?}", backends.count());
        let node = random.below(cluster.nodes.len());
        match random.below(8) {
            0 | 1 => {
                let held = cluster.nodes[node].proxy.hold_back();
                pause(Duration::from_millis(100));
                held.end_for_node();
                pause(Duration::from_millis(200));
                held.deliver_late();
            }
            // Longer than a push waits: it is refused.
            2 | 3 => {
                cluster.nodes[node].proxy.cut();
                pause(Duration::from_millis(2_500));
                cluster.nodes[node].proxy.mend();
            }
            _ => cluster.nodes[node].proxy.break_off(),
        }
        if killed < kills && backends.count() > (killed + 1) * pushes / (kills + 1) {
            killed += 1;
            cluster.nodes[node].kill();
            cluster.redis.kill();
            cluster.redis.restart();
            cluster.nodes[node].run();
        }
        pause(Duration::from_millis(400));
    }
    cluster.await_ready();
    backends.stop();
    backends.reach(&crowd, BACK);
    let pushes = backends.finish();
    // A node that is killed with Redis cannot say how far it had read: clients may be told a gap.
    let findings = check(&pushes, &crowd.finish());
    findings.assert_sound();
    assert_eq!((findings.unsure, findings.refused), (0, 0), "each is accepted in the end");
    let repeated = pushes.iter().filter(|push| push.sent > 1).count();
    println!("{repeated} were repeated, {}", findings.figures());
    assert!(repeated > 0);
}

#[test]
fn a_push_with_a_key_is_dispatched_once_however_often_it_is_repeated() {
    assert_dispatched_once(500, 100, 1);
}

#[test]
#[ignore = "a quarter of an hour: just keys-cluster"]
fn many_pushes_with_keys_are_dispatched_once() {
    assert_dispatched_once(100_000, 300, 10);
}

#[test]
fn a_key_answers_at_every_node_what_was_answered_first() {
    let cluster = Cluster::start(KEPT);
    let first = cluster.nodes[0].push_keyed("k", &to_everyone(1)).expect("an answer");
    assert_eq!(first.status, 200, "{}", first.body);
    for node in &cluster.nodes {
        let again = node.push_keyed("k", &to_everyone(1)).expect("an answer");
        assert_eq!((again.status, &again.json()["id"]), (200, &first.json()["id"]));
        let other = node.push_keyed("k", &to_everyone(2)).expect("an answer");
        assert_eq!(other.status, 422, "{}", other.body);
    }
}
