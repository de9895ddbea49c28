//! `GET /api/v1/events`.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use turted::config::{ChannelPattern, ChannelRules, Join, Secret};

use super::{TOKEN, Watcher};
use crate::support::{Child, Http, Kind, TestServer, eventually};
use crate::v1::{Client, members};

fn server() -> TestServer {
    TestServer::with(|config| {
        config.admin.token = Some(Secret::from(TOKEN));
        config.push.password = Some(Secret::from("tiger"));
    })
}

fn push(server: &TestServer, body: &str, password: &str) -> u16 {
    let bearer = format!("Bearer {password}");
    server.http().post("/push/", &[("Authorization", &bearer), ("Connection", "close")], body).status
}

#[test]
fn each_step_of_a_connection_is_told_and_each_push() {
    let server = server();
    let mut watcher = Watcher::of(server.admin_address(), "");
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let connected =
        watcher.expect("connected", &[("transport", json!("socketio")), ("address", json!("127.0.0.1"))]);
    let id = connected["connection"].clone();
    let of_client = |more: &[(&'static str, serde_json::Value)]| {
        [&[("connection", id.clone()), ("users", json!(["adam"]))], more].concat()
    };
    client.ask("IDENT", r#"{"username":"adam"}"#);
    watcher.expect("identified", &of_client(&[("method", json!("accept"))]));
    client.ask("JOIN", r#"{"channel":"chat"}"#);
    watcher.expect("joined", &of_client(&[("channel", json!("chat"))]));
    let body = r#"{"event":"E","targets":{"users":["adam"],"channels":["chat"]},"payload":{"a":1}}"#;
    assert_eq!(push(&server, body, "lion"), 401);
    watcher.expect("push-refused", &[("rule", json!("wrong-password")), ("source", json!("rest"))]);
    assert_eq!(push(&server, body, "tiger"), 200);
    let told = watcher.expect("push", &[("event", json!("E")), ("reached", json!(1)), ("bytes", json!(7))]);
    assert_eq!(told["targets"]["channels"], json!(["chat"]));
    assert_eq!((&told["source"], &told["address"]), (&json!("rest"), &json!("127.0.0.1")));
    assert!(told["position"].as_str().unwrap().ends_with("-1"), "{told}");
    assert!(told.get("payload").is_none(), "nobody asked for it: {told}");
    server.dispatcher().broadcast("EMBEDDED", &1).unwrap().wait().unwrap();
    watcher
        .expect("push", &[("event", json!("EMBEDDED")), ("source", json!("embed")), ("reached", json!(1))]);
    client.ask("LEAVE", r#"{"channel":"chat"}"#);
    watcher.expect("left", &of_client(&[("channel", json!("chat"))]));
    client.leave();
    watcher.expect("closed", &of_client(&[]));
}

#[test]
fn what_is_refused_to_a_client_is_told() {
    let server = TestServer::with(|config| {
        config.admin.token = Some(Secret::from(TOKEN));
        config.limits.channels_per_connection = 1;
        config.auth.method = turted::config::ClientAuth::Password(Secret::from("secret"));
    });
    let mut watcher = Watcher::of(server.admin_address(), "type=ident-refused,join-refused");
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"eve","password":"wrong"}"#);
    let refused = watcher.expect("ident-refused", &[("users", json!(["eve"]))]);
    assert!(!refused.to_string().contains("wrong\""), "{refused}");
    client.ask("JOIN", r#"{"channel":"a"}"#);
    client.ask("JOIN", r#"{"channel":"b"}"#);
    watcher.expect("join-refused", &[("channel", json!("b"))]);
}

#[test]
fn what_a_client_loses_with_its_user_is_told_of_that_user() {
    let server = members::server(1);
    let mut watcher = Watcher::ask(server.admin_address(), "type=left", &[]).unwrap();
    let mut client = Client::new(&server);
    for (lasts, next) in [(None, Some("eve")), (Some(200), None)] {
        client.ask(&members::ident("adam", lasts, &["claim.a"]));
        client.join("claim.a");
        if let Some(next) = next {
            client.ask(&members::ident(next, None, &[]));
        }
        let left = [("users", json!(["adam"])), ("channel", json!("claim.a"))];
        watcher.expect("left", &left);
    }
}

#[test]
fn only_what_changes_a_membership_is_told() {
    let server = server();
    let mut watcher = Watcher::of(server.admin_address(), "type=joined,left");
    let mut client = server.client(Kind::V4_WEBSOCKET);
    for (event, channel) in [
        ("LEAVE", "never"),
        ("JOIN", "chat"),
        ("JOIN", "chat"),
        ("LEAVE", "chat"),
        ("LEAVE", "chat"),
        ("JOIN", "last"),
    ] {
        client.ask(event, &json!({"channel": channel}).to_string());
    }
    watcher.expect("joined", &[("channel", json!("chat"))]);
    watcher.expect("left", &[("channel", json!("chat"))]);
    watcher.expect("joined", &[("channel", json!("last"))]);
}

#[test]
fn an_event_stream_that_is_refused_for_its_channel_is_told() {
    let server = TestServer::with(|config| {
        config.admin.token = Some(Secret::from(TOKEN));
        config.channels = ChannelRules::new([(ChannelPattern::parse("members").unwrap(), Join::Identified)]);
    });
    let mut watcher = Watcher::of(server.admin_address(), "");
    assert_eq!(server.http().get("/sse?channel=members").status, 403);
    let refused =
        watcher.expect("join-refused", &[("channel", json!("members")), ("address", json!("127.0.0.1"))]);
    assert_eq!((&refused["transport"], refused.get("connection")), (&json!("sse"), None), "{refused}");
}

#[test]
fn a_watcher_of_a_user_is_told_of_pushes_that_reach_him_on_any_worker() {
    let server = server();
    let mut clients: Vec<_> = (0..6).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.ask("IDENT", &json!({"username": format!("user-{number}")}).to_string());
    }
    clients[3].ask("JOIN", r#"{"channel":"chat"}"#);
    let mut watchers: Vec<_> =
        (0..6).map(|number| Watcher::of(server.admin_address(), &format!("user=user-{number}"))).collect();
    let mut last = Watcher::of(server.admin_address(), "event=LAST");
    for (event, targets) in [("CHAT", r#"{"channels":["chat"]}"#), ("LAST", r#"{"broadcast":true}"#)] {
        let body = format!(r#"{{"event":"{event}","targets":{targets},"payload":1}}"#);
        assert_eq!(push(&server, &body, "tiger"), 200);
    }
    last.expect("push", &[("event", json!("LAST")), ("reached", json!(6))]);
    watchers[3].expect("push", &[("event", json!("CHAT")), ("reached", json!(1))]);
    for watcher in &mut watchers {
        watcher.expect("push", &[("event", json!("LAST")), ("reached", json!(6))]);
    }
}

#[test]
fn payloads_are_shown_with_a_token_only_also_on_this_machine() {
    let open = TestServer::new();
    let refused = Watcher::ask(open.admin_address(), "payload=1", &[]).err().unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("admin_token"), "{}", refused.text());
    assert!(Watcher::ask(open.admin_address(), "payload=0", &[]).is_ok());
    let server = server();
    let mut watcher = Watcher::of(server.admin_address(), "payload=1&type=push");
    let long = format!("\"{}\"", "x".repeat(5_000));
    for payload in ["{\n\"a\":[1.0]}", &long] {
        let body = format!(r#"{{"event":"E","targets":{{"broadcast":true}},"payload":{payload}}}"#);
        assert_eq!(push(&server, &body, "tiger"), 200);
    }
    watcher.expect("push", &[("payload", json!({"a": [1.0]}))]);
    let cut = watcher.expect("push", &[("bytes", json!(5_002))]);
    assert_eq!(cut["payload_start"].as_str().unwrap().len(), 4_096);
}

#[test]
fn who_may_not_watch_is_told_why_and_takes_no_place() {
    let server = server();
    let admin = server.admin_address();
    let bearer = format!("Bearer {TOKEN}");
    let right = ("Authorization", bearer.as_str());
    let status =
        |query: &str, headers: &[(&str, &str)]| Watcher::ask(admin, query, headers).err().unwrap().status;
    assert_eq!(status("", &[]), 401);
    assert_eq!(status("", &[("Authorization", "Bearer wrong")]), 401);
    assert_eq!(status("", &[right, ("Origin", "https://evil.example")]), 403);
    assert_eq!(status("", &[right, ("Sec-Fetch-Site", "cross-site")]), 403);
    for query in
        ["event", "user=", "x=1", "type=x", "address=here", "user=a&user=b", "payload=yes", "user=%zz"]
    {
        assert_eq!(status(query, &[right]), 400, "{query}");
    }
    let mut head = Http::connect(admin);
    head.send_request("HEAD", "/api/v1/events", &[right], b"");
    assert_eq!(head.read_head().unwrap().status, 200);
    let mut watchers: Vec<_> = (0..8).map(|_| Watcher::of(admin, "")).collect();
    let ninth = Watcher::ask(admin, "", &[right]).err().unwrap();
    assert_eq!((ninth.status, ninth.header("content-type")), (503, Some("application/problem+json")));
    watchers.pop();
    eventually("its place is free", || Watcher::ask(admin, "", &[right]).is_ok());
}

#[test]
fn a_watcher_that_does_not_read_is_told_what_it_lost() {
    let server = TestServer::with(|config| {
        config.admin.token = Some(Secret::from(TOKEN));
        config.push.password = Some(Secret::from("tiger"));
        // A machine that is busy takes its time for the pushes.
        config.limits.outbox_stall = Duration::from_secs(300);
    });
    let mut http = Http::connect_narrow(server.admin_address());
    let bearer = format!("Bearer {TOKEN}");
    http.send_request("GET", "/api/v1/events?type=push", &[("Authorization", &bearer)], b"");
    let mut watcher = Watcher(crate::support::EventSource::over(http).unwrap());
    watcher.expect("watching", &[]);
    let mut other = Watcher::of(server.admin_address(), "event=LAST");
    let names: Vec<_> = (0..90).map(|number| format!("\"{}-{number}\"", "u".repeat(200))).collect();
    let item = format!(r#"{{"event":"E","targets":{{"users":[{}]}},"payload":1}}"#, names.join(","));
    let batch = format!("[{}]", vec![item; 40].join(","));
    // Records of 18 kB: beyond the bound, what the kernel keeps and what waits to be written.
    for _ in 0..6 {
        assert_eq!(push(&server, &batch, "tiger"), 200);
    }
    let last = r#"{"event":"LAST","targets":{"broadcast":true},"payload":1}"#;
    assert_eq!(push(&server, last, "tiger"), 200);
    other.expect("push", &[("event", json!("LAST"))]);
    // All of it is there. Less than the time between two heartbeats, so that it fails if something is never told.
    watcher.0.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut pushes, mut dropped) = (0, 0);
    while pushes + dropped < 241 {
        let record = watcher.record();
        match record["type"].as_str().unwrap() {
            "push" => pushes += 1,
            _ => dropped += record["dropped"].as_u64().unwrap(),
        }
    }
    assert_eq!(pushes + dropped, 241, "each push was told or counted");
    assert!(dropped > 0);
    assert_eq!(push(&server, last, "tiger"), 200);
    watcher.expect("push", &[("event", json!("LAST"))]);
}

#[test]
fn a_token_that_counts_no_more_ends_the_stream() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TOKEN).unwrap();
    let child = Child::start(&[("TURTED_ADMIN_TOKEN_FILE", file.path().to_str().unwrap())]);
    let mut watcher = Watcher::of(child.admin_address(), "type=push");
    let push = || {
        let body = r#"{"event":"E","targets":{"broadcast":true},"payload":1}"#;
        assert_eq!(child.http().post("/push/", &[], body).status, 200);
    };
    push();
    watcher.expect("push", &[]);
    std::fs::write(file.path(), "another-token-of-22-characters").unwrap();
    child.signal(Signal::HUP);
    eventually("the token is read again", || {
        let bearer = format!("Bearer {TOKEN}");
        let mut admin = Http::connect(child.admin_address());
        admin.request("GET", "/api/v1/counts", &[("Authorization", &bearer)], b"").status == 401
    });
    push();
    assert!(watcher.0.is_ended_well(), "nothing more is told");
    child.stop();
}

#[test]
fn a_stop_of_the_server_ends_the_stream() {
    let server = server();
    let mut watcher = Watcher::of(server.admin_address(), "type=closed");
    let _client = server.client(Kind::V4_WEBSOCKET);
    server.stop();
    watcher.expect("closed", &[("reason", json!("the server is stopping"))]);
    assert!(watcher.0.is_ended_well());
}

#[test]
fn a_server_that_is_no_cluster_is_all_nodes() {
    let server = server();
    let mut all = Watcher::of(server.admin_address(), "nodes=all&channel=chat");
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("JOIN", r#"{"channel":"chat"}"#);
    let joined = all.expect("joined", &[("channel", json!("chat"))]);
    assert!(joined.get("node").is_none(), "{joined}");
    let bearer = format!("Bearer {TOKEN}");
    for query in
        ["nodes=all", "nodes=all&event=E", "nodes=one&channel=chat", "nodes=all&channel=chat&nodes=all"]
    {
        let mut admin = Http::connect(server.admin_address());
        let headers = [("Authorization", &*bearer)];
        let refused = admin.request("GET", &format!("/api/v1/events?{query}"), &headers, b"");
        assert_eq!(refused.status, 400, "{query}");
        let rule = refused.text().contains("nodes=all takes user, channel or address");
        assert_eq!(rule, query.starts_with("nodes=all") && !query.contains("channel"), "{}", refused.text());
    }
}
