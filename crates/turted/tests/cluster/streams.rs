//! Event streams that come back to a node that has not read as far as the one from which they come.

use std::time::Duration;

use serde_json::json;

use crate::harness::{BACK, Cluster, KEPT, Node, until};
use crate::support::EventSource;

const TARGET: &str = "/sse?channel=c";

fn push(node: &Node, number: u64) {
    let body = json!({"event": "E", "targets": {"channels": ["c"]}, "payload": number});
    assert_eq!(node.push(&body).expect("an answer").body, "OK");
}

fn back(node: &Node, id: &str) -> EventSource {
    EventSource::connect(node.address(), TARGET, &[("Last-Event-ID", id)]).expect("a stream")
}

/// A stream comes with a position that the second node cannot have read, and is not told that something is missing.
fn assert_no_gap(starts_redis_again: bool) {
    let mut cluster = Cluster::start(KEPT);
    let mut stream = EventSource::connect(cluster.nodes[0].address(), TARGET, &[]).unwrap();
    stream.start();
    cluster.nodes[1].proxy.cut();
    let is_cut = || cluster.nodes[1].status("/ready") == Some(503);
    until(|| "the second node notices".to_owned(), Duration::from_secs(10), is_cut);
    if starts_redis_again {
        // Positions have another epoch from now on.
        cluster.redis.kill();
        cluster.redis.restart();
        cluster.nodes[0].await_ready(BACK);
        cluster.nodes[2].await_ready(BACK);
    }
    push(&cluster.nodes[0], 1);
    assert_eq!(stream.event().data, "1");
    let id = stream.last_id().to_owned();
    drop(stream);
    assert_eq!(back(&cluster.nodes[1], &id).next(), None, "it ends, so that its client tries again");
    cluster.nodes[1].proxy.mend();
    cluster.nodes[1].await_ready(BACK);
    let mut stream = back(&cluster.nodes[1], &id);
    push(&cluster.nodes[2], 2);
    let event = stream.event();
    assert_eq!((&*event.name, &*event.data), ("E", "2"));
}

#[test]
fn a_stream_that_comes_to_a_node_that_is_cut_off_is_told_no_gap() {
    assert_no_gap(false);
}

#[test]
fn a_stream_that_comes_to_a_node_that_is_cut_off_with_a_position_of_a_later_epoch_is_told_no_gap() {
    assert_no_gap(true);
}

#[test]
fn a_stream_that_was_told_a_loss_hears_nothing_again_at_a_node_that_was_cut_off() {
    let cluster = Cluster::start(KEPT);
    let mut stream = EventSource::connect(cluster.nodes[0].address(), TARGET, &[]).unwrap();
    stream.start();
    cluster.nodes[1].proxy.cut();
    let is_cut = || cluster.nodes[1].status("/ready") == Some(503);
    until(|| "the second node notices".to_owned(), Duration::from_secs(10), is_cut);
    push(&cluster.nodes[0], 1);
    assert_eq!(stream.event().data, "1");
    // What a stream is told that has to be told a loss.
    let mut stream = back(&cluster.nodes[1], "gap");
    cluster.nodes[1].proxy.mend();
    let event = stream.event();
    assert_eq!((&*event.name, &*event.data), ("turted:gap", "{}"));
    push(&cluster.nodes[2], 2);
    assert_eq!(stream.event().data, "2");
}
