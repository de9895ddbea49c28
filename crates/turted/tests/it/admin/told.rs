//! What is told of the actions of operators.

use std::process::Command;

use serde_json::{Value, json};

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

#[test]
fn who_takes_a_user_out_of_a_channel_is_told_how_many_are_away() {
    let server = server();
    let (mut adam, mut eve) = (v1::Client::new(&server), v1::Client::new(&server));
    ident(&mut adam, "adam");
    adam.join("chat");
    ident(&mut eve, "eve");
    eve.join("chat");
    let welcome = adam.welcome.clone();
    drop((adam, eve));
    eventually("both are away", || metric(&server, "turted_lost_sessions") == 2);
    let remove = |channel: &str| {
        let path = format!("/api/v1/channels/{channel}/remove");
        act(&server, ("POST", &path), &json!({"user": "adam"}))
    };
    assert_eq!(remove("chat"), json!({"connections": 0, "away": 1}));
    assert_eq!(remove("news"), json!({"connections": 0, "away": 0}));
    let mut back = v1::Client::new(&server);
    let resumes =
        json!({"id": 1, "do": "resume", "session": welcome["session"], "cursor": welcome["cursor"]});
    assert_eq!(back.ask(&resumes)["ok"], true);
    assert_eq!(remove("chat"), json!({"connections": 1, "away": 0}));
}

#[test]
fn deleted_history_comes_back_neither_after_a_stop_nor_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("turted.toml");
    std::fs::write(&config, "[[channels]]\nname = \"chat\"\njoin = \"open\"\nhistory = 5\n").unwrap();
    let log = directory.path().join("log");
    let start = || {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --config {}", config.display())]);
        let variables = [
            ("TURTED_LOG_DIRECTORY", log.to_str().unwrap()),
            ("TURTED_ADMIN_TOKEN", READS),
            ("TURTED_ADMIN_WRITE_TOKEN", WRITES),
        ];
        Child::start_by(shell, &variables)
    };
    let history = "/api/v1/channels/chat/history";
    let kept = |server: &Child| match ask(server.admin(), ("GET", history), READS, "").json()["events"].take()
    {
        Value::Array(events) => events.len(),
        other => panic!("{other}"),
    };
    let server = start();
    let push = r#"{"event":"E","targets":{"channels":["chat"]}}"#;
    assert_eq!(ask(server.admin(), ("POST", "/api/v1/push"), WRITES, push).status, 200);
    let deleted = ask(server.admin(), ("DELETE", history), WRITES, "").json();
    assert_eq!((deleted, kept(&server)), (json!({"events": 1, "on_disk": false}), 0));
    server.stop();
    let server = start();
    assert_eq!(kept(&server), 0, "a stop keeps in mind what was deleted");
    server.kill();
    let server = start();
    assert_eq!(kept(&server), 0, "nor does a kill bring it back");
    assert_eq!(ask(server.admin(), ("POST", "/api/v1/push"), WRITES, push).status, 200);
    assert_eq!(kept(&server), 1);
    assert_eq!(ask(server.admin(), ("DELETE", history), WRITES, "").json()["events"], 1);
    assert_eq!(ask(server.admin(), ("POST", "/api/v1/push"), WRITES, push).status, 200);
    server.kill();
    let server = start();
    assert_eq!(kept(&server), 1, "what came after it stays");
    server.stop();
}
