//! `GET /api/v1/trace/POSITION` and `turted trace`.

use serde_json::{Value, json};

use super::program::Program;
use crate::support::{Kind, TestServer, WebSocket, eventually};

fn trace(server: &TestServer, position: &str) -> Value {
    let answer = server.admin().get(&format!("/api/v1/trace/{position}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Pushes to adam and the chat. Returns its position.
fn push(server: &TestServer) -> String {
    let body = r#"{"event":"E","targets":{"users":["adam"],"channels":["chat"]},"payload":{"a":1}}"#;
    let answer =
        server.http().post("/push/", &[("Accept", "application/json"), ("Connection", "close")], body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn it_tells_who_was_sent_an_event_who_came_later_and_who_was_away() {
    let server = TestServer::new();
    let mut adam = server.client(Kind::V4_WEBSOCKET);
    adam.ask("IDENT", r#"{"username":"adam"}"#);
    let mut eve = server.client(Kind::V4_POLLING);
    eve.ask("IDENT", r#"{"username":"eve"}"#);
    let mut bert = WebSocket::connect(server.address(), "/ws", &[]).unwrap();
    bert.send_text(r#"{"id":1,"do":"ident","data":{"username":"bert"}}"#);
    bert.send_text(r#"{"id":2,"do":"join","channel":"chat"}"#);
    eventually("bert is a member", || server.admin().get("/api/v1/channels/chat").json()["connections"] == 1);
    let earlier = push(&server);
    adam.event();
    drop(bert);
    eventually("bert is gone", || server.admin().get("/api/v1/channels/chat").json()["connections"] == 0);
    let position = push(&server);
    adam.event();
    eve.ask("JOIN", r#"{"channel":"chat"}"#);
    let told = trace(&server, &position);
    assert_eq!((&told["event"], &told["bytes"], &told["more"]), (&json!("E"), &json!(7), &json!(false)));
    assert_eq!(told["position"], position.as_str());
    assert_eq!(
        told["targets"],
        json!({"users": ["adam"], "channels": ["chat"], "broadcast": false, "more": 0})
    );
    let mut connections: Vec<_> = told["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| json!([entry["users"], entry["via"], entry["state"]]))
        .collect();
    connections.sort_by_key(ToString::to_string);
    let expected =
        [json!([["adam"], {"user": "adam"}, "sent"]), json!([["eve"], {"channel": "chat"}, "joined-later"])];
    assert_eq!(connections, expected);
    let sessions = told["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "{told}");
    assert_eq!((&sessions[0]["users"], &sessions[0]["state"]), (&json!(["bert"]), &json!("away")));
    let state = &trace(&server, &earlier)["sessions"][0]["state"];
    assert_eq!(state, "unknown", "it may have reached him before he was away");

    let url = format!("http://{}", server.admin_address());
    let (code, printed, complaint) = Program::start(&["trace", "--url", &url, &position], &[]).end();
    assert_eq!(code, Some(0), "{complaint}");
    assert!(printed.starts_with(&format!("E {position}, 7 bytes, ")), "{printed}");
    for line in
        ["sent             connection ", "joined-later     connection ", "away             session away for "]
    {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    assert!(printed.ends_with("the log holds targets, not recipients."), "{printed}");
}

#[test]
fn an_event_that_waits_for_its_client_is_told_as_such() {
    let server = TestServer::new();
    let mut adam = server.client(Kind::V4_POLLING);
    adam.ask("IDENT", r#"{"username":"adam"}"#);
    let position = push(&server);
    let state = || trace(&server, &position)["connections"][0]["state"].clone();
    eventually("it waits for the next request", || state() == "sent-or-waiting");
    adam.event();
    eventually("it was taken", || state() == "sent");
}

#[test]
fn a_position_that_is_not_kept_is_unknown() {
    let server = TestServer::with(|config| config.recovery.log_dispatches = 1);
    let (first, second) = (push(&server), push(&server));
    let status = |position: &str| server.admin().get(&format!("/api/v1/trace/{position}")).status;
    assert_eq!((status(&first), status(&second)), (404, 200));
    let (epoch, _) = second.split_once('-').unwrap();
    assert_eq!((status(&format!("{epoch}-3")), status("1-1")), (404, 404));
    for broken in ["x", "1", "-1", "%zz", "1-1-1"] {
        assert_eq!(status(broken), 400, "{broken}");
    }
    let url = format!("http://{}", server.admin_address());
    let (code, _, complaint) = Program::start(&["trace", "--url", &url, &first], &[]).end();
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("the log does not keep this position"), "{complaint}");
}
