//! SockJS: clients choose the ids of their sessions, and send each request to any node.

use turted_core::wire::forwarded::ACCEPTED;

use super::client::Client;
use super::cluster::{Cluster, until};
use crate::config::Config;

fn target(session: &str, transport: &str) -> String {
    format!("/turted/000/{session}/{transport}")
}

#[test]
fn every_request_of_a_session_may_come_to_another_node() {
    let cluster = Cluster::start();
    for (first, session) in [(0, "aaaaaaaa"), (1, "bbbbbbbb"), (2, "cccccccc")] {
        let [second, third] = [(first + 1) % 3, (first + 2) % 3];
        assert_eq!(cluster.ask(first, ("POST", &target(session, "xhr"), "")).body, "o\n");
        let sent = cluster.ask(second, ("POST", &target(session, "xhr_send"), r#"["{\"type\":\"PING\"}"]"#));
        assert_eq!(sent.status, 204, "{sent:?}");
        let mut client = cluster.client(third);
        for text in ["one", "two"] {
            client.send(("POST", &target(session, "xhr"), ""));
            cluster.broadcast(first, text);
            // The reply to what was sent may come first.
            let mut answer = client.answer();
            while !answer.body.contains(text) {
                answer = client.ask(("POST", &target(session, "xhr"), ""));
            }
            assert!(answer.body.starts_with('a'), "{answer:?}");
        }
    }
    assert_eq!(cluster.values.lock().unwrap().len(), 3);
}

#[test]
fn a_response_streams_through_another_node() {
    let cluster = Cluster::start();
    assert_eq!(cluster.ask(0, ("POST", &target("dddddddd", "xhr"), "")).body, "o\n");
    for (transport, method) in [("xhr_streaming", "POST"), ("eventsource", "GET"), ("htmlfile?c=f", "GET")] {
        let mut client = cluster.client(1);
        client.send((method, &target("dddddddd", transport), ""));
        let (status, head) = client.head();
        assert_eq!(status, 200);
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        let mut heard = client.chunk().unwrap();
        for text in ["one", "two", "three"] {
            cluster.broadcast(0, text);
            while !heard.contains(text) {
                heard.push_str(&client.chunk().unwrap());
            }
        }
        // A client that lets go of its response has closed its page: its next one opens a session anew.
        drop(client);
        until(|| cluster.nodes[0].sockets() == 0 && cluster.values.lock().unwrap().is_empty());
        assert_eq!(cluster.ask(0, ("POST", &target("dddddddd", "xhr"), "")).body, "o\n");
    }
}

#[test]
fn a_client_of_http_1_0_gets_a_stream_that_ends_with_its_connection() {
    let cluster = Cluster::start();
    assert_eq!(cluster.ask(0, ("POST", &target("eeeeeeee", "xhr"), "")).body, "o\n");
    let mut client = cluster.client(1);
    client.write(format!("POST {} HTTP/1.0\r\n\r\n", target("eeeeeeee", "xhr_streaming")).as_bytes());
    let (status, head) = client.head();
    assert_eq!(status, 200);
    assert!(!head.contains("transfer-encoding") && head.contains("connection: close"), "{head}");
}

#[test]
fn a_claim_lasts_as_long_as_its_session() {
    let mut limits = Config::default();
    limits.sockjs.disconnect_delay = std::time::Duration::from_millis(300);
    let cluster = Cluster::with(|| limits.clone());
    assert_eq!(cluster.ask(0, ("POST", &target("ffffffff", "xhr"), "")).body, "o\n");
    assert_eq!(cluster.values.lock().unwrap().len(), 1);
    until(|| cluster.values.lock().unwrap().is_empty());
    // What opens nothing claims nothing.
    assert_eq!(cluster.ask(1, ("POST", &target("ffffffff", "xhr_send"), r#"["x"]"#)).status, 404);
    assert_eq!(cluster.ask(1, ("GET", &target("ffffffff", "xhr"), "")).status, 405);
    assert_eq!(cluster.ask(1, ("GET", "/turted/info", "")).status, 200);
    assert!(cluster.values.lock().unwrap().is_empty());
}

#[test]
fn a_session_that_another_node_opens_here_is_claimed_here() {
    let cluster = Cluster::start();
    assert_eq!(cluster.ask(0, ("POST", &target("kkkkkkkk", "xhr"), "")).body, "o\n");
    // Node 1 remembers where it is.
    assert_eq!(cluster.ask(1, ("POST", &target("kkkkkkkk", "xhr_send"), r#"["x"]"#)).status, 204);
    // It ends because its client does not come back.
    until(|| cluster.values.lock().unwrap().is_empty());
    assert_eq!(cluster.ask(1, ("POST", &target("kkkkkkkk", "xhr"), "")).body, "o\n");
    assert_eq!(cluster.ask(2, ("POST", &target("kkkkkkkk", "xhr_send"), r#"["x"]"#)).status, 204);
    let values: Vec<_> = cluster.values.lock().unwrap().values().map(|(node, _)| *node).collect();
    assert_eq!(values, [0]);
}

/// A request of a client on the internet: private addresses may have any number of sessions.
fn ask_from_afar(cluster: &Cluster, request: &str) -> (Client, u16) {
    let node = &cluster.nodes[0];
    let preamble = cluster.nodes[1].peers.preamble(0, [8, 8, 8, 8].into()).unwrap();
    let mut client = Client::connect(node.server.nodes_address().unwrap());
    client.write(&preamble);
    client.write(format!("{request} HTTP/1.0\r\n\r\n").as_bytes());
    assert_eq!(client.take(1).as_bytes(), [ACCEPTED]);
    let status = client.head().0;
    (client, status)
}

#[test]
fn a_request_that_is_refused_leaves_no_claim() {
    let mut limits = Config::default();
    limits.limits.sessions_per_address = 1;
    let cluster = Cluster::with(|| limits.clone());
    let post = |session, transport| format!("POST {}", target(session, transport));
    let (_open, status) = ask_from_afar(&cluster, &post("aaaaaaaa", "xhr_streaming"));
    assert_eq!(status, 200);
    until(|| cluster.values.lock().unwrap().len() == 1);
    // The last one has a callback that is no name of a function.
    for (request, expected) in [
        (post("bbbbbbbb", "xhr"), 503),
        (post("cccccccc", "xhr_streaming"), 503),
        (format!("GET {}?c=1%2B1", target("dddddddd", "jsonp")), 500),
    ] {
        assert_eq!(ask_from_afar(&cluster, &request).1, expected, "{request}");
    }
    until(|| cluster.values.lock().unwrap().len() == 1);
}
