//! The command line as a whole: exit codes, and what goes over the wire.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{JoinHandle, spawn};

use clap::CommandFactory;

use super::*;

/// Runs `turted` with these arguments and variables.
fn turted(arguments: &[&str], variables: &[(&str, &str)]) -> ExitCode {
    let arguments = ["turted"].iter().chain(arguments).map(OsString::from);
    run(arguments, variables.iter().map(|(name, value)| (name.into(), value.into())))
}

/// A server that answers one request with `answer` and returns the request.
fn server(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/push/", listener.local_addr().unwrap());
    let request = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "the request ended early");
            request.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, request)
}

const ACCEPTED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"delivered\":1}";

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_new_epoch_needs_a_log_on_disk_and_is_nothing_for_check() {
    let listen = "--listen=127.0.0.1:0";
    for arguments in
        [&["--new-epoch", listen][..], &["serve", "--new-epoch", listen], &["check", "--new-epoch"]]
    {
        assert_eq!(turted(arguments, &[]), ExitCode::from(EXIT_USAGE), "{arguments:?}");
    }
}

#[test]
fn the_openapi_document_needs_a_valid_configuration() {
    assert_eq!(turted(&["openapi"], &[]), ExitCode::SUCCESS);
    assert_eq!(turted(&["openapi"], &[("TURTED_LISTEN", "here")]), ExitCode::from(EXIT_USAGE));
    assert_eq!(turted(&["openapi", "--config", "/nowhere/at/all"], &[]), ExitCode::from(EXIT_USAGE));
}

/// Every user of a machine can read the command lines of all programs on it.
#[test]
fn no_flag_takes_a_secret() {
    let words = ["password", "secret", "token", "key", "prefix", "suffix"];
    for command in Cli::command().get_subcommands() {
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let is_secret = words.iter().any(|word| flag.contains(word)) && !flag.ends_with("-file");
            assert!(!is_secret, "{} --{flag}", command.get_name());
        }
    }
}

#[test]
fn a_push_carries_targets_password_and_the_payload_byte_for_byte() {
    let (url, request) = server(ACCEPTED);
    let payload = "{\"b\": 1.0, \"a\":[1e2 ]}";
    let arguments = [
        "push",
        "--url",
        &url,
        "--user",
        "adam",
        "--user",
        "eve",
        "--channel",
        "chat",
        "MESSAGE:NEW",
        payload,
    ];
    assert_eq!(turted(&arguments, &[("TURTED_PUSH_PASSWORD", "s3cret")]), ExitCode::SUCCESS);
    let request = request.join().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /push/ HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer s3cret"), "{head}");
    assert!(head.contains("accept: application/json"), "{head}");
    let targets = r#"{"users":["adam","eve"],"channels":["chat"]}"#;
    assert_eq!(body, format!(r#"{{"event":"MESSAGE:NEW","targets":{targets},"payload":{payload}}}"#));
}

#[test]
fn a_password_file_goes_before_the_variable_and_a_payload_may_be_missing() {
    let (url, request) = server(ACCEPTED);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "from file\n").unwrap();
    let arguments = ["push", "--url", &url, "--password-file", file.to_str().unwrap(), "--broadcast", "TICK"];
    assert_eq!(turted(&arguments, &[("TURTED_PUSH_PASSWORD", "s3cret")]), ExitCode::SUCCESS);
    let request = request.join().unwrap();
    assert!(request.contains("authorization: Bearer from file\r\n"), "{request}");
    assert!(request.ends_with(r#"{"event":"TICK","targets":{"broadcast":true}}"#), "{request}");
}

#[test]
fn a_push_without_a_password_shows_none() {
    for variables in [&[][..], &[("TURTED_PUSH_PASSWORD", "")]] {
        let (url, request) = server(ACCEPTED);
        assert_eq!(turted(&["push", "--url", &url, "--broadcast", "TICK"], variables), ExitCode::SUCCESS);
        let request = request.join().unwrap();
        assert!(!request.contains("authorization"), "{request}");
    }
}

#[test]
fn a_refused_push_is_1_and_an_unreachable_server_3() {
    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 15\r\n\r\nWrong auth data";
    let (url, request) = server(refused);
    assert_eq!(turted(&["push", "--url", &url, "--broadcast", "E", "-1"], &[]), ExitCode::from(1));
    assert!(request.join().unwrap().contains(r#""payload":-1"#));

    let (url, request) = server("HTTP/1.1 20");
    assert_eq!(turted(&["push", "--url", &url, "--broadcast", "E"], &[]), ExitCode::from(3));
    request.join().unwrap();

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/push/");
    assert_eq!(turted(&["push", "--url", &url, "--broadcast", "E"], &[]), ExitCode::from(3));
}

/// An HMAC key as long as its hash.
const KEY: (&str, &str) = ("TURTED_AUTH_KEY", "0123456789abcdef0123456789abcdef");

#[test]
fn json_web_tokens_are_printed_where_the_key_can_sign() {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys");
    let (public, private) = (format!("{keys}/p256.pub.pem"), format!("{keys}/p256.pem"));
    let hmac = [("TURTED_AUTH_ALGORITHM", "HS256"), KEY, ("TURTED_AUTH_CHANNELS_CLAIM", "channels")];
    let ecdsa = [("TURTED_AUTH_ALGORITHM", "ES256"), ("TURTED_AUTH_KEY_FILE", public.as_str())];
    let hashed = [("TURTED_AUTH_PREFIX", "s3cret")];
    let other = format!("{keys}/p384.pem");
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], u8);
    let cases: [Case<'_>; 12] = [
        (&["alice"], &hmac, 0),
        (&["alice", "--ttl", "10m", "--channel", "news.*", "--channel", "chat"], &hmac, 0),
        (&["alice", "--key-file", &private], &ecdsa, 0),
        (&["alice", "--key-file", &private], &hmac, 2),
        (&["alice"], &ecdsa, 2),
        (&["alice", "--key-file", &public], &ecdsa, 2),
        (&["alice", "--key-file", &other], &ecdsa, 2),
        (&["alice", "--key-file", "/nowhere/at/all"], &ecdsa, 2),
        (&["alice", "--key-file", &private, "--channel", "chat"], &ecdsa, 2),
        (&["alice", "--ttl", "tomorrow"], &hmac, 2),
        (&["alice", "--channel", ""], &hmac, 2),
        (&["alice", "--ttl", "10m"], &hashed, 2),
    ];
    for (arguments, variables, code) in cases {
        let arguments = [&["token"], arguments].concat();
        assert_eq!(turted(&arguments, variables), ExitCode::from(code), "{arguments:?}");
    }
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [
        &["push", "E"][..],
        &["push", "--broadcast"],
        &["push", "--broadcast", "E", "hello"],
        &["push", "--broadcast", "--url", "ftp://localhost/push/", "E"],
        &["push", "--broadcast", "--url", "https://localhost/push/", "--ca", "/nowhere/at/all", "E"],
        &["push", "--broadcast", "--ca", "/etc/hostname", "E"],
        &["bench", "--url", "ftp://localhost/"],
        &["bench", "--url", "https://localhost/", "--ca", "/nowhere/at/all"],
        &["bench", "--ca", "/etc/hostname"],
        &["bench", "--broadcast", "--random"],
        &["bench", "--broadcast", "--protocol", "mercure"],
        &["bench", "--transport", "sse", "--say", "hello"],
        &["bench", "--patience", "0s"],
        &["bench", "--users", "--broadcast"],
        &["bench", "--users", "--push-path", "/p/{channel}"],
        &["bench", "--joins", "129"],
        &["bench", "--joins", "2", "--broadcast"],
        &["bench", "--opening", "0"],
        &["bench", "--return", "20", "--transport", "polling"],
        &["bench", "--return", "20", "--transport", "sockjs"],
        &["bench", "--return", "20", "--protocol", "actioncable"],
        &["bench", "--return", "1000", "--channels", "1000"],
        &["bench", "--protocol", "mercure", "--keep", "other=x"],
        &["bench", "--transport", "sse", "--say-again", "x"],
        &["man", "dance"],
        &["push", "--broadcast", "--url", "http://a:b@localhost/push/", "E"],
        &["push", "--broadcast", "--password", "secret", "E"],
        &["push", "--broadcast", "--password-file", "/nowhere/at/all", "E"],
        &["serve", "--listen", "here"],
        &["--workers", "0"],
        &["check", "--config", "/nowhere/at/all"],
        &["token", "alice"],
        &["dance"],
    ] {
        assert_eq!(turted(arguments, &[]), ExitCode::from(2), "{arguments:?}");
    }
    assert_eq!(turted(&["push", "--broadcast", "E"], &[("TURTED_PUSH_PASSWORD", "a\nb")]), ExitCode::from(2));
}

#[test]
fn help_version_check_token_and_completions_are_0() {
    for arguments in
        [&["--help"][..], &["--version"], &["check"], &["token", "alice"], &["completions", "bash"]]
    {
        let variables = [("TURTED_AUTH_PREFIX", "s3cret")];
        assert_eq!(turted(arguments, &variables), ExitCode::SUCCESS, "{arguments:?}");
    }
}

#[test]
fn completions_offer_values_and_nothing_hidden() {
    for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "turted", &mut script);
        let script = String::from_utf8(script).unwrap();
        assert!(!script.contains("conformance"), "{shell}");
        for level in ["error", "warn", "info", "debug", "trace"] {
            assert!(script.contains(level), "{shell}: {level}");
        }
    }
    assert_eq!(turted(&["conformance", "--help"], &[]), ExitCode::SUCCESS, "hidden, but it can be run");
    assert_eq!(turted(&["conformance", "--listen", "192.0.2.1:1"], &[]), ExitCode::from(2));
}

#[test]
fn a_level_is_one_of_five_in_any_case() {
    assert_eq!(turted(&["check", "--log-level", "DEBUG"], &[]), ExitCode::SUCCESS);
    assert_eq!(turted(&["check", "--log-level", "loud"], &[]), ExitCode::from(2));
}

#[test]
fn a_command_has_no_flag_that_does_nothing() {
    let help = |name: &str| {
        let mut root = Cli::command();
        root.find_subcommand_mut(name).unwrap().render_long_help().to_string()
    };
    for flag in ["--listen", "--workers", "--insecure", "--demo", "--log-level"] {
        assert!(!help("token").contains(flag), "a token depends on no {flag}");
        assert_eq!(
            turted(&["token", "alice", flag], &[("TURTED_AUTH_PREFIX", "a")]),
            ExitCode::from(2),
            "{flag}"
        );
        assert!(help("check").contains(flag), "what {flag} changes is shown");
    }
    assert!(help("token").contains("--config"));
}
