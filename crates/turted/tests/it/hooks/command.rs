//! `turted hook`: one record of type `test`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

use super::backend::{Backend, Reaction};
use crate::support::Pair;

fn run(backend: &Backend, name: &str) -> Output {
    run_at(&backend.url(), name)
}

fn run_at(url: &str, name: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    super::write_secrets(directory.path(), &super::SECRETS);
    let text = format!(
        "[[hooks]]\nname = \"app\"\nurl = \"{url}\"\nsecret_file = \"hook.secret\"\ndispatches = [\"*\"]\n",
    );
    std::fs::write(directory.path().join("turted.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_turted"));
    command.args(["hook", name]).current_dir(directory.path()).env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn it_sends_a_test_record_and_prints_the_answer() {
    for (status, code) in [(200, 0), (204, 0), (404, 1), (500, 1)] {
        let backend = Backend::that(move |_, _| Reaction::Answer(status));
        let output = run(&backend, "app");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let printed = text(&output.stdout);
        assert!(printed.starts_with(&status.to_string()), "{printed}");
        let batches = backend.batches();
        assert_eq!(batches.len(), 1);
        let node = batches[0].json["node"].as_str().unwrap();
        assert!(node.ends_with(":7117") && node.len() > 5, "host and port: {node}");
        let records = backend.records();
        assert_eq!((records.len(), &records[0]["type"]), (1, &serde_json::json!("test")));
        assert!(!format!("{output:?}").contains(super::SECRETS[0]));
    }
}

#[test]
fn it_says_why_there_is_no_answer_and_which_hooks_there_are() {
    let backend = Backend::that(|_, _| Reaction::Half);
    let output = run(&backend, "app");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).starts_with("turted: app: "), "{output:?}");
    let output = run(&backend, "apps");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stderr), "turted: there is no hook \"apps\"; there are app\n");
}

#[test]
fn it_gives_a_hint_where_one_side_speaks_tls_and_the_other_does_not_or_the_authority_is_unknown() {
    let tls = Backend::with_tls(&Pair::new().files());
    // As web servers do with what is no HTTP.
    let plain = TcpListener::bind(("localhost", 0)).unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    for (url, failure, hint) in [
        (format!("https://localhost:{port}/"), "it does not speak TLS", "begins with http://"),
        (format!("http://localhost:{}/", tls.port()), "the connection broke", "begins with https://"),
        (
            format!("https://localhost:{}/", tls.port()),
            "no authority that is trusted",
            "`ca` stands below [[hooks]]",
        ),
    ] {
        let output = run_at(&url, "app");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{errors}");
        let (first, second) = errors.split_once("turted: hint: ").unwrap_or_else(|| panic!("{errors}"));
        assert!(first.contains(failure) && second.contains(hint), "{errors}");
    }
}
