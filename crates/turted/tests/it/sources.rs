//! Where pushes are fetched from: what all sources have in common, with files as the source; and each type of source.

pub(crate) mod full;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod redis;
pub(crate) mod support;
mod tail;

use serde_json::json;

use self::support::{Logs, MAP, UP};
use crate::support::{Child, Kind, eventually};
use crate::v1;

#[test]
fn a_message_reaches_clients_of_every_kind_and_is_counted() {
    let logs = Logs::new();
    let server = logs.server(MAP);
    let mut socketio = server.client(Kind::V4_WEBSOCKET);
    let mut old = server.client(Kind::V3_POLLING);
    let mut plain = v1::Client::new(&server);
    socketio.ask("JOIN", r#"{"channel":"log.app.log"}"#);
    old.ask("JOIN", r#"{"channel":"log.app.log"}"#);
    plain.join("log.app.log");
    logs.append("app.log", "WARN disk \"full\"\nnothing that matches\nINFO again\n");
    for client in [&mut socketio, &mut old] {
        let (first, second) = (client.event(), client.event());
        assert_eq!(
            (&*first.name, &first.payload),
            ("LOG:WARN", &json!("WARN disk \"full\"")),
            "{:?}",
            client.kind
        );
        assert_eq!((&*second.name, &second.payload), ("LOG:INFO", &json!("INFO again")));
    }
    assert_eq!(plain.receive()["event"], "LOG:WARN");
    assert_eq!(plain.receive()["payload"], "INFO again");
    for (series, expected) in [
        (r#"turted_source_up{source="app"}"#, 1),
        (r#"turted_source_messages_total{source="app",outcome="accepted"}"#, 2),
        (r#"turted_source_messages_total{source="app",outcome="skipped"}"#, 1),
        (r#"turted_dispatches_total{source="app"}"#, 2),
        (r#"turted_dispatches_total{source="rest"}"#, 0),
    ] {
        assert_eq!(server.metric(series), expected, "{series}");
    }
    let answer = server.admin().get("/api/v1/sources").json();
    let source = &answer["sources"][0];
    assert_eq!(
        (&source["name"], &source["type"], &source["up"]),
        (&json!("app"), &json!("tail"), &json!(true))
    );
    assert_eq!(source["messages"]["accepted"], 2);
    eventually("all is read", || server.metric(r#"turted_source_lag_bytes{source="app"}"#) == 0);
}

#[test]
fn what_breaks_a_rule_is_told_with_the_rule_and_the_next_message_is_delivered() {
    let logs = Logs::new();
    let mut child = logs.child("", &[]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"u"}"#);
    logs.append("app.log", "no JSON, with a secret: canary\n");
    logs.append("app.log", &format!("{{\"event\":\"{}\"}}\n", "x".repeat(2_000_000)));
    logs.append_bytes(
        "app.log",
        b"{\"event\":\"\xff\"}\n{\"event\":\"a\\u0000\"}\n{\"event\":\"\\ud800\"}\n",
    );
    logs.append("app.log", "{\"event\":\"E\",\"targets\":{\"users\":[\"u\"]},\"payload\":1}\n");
    assert_eq!(client.event().name, "E");
    let refused = r#"turted_source_messages_total{source="app",outcome="refused"}"#;
    assert_eq!(child.metric(refused), 5);
    assert!(child.is_running());
    let log = child.stop();
    let line = log.lines().find(|line| line.contains("message refused")).expect("a line");
    assert!(line.contains("source=\"app\"") && line.contains("rule=\"not-json\""), "{line}");
    assert!(log.matches("message refused").count() < 5, "at most one a second: {log}");
    assert!(!log.contains("canary"), "{log}");
    assert!(log.contains("\nsources\n  app            tail "), "{log}");
}

#[test]
fn a_source_whose_lock_is_taken_keeps_the_server_from_starting() {
    let logs = Logs::new();
    let first = logs.server(MAP);
    let error = turted::server::Server::bind(logs.config(MAP)).unwrap_err().to_string();
    assert!(error.contains("source \"app\": another server reads this source"), "{error}");
    first.stop();
    logs.server(MAP).stop();
}

#[test]
fn a_source_that_cannot_be_reached_is_tried_until_it_is_back_and_told_once() {
    let logs = Logs::new();
    let child = logs.child("", &[]);
    // The directory of its checkpoints is gone: what it accepts cannot be written down.
    std::fs::rename(logs.path("state"), logs.path("away")).unwrap();
    logs.append("app.log", "{\"event\":\"E\"}\n");
    eventually("it is down", || child.metric(UP) == 0);
    assert_eq!(child.admin().get("/ready").status, 200);
    std::fs::rename(logs.path("away"), logs.path("state")).unwrap();
    eventually("it is back", || child.metric(UP) == 1);
    let log = child.stop();
    let count = |text: &str| log.matches(text).count();
    assert_eq!((count("the source is down"), count("the source is back")), (1, 1), "{log}");
}

/// The program as an operator runs it.
fn turted(logs: &Logs, arguments: &[&str]) -> (i32, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(arguments)
        .args(["--config", logs.path("turted.toml").to_str().unwrap()])
        .env_clear()
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_sample_shows_what_each_line_would_become() {
    let logs = Logs::new();
    logs.config(MAP);
    logs.append("sample.log", "WARN a\nnothing\nINFO b");
    let sample = logs.path("sample.log").display().to_string();
    let (code, text) = turted(&logs, &["check", "--sample", "app", &sample]);
    let expected = "1: {\"event\":\"LOG:WARN\",\"targets\":{\"channels\":[\"log.sample.log\"]},\"payload\":\"WARN a\"}\n\
                    2: skipped, `match` does not match it\n\
                    3: {\"event\":\"LOG:INFO\",\"targets\":{\"channels\":[\"log.sample.log\"]},\"payload\":\"INFO b\"}\n";
    assert_eq!((code, &*text), (0, expected));
    let (code, text) = turted(&logs, &["check", "--sample", "app", &sample, "--set", "file="]);
    assert!(code == 0 && text.contains("[\"log.\"]"), "{text}");
    let long = format!("--set=file={}", "x".repeat(300));
    let (code, text) = turted(&logs, &["check", "--sample", "app", &sample, &long]);
    assert!(code == 1 && text.starts_with("1: refused, name-too-long: /targets/channels/0: "), "{text}");
    let (code, text) = turted(&logs, &["check", "--sample", "other", &sample]);
    assert!(code == 2 && text.contains("there is no source \"other\""), "{text}");
}

#[test]
fn each_source_can_be_tried() {
    let logs = Logs::new();
    let server = logs.server(MAP);
    assert_eq!(turted(&logs, &["check", "--connect"]), (0, "source app, tail: can be reached\n".to_owned()));
    server.stop();
    std::fs::remove_dir_all(logs.path("state")).unwrap();
    std::fs::write(logs.path("state"), "a file").unwrap();
    let (code, text) = turted(&logs, &["check", "--connect"]);
    assert!(code == 1 && text.starts_with("source app, tail: cannot write to state_dir"), "{text}");
}

#[test]
fn a_stop_reads_nothing_more_and_remembers_what_was_accepted() {
    let logs = Logs::new();
    let child = logs.child("", &[]);
    let accepted = r#"turted_source_messages_total{source="app",outcome="accepted"}"#;
    logs.append("app.log", "{\"event\":\"E\"}\n");
    eventually("it is accepted", || child.metric(accepted) == 1);
    child.stop();
    logs.append("app.log", "{\"event\":\"E\"}\n");
    let child: Child = logs.child("", &[]);
    eventually("the next one is accepted", || child.metric(accepted) == 1);
    child.stop();
}
