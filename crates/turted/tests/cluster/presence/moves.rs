//! Users that are at several nodes, and go from one to another.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::{Nodes, TOLD};
use crate::harness::until;

/// With which the tokens of a test are signed.
pub(super) const KEY: &str = "the-key-of-the-tokens-of-this-test";

#[test]
fn members_hear_of_users_at_all_nodes_and_one_with_tabs_at_two_counts_once() {
    let nodes = Nodes::start(3, "1s");
    let ann = nodes.member(0, "ann");
    let (first, second) = (nodes.member(1, "adam"), nodes.member(2, "adam"));
    ann.until(&["adam", "ann"], 0, TOLD);
    second.until(&["adam", "ann"], 0, TOLD);
    let nobody = nodes.page(2);
    nobody.ask(&json!({"do": "join", "channel": "room"}));
    until(|| "one that is no user".to_owned(), TOLD, || ann.anonymous() == 1);
    // A LEAVE counts at once, for its own connection.
    let before = ann.messages();
    first.page.ask(&json!({"do": "leave", "channel": "room"}));
    ann.stays(&["adam", "ann"], Duration::from_secs(4));
    assert!(!ann.has_moved("adam", before));
    second.page.ask(&json!({"do": "leave", "channel": "room"}));
    ann.until(&["ann"], 0, TOLD);
    nobody.lose();
    until(|| "none that is no user".to_owned(), TOLD, || ann.anonymous() == 0);
}

#[test]
fn another_ident_is_told_at_all_nodes() {
    let nodes = Nodes::start(2, "1h");
    let (ann, adam) = (nodes.member(0, "ann"), nodes.member(1, "adam"));
    ann.until(&["adam", "ann"], 0, TOLD);
    adam.page.ask(&json!({"do": "ident", "data": {"username": "bob"}}));
    ann.until(&["ann", "bob"], 0, TOLD);
}

#[test]
fn a_page_that_is_loaded_anew_at_another_node_is_not_told() {
    let nodes = Nodes::start(3, "6s");
    let (ann, page) = (nodes.member(0, "ann"), nodes.member(1, "adam"));
    ann.until(&["adam", "ann"], 0, TOLD);
    let before = ann.messages();
    page.page.lose();
    let again = nodes.member(2, "adam");
    ann.stays(&["adam", "ann"], Duration::from_secs(10));
    assert!(!ann.has_moved("adam", before));
    // Its former connection counts no more.
    again.page.ask(&json!({"do": "leave", "channel": "room"}));
    ann.until(&["ann"], 0, TOLD);
}

#[test]
fn a_client_that_resumes_at_another_node_is_not_told_and_its_leave_counts() {
    let nodes = Nodes::start(3, "1h");
    let (ann, page) = (nodes.member(0, "ann"), nodes.member(1, "adam"));
    ann.until(&["adam", "ann"], 0, TOLD);
    let before = ann.messages();
    let (session, cursor) = page.page.session();
    let resume = json!({"do": "resume", "session": session, "cursor": cursor});
    // Its former connection is not known to be dead; then it is lost.
    let back = nodes.page(2);
    back.ask(&resume);
    let back = back.into_member();
    back.until(&["adam", "ann"], 0, TOLD);
    back.page.lose();
    let again = nodes.page(0);
    again.ask(&resume);
    let again = again.into_member();
    again.until(&["adam", "ann"], 0, TOLD);
    ann.stays(&["adam", "ann"], Duration::from_secs(6));
    assert!(!ann.has_moved("adam", before));
    again.page.ask(&json!({"do": "leave", "channel": "room"}));
    ann.until(&["ann"], 0, TOLD);
}

/// A token of a user that is good for so long.
pub(super) fn token(user: &str, ttl: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(["token", "--ttl", ttl, user])
        .env_clear()
        .envs([("TURTED_AUTH_METHOD", "jwt"), ("TURTED_AUTH_ALGORITHM", "HS256"), ("TURTED_AUTH_KEY", KEY)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_token_that_expires_is_told_at_all_nodes_at_once() {
    let auth =
        format!("[auth]\nmethod = \"jwt\"\nalgorithm = \"HS256\"\nkey = \"{KEY}\"\nleeway = \"1ms\"\n");
    let nodes = Nodes::with(2, "1h", &auth);
    let member = |node: usize, user: &str, ttl: &str| {
        let page = nodes.page(node);
        page.ask(&json!({"do": "ident", "data": {"token": token(user, ttl)}}));
        page.ask(&json!({"do": "join", "channel": "room", "presence": true}));
        page.into_member()
    };
    let (ann, _adam) = (member(0, "ann", "1h"), member(1, "adam", "8s"));
    ann.until(&["adam", "ann"], 0, TOLD);
    ann.until(&["ann"], 0, Duration::from_secs(8) + TOLD);
    until(|| "its connection is no user".to_owned(), TOLD, || ann.anonymous() == 1);
}
