//! Nodes that are gone, full or elsewhere, and clients that are.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use turted_core::wire::forwarded::{ACCEPTED, PREAMBLE_BYTES};

use super::cluster::{Cluster, until};
use super::polling::{open, target};
use crate::config::Config;

/// How Engine.IO answers a session that it does not know.
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

#[test]
fn the_session_of_a_node_that_is_gone_is_unknown() {
    let mut cluster = Cluster::start();
    let sid = open(&cluster, 0);
    drop(cluster.nodes.remove(0));
    // Node 1 is the first one now. It still believes that node 0 is there.
    for request in [("GET", ""), ("POST", "42[\"PING\"]")] {
        let answer = cluster.ask(0, (request.0, &target(&sid), request.1));
        assert_eq!((answer.status, &*answer.body), (400, UNKNOWN), "{answer:?}");
    }
    cluster.nodes[1].peers.set_nodes(HashMap::new());
    let answer = cluster.ask(1, ("GET", &target(&sid), ""));
    assert_eq!((answer.status, &*answer.body), (400, UNKNOWN));
    assert_eq!(cluster.nodes[0].counted(|worker| worker.not_passed_on.get()), 2);
}

#[test]
fn a_poll_ends_when_its_node_goes_away_or_is_withdrawn() {
    let mut cluster = Cluster::start();
    let sid = open(&cluster, 0);
    let mut client = cluster.client(1);
    client.send(("GET", &target(&sid), ""));
    until(|| cluster.nodes[0].sockets() > 0);
    drop(cluster.nodes.remove(0));
    let answer = client.answer();
    // The server that goes answers its polls, if there is time.
    assert!(answer.status == 400 || answer.status == 200, "{answer:?}");

    // A node that takes a request and says nothing more.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    cluster.nodes[0].peers.set_nodes(HashMap::from([(0, address)]));
    let mut client = cluster.client(0);
    client.send(("GET", &target(&sid), ""));
    let (mut taken, _) = silent.accept().unwrap();
    taken.read_exact(&mut [0; PREAMBLE_BYTES]).unwrap();
    taken.write_all(&[ACCEPTED]).unwrap();
    assert!(taken.read(&mut [0; 1_000]).unwrap() > 0);
    cluster.nodes[0].peers.set_nodes(HashMap::new());
    let answer = client.answer();
    assert_eq!((answer.status, &*answer.body), (400, UNKNOWN));
    taken.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_node_whose_machine_does_not_answer_is_given_2_seconds() {
    let cluster = Cluster::start();
    let sid = open(&cluster, 0);
    // Its queue is full, so that the kernel answers no more connections.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let held: Vec<_> =
        (0..4).map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100))).collect();
    cluster.nodes[1].peers.set_nodes(HashMap::from([(0, address)]));
    let began = Instant::now();
    let answer = cluster.ask(1, ("GET", &target(&sid), ""));
    assert_eq!((answer.status, &*answer.body), (400, UNKNOWN));
    assert!((Duration::from_millis(1_900)..Duration::from_secs(8)).contains(&began.elapsed()));
    drop(held);
}

#[test]
fn a_node_that_is_stopped_is_given_2_seconds() {
    let cluster = Cluster::start();
    let sid = open(&cluster, 0);
    // Its kernel accepts connections.
    let stopped = TcpListener::bind("127.0.0.1:0").unwrap();
    cluster.nodes[1].peers.set_nodes(HashMap::from([(0, stopped.local_addr().unwrap())]));
    let began = Instant::now();
    let answer = cluster.ask(1, ("GET", &target(&sid), ""));
    assert_eq!((answer.status, &*answer.body), (400, UNKNOWN));
    assert!((Duration::from_millis(1_900)..Duration::from_secs(8)).contains(&began.elapsed()));
    // The request itself was not sent.
    let mut sent = Vec::new();
    stopped.accept().unwrap().0.read_to_end(&mut sent).unwrap();
    assert_eq!(sent.len(), PREAMBLE_BYTES);
}

#[test]
fn the_owner_learns_that_a_client_is_gone() {
    let cluster = Cluster::start();
    let sid = open(&cluster, 0);
    let mut client = cluster.client(1);
    client.send(("GET", &target(&sid), ""));
    until(|| cluster.nodes[0].sockets() > 0);
    // The request follows when the owner has accepted the preamble.
    let began = Instant::now();
    until(|| began.elapsed() > Duration::from_millis(500));
    drop(client);
    cluster.wait_until_idle();
    // As where they come to the owner: a client that gives its poll up has ended its session.
    let answer = cluster.ask(2, ("GET", &target(&sid), ""));
    assert_eq!((answer.status, &*answer.body), (400, UNKNOWN));
    assert_eq!(cluster.nodes[2].counted(|worker| worker.passed_on.get()), 1);
}

#[test]
fn a_client_that_does_not_read_is_held_up_at_its_node() {
    let cluster = Cluster::with(|| {
        let mut config = Config::default();
        config.limits.outbox_bytes = 1 << 20;
        config.limits.outbox_stall = Duration::from_secs(5);
        config.sockjs.response_bytes = usize::MAX;
        config
    });
    let target = |transport: &str| format!("/turted/000/gggggggg/{transport}");
    assert_eq!(cluster.ask(0, ("POST", &target("xhr"), "")).body, "o\n");
    let mut client = cluster.client(1);
    client.send(("POST", &target("xhr_streaming"), ""));
    assert_eq!(client.head().0, 200);
    until(|| cluster.nodes[0].sockets() > 0);
    let text = "x".repeat(100_000);
    let began = Instant::now();
    while cluster.nodes[0].counted(|worker| worker.closes().sum()) == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody holds it up");
        // A full inbox is no reason to stop.
        let _ = cluster.nodes[0].server.dispatcher().broadcast("NEWS", &text);
        thread::yield_now();
    }
    drop(client);
    cluster.wait_until_idle();
}

#[test]
fn requests_that_are_passed_on_are_bounded() {
    let cluster = Cluster::with(|| {
        let mut config = Config::default();
        config.limits.connections = Some(4);
        config
    });
    let sid = open(&cluster, 0);
    cluster.wait_until_idle();
    let _held: Vec<_> = (0..3).map(|_| cluster.client(1)).collect();
    until(|| cluster.nodes[1].sockets() == 3);
    // The connection of the client is the last one: there is none for the other node.
    let answer = cluster.ask(1, ("GET", &target(&sid), ""));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("\r\nretry-after: 5"), "{answer:?}");
}

#[test]
fn a_session_that_cannot_be_looked_up_is_refused_and_not_opened() {
    let cluster = Cluster::start();
    // The engine is away: whoever asks it waits.
    let _away = cluster.values.lock().unwrap();
    let answer = cluster.ask(1, ("POST", "/turted/000/hhhhhhhh/xhr", ""));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.head.contains("\r\nretry-after: 1"), "{answer:?}");
}

#[test]
fn a_node_that_drains_is_still_reached_and_passes_on() {
    let mut cluster = Cluster::with(|| Config { drain_delay: Duration::from_secs(60), ..Config::default() });
    let sids = [open(&cluster, 0), open(&cluster, 1)];
    let address = cluster.nodes[0].server.address();
    let dispatcher = cluster.nodes[0].server.dispatcher();
    let leaving = cluster.nodes.remove(0).server;
    let shared = Arc::clone(&leaving.shared);
    let (stop, end) = tokio::sync::oneshot::channel::<()>();
    let run = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                ended = leaving.run(std::future::ready(())) => panic!("{ended:?}"),
                _ = end => {}
            }
        });
    });
    until(|| shared.life.is_leaving());
    // Node 1 is the first one now.
    let mut client = cluster.client(0);
    client.send(("GET", &target(&sids[0]), ""));
    dispatcher.broadcast("NEWS", &"from the node that leaves").unwrap();
    assert!(client.answer().body.contains("from the node that leaves"));
    let mut client = super::client::Client::connect(address);
    client.send(("GET", &target(&sids[1]), ""));
    cluster.broadcast(0, "through the node that leaves");
    assert!(client.answer().body.contains("through the node that leaves"));
    drop(stop);
    run.join().unwrap();
}
