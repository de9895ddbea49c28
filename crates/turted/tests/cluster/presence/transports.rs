//! Each transport: tabs, pages that are loaded anew, another IDENT, tokens that expire, and clients that come back to other nodes
//! by resuming because their connection was cut, their node killed or stopped.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::member::Member;
use super::moves::{KEY, token};
use super::watcher::{Watcher, Way};
use super::{Nodes, TOLD};
use crate::clients::{Crowd, Way as Return};
use crate::harness::{BACK, until};
use crate::support::{EventSource, pause};

/// Clients of these tests say nothing while they wait for something else.
const PATIENT: &str = "[websocket]\nping_interval = \"1h\"\n[socketio]\nping_interval = \"1h\"\n\
    [sockjs]\ndisconnect_delay = \"1m\"\n";

/// Does this for each transport at once, in a channel of its own.
fn for_each_way(ways: Vec<Way>, test: impl Fn(Way, &str) + Sync) {
    thread::scope(|scope| {
        for (number, way) in ways.into_iter().enumerate() {
            let test = &test;
            scope.spawn(move || test(way, &format!("room{number}")));
        }
    });
}

impl Nodes {
    /// A page of turted.v1 at the first node that hears who is in this channel.
    fn observer(&self, channel: &str) -> Member {
        let page = self.page(0);
        page.ask(&json!({"do": "ident", "data": {"username": "observer"}}));
        page.ask(&json!({"do": "join", "channel": channel, "presence": true}));
        page.into_member()
    }

    fn client(&self, node: usize, way: Way, user: Option<&str>, channel: &str) -> Watcher {
        Watcher::at(self.cluster.nodes[node].address(), way, (user, channel))
    }
}

#[test]
fn tabs_a_page_loaded_anew_and_another_ident_are_told_over_each_transport() {
    let nodes = Nodes::with(3, "6s", PATIENT);
    for_each_way(Way::all(), |way, channel| {
        let observer = nodes.observer(channel);
        let mut first = nodes.client(1, way, Some("adam"), channel);
        let second = nodes.client(2, way, Some("adam"), channel);
        observer.until(&["adam", "observer"], 0, TOLD);
        first.until(&["adam", "observer"], 0);
        let before = observer.messages();
        first.end();
        drop(second);
        let again = nodes.client(0, way, Some("adam"), channel);
        observer.stays(&["adam", "observer"], Duration::from_secs(10));
        assert!(!observer.has_moved("adam", before), "{way:?}");
        // A stream cannot say another name.
        if !matches!(way, Way::Sse) {
            let mut other = nodes.client(1, way, Some("bob"), channel);
            observer.until(&["adam", "bob", "observer"], 0, TOLD);
            other.ident("eve");
            observer.until(&["adam", "eve", "observer"], 0, TOLD);
            other.leave(channel);
            observer.until(&["adam", "observer"], 0, TOLD);
        }
        drop(again);
    });
}

#[test]
fn a_token_that_expires_is_told_over_each_transport() {
    let auth = format!(
        "[auth]\nmethod = \"jwt\"\nalgorithm = \"HS256\"\nkey = \"{KEY}\"\nleeway = \"1ms\"\n{PATIENT}"
    );
    let nodes = Nodes::with(3, "1h", &auth);
    let ways: Vec<_> = Way::all().into_iter().filter(|way| !matches!(way, Way::Sse)).collect();
    let observe = |channel: &str| {
        let page = nodes.page(0);
        page.ask(&json!({"do": "ident", "data": {"token": token("observer", "1h")}}));
        page.ask(&json!({"do": "join", "channel": channel, "presence": true}));
        page.into_member()
    };
    for_each_way(ways, |way, channel| {
        let observer = observe(channel);
        let mut client = nodes.client(1, way, None, channel);
        client.prove(&json!({"token": token("adam", "8s")}));
        observer.until(&["adam", "observer"], 0, TOLD);
        observer.until(&["observer"], 0, Duration::from_secs(8) + TOLD);
        until(|| "its connection is no user".to_owned(), TOLD, || observer.anonymous() == 1);
    });
    let observer = observe("room-stream");
    let bearer = format!("Bearer {}", token("adam", "8s"));
    let (address, headers) = (nodes.cluster.nodes[1].address(), [("Authorization", &*bearer)]);
    let stream = EventSource::connect(address, "/sse?channel=room-stream&presence=1", &headers).unwrap();
    observer.until(&["adam", "observer"], 0, TOLD);
    observer.until(&["observer"], 0, Duration::from_secs(8) + TOLD);
    drop(stream);
}

#[test]
fn clients_that_resume_at_any_node_are_not_told_over_each_transport_after_cuts_kills_and_stops() {
    // The channels of these clients begin with `c`.
    let rule = "[[channels]]\nprefix = \"c\"\njoin = \"open\"\npresence = true\n[sse]\nheartbeat = \"2s\"\n";
    let mut nodes = Nodes::with(3, "4s", rule);
    let count = 48;
    let crowd = Crowd::by(&nodes.cluster.directory, count, &Return::ALL);
    let observers: Vec<_> = (0..count / 4).map(|channel| nodes.observer(&format!("c{channel}"))).collect();
    let whole = |observer: &Member| observer.users() > 2;
    until(|| "all are told".to_owned(), TOLD, || observers.iter().all(whole));
    pause(Duration::from_secs(3));
    let before: Vec<_> = observers.iter().map(|observer| (observer.users(), observer.messages())).collect();
    (0..count).for_each(|number| crowd.cut(number));
    crowd.await_all(BACK);
    nodes.cluster.nodes[1].kill();
    nodes.cluster.nodes[1].run();
    crowd.await_all(BACK);
    nodes.cluster.nodes[2].stop();
    crowd.await_all(BACK);
    nodes.cluster.nodes[2].run();
    nodes.cluster.await_ready();
    // Longer than the node that was killed keeps its lease, and the grace of its users.
    pause(Duration::from_secs(21));
    crowd.await_all(BACK);
    for (observer, (users, messages)) in observers.iter().zip(before) {
        assert_eq!(observer.users(), users);
        assert_eq!(observer.moved(messages), Vec::<String>::new());
    }
    let returns = crowd.returns();
    assert!(returns >= count, "{returns} of {count} clients have resumed");
}
