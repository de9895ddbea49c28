//! Event streams that come back to a node that has not read as far as the one from which they come.

use std::time::Duration;

use serde_json::json;

use crate::harness::{BACK, Cluster, KEPT, Node, Way, until};
use crate::support::{EventSource, pause};

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
    let mut stream = back(&cluster.nodes[1], "gap-");
    cluster.nodes[1].proxy.mend();
    let event = stream.event();
    assert_eq!((&*event.name, &*event.data), ("turted:gap", "{}"));
    push(&cluster.nodes[2], 2);
    assert_eq!(stream.event().data, "2");
}

/// A stream comes with this position, or with that of the last event if there is none, to a node to which nothing comes, which
/// it has not noticed yet. Returns the first event that the stream is sent, once the node gets everything.
fn first_event_at_a_stalled_node(position: Option<&str>) -> (String, String) {
    let cluster = Cluster::start(KEPT);
    let mut stream = EventSource::connect(cluster.nodes[0].address(), TARGET, &[]).unwrap();
    stream.start();
    cluster.nodes[1].proxy.stall(Way::ToNode);
    push(&cluster.nodes[0], 1);
    assert_eq!(stream.event().data, "1");
    let mut stream = back(&cluster.nodes[1], position.unwrap_or(stream.last_id()));
    pause(Duration::from_secs(3));
    cluster.nodes[1].proxy.flow();
    if position.is_some() {
        let event = stream.event();
        assert_eq!((&*event.name, &*event.data), ("turted:gap", "{}"));
    }
    push(&cluster.nodes[2], 2);
    let event = stream.event();
    (event.name, event.data)
}

#[test]
fn a_stream_that_comes_to_a_node_that_does_not_know_yet_that_it_is_behind_is_told_no_gap() {
    assert_eq!(first_event_at_a_stalled_node(None), ("E".to_owned(), "2".to_owned()));
}

#[test]
fn a_stream_that_was_told_a_loss_hears_nothing_again_at_a_node_that_does_not_know_yet_that_it_is_behind() {
    assert_eq!(first_event_at_a_stalled_node(Some("gap")), ("E".to_owned(), "2".to_owned()));
}

#[test]
fn a_position_that_no_node_has_is_a_gap_at_once() {
    let cluster = Cluster::start(KEPT);
    let mut stream = EventSource::connect(cluster.nodes[0].address(), TARGET, &[]).unwrap();
    stream.start();
    push(&cluster.nodes[0], 1);
    assert_eq!(stream.event().data, "1");
    let epoch = stream.last_id().split_once('-').expect("a position").0.to_owned();
    for forged in [format!("{epoch}-{}", u64::MAX / 2), format!("{}-1", u64::MAX / 2)] {
        let mut stream = back(&cluster.nodes[1], &forged);
        assert_eq!(stream.event().name, "turted:gap", "{forged}");
    }
}
