//! What is told of the actions of operators.

use serde_json::json;

use super::actions::{READS, act, ask, ident, metric, resume, server};
use crate::live::{TOKEN as WRITES, Watcher};
use crate::support::{Child, Http, Kind, WebSocket, eventually};
use crate::v1;

#[test]
fn an_action_is_done_and_told_also_if_its_client_hangs_up() {
    let server = server();
    let mut watcher = Watcher::of(server.admin_address(), "type=action");
    let (mut away, mut seen) = (v1::Client::new(&server), v1::Client::new(&server));
    ident(&mut away, "adam");
    ident(&mut seen, "adam");
    let welcome = away.welcome.clone();
    drop(away);
    eventually("it is away", || metric(&server, "turted_lost_sessions") == 1);
    // A client that moves to another carrier is waited for, so that the action takes its time.
    let mut moving = server.client(Kind::V4_POLLING);
    moving.ask("IDENT", r#"{"username":"adam"}"#);
    let target = moving.kind.target("websocket", &moving.sid);
    let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
    socket.send_text("2probe");
    assert_eq!(socket.text().as_deref(), Some("3probe"));
    let mut admin = server.admin();
    let bearer = format!("Bearer {WRITES}");
    let body = json!({"come_back": false}).to_string();
    let path = "/api/v1/users/adam/disconnect";
    admin.send_request("POST", path, &[("Authorization", &bearer)], body.as_bytes());
    assert_eq!(seen.socket.close_reason().map(|(code, _)| code), Some(4000), "it has begun");
    assert!(!admin.has_answer(), "it is not at its end");
    drop(admin);
    eventually("its session has ended", || metric(&server, "turted_lost_sessions") == 0);
    watcher.expect("action", &[("action", json!("disconnect")), ("count", json!(2))]);
    assert_eq!(resume(&server, &welcome)["error"]["code"], "session-unknown");
}

#[test]
fn the_record_of_a_push_has_its_position_and_how_many_events_it_has() {
    let server = server();
    let mut watcher = Watcher::of(server.admin_address(), "type=action");
    let push = ("POST", "/api/v1/push");
    let one = json!({"event": "E", "targets": {"users": ["adam"]}, "payload": 1});
    let id = act(&server, push, &one)["id"].take();
    let record = watcher.expect("action", &[("action", json!("push")), ("position", id)]);
    assert_eq!(record.get("count"), None, "{record}");
    let id = act(&server, push, &json!([one, one]))[0]["id"].take();
    watcher.expect("action", &[("position", id), ("count", json!(2))]);
}

#[test]
fn the_log_has_a_line_for_each_action_with_its_address() {
    let child = Child::start(&[("TURTED_ADMIN_TOKEN", READS), ("TURTED_ADMIN_WRITE_TOKEN", WRITES)]);
    let admin = || Http::connect(child.admin_address());
    let disconnect = ("POST", "/api/v1/users/adam/disconnect");
    assert_eq!(ask(admin(), disconnect, WRITES, r#"{"reason":"new terms"}"#).status, 200);
    assert_eq!(ask(admin(), disconnect, READS, "{}").status, 403);
    assert_eq!(
        ask(admin(), ("POST", "/api/v1/channels/chat/remove"), WRITES, r#"{"user":"adam"}"#).status,
        200
    );
    let push = r#"{"event":"E","targets":{"users":["adam"]}}"#;
    assert_eq!(ask(admin(), ("POST", "/api/v1/push"), WRITES, push).status, 200);
    let log = child.stop();
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("an operator has changed something")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines.iter().all(|line| line.contains("WARN") && line.contains("address=127.0.0.1")), "{log}");
    for (line, text) in [
        (0, r#"action="disconnect""#),
        (0, r#"reason="new terms""#),
        (1, r#"channel="chat""#),
        (2, r#"action="push""#),
        (2, "position="),
    ] {
        assert!(lines[line].contains(text), "{text} in {log}");
    }
    assert!(!log.contains(WRITES) && !log.contains(READS));
}
