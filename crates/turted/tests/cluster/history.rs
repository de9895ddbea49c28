//! The history of channels over several nodes: one that starts has that of the others, and what was deleted stays deleted.

mod transports;

use std::time::Duration;

use serde_json::{Value, json};
use turted_core::wire::resp::Reply;

use crate::harness::request::delete;
use crate::harness::{BACK, Cluster, FILE, KEPT, Node, until};
use crate::support::pause;

const ANSWER: Duration = Duration::from_secs(5);
/// Heartbeats trim the log of the cluster.
const TRIMMED: Duration = Duration::from_secs(25);
const TOKEN: &str = "0123456789abcdefghijkl";

struct Nodes {
    cluster: Cluster,
    _directory: tempfile::TempDir,
}

impl Nodes {
    /// Three nodes that keep the history of channels that begin with `c`, and so many entries of the log.
    fn start(log: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("turted.toml");
        std::fs::write(&file, "[[channels]]\nprefix = \"c\"\njoin = \"open\"\nhistory = 50\n").unwrap();
        let log = log.to_string();
        let variables = [
            (FILE, file.to_str().unwrap()),
            ("TURTED_RECOVERY_LOG_DISPATCHES", &log),
            ("TURTED_ADMIN_WRITE_TOKEN", TOKEN),
        ];
        Self { cluster: Cluster::with(KEPT, 3, &variables), _directory: directory }
    }

    fn push(&self, channel: &str, numbers: std::ops::Range<usize>, bytes: usize) {
        for number in numbers {
            let payload = json!([number, "x".repeat(bytes)]);
            let body = json!({"event": "e", "targets": {"channels": [channel]}, "payload": payload});
            let answer = self.cluster.nodes[0].push_json(&body).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }

    /// How many entries the log of the cluster has.
    fn log(&self) -> i64 {
        let length = self.cluster.redis.client().ask(&["XLEN", &self.cluster.key("log")]);
        let Reply::Integer(length) = length else { panic!("{length:?}") };
        length
    }
}

/// What a node has of a channel, the newest first: where each event stands, and its number.
fn history(node: &Node, channel: &str) -> Vec<(String, u64)> {
    let target = format!("/api/v1/channels/{channel}/history?limit=1000");
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let (mut found, mut before) = (Vec::new(), String::new());
    loop {
        let answer = crate::harness::request::get_with(
            node.child().admin_address(),
            &format!("{target}{before}"),
            &bearer,
            ANSWER,
        );
        let page = answer.expect("an answer").json();
        let events = page["events"].as_array().expect("events");
        found.extend(events.iter().map(|event| {
            (event["position"].as_str().unwrap().to_owned(), event["payload"][0].as_u64().unwrap())
        }));
        if page["more"] != json!(true) {
            return found;
        }
        before = format!("&before={}", found.last().unwrap().0);
    }
}

fn numbers(node: &Node, channel: &str) -> Vec<u64> {
    history(node, channel).into_iter().map(|(_, number)| number).collect()
}

/// Deletes history at a node, and returns what it says.
fn delete_history(node: &Node, below: &str) -> Value {
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let target = format!("/api/v1/channels/{below}");
    let answer = delete(node.child().admin_address(), &target, &bearer, ANSWER).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[test]
fn a_node_that_starts_has_the_history_of_the_others_that_the_log_has_no_more() {
    let mut nodes = Nodes::start(10);
    nodes.cluster.nodes[2].kill();
    // More than a message between nodes has room for.
    nodes.push("c-large", 0..30, 100_000);
    nodes.push("c-small", 0..60, 10);
    nodes.push("c-last", 0..1, 10);
    let (cluster, log) = (&nodes.cluster, || nodes.log());
    until(|| format!("the log is trimmed: {}", log()), TRIMMED, || log() < 40);
    let channels = ["c-large", "c-small", "c-last", "c-none"];
    let expected = channels.map(|channel| history(&cluster.nodes[0], channel));
    assert_eq!(expected.each_ref().map(Vec::len), [30, 50, 1, 0]);
    nodes.cluster.nodes[2].run();
    nodes.cluster.nodes[2].await_ready(BACK);
    assert_eq!(channels.map(|channel| history(&nodes.cluster.nodes[2], channel)), expected);
    nodes.push("c-small", 60..62, 10);
    let newest = |node: &Node| numbers(node, "c-small").into_iter().take(3).collect::<Vec<_>>();
    let third = &nodes.cluster.nodes[2];
    until(|| format!("{:?}", newest(third)), ANSWER, || newest(third) == [61, 60, 59]);
}

#[test]
fn a_node_that_starts_asks_another_one_if_the_first_one_is_silent() {
    let mut nodes = Nodes::start(10);
    nodes.cluster.nodes[2].kill();
    nodes.push("c", 0..40, 10);
    until(|| "the log is trimmed".to_owned(), TRIMMED, || nodes.log() < 30);
    nodes.cluster.nodes[1].freeze();
    nodes.cluster.nodes[2].run();
    let third = &nodes.cluster.nodes[2];
    third.await_ready(BACK);
    until(|| format!("{:?}", numbers(third, "c")), BACK, || numbers(third, "c").len() == 40);
    nodes.cluster.nodes[1].thaw();
}

#[test]
fn what_was_deleted_comes_back_on_no_node_that_starts() {
    let mut nodes = Nodes::start(1_000);
    nodes.push("c", 0..4, 10);
    nodes.push("c-whole", 0..4, 10);
    nodes.cluster.nodes[2].kill();
    let second = history(&nodes.cluster.nodes[0], "c")[2].clone();
    assert_eq!(second.1, 1);
    let gone = json!({"events": 1, "on_disk": false});
    let deleted = delete_history(&nodes.cluster.nodes[0], &format!("c/history/{}", second.0));
    assert_eq!((&deleted["events"], &deleted["on_disk"]), (&gone["events"], &gone["on_disk"]));
    assert_eq!(delete_history(&nodes.cluster.nodes[1], "c-whole/history")["events"], 4);
    nodes.push("c-whole", 4..5, 10);
    nodes.cluster.nodes[2].run();
    nodes.cluster.await_ready();
    for node in &nodes.cluster.nodes {
        let kept = || (numbers(node, "c"), numbers(node, "c-whole"));
        until(|| format!("{:?}", kept()), ANSWER, || kept() == (vec![3, 2, 0], vec![4]));
    }
    // The log has them still, and nobody who could be asked.
    for place in 0..3 {
        nodes.cluster.nodes[place].kill();
    }
    pause(Duration::from_millis(200));
    nodes.cluster.nodes[1].run();
    let again = &nodes.cluster.nodes[1];
    again.await_ready(Duration::from_secs(30));
    assert_eq!((numbers(again, "c"), numbers(again, "c-whole")), (vec![3, 2, 0], vec![4]));
}
