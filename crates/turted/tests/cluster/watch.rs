//! The live view of all nodes: what happens on each is told to one that watches at any of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Cluster, KEPT, Node, until};
use crate::support::{Client, EventSource, Kind, PATIENCE};

const TOKEN: &str = "0123456789abcdefghijkl";

/// A watcher of all nodes, and what it has read.
struct Watcher {
    stream: EventSource,
    read: Vec<Value>,
}

impl Watcher {
    fn of(node: &Node, query: &str) -> Self {
        let authorization = format!("Bearer {TOKEN}");
        let target = format!("/api/v1/events?{query}");
        let admin = node.child().admin_address();
        let stream = EventSource::connect(admin, &target, &[("Authorization", &authorization)]).unwrap();
        Self { stream, read: Vec::new() }
    }

    fn record(&mut self) -> Value {
        let record: Value = serde_json::from_str(&self.stream.event().data).unwrap();
        self.read.push(record.clone());
        record
    }

    /// Reads until a record has these members.
    fn await_one(&mut self, members: &Value) -> Value {
        let members = members.as_object().unwrap();
        loop {
            let record = self.record();
            if members.iter().all(|(name, value)| record[name] == *value) {
                return record;
            }
        }
    }

    /// Reads until so many nodes are watched. Returns their names.
    fn await_nodes(&mut self, count: usize) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        while names.len() < count {
            let told = self.await_one(&json!({"type": "watching"}));
            assert!(told["cluster_node"].is_u64(), "{told}");
            names.insert(told["node"].as_str().unwrap().to_owned());
        }
        names
    }
}

fn cluster() -> Cluster {
    Cluster::with(KEPT, 3, &[("TURTED_ADMIN_TOKEN", TOKEN)])
}

/// What operators call a node: this machine, and the port.
fn name_of(node: &Node, names: &BTreeSet<String>) -> String {
    let port = format!(":{}", node.address().port());
    names.iter().find(|name| name.ends_with(&port)).unwrap_or_else(|| panic!("{port}: {names:?}")).clone()
}

fn join(node: &Node, channel: &str) -> Client {
    let mut client = node.child().client(Kind::V4_WEBSOCKET);
    client.ask("JOIN", &json!({"channel": channel}).to_string());
    client
}

#[test]
fn a_watcher_of_all_nodes_is_told_what_happens_on_each_and_which_are_missing() {
    let mut cluster = cluster();
    let mut watcher = Watcher::of(&cluster.nodes[0], "nodes=all&channel=chat&payload=1");
    let mut elsewhere = Watcher::of(&cluster.nodes[1], "channel=chat");
    let names = watcher.await_nodes(3);
    let called: Vec<_> = cluster.nodes.iter().map(|node| name_of(node, &names)).collect();

    let clients: Vec<_> = cluster.nodes.iter().map(|node| join(node, "chat")).collect();
    let has_joined = |records: &[Value], node: &str| {
        records.iter().any(|record| record["type"] == "joined" && record["node"] == *node)
    };
    while !called.iter().all(|node| has_joined(&watcher.read, node)) {
        watcher.record();
    }
    let _other = join(&cluster.nodes[1], "other");
    for number in 0..20 {
        let body = json!({"event": "E", "targets": {"channels": ["chat"]}, "payload": number});
        assert_eq!(cluster.nodes[number % 3].push_json(&body).unwrap().status, 200);
    }
    let begun = watcher.read.len();
    let pushes = |records: &[Value], node: &str| {
        let own = records.iter().filter(|record| record["type"] == "push" && record["node"] == *node);
        own.map(|push| (push["payload"].as_u64().unwrap(), push["reached"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    while called.iter().any(|node| pushes(&watcher.read[begun..], node).len() < 20) {
        watcher.record();
    }
    for node in &called {
        let expected: Vec<_> = (0..20).map(|number| (number, 1)).collect();
        assert_eq!(
            pushes(&watcher.read[begun..], node),
            expected,
            "each node tells its pushes in their order"
        );
    }
    assert!(watcher.read.iter().all(|record| record["channel"] != "other" && record["node"].is_string()));

    // Who watches one node is told of this one alone, and no node is named.
    let told: Vec<_> = (0..22).map(|_| elsewhere.record()).collect();
    assert!(told[1..].iter().all(|record| record.get("node").is_none()), "{told:?}");
    drop(clients);

    cluster.nodes[2].kill();
    let silent = watcher.await_one(&json!({"type": "silent"}));
    assert_eq!((&silent["node"], &silent["reason"]), (&json!(called[2]), &json!("no-answer")));
    let _again = join(&cluster.nodes[1], "chat");
    watcher.await_one(&json!({"type": "joined", "node": called[1]}));
    cluster.nodes[2].run();
    let back = watcher.await_one(&json!({"type": "watching"}));
    assert_eq!(
        back["node"],
        json!(name_of(&cluster.nodes[2], &[back["node"].as_str().unwrap().to_owned()].into()))
    );
    let _last = join(&cluster.nodes[2], "chat");
    watcher.await_one(&json!({"type": "joined", "node": back["node"]}));
}

#[test]
fn at_most_eight_watch_a_node_those_of_other_nodes_included() {
    let cluster = cluster();
    let mut watchers: Vec<_> =
        (0..7).map(|_| Watcher::of(&cluster.nodes[0], "nodes=all&user=adam")).collect();
    watchers.iter_mut().for_each(|watcher| assert_eq!(watcher.await_nodes(3).len(), 3));
    let mut eighth = Watcher::of(&cluster.nodes[1], "");
    assert_eq!(eighth.record()["type"], "watching");
    // The node that has eight says so, the other one tells.
    let mut ninth = Watcher::of(&cluster.nodes[2], "nodes=all&user=adam");
    let names = ninth.await_nodes(1);
    name_of(&cluster.nodes[2], &names);
    let full = loop {
        let record = ninth.record();
        if record["type"] == "silent" {
            break record;
        }
    };
    assert_eq!(full["reason"], "too-many-watchers");
    assert!(
        full["node"].as_str().unwrap().ends_with(&format!(":{}", cluster.nodes[1].address().port())),
        "{full}"
    );
    let seen = |node: &Node| {
        let headers = format!("Authorization: Bearer {TOKEN}\r\n");
        let admin = node.child().admin_address();
        crate::harness::request::get_with(admin, "/api/v1/events?type=push", &headers, PATIENCE)
            .map(|answer| answer.status)
    };
    assert_eq!(seen(&cluster.nodes[1]), Some(503), "as many watch as may");

    // A watcher that is gone is gone on all nodes.
    drop(watchers);
    until(|| "node 1 has room".to_owned(), PATIENCE, || has_room(&cluster.nodes[1], 6));
    // The next renewal finds room there.
    let found = ninth.await_one(&json!({"type": "watching", "node": full["node"]}));
    assert_eq!(found["cluster_node"], full["cluster_node"]);
}

/// Whether so many more may watch a node.
fn has_room(node: &Node, watchers: usize) -> bool {
    let authorization = format!("Bearer {TOKEN}");
    let admin = node.child().admin_address();
    let watch = || EventSource::connect(admin, "/api/v1/events", &[("Authorization", &authorization)]).ok();
    let all: Option<Vec<_>> = (0..watchers).map(|_| watch()).collect();
    all.is_some()
}

#[test]
fn watchers_whose_node_is_killed_end_with_their_lease() {
    let mut cluster = cluster();
    let mut watchers: Vec<_> =
        (0..8).map(|_| Watcher::of(&cluster.nodes[0], "nodes=all&user=adam")).collect();
    watchers.iter_mut().for_each(|watcher| assert_eq!(watcher.await_nodes(3).len(), 3));
    assert!(!has_room(&cluster.nodes[1], 1), "eight watch it");
    cluster.nodes[0].kill();
    until(|| "their leases are over".to_owned(), PATIENCE, || has_room(&cluster.nodes[1], 8));
}

#[test]
fn a_watcher_of_all_nodes_needs_a_user_a_channel_or_an_address() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    for query in ["nodes=all", "nodes=all&type=push", "nodes=all&event=E"] {
        let refused = cluster.nodes[0].admin(&format!("/api/v1/events?{query}")).unwrap();
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.body.contains("nodes=all takes user, channel or address"), "{}", refused.body);
    }
    for query in ["nodes=1&user=adam", "nodes=&user=adam", "nodes=all&nodes=all&user=adam"] {
        assert_eq!(
            cluster.nodes[0].admin(&format!("/api/v1/events?{query}")).unwrap().status,
            400,
            "{query}"
        );
    }
    let long = format!("user=adam&type={}", vec!["push"; 1_000].join(","));
    let refused = cluster.nodes[0].admin(&format!("/api/v1/events?nodes=all&{long}")).unwrap();
    assert_eq!(refused.status, 400, "{}", refused.body);
}
