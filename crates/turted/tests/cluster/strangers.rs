//! What others write into Redis, and clusters beside each other.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use turted_core::cluster::entry::{Body, Entry};
use turted_core::cluster::head::{Author, MARK, VERSION};
use turted_core::cluster::node::{NodeRecord, Progress};
use turted_core::dispatch::Dispatch;
use turted_core::name::Name;
use turted_core::wire::resp::Reply;

use crate::clients::backends::Manner;
use crate::clients::{Backends, Crowd, Target, check};
use crate::harness::request::post;
use crate::harness::server::Server;
use crate::harness::{BACK, Cluster, KEPT, Node, until};
use crate::support::{Random, pause};

const MIB: usize = 1024 * 1024;
/// Bytes of an entry that no node would write.
const HUGE_BYTES: usize = 9 * MIB;

/// Random bytes, of which some begin as records of ours do.
fn garbage(random: &mut Random) -> Vec<u8> {
    let length = random.below(200);
    let mut bytes: Vec<u8> = (0..length).map(|_| (random.next() & 0xFF) as u8).collect();
    if random.chance(70) && length > 1 {
        bytes[0] = VERSION;
        bytes[1] %= 6;
        bytes.splice(0..0, MARK);
    }
    bytes
}

#[test]
fn nothing_dies_of_garbage_in_the_log_and_in_the_channel() {
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    let crowd = Crowd::start(&cluster.directory, 12);
    let mut backends = Backends::start(&cluster.directory, crowd.len(), 60, Manner::Mixed);
    let (mut redis, mut random) = (cluster.redis.client(), Random::new(5));
    let (log, channel) = (cluster.key("log").into_bytes(), cluster.key("0:nodes").into_bytes());
    let epoch = cluster.epoch();
    let id = format!("{epoch}-*").into_bytes();
    for _ in 0..300 {
        let field: &[u8] = if random.chance(20) { b"x" } else { b"d" };
        redis.ask(&[b"XADD", &log[..], &id, field, &garbage(&mut random)]);
        redis.ask(&[b"PUBLISH", &channel[..], &garbage(&mut random)]);
    }
    redis.ask(&[b"XADD", &log[..], &id, b"d", &vec![1; HUGE_BYTES]]);
    redis.ask(&[b"PUBLISH", &channel[..], &vec![1; HUGE_BYTES]]);
    cluster.await_ready();
    backends.stop();
    backends.reach(&crowd, BACK);
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
    assert!(cluster.nodes.iter_mut().all(Node::is_running));
}

/// Entries and messages that a node has found to be none of turted.
pub(crate) fn foreign(node: &Node) -> usize {
    node.child().metric("turted_cluster_foreign_entries_total")
}

/// The bytes of the last entry that has this text in it.
pub(crate) fn entry_with(cluster: &Cluster, text: &str) -> Vec<u8> {
    let said = cluster.redis.client().ask(&["XREVRANGE", &cluster.key("log"), "+", "-"]);
    let Reply::Array(entries) = &said else { panic!("{said:?}") };
    let bytes = |entry: &Reply| {
        let Reply::Array(parts) = entry else { return None };
        let [_, Reply::Array(fields)] = &parts[..] else { return None };
        let [Reply::Text(_), Reply::Text(bytes)] = &fields[..] else { return None };
        Some(bytes.to_vec())
    };
    let has_text = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    entries.iter().filter_map(bytes).find(has_text).expect("an entry")
}

#[test]
fn an_entry_with_foreign_fields_is_skipped_and_counted() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let crowd = Crowd::start(&cluster.directory, 12);
    let backends = Backends::idle(&cluster.directory);
    let number = backends.push(Target::Everyone);
    let before: Vec<_> = cluster.nodes.iter().map(foreign).collect();
    let record = entry_with(&cluster, &format!("{{\"n\":{number}}}"));
    let (log, id) = (cluster.key("log"), format!("{}-*", cluster.epoch()));
    let foreign_ones: [&[&[u8]]; 4] = [
        &[b"x", b"1"],
        &[b"x", &record],
        // It is dispatched twice if it is taken for one of ours.
        &[b"d", &record, b"x", b"1"],
        &[b"x", b"1", b"d", &record],
    ];
    for fields in foreign_ones {
        let head: [&[u8]; 3] = [b"XADD", log.as_bytes(), id.as_bytes()];
        cluster.redis.client().ask(&[&head[..], fields].concat());
    }
    backends.reach(&crowd, BACK);
    cluster.await_ready();
    let losses = crowd.losses();
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
    assert_eq!(losses, 0);
    for (node, before) in cluster.nodes.iter().zip(before) {
        assert_eq!(foreign(node), before + foreign_ones.len());
    }
}

/// A heartbeat that no node has written.
pub(crate) fn heartbeat(author: Author, address: SocketAddr, rules: &[&str]) -> Vec<u8> {
    let record = NodeRecord {
        version: Name::new("9.9.9").unwrap(),
        reads: VERSION,
        advertise: Some(address),
        progress: Progress::default(),
        keeps: None,
        draining: false,
        connections: 7,
        rules: rules.iter().map(|name| (Name::new(name).unwrap(), author.node.into())).collect(),
    };
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Entry::<Dispatch> { author, tag: author.process, time, body: Body::Heartbeat(record) }.encode()
}

/// The heartbeat of a node that there is not.
fn made_up_heartbeat(number: u16) -> Vec<u8> {
    // Few numbers: a real node may have drawn one of them.
    let author = Author { node: 60_000 + number % 8, process: 1_000_000 + u64::from(number) };
    heartbeat(author, ([127, 0, 0, 1], number).into(), &["auth", "limits"])
}

#[test]
fn nodes_that_are_made_up_do_not_hold_up_pushes_nor_hide_the_real_ones() {
    const MADE_UP: u16 = 1_500;
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    let (mut redis, log) = (cluster.redis.client(), cluster.key("log").into_bytes());
    let id = format!("{}-*", cluster.epoch()).into_bytes();
    for number in 0..MADE_UP {
        redis.ask(&[b"XADD", &log[..], &id, b"d", &made_up_heartbeat(number)]);
    }
    let push = json!({"event": "E", "targets": {"broadcast": true}, "payload": 1});
    for _ in 0..20 {
        for node in &cluster.nodes {
            let began = Instant::now();
            let answer = node.push(&push).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        }
    }
    let nodes = cluster.nodes[0].admin("/api/v1/nodes").expect("an answer").body;
    let nodes: serde_json::Value = serde_json::from_str(&nodes).unwrap();
    let versions = nodes["nodes"].as_array().unwrap().iter().map(|node| &node["version"]);
    assert_eq!(versions.filter(|version| **version != "9.9.9").count(), 2, "{nodes}");
    let written = cluster.nodes[0].stop();
    let told = written.matches("a node of the cluster has other rules than this one").count();
    assert!(told < 100, "{told}");
}

#[test]
fn an_entry_of_a_later_version_stops_a_node_which_says_so() {
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    let crowd = Crowd::start(&cluster.directory, 8);
    let id = format!("{}-*", cluster.epoch());
    let entry = [&MARK[..], &[VERSION + 1, 1], &[0; 40]].concat();
    cluster.redis.client().ask(&[b"XADD", cluster.key("log").as_bytes(), id.as_bytes(), b"d", &entry]);
    for node in &mut cluster.nodes {
        let told = || format!("a node is not ready: {:?}", node.admin("/ready"));
        until(told, BACK, || node.status("/ready") == Some(503));
        let said = node.admin("/ready").expect("an answer").body;
        assert!(said.contains("version"), "{said}");
        assert_eq!(node.status("/health"), Some(200));
        assert!(node.is_running());
    }
    let told = || format!("{} clients are sent elsewhere", crowd.losses());
    until(told, BACK, || crowd.losses() >= crowd.len());
}

#[test]
fn an_entry_far_ahead_makes_nodes_unready_until_the_log_is_deleted() {
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    let (mut redis, log) = (cluster.redis.client(), cluster.key("log").into_bytes());
    redis.ask(&[b"XADD", &log[..], b"18446744073709551615-1", b"d", b"x"]);
    for node in &mut cluster.nodes {
        let told = || format!("a node is not ready: {:?}", node.admin("/ready"));
        until(told, BACK, || node.status("/ready") == Some(503));
        let said = node.admin("/ready").expect("an answer").body;
        assert!(said.contains("delete the log"), "{said}");
        assert!(node.is_running());
    }
    redis.ask(&[b"DEL", &log[..]]);
    cluster.await_ready();
    let crowd = Crowd::start(&cluster.directory, 8);
    let backends = Backends::idle(&cluster.directory);
    backends.reach(&crowd, BACK);
}

#[test]
fn two_clusters_with_two_prefixes_hear_nothing_of_each_other() {
    let one = Cluster::with(KEPT, 1, &[]);
    let other = one.beside("other", 1);
    let (here, there) = (Crowd::start(&one.directory, 8), Crowd::start(&other.directory, 8));
    let mut backends = Backends::start(&one.directory, here.len(), 100, Manner::Mixed);
    backends.await_pushes(100, BACK);
    backends.stop();
    backends.reach(&here, BACK);
    let beside = Backends::idle(&other.directory);
    let only = beside.push(Target::Everyone);
    let is_so = || there.count(|journal| journal.received.len() == 1 && journal.received.contains(&only));
    until(|| "one event came to each".to_owned(), BACK, || is_so() == there.len());
    check(&backends.finish(), &here.finish()).assert_nothing_told();
    check(&beside.finish(), &there.finish()).assert_nothing_told();
}

#[test]
fn two_clusters_in_two_databases_with_one_prefix_hear_nothing_of_each_other() {
    const TOKEN: &str = "a token of 22 letters or more";
    // A Redis Cluster has one database.
    let one = Cluster::on(Server::replicated(KEPT), 1, &[("TURTED_ADMIN_WRITE_TOKEN", TOKEN)]);
    let other = one.in_database(1, 1);
    let mut socket =
        crate::support::WebSocket::connect(other.nodes[0].address(), "/ws", &[]).expect("a WebSocket");
    let is_in = one.redis.client().number(&["PUBLISH", &one.key("nodes"), "x"]);
    assert_eq!(is_in, 0, "the channels have the number of the database");
    socket.send_text(json!({"id": 1, "do": "ident", "data": {"username": "adam"}}).to_string());
    let mut read_until = |what: &str| {
        let mut message = json!(null);
        while message.get(what).is_none() {
            message = serde_json::from_str(&socket.text().expect("a message")).unwrap();
        }
        message
    };
    assert_eq!(read_until("reply")["ok"], true);
    let headers = format!("Authorization: Bearer {TOKEN}\r\n");
    let operators = one.nodes[0].child().admin_address();
    let ended = post(operators, "/api/v1/users/adam/disconnect", &headers, "{}", BACK).expect("an answer");
    assert_eq!((ended.status, ended.json()["connections"].as_u64()), (200, Some(0)), "{}", ended.body);
    pause(Duration::from_secs(1));
    let to_adam = json!({"event": "E", "targets": {"users": ["adam"]}, "payload": 1});
    assert_eq!(other.nodes[0].push(&to_adam).expect("an answer").status, 200);
    assert_eq!(read_until("event")["event"], "E");
}

#[test]
fn a_forged_position_disturbs_nobody_but_its_client() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let crowd = Crowd::start(&cluster.directory, 12);
    let mut socket =
        crate::support::WebSocket::connect(cluster.nodes[0].address(), "/ws", &[]).expect("a WebSocket");
    let mut ask = |request: serde_json::Value| {
        socket.send_text(request.to_string());
        let text = socket.text().expect("a message");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let welcome = ask(json!({"id": 1, "do": "ping"}))["welcome"].take();
    let session = welcome["session"].clone();
    let cursor = welcome["cursor"].as_str().expect("a position").split_once('-').unwrap().0.to_owned();
    drop(socket);
    let mut socket =
        crate::support::WebSocket::connect(cluster.nodes[1].address(), "/ws", &[]).expect("a WebSocket");
    let forged = format!("{cursor}-{}", u64::MAX / 2);
    socket.send_text(json!({"id": 2, "do": "resume", "session": session, "cursor": forged}).to_string());
    let mut reply = json!(null);
    while reply["reply"] != 2 {
        reply = serde_json::from_str(&socket.text().expect("a message")).unwrap();
    }
    assert_eq!(reply["error"]["code"], "gap", "{reply}");
    let backends = Backends::idle(&cluster.directory);
    backends.reach(&crowd, BACK);
    let losses = crowd.losses();
    check(&backends.finish(), &crowd.finish()).assert_nothing_told();
    assert_eq!(losses, 0);
}

#[test]
fn a_node_with_another_secret_does_not_start_and_says_so() {
    let mut secrets = tempfile::NamedTempFile::new().unwrap();
    secrets.write_all(b"0123456789abcdef").unwrap();
    let cluster = Cluster::with(KEPT, 1, &[]);
    let variables = cluster.redis.variables(("turted", 0), cluster.redis.node_port());
    let ended = Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("TURTED_ADMIN_LISTEN", "127.0.0.1:0")
        .envs(variables)
        .env("TURTED_CLUSTER_SECRET_FILE", secrets.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("another secret (cluster.secret_file)"), "{said}");
    cluster.await_ready();
}
