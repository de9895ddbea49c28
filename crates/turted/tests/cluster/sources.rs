//! Sources of several nodes: one node reads what all of them would hear, and what comes again to another node is dispatched
//! once.

#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use std::collections::HashMap;
use std::time::Duration;

use turted_core::wire::resp::Reply;

use crate::harness::{BACK, Cluster, FILE, KEPT, Node, until};
use crate::support::pause;
use crate::support::redis::{Redis, RedisServer};

/// The age of a lease, and the time between two attempts to take it, with some patience for a busy machine.
const TAKE_OVER: Duration = Duration::from_secs(12);

/// Two nodes with this source, which fetch from a Redis of their own.
struct Nodes {
    cluster: Cluster,
    source: RedisServer,
    _directory: tempfile::TempDir,
}

impl Nodes {
    fn start(lines: &str) -> Self {
        let (source, directory) = (RedisServer::start(), tempfile::tempdir().unwrap());
        let file = directory.path().join("turted.toml");
        let url = source.url();
        std::fs::write(&file, format!("[[sources]]\nname = \"app\"\nurl = \"{url}\"\n{lines}")).unwrap();
        let cluster = Cluster::with(KEPT, 2, &[(FILE, file.to_str().unwrap())]);
        Self { cluster, source, _directory: directory }
    }

    fn pub_sub() -> Self {
        Self::start("type = \"redis-pubsub\"\nchannels = [\"push\"]\n")
    }

    /// Waits until one node is connected to the source. Returns its place.
    fn reader(&self) -> usize {
        let mut reader = None;
        let nodes = &self.cluster.nodes;
        until(
            || "one node reads".to_owned(),
            TAKE_OVER,
            || {
                reader = (0..nodes.len()).find(|place| is_up(&nodes[*place]));
                reader.is_some()
            },
        );
        reader.unwrap()
    }

    /// How often each message stands in the log of the cluster.
    fn dispatched(&self) -> HashMap<usize, usize> {
        dispatched(&self.cluster)
    }

    fn assert_none_twice(&self) {
        let twice: Vec<_> = self.dispatched().into_iter().filter(|(_, times)| *times > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}

/// How often each message stands in the log of the cluster.
fn dispatched(cluster: &Cluster) -> HashMap<usize, usize> {
    let log = cluster.redis.client().ask(&["XRANGE", &cluster.key("log"), "-", "+"]);
    let mut found = HashMap::new();
    for text in texts(log) {
        let text = String::from_utf8_lossy(&text).into_owned();
        if let Some((_, rest)) = text.split_once("\"number-") {
            let number = rest.split_once('"').expect("a number").0.parse().unwrap();
            *found.entry(number).or_default() += 1;
        }
    }
    found
}

/// All texts in a reply.
fn texts(reply: Reply) -> Vec<bytes::Bytes> {
    match reply {
        Reply::Text(text) => vec![text],
        Reply::Array(parts) => parts.into_iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn is_up(node: &Node) -> bool {
    node.child().metric("turted_source_up{source=\"app\"}") == 1
}

fn gaps(node: &Node) -> usize {
    node.child().metric("turted_source_gaps_total{source=\"app\"}")
}

fn push(number: usize) -> String {
    format!(r#"{{"event":"E","targets":{{"broadcast":true}},"payload":"number-{number}"}}"#)
}

/// Publishes messages with these numbers, one each 20 ms.
fn publish(redis: &mut Redis, numbers: std::ops::Range<usize>) {
    for number in numbers {
        redis.ask(&["PUBLISH", "push", &push(number)]);
        pause(Duration::from_millis(20));
    }
}

#[test]
fn one_node_reads_what_all_would_hear_and_another_takes_over_with_a_gap() {
    let mut nodes = Nodes::pub_sub();
    let mut redis = nodes.source.client();
    let first = nodes.reader();
    let second = 1 - first;
    pause(Duration::from_secs(2));
    assert!(!is_up(&nodes.cluster.nodes[second]), "the other one waits");
    publish(&mut redis, 0..50);
    until(|| format!("{:?}", nodes.dispatched().len()), BACK, || nodes.dispatched().len() == 50);
    nodes.assert_none_twice();
    assert_eq!((gaps(&nodes.cluster.nodes[first]), gaps(&nodes.cluster.nodes[second])), (0, 0));
    nodes.cluster.nodes[first].kill();
    until(|| "the other node reads".to_owned(), TAKE_OVER, || is_up(&nodes.cluster.nodes[second]));
    publish(&mut redis, 100..150);
    until(|| format!("{:?}", nodes.dispatched().len()), BACK, || nodes.dispatched().len() == 100);
    nodes.assert_none_twice();
    assert_eq!(gaps(&nodes.cluster.nodes[second]), 1, "the gap between both is counted");
    let log = nodes.cluster.nodes[second].stop();
    assert!(log.contains("this node reads the source from now on"), "{log}");
}

#[test]
fn a_node_that_ends_in_good_order_gives_its_source_up_at_once() {
    let mut nodes = Nodes::pub_sub();
    let first = nodes.reader();
    nodes.cluster.nodes[first].stop();
    let other = &nodes.cluster.nodes[1 - first];
    until(|| "the other node reads".to_owned(), Duration::from_secs(4), || is_up(other));
}

#[test]
fn what_a_former_reader_has_buffered_is_refused() {
    let nodes = Nodes::pub_sub();
    let mut redis = nodes.source.client();
    let first = nodes.reader();
    let second = 1 - first;
    publish(&mut redis, 0..10);
    nodes.cluster.nodes[first].freeze();
    // Redis keeps these in the socket of the node that stands still, and the other one hears the last of them.
    let (mut number, nodes_now) = (100, &nodes.cluster.nodes);
    until(
        || "the other node reads".to_owned(),
        TAKE_OVER,
        || {
            publish(&mut redis, number..number + 5);
            number += 5;
            is_up(&nodes_now[second])
        },
    );
    publish(&mut redis, number..number + 50);
    let read_by_second = number..number + 50;
    until(
        || format!("{:?}", nodes.dispatched().len()),
        BACK,
        || read_by_second.clone().all(|number| nodes.dispatched().contains_key(&number)),
    );
    nodes.cluster.nodes[first].thaw();
    publish(&mut redis, 1000..1100);
    pause(Duration::from_secs(5));
    nodes.assert_none_twice();
    let dispatched = nodes.dispatched();
    assert!((1000..1100).all(|number| dispatched.contains_key(&number)), "the new reader goes on");
    assert!(is_up(&nodes.cluster.nodes[second]) && !is_up(&nodes.cluster.nodes[first]));
}

#[test]
fn what_is_read_after_the_lease_went_to_another_process_is_refused() {
    let nodes = Nodes::pub_sub();
    let mut redis = nodes.source.client();
    nodes.reader();
    // Another process has it from now on, which the reader finds out within a second.
    nodes.cluster.tell(&["SET", &nodes.cluster.key("source:app"), "another1\0\u{1}", "PX", "6000"]);
    for number in 0..10 {
        redis.ask(&["PUBLISH", "push", &push(number)]);
    }
    pause(Duration::from_secs(3));
    assert!(nodes.dispatched().is_empty(), "{:?}", nodes.dispatched());
    assert!(!nodes.cluster.nodes.iter().any(is_up));
    nodes.reader();
    publish(&mut redis, 100..110);
    until(|| format!("{:?}", nodes.dispatched()), BACK, || nodes.dispatched().len() == 10);
}

#[test]
fn an_entry_of_a_stream_that_comes_again_to_another_node_is_dispatched_once() {
    let mut nodes = Nodes::start("type = \"redis-stream\"\nstream = \"events\"\n");
    until(|| "both read".to_owned(), BACK, || nodes.cluster.nodes.iter().all(is_up));
    let mut redis = nodes.source.client();
    for number in 0..200 {
        redis.ask(&["XADD", "events", "*", "push", &push(number)]);
    }
    until(|| format!("{:?}", nodes.dispatched().len()), BACK, || nodes.dispatched().len() == 200);
    let accepted = |node: &Node| node.child().metric("turted_dispatches_total{source=\"app\"}");
    let shares: Vec<_> = nodes.cluster.nodes.iter().map(accepted).collect();
    println!("the nodes have read {shares:?}");
    let killed = usize::from(shares[1] > shares[0]);
    nodes.cluster.nodes[killed].kill();
    // As if nothing had been acknowledged: all of it comes again, to the node that is left.
    redis.ask(&["XGROUP", "SETID", "events", "turted", "0"]);
    redis.ask(&["XADD", "events", "*", "push", &push(200)]);
    until(|| format!("{:?}", nodes.dispatched().len()), BACK, || nodes.dispatched().len() == 201);
    nodes.assert_none_twice();
    let duplicates = "turted_source_messages_total{source=\"app\",outcome=\"duplicate\"}";
    assert_eq!(nodes.cluster.nodes[1 - killed].child().metric(duplicates), 200);
}
