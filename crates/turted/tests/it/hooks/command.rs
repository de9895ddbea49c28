//! `turted hook`: one record of type `test`.

use std::process::{Command, Output};

use super::backend::{Backend, Reaction};

fn run(backend: &Backend, name: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    super::write_secrets(directory.path(), &super::SECRETS);
    let text = format!(
        "[[hooks]]\nname = \"app\"\nurl = \"{}\"\nsecret_file = \"hook.secret\"\ndispatches = [\"*\"]\n",
        backend.url()
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
