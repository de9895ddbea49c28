//! What a backend may answer, and what its client is told where it answers something else, or not at all.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use turted::config::{ClientAuth, Join};

use super::{NOT_NOW, patient};
use crate::backend::{Backend, reply, status, user, yes};
use crate::support::{Client, bind, config, error, joined, rules, serve};

#[test]
fn a_no_is_not_verified_and_nonsense_is_not_now() {
    let huge = format!(r#"{{"user":"alice","filler":"{}"}}"#, "x".repeat(64 * 1024));
    let name = |name: &str| yes(&json!({"user": name}).to_string());
    let no = "IDENT not verified";
    let cases: Vec<(&str, String)> = vec![
        (no, status("401 Unauthorized", "")),
        (no, status("403 Forbidden", r#"{"user":"alice"}"#)),
        (NOT_NOW, status("400 Bad Request", "")),
        (NOT_NOW, status("404 Not Found", r#"{"user":"alice"}"#)),
        (NOT_NOW, status("405 Method Not Allowed", "")),
        (NOT_NOW, status("408 Request Timeout", "")),
        (NOT_NOW, status("419 Page Expired", "")),
        (NOT_NOW, status("422 Unprocessable Content", "")),
        (NOT_NOW, status("429 Too Many Requests", "")),
        (NOT_NOW, status("503 Service Unavailable", "")),
        (NOT_NOW, status("500 Internal Server Error", r#"{"user":"alice"}"#)),
        (NOT_NOW, status("204 No Content", "")),
        (NOT_NOW, status("201 Created", r#"{"user":"alice"}"#)),
        (NOT_NOW, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".into()),
        (NOT_NOW, yes("")),
        (NOT_NOW, yes("null")),
        (NOT_NOW, yes("alice")),
        (NOT_NOW, yes(r#""alice""#)),
        (NOT_NOW, yes(r#"{"user":null}"#)),
        (NOT_NOW, yes(r#"{"user":["alice"]}"#)),
        (NOT_NOW, yes(r#"{"user":true}"#)),
        (NOT_NOW, yes(r#"{"username":"alice"}"#)),
        (NOT_NOW, yes(r#"{"user":"alice","user":"bob"}"#)),
        (NOT_NOW, yes(r#"{"user":"alice"}}"#)),
        (NOT_NOW, yes(r#"{"user":"alice","channels":"news"}"#)),
        (NOT_NOW, yes(r#"{"user":"alice","channels":[true]}"#)),
        (NOT_NOW, yes(r#"{"user":"alice","channels":{"news":true}}"#)),
        (NOT_NOW, yes(r#"{"user":"alice","channels":[""]}"#)),
        (NOT_NOW, name("")),
        (NOT_NOW, name("a\nb")),
        (NOT_NOW, name(&"x".repeat(256))),
        (NOT_NOW, yes(&"[".repeat(60_000))),
        (NOT_NOW, yes(&format!(r#"{{"x":{}"#, "[".repeat(60_000)))),
        (NOT_NOW, yes(&huge)),
        (NOT_NOW, format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}", r#"{"user":"alice"}"#)),
        (NOT_NOW, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".into()),
        (NOT_NOW, format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024))),
        (NOT_NOW, "SSH-2.0-OpenSSH_9.2\r\n".into()),
        (NOT_NOW, String::new()),
    ];
    for (text, answer) in cases {
        let backend = Backend::saying(answer.clone());
        let server = serve(backend.method());
        let mut client = Client::connect(server.address());
        let shown = &answer[..answer.len().min(80)];
        assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error(text), "{shown}");
        server.dispatcher().notify_user("alice", "SECRET", &1).unwrap();
        client.nothing();
    }
}

#[test]
fn a_broken_or_busy_backend_locks_nobody_out() {
    for broken in
        ["404 Not Found", "408 Request Timeout", "419 Page Expired", "429 Too Many Requests", "500 Oops"]
    {
        let asked = Arc::new(AtomicUsize::new(0));
        let backend = Backend::start(move |question, stream| match asked.fetch_add(1, Ordering::SeqCst) {
            0..5 => stream.write_all(status(broken, "").as_bytes()).is_ok(),
            _ => reply(stream, &user(&question["ident"]["username"])),
        });
        let mut config = config(backend.method());
        config.limits.wrong_idents = 1;
        let server = bind(config);
        let mut client = Client::connect(server.address());
        for _ in 0..5 {
            assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error(NOT_NOW), "{broken}");
        }
        client.ident(&json!({"username": "alice"}), "alice");
    }
}

#[test]
fn channels_of_an_answer_are_read_as_php_and_go_write_them() {
    for (list, may_join) in [
        (r#"["p.a","p.b"]"#, true),
        (r#"{"0":"p.a","2":"p.b"}"#, true),
        (r#"{"first":"p.*"}"#, true),
        ("null", false),
        ("[]", false),
        ("{}", false),
    ] {
        let answer = format!(r#"{{"user":"alice","channels":{list}}}"#);
        let backend = Backend::start(move |_, stream| reply(stream, &answer));
        let mut config = config(backend.method());
        config.channels = rules(&[("p.*", Join::Claim)]);
        let server = bind(config);
        let mut client = Client::connect(server.address());
        client.ident(&json!({"username": "alice"}), "alice");
        let reply = client.ask("JOIN", &json!({"channel": "p.b"}));
        assert_eq!(reply == joined("p.b"), may_join, "{list}: {reply:?}");
    }
}

#[test]
fn invalid_utf_8_in_an_answer_is_refused_not_replaced() {
    let mut answer = yes(r#"{"user":"alicXX"}"#).into_bytes();
    let end = answer.len();
    answer[end - 4..end - 2].copy_from_slice(&[0xc3, 0x28]);
    let server = serve(Backend::saying(answer).method());
    let mut client = Client::connect(server.address());
    assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error(NOT_NOW));
}

#[test]
fn a_backend_that_never_ends_is_cut_off_in_time_and_in_bytes() {
    let endless = Backend::start(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut alive = stream.write_all(head.as_bytes()).is_ok();
        while alive {
            alive = stream.write_all(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).as_bytes()).is_ok();
        }
        false
    });
    let server = serve(endless.method());
    let mut client = Client::connect(server.address());
    assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error(NOT_NOW));

    let dripping = Backend::start(|_, stream| {
        while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        false
    });
    let server = bind(patient(dripping.method(), Duration::from_millis(300)));
    let mut client = Client::connect(server.address());
    assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error(NOT_NOW));
}

#[test]
fn a_dead_backend_refuses_and_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let method = ClientAuth::Http(format!("http://{address}/").parse().unwrap());
    let server = bind(patient(method, Duration::from_secs(2)));
    let mut client = Client::connect(server.address());
    assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error(NOT_NOW));

    // Back, but accepting nothing: the kernel does.
    let listener = TcpListener::bind(address).unwrap();
    let begun = Instant::now();
    assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error(NOT_NOW));
    assert!(begun.elapsed() >= Duration::from_secs(2), "auth.timeout");

    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(yes(r#"{"user":"alice"}"#).as_bytes());
        }
    });
    // An answer before the question is none; what matters is that the server lives.
    let _ = client.ask("IDENT", &json!({"username": "alice"}));
    client.nothing();
}
