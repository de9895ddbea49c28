//! What backends hear of users, whichever node they ask.

use std::time::Duration;

use serde_json::{Value, json};

use super::Nodes;
use crate::harness::request::post;
use crate::harness::until;

fn ask(nodes: &Nodes, node: usize, users: &[&str]) -> Value {
    let address = nodes.cluster.nodes[node].address();
    let question = json!({"users": users}).to_string();
    let answer = post(address, "/push/presence", "", &question, Duration::from_secs(6)).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[test]
fn a_backend_hears_of_users_at_all_nodes_and_how_many_nodes_did_not_answer() {
    let nodes = Nodes::start(3, "1s");
    let _tabs = [nodes.member(0, "adam"), nodes.member(1, "adam"), nodes.member(1, "adam")];
    let eve = nodes.member(2, "eve");
    for node in 0..3 {
        let known = ask(&nodes, node, &["adam", "eve", "nobody"]);
        let users = &known["users"];
        assert_eq!((&users[0]["online"], &users[0]["connections"]), (&json!(true), &json!(3)), "{known}");
        assert_eq!(
            (&users[1]["connections"], &users[1]["last_seen"].is_number()),
            (&json!(1), &true),
            "{known}"
        );
        let nobody = json!({"user": "nobody", "online": false, "connections": 0, "last_seen": null});
        assert_eq!((&users[2], known.get("silent")), (&nobody, None));
    }
    eve.page.lose();
    let is_seen = || {
        let eve = &ask(&nodes, 0, &["eve"])["users"][0];
        eve["online"] == false && eve["last_seen"].is_number()
    };
    until(|| "eve was seen at another node".to_owned(), Duration::from_secs(5), is_seen);
    nodes.cluster.nodes[1].freeze();
    for _ in 0..2 {
        let known = ask(&nodes, 0, &["adam", "eve"]);
        assert_eq!(known["silent"], 1, "{known}");
        let users = &known["users"];
        assert_eq!((&users[0]["online"], &users[0]["connections"]), (&json!(true), &Value::Null));
        assert_eq!((&users[1]["online"], &users[1]["connections"]), (&Value::Null, &Value::Null));
    }
    nodes.cluster.nodes[1].thaw();
    let is_whole = || ask(&nodes, 0, &["adam"])["users"][0]["connections"] == 3;
    until(|| "all nodes answer again".to_owned(), Duration::from_secs(15), is_whole);
}
