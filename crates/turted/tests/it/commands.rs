//! The commands beside `serve`, as programs: what they print, and whom they believe.

use std::process::{Command, Output};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Child, Kind, PATIENCE, Pair, TestServer};

fn turted(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_turted"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap()
}

fn complaint(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn a_push_over_tls_reaches_the_server_that_the_named_certificate_vouches_for() {
    let pair = Pair::new();
    let server = TestServer::with(|config| {
        config.tls = Some(pair.files());
        config.push.password = Some("tiger".into());
    });
    let tunnel = pair.tunnel(server.address());
    let mut client = crate::support::Client::connect(tunnel.address(), Kind::V4_WEBSOCKET);
    let (cert, port) = (pair.files().cert, server.address().port());
    let cert = cert.to_str().unwrap();
    let url = format!("https://localhost:{port}/push/");
    let password = ("TURTED_PUSH_PASSWORD", "tiger");
    let push = ["push", "--broadcast", "--url", &url, "NEWS", "[1.0]"];

    let named = turted(&[&push[..], &["--ca", cert]].concat(), &[password]);
    assert_eq!(named.status.code(), Some(0), "{named:?}");
    assert!(String::from_utf8(named.stdout).unwrap().starts_with(r#"{"delivered":1,"#));
    let event = client.event();
    assert_eq!((event.name.as_str(), event.payload), ("NEWS", json!([1.0])));

    let by_system = turted(&push, &[password, ("SSL_CERT_FILE", cert)]);
    assert_eq!(
        by_system.status.code(),
        Some(0),
        "the system's roots are read where it has them: {by_system:?}"
    );
    assert_eq!(client.event().name, "NEWS");

    let wrong = turted(&[&push[..], &["--ca", cert]].concat(), &[("TURTED_PUSH_PASSWORD", "lion")]);
    assert_eq!(
        complaint(&wrong),
        (
            Some(1),
            "turted: refused, 401 Unauthorized: Wrong auth data; it is not the push.password of the server\n"
                .to_owned()
        )
    );
}

#[test]
fn a_push_over_tls_tells_nothing_to_a_server_that_nobody_vouches_for() {
    let (pair, other) = (Pair::new(), Pair::new());
    let server = TestServer::with(|config| config.tls = Some(pair.files()));
    let port = server.address().port();
    let [own, others] = [&pair, &other].map(|pair| pair.files().cert.to_str().unwrap().to_owned());
    let key = pair.files().key.to_str().unwrap().to_owned();
    let refused = |host: &str, rest: &[&str], reason: &str| {
        let url = format!("https://{host}:{port}/push/");
        let output = turted(&[&["push", "--broadcast", "--url", &url, "E"], rest].concat(), &[]);
        let (code, text) = complaint(&output);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.starts_with(&format!("turted: no answer from {url}: {reason}")), "{text}");
    };
    let unknown =
        "its certificate is from no authority that this system trusts; name the authority with --ca FILE";
    refused("localhost", &["--ca", &others], unknown);
    refused("127.0.0.1", &["--ca", &own], "invalid peer certificate: certificate not valid for name");
    let authority = Pair::new().of_an_authority();
    let ca = authority.files().cert.to_str().unwrap().to_owned();
    let server = TestServer::with(|config| config.tls = Some(authority.files()));
    let url = format!("https://localhost:{}/push/", server.address().port());
    let (code, text) = complaint(&turted(&["push", "--broadcast", "--url", &url, "--ca", &ca, "E"], &[]));
    let reason = "its certificate is that of an authority; a server needs one with basicConstraints=CA:FALSE";
    assert_eq!((code, text), (Some(3), format!("turted: no answer from {url}: {reason}\n")));
    let nobody = turted(&["push", "--broadcast", "--url", &url, "E"], &[("SSL_CERT_FILE", &key)]);
    let expected = "turted: this system trusts no authority; name a file of certificates with --ca\n";
    assert_eq!(complaint(&nobody), (Some(2), expected.to_owned()));
    for (file, reason) in [(key.as_str(), "no items found"), ("/nowhere/at/all", "No such file")] {
        let output = turted(&["push", "--broadcast", "--url", &url, "--ca", file, "E"], &[]);
        let (code, text) = complaint(&output);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(reason), "{text}");
        assert!(text.contains(file), "{text}");
    }
}

#[test]
fn a_refused_push_says_what_to_do() {
    let child = Child::start(&[("TURTED_PUSH_PASSWORD", "right")]);
    let url = format!("http://{}", child.address());
    let push = |url: &str, variables: &[(&str, &str)]| {
        complaint(&turted(&["push", "--broadcast", "--url", url, "E"], variables)).1
    };
    let missing = push(&url, &[]);
    assert!(missing.contains("Wrong auth data; set TURTED_PUSH_PASSWORD or --password-file"), "{missing}");
    let wrong = push(&url, &[("TURTED_PUSH_PASSWORD", "wrong")]);
    assert!(wrong.contains("it is not the push.password of the server"), "{wrong}");
    assert!(!wrong.contains("wrong\n"), "{wrong}");
    for path in ["", "/"] {
        let url = format!("{url}{path}");
        let output =
            turted(&["push", "--broadcast", "--url", &url, "E"], &[("TURTED_PUSH_PASSWORD", "right")]);
        assert!(output.status.success(), "without a path it is /push/: {output:?}");
    }
    let elsewhere = push(&format!("{url}/pushes"), &[("TURTED_PUSH_PASSWORD", "right")]);
    assert!(elsewhere.contains("404"), "{elsewhere}");
    assert!(elsewhere.contains("push.path"), "{elsewhere}");
    let pair = Pair::new();
    let trusted = pair.files().cert.to_str().unwrap().to_owned();
    let https = push(&format!("https://{}/push/", child.address()), &[("SSL_CERT_FILE", &trusted)]);
    assert!(https.contains("it does not speak TLS: use http instead of https"), "{https}");
    let log = child.stop();
    assert_eq!(
        log.matches("a client speaks TLS, which this port does not: set tls_cert").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_server_that_cannot_listen_says_where_and_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = turted(&["serve", "--listen", &address], &[("TURTED_ADMIN_LISTEN", "")]);
    let expected = format!(
        "turted: cannot listen on {address}: Address already in use (os error 98); another program has it, perhaps another \
         turted (ss -ltnp tells which): end that, or choose another port\n"
    );
    assert_eq!(complaint(&listen), (Some(1), expected));
    let admin = turted(
        &["serve", "--listen", "127.0.0.1:0"],
        &[("TURTED_ADMIN_LISTEN", "192.0.2.1:1"), ("TURTED_INSECURE", "true")],
    );
    let (code, text) = complaint(&admin);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("turted: cannot listen on 192.0.2.1:1: "), "{text}");
}

#[test]
fn log_lines_are_json_objects_if_the_operator_wants_machines_to_read_them() {
    let child = Child::start(&[("TURTED_LOG_FORMAT", "json"), ("TURTED_LOGLEVEL", "info")]);
    let output = child.stop();
    let (lines, banner): (Vec<&str>, Vec<&str>) = output.lines().partition(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> =
        lines.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stopping = lines.iter().find(|line| line["message"] == "stopping").unwrap();
    assert_eq!((&stopping["level"], &stopping["signal"]), (&json!("INFO"), &json!("SIGTERM")));
    assert!(stopping["timestamp"].is_string());
    assert!(!banner.iter().any(|line| line.contains("INFO")), "{banner:?}");
}

#[test]
fn a_token_signed_with_a_short_key_comes_with_a_warning() {
    for (algorithm, least) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let token = |bytes: usize| {
            let key = "k".repeat(bytes);
            let variables = [("TURTED_AUTH_ALGORITHM", algorithm), ("TURTED_AUTH_KEY", key.as_str())];
            turted(&["token", "alice"], &variables)
        };
        let (short, long) = (token(least - 1), token(least));
        for output in [&short, &long] {
            assert_eq!(output.status.code(), Some(0), "{algorithm}");
            assert_eq!(output.stdout.iter().filter(|byte| **byte == b'.').count(), 2, "{algorithm}");
        }
        let (_, warning) = complaint(&short);
        let expected = "turted: warning: `auth.key` is shorter than the hash of `auth.algorithm` = ";
        assert!(warning.starts_with(&format!("{expected}\"{algorithm}\"")), "{warning}");
        assert_eq!(complaint(&long).1, "", "{algorithm}");
    }
}

#[test]
fn completions_know_every_command_in_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = String::from_utf8(turted(&["completions", shell], &[]).stdout).unwrap();
        for word in ["serve", "push", "check", "token", "completions", "man", "password-file", "ca"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
}

#[test]
fn a_thread_that_cannot_start_is_an_error_and_no_panic() {
    // No thread gets a stack of 1 PiB, whoever runs the test.
    let stack = ("RUST_MIN_STACK", "1125899906842624");
    for (thread, admin) in [("that of the admin listener", "127.0.0.1:0"), ("that of a worker", "")] {
        let variables = [stack, ("TURTED_ADMIN_LISTEN", admin)];
        let output = turted(&["serve", "--listen", "127.0.0.1:0", "--workers", "2"], &variables);
        let (code, text) = complaint(&output);
        assert_eq!(code, Some(1), "{thread}: {text}");
        assert!(text.starts_with("turted: cannot start a thread: "), "{thread}: {text}");
        assert_eq!(text.lines().count(), 1, "{thread}: {text}");
    }
}

#[test]
fn sighup_reads_the_keys_of_tokens_again_and_check_says_how_many_there_are() {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys");
    let read = |name: &str| std::fs::read_to_string(format!("{keys}/{name}")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.pem");
    std::fs::write(&file, read("p256.pub.pem")).unwrap();
    let variables = [("TURTED_AUTH_ALGORITHM", "ES256"), ("TURTED_AUTH_KEY_FILE", file.to_str().unwrap())];
    let private = format!("{keys}/p256-next.pem");
    let child = Child::start(&[variables[0], variables[1], ("TURTED_LOGLEVEL", "info")]);
    std::fs::write(&file, read("p256.pub.pem") + &read("p256-next.pub.pem")).unwrap();
    let token = turted(&["token", "alice", "--key-file", &private], &variables);
    let bearer = format!("Bearer {}", String::from_utf8(token.stdout).unwrap().trim_end());
    let status = || {
        let mut http = child.http();
        http.send_request("GET", "/sse", &[("Authorization", &bearer)], b"");
        http.read_head().unwrap().status
    };
    assert_eq!(status(), 401, "the new key is not known yet");
    child.signal(Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    while status() != 200 {
        assert!(Instant::now() < deadline, "the keys are never read");
    }
    let output = child.stop();
    assert!(output.contains("the keys of auth.key_file were reloaded"), "{output}");
    let check = String::from_utf8(turted(&["check"], &variables).stdout).unwrap();
    assert!(check.contains("# from TURTED_AUTH_KEY_FILE, keys: 2\n"), "{check}");
}
