//! Engine.IO: polls, posts, scripts and upgrades that come to any node.

use std::net::TcpStream;
use std::sync::Arc;

use hyper::{Request, StatusCode};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};
use turted_core::trust::TrustedProxies;

use super::cluster::Cluster;
use crate::config::Config;
use crate::http::endpoint::{Answering, Endpoint, Home};
use crate::http::{Call, RequestBody, text};
use crate::server::routes;

pub(super) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// Opens a session at a node, and connects it there. Returns its id.
pub(super) fn open(cluster: &Cluster, node: usize) -> String {
    let mut client = cluster.client(node);
    let opened = client.ask(("GET", POLLING, ""));
    assert_eq!(opened.status, 200, "{opened:?}");
    let sid = opened.body.split('"').nth(3).unwrap().to_owned();
    assert_eq!(client.ask(("POST", &target(&sid), "40")).body, "ok");
    assert!(client.ask(("GET", &target(&sid), "")).body.starts_with("40{"));
    sid
}

pub(super) fn target(sid: &str) -> String {
    format!("{POLLING}&sid={sid}")
}

/// How the frame of an event begins.
fn event(text: &str) -> String {
    format!(r#"42["EVENT",{{"event":"NEWS","payload":"{text}","#)
}

#[test]
fn every_request_of_a_session_may_come_to_another_node() {
    let cluster = Cluster::start();
    let opened = cluster.ask(0, ("GET", POLLING, ""));
    let sid = opened.body.split('"').nth(3).unwrap();
    let mut clients = [0, 1, 2].map(|node| cluster.client(node));
    let sent = clients[1].ask(("POST", &target(sid), "40"));
    assert_eq!((sent.status, &*sent.body), (200, "ok"));
    assert!(clients[2].ask(("GET", &target(sid), "")).body.starts_with("40{"));
    for round in 0..9 {
        // The connections are kept.
        let client = &mut clients[round % 3];
        client.send(("GET", &target(sid), ""));
        cluster.broadcast(0, &format!("{round}"));
        let answer = client.answer();
        assert!(answer.body.starts_with(&event(&round.to_string())), "{answer:?}");
        assert!(answer.head.contains("\r\ncontent-type: text/plain"), "{answer:?}");
        assert!(answer.head.contains("\r\ncontent-length: "), "{answer:?}");
    }
    let passed_on = [0, 1, 2].map(|node| cluster.nodes[node].counted(|worker| worker.passed_on.get()));
    assert_eq!(passed_on, [0, 4, 4]);
    assert_eq!(cluster.nodes.iter().map(|node| node.counted(|w| w.not_passed_on.get())).sum::<u64>(), 0);
}

#[test]
fn a_body_may_come_in_chunks_and_may_be_too_large() {
    let cluster = Cluster::start();
    let sid = open(&cluster, 0);
    let mut client = cluster.client(1);
    let head = format!("POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", target(&sid));
    client.write(head.as_bytes());
    client.write(b"2\r\n42\r\n1b\r\n[\"IDENT\",{\"username\":\"alice\"}]\r\n0\r\n\r\n".as_slice());
    let sent = client.answer();
    assert!(sent.status < 500, "{sent:?}");
    let most = Config::default().socketio.max_payload;
    let head = format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", target(&sid), most + 1);
    let mut client = cluster.client(2);
    client.write(head.as_bytes());
    let refused = client.answer();
    assert!(refused.status == 413 || refused.status == 400, "{refused:?}");
    assert!(client.is_ended());
}

#[test]
fn scripts_are_answered_through_another_node() {
    let cluster = Cluster::start();
    let polling = "/socket.io/?EIO=3&transport=polling&j=0";
    let opened = cluster.ask(1, ("GET", polling, ""));
    let sid = opened.body.split("\\\"").nth(3).unwrap();
    let mut client = cluster.client(2);
    client.send(("GET", &format!("{polling}&sid={sid}"), ""));
    cluster.broadcast(1, "script");
    let answer = client.answer();
    assert!(answer.body.starts_with("___eio[0](\""), "{answer:?}");
    assert!(answer.body.contains("NEWS"), "{answer:?}");
    assert_eq!(cluster.nodes[2].counted(|worker| worker.passed_on.get()), 1);
}

/// A WebSocket of a session at a node.
fn upgrade(cluster: &Cluster, node: usize, sid: &str) -> WebSocket<TcpStream> {
    let mut client = cluster.client(node);
    client.write(
        format!(
            "GET /socket.io/?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: localhost\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .as_bytes(),
    );
    let (status, head) = client.head();
    assert_eq!(status, 101, "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    WebSocket::from_raw_socket(client.0.into_inner(), Role::Client, None)
}

fn read(socket: &mut WebSocket<TcpStream>) -> String {
    socket.read().unwrap().into_text().unwrap().to_string()
}

#[test]
fn a_session_is_upgraded_through_another_node() {
    let cluster = Cluster::start();
    let sid = open(&cluster, 0);
    let mut poll = cluster.client(2);
    poll.send(("GET", &target(&sid), ""));
    let mut socket = upgrade(&cluster, 1, &sid);
    socket.send(Message::text("2probe")).unwrap();
    assert_eq!(read(&mut socket), "3probe");
    assert_eq!(poll.answer().body, "6");
    socket.send(Message::text("5")).unwrap();
    socket.send(Message::text(r#"421["JOIN",{"channel":"news"}]"#)).unwrap();
    while !read(&mut socket).starts_with("431") {}
    let long = "x".repeat(200_000);
    for text in ["first", &long, "last"] {
        cluster.broadcast(0, text);
        assert!(read(&mut socket).starts_with(&event(text)));
    }
    drop((socket, poll));
    cluster.wait_until_idle();
}

/// Says who asks. Its sessions are all at node 0.
#[derive(Debug)]
struct WhoAsks;

impl Endpoint for WhoAsks {
    fn serves(&self, path: &str) -> bool {
        path == "/who"
    }

    fn home(&self, _: &Request<RequestBody>) -> Option<Home> {
        Some(Home::Node(0))
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        let fields = call.request.headers().keys().map(|name| format!(" {name}")).collect::<String>();
        Box::pin(async move { text(StatusCode::OK, format!("{}{fields}", call.peer)).into() })
    }
}

#[test]
fn the_owner_sees_the_address_of_the_client() {
    let config = || Config {
        trusted_proxies: TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]),
        ..Config::default()
    };
    let cluster = Cluster::serving(|site| routes::turted(site).with(Arc::new(WhoAsks)), || (config(), None));
    for node in 0..3 {
        let mut client = cluster.client(node);
        let head = "GET /who HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.8, 192.0.2.7\r\n\r\n";
        client.write(head.as_bytes());
        let expected = if node == 0 { "192.0.2.7 host x-forwarded-for" } else { "192.0.2.7 host" };
        assert_eq!(client.answer().body, expected, "{node}");
    }
}
