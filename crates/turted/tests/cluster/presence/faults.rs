//! Nodes that stand still, are killed, stop, or do not reach Redis.

use std::time::Duration;

use serde_json::json;

use super::{Nodes, TOLD};
use crate::harness::{BACK, until};
use crate::support::{EventSource, Kind, pause};

/// How long it takes at most until a node that says nothing is told as silent: 5 s, and what a busy machine takes.
const SILENT: Duration = Duration::from_secs(12);
/// How long a node keeps its lease.
const LEASE: Duration = Duration::from_secs(15);

#[test]
fn users_of_a_node_that_is_killed_leave_when_its_lease_and_their_grace_are_over() {
    let mut nodes = Nodes::start(3, "3s");
    let (ann, bob, _eve) = (nodes.member(0, "ann"), nodes.member(1, "bob"), nodes.member(2, "eve"));
    ann.until(&["ann", "bob", "eve"], 0, TOLD);
    bob.until(&["ann", "bob", "eve"], 0, TOLD);
    nodes.cluster.nodes[2].kill();
    let silent = ann.until(&["ann", "bob", "eve"], 1, SILENT);
    assert!(silent > Duration::from_secs(2), "{silent:?}");
    let left = ann.until(&["ann", "bob"], 0, LEASE + Duration::from_secs(15));
    // The last heartbeat was up to 5 s before the end.
    assert!(silent + left > LEASE - Duration::from_secs(5), "{left:?}");
    bob.until(&["ann", "bob"], 0, TOLD);
}

#[test]
fn a_node_that_is_killed_and_whose_clients_come_back_elsewhere_is_not_told() {
    let mut nodes = Nodes::start(3, "3s");
    let (ann, _eve) = (nodes.member(0, "ann"), nodes.member(2, "eve"));
    ann.until(&["ann", "eve"], 0, TOLD);
    let before = ann.messages();
    nodes.cluster.nodes[2].kill();
    let _again = nodes.member(1, "eve");
    nodes.cluster.nodes[2].run();
    ann.stays(&["ann", "eve"], LEASE + Duration::from_secs(12));
    assert!(!ann.has_moved("eve", before));
    ann.until(&["ann", "eve"], 0, TOLD);
}

#[test]
fn a_node_that_stands_still_is_silent_and_nothing_happens_if_it_goes_on() {
    let nodes = Nodes::start(3, "1s");
    let (ann, _eve) = (nodes.member(0, "ann"), nodes.member(2, "eve"));
    ann.until(&["ann", "eve"], 0, TOLD);
    let before = ann.messages();
    nodes.cluster.nodes[2].freeze();
    ann.until(&["ann", "eve"], 1, SILENT);
    // Who comes meanwhile is told the same.
    let late = nodes.member(1, "late");
    late.until(&["ann", "eve", "late"], 1, TOLD);
    nodes.cluster.nodes[2].thaw();
    ann.until(&["ann", "eve", "late"], 0, TOLD);
    late.until(&["ann", "eve", "late"], 0, TOLD);
    assert!(!ann.has_moved("eve", before));
}

#[test]
fn a_node_that_stops_is_not_told_to_members_elsewhere_for_as_long_as_a_deploy() {
    let mut nodes = Nodes::start(3, "1s");
    let (ann, _eve) = (nodes.member(0, "ann"), nodes.member(2, "eve"));
    ann.until(&["ann", "eve"], 0, TOLD);
    let before = ann.messages();
    nodes.cluster.nodes[2].stop();
    ann.stays(&["ann", "eve"], Duration::from_secs(20));
    assert_eq!(ann.messages(), before, "it said its last word: it is not silent");
    let _again = nodes.member(1, "eve");
    ann.stays(&["ann", "eve"], Duration::from_secs(18));
    assert!(!ann.has_moved("eve", before));
}

#[test]
fn a_node_that_does_not_reach_redis_keeps_what_it_knows_and_says_that_all_others_are_silent() {
    let nodes = Nodes::start(3, "1s");
    let (ann, eve) = (nodes.member(0, "ann"), nodes.member(2, "eve"));
    ann.until(&["ann", "eve"], 0, TOLD);
    eve.until(&["ann", "eve"], 0, TOLD);
    nodes.cluster.nodes[0].proxy.cut();
    ann.until(&["ann", "eve"], 2, SILENT);
    let here = nodes.member(0, "here");
    here.until(&["ann", "eve", "here"], 2, TOLD);
    ann.stays(&["ann", "eve", "here"], LEASE + Duration::from_secs(5));
    nodes.cluster.nodes[0].proxy.mend();
    nodes.cluster.nodes[0].await_ready(BACK);
    ann.until(&["ann", "eve", "here"], 0, BACK);
    eve.until(&["ann", "eve", "here"], 0, BACK);
}

#[test]
fn a_node_that_starts_knows_who_is_at_the_others() {
    let mut nodes = Nodes::start(3, "1s");
    let members: Vec<_> = (0..40).map(|number| nodes.member(number % 2, &format!("u{number:02}"))).collect();
    let names: Vec<_> = (0..40).map(|number| format!("u{number:02}")).collect();
    nodes.cluster.nodes[2].stop();
    nodes.cluster.nodes[2].run();
    nodes.cluster.await_ready();
    pause(Duration::from_secs(1));
    let late = nodes.member(2, "v");
    let all: Vec<_> = names.iter().map(String::as_str).chain(["v"]).collect();
    late.until(&all, 0, TOLD);
    members[0].until(&all, 0, TOLD);
}

#[test]
fn silent_nodes_are_told_over_each_wire_and_to_clients_that_ask() {
    let nodes = Nodes::start(2, "1s");
    let (ann, here) = (nodes.member(0, "ann"), &nodes.cluster.nodes[0]);
    ann.until(&["ann"], 0, TOLD);
    nodes.cluster.nodes[1].freeze();
    ann.until(&["ann"], 1, SILENT);
    let before = ann.messages();
    ann.page.ask(&json!({"do": "presence", "channel": "room"}));
    until(|| "an answer".to_owned(), TOLD, || ann.messages() > before);
    ann.until(&["ann"], 1, TOLD);
    let is_told = |text: &str| text.contains(r#""anonymous":"#) && text.contains(r#","silent":1}"#);
    let mut stream = EventSource::connect(here.address(), "/sse?channel=room&presence=1", &[]).unwrap();
    let event =
        std::iter::repeat_with(|| stream.event()).find(|event| event.name == "turted:presence").unwrap();
    assert!(is_told(&event.data), "{}", event.data);
    let mut client = here.child().client(Kind::V4_WEBSOCKET);
    client.emit("JOIN", r#"{"channel":"room","presence":true}"#);
    let packets = std::iter::repeat_with(|| client.receive().expect("a packet"));
    let packet = packets.take(20).find(|packet| packet.starts_with(r#"42["PRESENCE""#)).expect("an event");
    assert!(is_told(&packet), "{packet}");
    nodes.cluster.nodes[1].thaw();
}
