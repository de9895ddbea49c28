//! What must never be seen: secrets in logs, answers, metrics, errors, on the standard output, and
//! in the command line, which every user of a machine can read.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::{Child, Http, Kind};

const CANARIES: [&str; 12] = [
    "canary-push-password",
    "canary-wrong-password",
    "canary-wrong-bearer",
    "canary-auth-password",
    "canary-wrong-ident",
    "canary-query-password",
    "canary-environment",
    "canary-admin-token",
    "canary-wrong-admin",
    "canary-payload",
    "canary-echo",
    "canary-write-token-of-22-characters",
];

fn command_line(process: u32) -> String {
    let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap();
    String::from_utf8(line).unwrap().replace('\0', " ")
}

#[track_caller]
fn assert_no_canary(text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {text}");
    }
}

/// Pushes, rightly and wrongly: all that was answered.
fn push(http: &mut Http, [right, wrong, bearer]: [&str; 3]) -> String {
    let mut seen = String::new();
    for password in [right, wrong] {
        let body = format!(
            r#"{{"event":"e","payload":"canary-payload","targets":{{"broadcast":true}},"auth":{{"password":"{password}"}}}}"#
        );
        seen.push_str(http.post("/push/", &[("Accept", "application/json")], body).text());
    }
    let header = format!("Bearer {bearer}");
    seen.push_str(http.post("/push/", &[("Authorization", &header)], r#"{"event":"e"}"#).text());
    seen
}

#[test]
fn no_secret_reaches_a_log_an_answer_a_metric_the_output_or_the_command_line() {
    let [password, wrong, bearer, auth, ident, query, environment, admin, wrong_admin, _, echo, write] =
        CANARIES;
    let child = Child::start(&[
        ("TURTED_LOGLEVEL", "trace"),
        ("TURTED_PUSH_PASSWORD", password),
        ("TURTED_AUTH_PASSWORD", auth),
        ("TURTED_ADMIN_TOKEN", admin),
        ("TURTED_ADMIN_WRITE_TOKEN", write),
        ("TURTED_LIMITS_WRONG_IDENTS", "15"),
        ("DATABASE_URL", environment),
    ]);
    let mut http = child.http();
    let mut seen = push(&mut http, [password, wrong, bearer]);
    for kind in Kind::ALL {
        let mut client = child.client(kind);
        for password in [auth, ident] {
            seen.push_str(&client.ask("IDENT", &format!(r#"{{"username":"u","password":"{password}"}}"#)));
        }
        client.ask("ECHO", &format!("{echo:?}"));
        client.send(&format!(r#"42["IDENT",{{"password":"{ident}","password":7}}]"#));
        seen.push_str(&client.reply().unwrap());
        client.leave();
    }
    for _ in 0..10 {
        let target = format!("/socket.io/?EIO=3&transport=polling&username=u&password={query}");
        seen.push_str(http.get(&target).text());
    }
    let late = format!(r#"{{"username":"u","password":"{auth}"}}"#);
    seen.push_str(&child.client(Kind::V4_WEBSOCKET).ask("IDENT", &late));
    for token in [admin, wrong_admin, write] {
        let header = format!("Bearer {token}");
        for path in
            ["/metrics", "/api/v1/counts", "/api/v1/node", "/api/v1/users/u", "/nothing", "/openapi.json"]
        {
            let answer = child.admin().request("GET", path, &[("Authorization", &header)], b"");
            seen.push_str(answer.text());
        }
        let disconnect =
            child.admin().post("/api/v1/users/u/disconnect", &[("Authorization", &header)], "{}");
        seen.push_str(disconnect.text());
    }
    let line = command_line(child.pid().as_raw_nonzero().get().unsigned_abs());
    assert!(line.contains("turted serve --listen"), "{line}");
    let output = child.stop();
    for logged in ["wrong push password", "wrong admin token", "too many wrong IDENTs", "listening on"]
        .into_iter()
        .chain(["an operator has changed something"])
        .chain(["connection opened", "identified", "IDENT refused", "push refused", "connection closed"])
    {
        assert!(output.contains(logged), "{logged} in {output}");
    }
    let parts = ["wrong-password", "IDENT not verified", "too many wrong IDENTs", "turted_refusals_total"];
    assert!(parts.iter().all(|part| seen.contains(part)), "{seen}");
    [output, seen, line].iter().for_each(|text| assert_no_canary(text));
}

#[test]
fn a_push_shows_its_password_to_the_server_alone() {
    let [password, ..] = CANARIES;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/push/", listener.local_addr().unwrap());
    let push = Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(["push", "--broadcast", "--url", &url, "E"])
        .env_clear()
        .env("TURTED_PUSH_PASSWORD", password)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stream, _) = listener.accept().unwrap();
    let line = command_line(push.id());
    assert!(line.contains("push --broadcast"), "{line}");
    drop(stream);
    let output = push.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let shown = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(shown[1].contains("no answer"), "{shown:?}");
    [&line, &shown[0], &shown[1]].iter().for_each(|text| assert_no_canary(text));
}

#[test]
fn no_secret_reaches_the_errors_of_a_configuration_and_the_effective_one_masks_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turted.toml");
    let check = |toml: &str, variables: &[(&str, &str)]| {
        std::fs::write(&file, toml).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_turted"));
        command.args(["check", "--config", file.to_str().unwrap()]).env_clear();
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let [password, _, _, auth, _, _, _, admin, ..] = CANARIES;
    let secrets = [("TURTED_AUTH_PASSWORD", auth), ("TURTED_ADMIN_TOKEN", admin)];
    let (code, text) = check(&format!("[push]\npassword = \"{password}\""), &secrets);
    assert_eq!((code, text.matches("\"***\"").count()), (Some(0), 3), "{text}");
    assert_no_canary(&text);
    for toml in [
        format!("[push]\npassword = \"{password}"),
        format!("[push]\npassword = {password}"),
        format!("[push]\npasword = \"{password}\""),
        format!("[push]\nmethod = \"none\"\npassword = \"{password}\""),
        format!("[auth]\nkey = \"{password}\"\nalgorithm = \"RS256\""),
    ] {
        let (code, text) = check(&toml, &secrets);
        assert_eq!(code, Some(2), "{text}");
        assert_no_canary(&text);
    }
}
