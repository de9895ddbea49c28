//! The number of a node, which another process has taken, or says that it has.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use turted_core::cluster::head::Author;
use turted_core::wire::resp::Reply;

use crate::clients::backends::Manner;
use crate::clients::sse::HEARTBEAT;
use crate::clients::{Backends, Crowd, Way, check};
use crate::harness::request::post;
use crate::harness::{BACK, Cluster, KEPT, Node, until};
use crate::soak::returns_by_way;
use crate::strangers::heartbeat;
use crate::support::{Client, Kind, WebSocket, pause};

const LINE: &str = "another node has the number of this one, which takes a new one: its clients come back";
/// Who has taken a number: no process of these tests.
const OTHER: u64 = u64::MAX;

/// What a node says of each node.
fn listed(by: &Node) -> Vec<Value> {
    let listed = by.admin("/api/v1/nodes").expect("an answer").json();
    listed["nodes"].as_array().expect("a list").clone()
}

/// The number of a node, and where others call it.
fn own(node: &Node) -> (u16, String) {
    let own = listed(node).into_iter().find(|node| node["this"] == true).expect("itself");
    let number = own["number"].as_u64().expect("a number");
    (number.try_into().unwrap(), own["address"].as_str().expect("an address").to_owned())
}

/// The numbers that a node knows of the one at this address.
fn numbers_of(address: &str, by: &Node) -> Vec<u64> {
    let nodes = listed(by);
    nodes
        .iter()
        .filter(|node| node["address"] == address)
        .filter_map(|node| node["number"].as_u64())
        .collect()
}

/// The process that has a number.
fn holder(cluster: &Cluster, number: u16) -> Option<u64> {
    match cluster.redis.client().ask(&["GET", &cluster.key(&format!("node:{number}"))]) {
        Reply::Text(value) => Some(u64::from_be_bytes(*value.first_chunk().expect("a process"))),
        _ => None,
    }
}

/// Gives a number to another process, for longer than any test takes.
fn give_away(cluster: &Cluster, number: u16) {
    let name = cluster.key(&format!("node:{number}")).into_bytes();
    cluster.redis.client().ask(&[b"SET", &name[..], &OTHER.to_be_bytes(), b"PX", b"600000"]);
}

/// Gives the number of the first node away, and waits until the node ends its connections, and for so long until all nodes
/// call it by another one. Returns both numbers.
fn take_number(cluster: &Cluster, within: Duration) -> [u16; 2] {
    let (former, address) = own(&cluster.nodes[0]);
    let mut socket = WebSocket::connect(cluster.nodes[0].address(), "/ws", &[]).expect("a WebSocket");
    give_away(cluster, former);
    let told = socket.close_reason();
    assert_eq!(told, Some((1012, "the session goes on at another server".to_owned())));
    for node in &cluster.nodes {
        let numbers = || numbers_of(&address, node);
        let is_new = || matches!(numbers()[..], [number] if number != u64::from(former));
        until(|| format!("not {former} but {:?}", numbers()), within, is_new);
    }
    [former, own(&cluster.nodes[0]).0]
}

#[test]
fn a_node_whose_number_another_one_has_takes_a_new_one_and_its_clients_come_back_without_a_gap() {
    let mut cluster = Cluster::with(KEPT, 2, &[HEARTBEAT]);
    let crowd = Crowd::by(&cluster.directory, 48, &Way::ALL);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    let process = holder(&cluster, own(&cluster.nodes[0]).0);
    let [former, number] = take_number(&cluster, BACK);
    assert_eq!((holder(&cluster, number), holder(&cluster, former)), (process, Some(OTHER)));
    cluster.await_ready();
    crowd.await_all(BACK);
    pause(Duration::from_secs(1));
    backends.stop();
    backends.reach(&crowd, BACK);
    let journals = crowd.finish();
    check(&backends.finish(), &journals).assert_nothing_told();
    let by_way = returns_by_way(&journals);
    assert!(by_way.iter().all(|(_, returns)| *returns > 0), "{by_way:?}");
    let told: Vec<_> = cluster.nodes.iter_mut().map(|node| node.stop().matches(LINE).count()).collect();
    assert_eq!(told, [1, 0]);
}

#[test]
fn a_node_that_takes_a_new_number_tells_the_others_at_once() {
    // No client asks for a heartbeat.
    take_number(&Cluster::with(KEPT, 2, &[]), Duration::from_secs(2));
}

/// A process that says again and again that it has a number.
struct Claimant {
    process: u64,
    number: u16,
    address: SocketAddr,
}

/// Lets processes say twice a second what they say, until this is dropped.
struct Claiming {
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Claiming {
    fn start(cluster: &Cluster, claimants: Vec<Claimant>) -> Self {
        let (mut redis, log) = (cluster.redis.client(), cluster.key("log").into_bytes());
        let id = format!("{}-*", cluster.epoch()).into_bytes();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let claim = move || {
            while !over.load(Ordering::Relaxed) {
                for claimant in &claimants {
                    let author = Author { node: claimant.number, process: claimant.process };
                    let said = heartbeat(author, claimant.address, &[]);
                    redis.ask(&[b"XADD", &log[..], &id, b"d", &said]);
                }
                pause(Duration::from_millis(500));
            }
        };
        Self { is_over, thread: Some(thread::spawn(claim)) }
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|ended| ended.is_ok()), "Redis is there");
    }
}

#[test]
fn a_process_that_says_it_has_the_number_of_a_live_node_is_sent_nothing_that_is_for_that_node() {
    let cluster = Cluster::with(KEPT, 2, &[HEARTBEAT]);
    let [first, second] = [0, 1].map(|place| &cluster.nodes[place]);
    let (number, _) = own(first);
    let crowd = Crowd::by(&cluster.directory, 16, &Way::ALL);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 40, Manner::Mixed);
    let before = crowd.losses();
    let strangers = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let claimants = [1, OTHER].into_iter().zip(&strangers).map(|(process, stranger)| {
        stranger.set_nonblocking(true).unwrap();
        Claimant { process, number, address: stranger.local_addr().unwrap() }
    });
    let claiming = Claiming::start(&cluster, claimants.collect());
    until(|| format!("{:?}", listed(second)), BACK, || listed(second).len() == 4);
    // Its session is known by the number of the first node.
    let polling = Client::connect(first.address(), Kind::V4_POLLING);
    let target = polling.kind.target("polling", &polling.sid);
    for _ in 0..5 {
        let passed = post(second.address(), &target, "", r#"42["PING",{}]"#, BACK).expect("an answer");
        assert_eq!((passed.status, &*passed.body), (200, "ok"));
        let asked = second.admin(&format!("/api/v1/connections?node={number}")).expect("an answer").json();
        let ids = asked["connections"].as_array().expect("a list").iter().map(|one| one["id"].to_string());
        let of_first = ids.filter(|id| id.starts_with(&format!("\"{number}-"))).count();
        assert!(of_first > 0, "{asked}");
        pause(Duration::from_millis(500));
    }
    drop(claiming);
    assert!(strangers.iter().all(|stranger| stranger.accept().is_err()), "a stranger was called");
    let losses = crowd.losses();
    backends.stop();
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
    assert_eq!(losses, before);
}
