//! The load generator, loading a server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::support::{Pair, TestServer};

/// What `turted bench` says with these arguments.
fn report(server: &TestServer, arguments: &[&str]) -> Value {
    let url = format!("http://{}", server.address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_turted"));
    command.args(["bench", "--json", "--url", &url]).args(arguments);
    let done = command.env_clear().stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// What `turted bench` says to whatever listens at this address: exit code, output, and errors.
fn bench(address: SocketAddr, arguments: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://{address}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_turted"));
    command.args(["bench", "--url", &url, "--connections", "1"]).args(arguments);
    let done = command.env_clear().stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

/// A server that answers every request alike.
fn always(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut request = [0; 4096];
                while let Ok(1..) = stream.read(&mut request) {
                    stream.write_all(answer.as_bytes()).ok();
                }
            });
        }
    });
    address
}

#[test]
fn the_exit_code_says_whether_clients_or_pushes_were_refused() {
    let address = always("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let (code, report, _) = bench(address, &["--protocol", "centrifugo", "--duration", "0s"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("refused: HTTP/1.1 403 Forbidden"), "{report}");
    let (code, _, error) = bench(address, &["--protocol", "mercure"]);
    assert_eq!(code, Some(3), "{error}");
    assert!(error.contains("a push was answered 403 Forbidden: no"), "{error}");
}

#[test]
fn what_is_shown_loads_a_server_and_has_no_password() {
    let server = TestServer::new();
    let (code, shown, error) = bench(server.address(), &["--transport", "websocket", "--show"]);
    assert_eq!((code, &*error), (Some(0), ""));
    assert!(shown.starts_with("turted bench \\\n  --transport websocket"), "{shown}");
    let script =
        shown.replacen("turted bench", "exec \"$0\" bench --url \"$1\" --duration 100ms --connections 2", 1);
    let url = format!("http://{}", server.address());
    let done = Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_turted"), &url]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut secret = Command::new(env!("CARGO_BIN_EXE_turted"));
    let secret =
        secret.args(["bench", "--protocol", "centrifugo", "--show"]).env("TURTED_PUSH_PASSWORD", "s3cret");
    let shown = String::from_utf8(secret.output().unwrap().stdout).unwrap();
    assert!(shown.contains("{password}") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn of_more_pushers_than_events_may_be_outstanding_none_waits_for_good() {
    let server = TestServer::new();
    let arguments = ["--connections", "2", "--inflight", "1", "--pushers", "4", "--duration", "300ms"];
    let report = report(&server, &arguments);
    let load = &report["load"];
    assert_eq!((&load["gave_up"], &load["lost"]), (&Value::Bool(false), &0.into()), "{report}");
    assert!(load["deliveries"].as_u64().unwrap() > 0);
}

#[test]
fn clients_and_pushes_go_over_tls_to_the_server_that_the_named_certificate_vouches_for() {
    let pair = Pair::new();
    let server = TestServer::with(|config| config.tls = Some(pair.files()));
    let url = format!("https://localhost:{}", server.address().port());
    let load = |ca: &str, transport: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turted"));
        command.args(["bench", "--json", "--url", &url, "--ca", ca, "--transport", transport]);
        command.args(["--connections", "20", "--stalled", "1", "--duration", "200ms"]).env_clear();
        command.output().unwrap()
    };
    for transport in ["socketio", "websocket", "sse", "sockjs"] {
        let done = load(pair.files().cert.to_str().unwrap(), transport);
        assert!(done.status.success(), "{transport}: {}", String::from_utf8_lossy(&done.stderr));
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        let load = &report["load"];
        assert!(load["deliveries"].as_u64() > Some(0), "{transport}: {report}");
        assert_eq!(load["lost"], 0, "{transport}: {report}");
    }
    let other = Pair::new();
    let done = load(other.files().cert.to_str().unwrap(), "socketio");
    assert_ne!(done.status.code(), Some(0), "a server that nobody vouches for");
}

#[test]
fn all_clients_come_back_to_what_they_missed() {
    let server = TestServer::new();
    for transport in ["socketio", "websocket", "sse"] {
        let report = report(
            &server,
            &[
                "--transport",
                transport,
                "--connections",
                "50",
                "--channels",
                "2",
                "--return",
                "20",
                "--duration",
                "100ms",
            ],
        );
        let back = &report["return"];
        let found =
            ["clients", "missed", "deliveries", "lost", "duplicated", "disordered"].map(|name| &back[name]);
        assert_eq!(found, [50, 20, 50 * 21, 0, 0, 0].map(Value::from).each_ref(), "{transport}: {report}");
        assert!(report["load"]["deliveries"].as_u64() > Some(0), "{transport}: {report}");
    }
}

#[test]
fn each_client_is_a_user_and_a_push_reaches_all_of_them() {
    let server = TestServer::new();
    for transport in ["socketio", "websocket"] {
        let arguments = ["--transport", transport, "--users", "--connections", "20", "--duration", "100ms"];
        let load = &report(&server, &arguments)["load"];
        let (pushes, deliveries) = (load["pushes"].as_u64().unwrap(), load["deliveries"].as_u64().unwrap());
        assert!(pushes > 0 && deliveries == 20 * pushes, "{transport}: {load}");
    }
    for (arguments, rule) in [
        (&["--users", "--connections", "1001"][..], "--users: expected 1 to 1000 --connections"),
        (&["--users", "--transport", "sse"], "--users: only with --transport socketio, polling or websocket"),
        (&["--joins", "2", "--transport", "sockjs"], "--joins: only with --transport"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turted"));
        let done = command.arg("bench").args(arguments).env_clear().output().unwrap();
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), error.contains(rule)), (Some(2), true), "{error}");
    }
}

#[test]
fn clients_join_several_channels_and_receive_what_is_pushed_to_one() {
    let server = TestServer::new();
    for transport in ["socketio", "polling", "websocket"] {
        let arguments =
            ["--transport", transport, "--connections", "20", "--joins", "10", "--duration", "100ms"];
        let load = &report(&server, &arguments)["load"];
        assert!(load["deliveries"].as_u64() > Some(0), "{transport}: {load}");
    }
}

#[test]
fn sessions_that_begin_by_polling_go_on_over_websockets_all_at_once() {
    let server = TestServer::new();
    let report = report(
        &server,
        &[
            "--transport",
            "polling",
            "--connections",
            "300",
            "--opening",
            "300",
            "--channels",
            "3",
            "--duration",
            "200ms",
        ],
    );
    assert_eq!(report["connects"]["opened"], 300, "{report}");
    assert!(report["load"]["deliveries"].as_u64() > Some(0), "{report}");
}

#[test]
fn what_a_server_does_not_keep_is_lost() {
    let server = TestServer::with(|config| config.recovery.enabled = false);
    for transport in ["socketio", "websocket"] {
        let arguments = ["--transport", transport, "--return", "20", "--duration", "0s", "--patience", "1s"];
        let (code, report, error) = bench(server.address(), &arguments);
        assert_eq!((code, &*error), (Some(1), ""), "{report}");
        assert!(report.contains("lost                  20, 0 out of order, 0 twice"), "{report}");
    }
    let (code, report, _) =
        bench(server.address(), &["--transport", "sse", "--return", "20", "--patience", "1s"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("cannot come back: heard nothing that is kept as id"), "{report}");
}
