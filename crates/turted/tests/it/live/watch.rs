//! `turted watch`.

use std::io::BufRead;

use serde_json::json;
use turted::config::Secret;

use super::program::Program;
use super::{TOKEN, Watcher};
use crate::support::{Child, Kind, TestServer, eventually, ports};

const VARIABLE: (&str, &str) = ("TURTED_ADMIN_TOKEN", TOKEN);

fn server() -> TestServer {
    TestServer::with(|config| config.admin.token = Some(Secret::from(TOKEN)))
}

fn url(server: &TestServer) -> String {
    format!("http://{}", server.admin_address())
}

fn push(server: &TestServer, event: &str) {
    server.dispatcher().broadcast(event, &json!({"a": 1})).unwrap().wait().unwrap();
}

#[test]
fn it_prints_a_line_for_each_record_and_ends_after_as_many_as_it_is_asked_for() {
    let server = server();
    let arguments = ["watch", "--url", &url(&server), "--event", "E*", "--payload", "--count", "2"];
    let program = Program::start(&arguments, &[VARIABLE]);
    assert!(program.line().contains(" watching      node="));
    for event in ["E1", "OTHER", "E2"] {
        push(&server, event);
    }
    let first = program.line();
    assert!(
        first.contains(" push          event=E1 broadcast=true bytes=7 reached=0 source=embed"),
        "{first}"
    );
    assert!(first.ends_with("payload={\"a\":1}"), "{first}");
    assert!(program.line().contains("event=E2"));
    assert_eq!(program.end(), (Some(0), String::new(), String::new()));
}

#[test]
fn each_filter_of_the_command_line_must_hold() {
    let server = server();
    let url = url(&server);
    let watch = |filters: &[&str], count: &str| {
        let program =
            Program::start(&[&["watch", "--url", &url, "--count", count], filters].concat(), &[VARIABLE]);
        assert!(program.line().contains(" watching "));
        program
    };
    let of_user = watch(&["--user", "adam"], "3");
    let of_channel = watch(&["--channel", "chat"], "2");
    let of_both = watch(&["--channel", "chat", "--user", "eve"], "1");
    let from_here = watch(&["--address", "127.0.0.1", "--type", "connected"], "1");
    let from_elsewhere = watch(&["--address", "192.0.2.1", "--timeout", "3s"], "1");
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"adam"}"#);
    client.ask("JOIN", r#"{"channel":"chat"}"#);
    for user in ["adam", "eve"] {
        server.dispatcher().notify_user(user, "E", &1).unwrap().wait().unwrap();
    }
    let mut other = server.client(Kind::V4_WEBSOCKET);
    other.ask("IDENT", r#"{"username":"eve"}"#);
    other.ask("JOIN", r#"{"channel":"chat"}"#);
    let kinds = |program: Program, count: usize| {
        let lines: Vec<_> = (0..count).map(|_| program.line()).collect();
        let kinds = lines.iter().map(|line| line.split_whitespace().nth(1).unwrap().to_owned());
        let kinds: Vec<_> = kinds.collect();
        assert_eq!(program.end().0, Some(0), "{lines:?}");
        kinds.join(" ")
    };
    assert_eq!(kinds(of_user, 3), "identified joined push");
    assert_eq!(kinds(of_channel, 2), "joined joined");
    assert_eq!(kinds(of_both, 1), "joined");
    assert_eq!(kinds(from_here, 1), "connected");
    assert_eq!(from_elsewhere.end().0, Some(1), "nothing comes from there");
}

#[test]
fn names_from_strangers_do_not_steer_the_terminal() {
    let server = server();
    for json in [false, true] {
        let url = url(&server);
        let arguments = ["watch", "--url", &url, "--type", "joined", "--count", "1", "--json"];
        let program = Program::start(&arguments[..if json { 8 } else { 7 }], &[VARIABLE]);
        program.line();
        let mut client = server.client(Kind::V4_WEBSOCKET);
        client.ask("JOIN", &json!({"channel": "a\u{202e}b\u{feff}"}).to_string());
        let line = program.line();
        assert!(line.chars().all(|character| character.is_ascii_graphic() || character == ' '), "{line:?}");
        if json {
            let record: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(record["channel"], "a\u{202e}b\u{feff}");
        }
        assert_eq!(program.end().0, Some(0));
    }
}

#[test]
fn it_says_why_it_may_not_watch() {
    let server = server();
    let url = url(&server);
    let ended = |arguments: &[&str], variables: &[(&str, &str)]| {
        let (code, printed, complaint) =
            Program::start(&[&["watch", "--url", &url], arguments].concat(), variables).end();
        assert_eq!(printed, "");
        (code, complaint)
    };
    let (code, complaint) = ended(&[], &[]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(
        complaint.contains("401") && complaint.contains("set TURTED_ADMIN_TOKEN or --token-file"),
        "{complaint}"
    );
    let (code, complaint) = ended(&[], &[("TURTED_ADMIN_TOKEN", "canary-wrong")]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("it is not the admin_token of the server"), "{complaint}");
    assert!(!complaint.contains("canary"), "{complaint}");
    let (code, complaint) = ended(&["--type", "nothing"], &[VARIABLE]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("400") && complaint.contains("type=A,B"), "{complaint}");
    assert_eq!(ended(&["--count", "0"], &[VARIABLE]).0, Some(2));
    let _watchers: Vec<_> = (0..8).map(|_| Watcher::of(server.admin_address(), "")).collect();
    let (code, complaint) = ended(&[], &[VARIABLE]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("503") && complaint.contains("as many watch already as may"), "{complaint}");
    let nobody = Program::start(&["watch", "--url", "http://127.0.0.1:1"], &[]).end();
    assert_eq!(nobody.0, Some(3), "{}", nobody.2);
}

#[test]
fn without_enough_records_in_time_it_fails_and_without_a_count_it_does_not() {
    let server = server();
    let url = url(&server);
    let timeout = ["watch", "--url", &url, "--timeout", "500ms"];
    assert_eq!(Program::start(&timeout, &[VARIABLE]).end().0, Some(0));
    let (code, _, complaint) = Program::start(&[&timeout[..], &["--count", "1"]].concat(), &[VARIABLE]).end();
    assert_eq!((code, &*complaint), (Some(1), "turted: the time was over before --count was reached\n"));
}

#[test]
fn a_pipe_that_is_closed_is_no_failure() {
    let server = server();
    let mut program = Program::start(&["watch", "--url", &url(&server)], &[VARIABLE]);
    program.line();
    program.close_pipe();
    // The reader notices with its next line that nobody wants it, the program with the one behind.
    let pusher = server.dispatcher().clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let pushing = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            pusher.broadcast("E", &1).unwrap().wait().unwrap();
            crate::support::pause(std::time::Duration::from_millis(20));
        }
    });
    let (code, _, complaint) = program.end();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    pushing.join().unwrap();
    assert_eq!((code, &*complaint), (Some(0), ""));
}

#[test]
fn it_ends_soon_after_its_pipe_is_closed_also_if_nothing_happens() {
    let server = server();
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(["watch", "--url", &url(&server)])
        .env_clear()
        .envs([VARIABLE])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    std::io::BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("watching"), "{first}");
    let ended = std::cell::Cell::new(None);
    eventually("it ends", || {
        ended.set(process.try_wait().unwrap());
        ended.get().is_some()
    });
    assert_eq!(ended.get().unwrap().code(), Some(0));
}

#[test]
fn it_comes_back_to_a_server_that_was_restarted() {
    let [port] = ports::free();
    let admin = format!("127.0.0.1:{port}");
    let start = || Child::start(&[("TURTED_ADMIN_LISTEN", &admin), VARIABLE]);
    let first = start();
    let url = format!("http://{admin}");
    let program =
        Program::start(&["watch", "--url", &url, "--json", "--type", "push", "--count", "1"], &[VARIABLE]);
    assert_eq!(program.json()["type"], "watching");
    first.stop();
    let second = start();
    assert_eq!(program.json()["type"], "watching");
    let pushed =
        second.http().post("/push/", &[], r#"{"event":"E","targets":{"broadcast":true},"payload":1}"#);
    assert_eq!(pushed.status, 200);
    assert_eq!(program.json()["event"], "E");
    let (code, _, complaint) = program.end();
    assert_eq!(code, Some(0));
    assert!(complaint.contains("trying again"), "{complaint}");
    second.stop();
}

#[test]
fn all_nodes_are_watched_with_a_user_a_channel_or_an_address_alone() {
    let ended =
        Program::start(&["watch", "--url", "http://127.0.0.1:1", "--all-nodes", "--type", "push"], &[]).end();
    let expected = "turted: --all-nodes takes --user, --channel or --address beside it\n";
    assert_eq!((ended.0, &*ended.2), (Some(2), expected));
    let server = server();
    let watch = ["watch", "--url", &url(&server), "--all-nodes", "--channel", "chat", "--count", "1"];
    let program = Program::start(&watch, &[VARIABLE]);
    assert!(program.line().contains(" watching "));
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("JOIN", r#"{"channel":"chat"}"#);
    assert!(program.line().contains(" joined "));
    assert_eq!(program.end().0, Some(0));
}
