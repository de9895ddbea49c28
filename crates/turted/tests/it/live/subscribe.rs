//! `turted subscribe`.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use turted::config::{ClientAuth, Secret};

use super::program::Program;
use crate::support::{Child, Http, TestServer, eventually};

fn url(server: &TestServer) -> String {
    format!("ws://{}", server.address())
}

fn wait_for_member(mut admin: Http, channel: &str) {
    eventually("it is a member of its channel", || {
        let answer = admin.get(&format!("/api/v1/channels/{channel}"));
        answer.status == 200 && answer.json()["connections"] == 1
    });
}

fn push(server: &TestServer, event: &str, payload: &str) {
    let body = format!(
        r#"{{"event":"{event}","targets":{{"channels":["chat"],"users":["adam"]}},"payload":{payload}}}"#
    );
    assert_eq!(server.push(body).status, 200);
}

#[test]
fn it_prints_events_of_its_user_and_its_channels() {
    let server = TestServer::with(|config| config.auth.method = ClientAuth::Password(Secret::from("secret")));
    let arguments =
        ["subscribe", "--url", &url(&server), "--user", "adam", "--channel", "chat", "--count", "2"];
    let program = Program::start(&arguments, &[("TURTED_TOKEN", "secret")]);
    let json = Program::start(&["subscribe", "--url", &url(&server), "--channel", "news", "--json"], &[]);
    wait_for_member(server.admin(), "chat");
    wait_for_member(server.admin(), "news");
    push(&server, "MESSAGE:NEW", "{\n\"a\":[1.0,\"\u{9b}\"]}");
    push(&server, "B", "2");
    assert_eq!(program.line(), r#"MESSAGE:NEW { "a":[1.0,"\u009b"]}"#);
    assert_eq!(program.line(), "B 2");
    assert_eq!(program.end(), (Some(0), String::new(), String::new()));
    assert_eq!(server.push(r#"{"event":"N","targets":{"channels":["news"]},"payload":[1.0]}"#).status, 200);
    let event = json.json();
    assert_eq!((&event["event"], &event["via"]), (&json!("N"), &json!({"channel": "news"})));
}

#[test]
fn it_says_why_it_is_refused() {
    let server = TestServer::with(|config| config.auth.method = ClientAuth::Password(Secret::from("secret")));
    let (code, _, complaint) = Program::start(
        &["subscribe", "--url", &url(&server), "--user", "adam"],
        &[("TURTED_TOKEN", "canary")],
    )
    .end();
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.starts_with("turted: refused: "), "{complaint}");
    assert!(!complaint.contains("canary"), "{complaint}");
    let elsewhere = format!("{}/nothing", url(&server));
    let (code, _, complaint) =
        Program::start(&["subscribe", "--url", &elsewhere, "--channel", "a"], &[]).end();
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("the server answered 404"), "{complaint}");
    let (code, _, complaint) =
        Program::start(&["subscribe", "--url", "ws://127.0.0.1:1", "--channel", "a"], &[]).end();
    assert_eq!(code, Some(3), "{complaint}");
    assert_eq!(Program::start(&["subscribe"], &[]).end().0, Some(2), "neither user nor channel");
    let url = url(&server);
    let waiting = ["subscribe", "--url", &url, "--channel", "a", "--count", "1", "--timeout", "500ms"];
    assert_eq!(Program::start(&waiting, &[]).end().0, Some(1));
}

#[test]
fn a_command_gets_each_payload_and_no_shell_sees_it() {
    let server = TestServer::new();
    let directory = tempfile::tempdir().unwrap();
    let (script, written) = (directory.path().join("take"), directory.path().join("written"));
    let text = "#!/bin/sh\nprintf '%s %s %s ' \"$TURTED_EVENT\" \"$TURTED_VIA\" \"$2\" >>\"$1\"\n/bin/cat >>\"$1\"\nexit 3\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let (script, file) = (script.to_str().unwrap(), written.to_str().unwrap());
    let url = url(&server);
    let arguments =
        ["subscribe", "--url", &url, "--channel", "chat", "--count", "2", "--exec", script, file, "--$(id)"];
    let program = Program::start(&arguments, &[]);
    wait_for_member(server.admin(), "chat");
    push(&server, "A", "{\"a\": 1.0}");
    push(&server, "B", "\"`id`\"");
    let (code, printed, complaint) = program.end();
    assert_eq!((code, &*printed), (Some(1), ""), "{complaint}");
    assert_eq!(complaint.matches("exit status: 3").count(), 2, "{complaint}");
    assert!(complaint.ends_with("2 times with a failure\n"), "{complaint}");
    let via = r#"{"channel":"chat"}"#;
    let expected = format!("A {via} --$(id) {{\"a\": 1.0}}B {via} --$(id) \"`id`\"");
    assert_eq!(std::fs::read_to_string(&written).unwrap(), expected);
    let missing = ["subscribe", "--url", &url, "--channel", "chat", "--exec", "/nowhere/at/all"];
    let program = Program::start(&missing, &[]);
    wait_for_member(server.admin(), "chat");
    push(&server, "A", "1");
    let (code, _, complaint) = program.end();
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("/nowhere/at/all"), "{complaint}");
}

#[test]
fn it_comes_back_to_a_server_that_was_restarted_and_joins_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let start = || Child::start_with_socket(&listener, &[]);
    let first = start();
    let url = format!("ws://{}", first.address());
    let program = Program::start(&["subscribe", "--url", &url, "--channel", "chat", "--count", "1"], &[]);
    wait_for_member(first.admin(), "chat");
    first.stop();
    let second = start();
    wait_for_member(second.admin(), "chat");
    let pushed =
        second.http().post("/push/", &[], r#"{"event":"E","targets":{"channels":["chat"]},"payload":1}"#);
    assert_eq!(pushed.status, 200);
    assert_eq!(program.line(), "E 1");
    let (code, _, complaint) = program.end();
    assert_eq!(code, Some(0), "{complaint}");
    second.stop();
}
