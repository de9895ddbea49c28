//! The backend decides about pushes: what it is asked, what it may answer, and what it cannot do to others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use turted::config::{ClientAuth, Config};

use crate::backend::{Backend, reply, status, yes};
use crate::support::{bind, config, eventually};

/// A server whose pushes this backend judges.
fn judged(backend: &Backend) -> Config {
    let mut config = config(ClientAuth::Accept);
    config.push.url = Some(backend.url("http", "127.0.0.1"));
    config.limits.wrong_passwords = 1_000;
    config
}

/// What comes of a push: the status, and the rule that it breaks.
fn push(address: SocketAddr, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "POST /push/ HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAccept: application/json\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(status == 503, answer.contains("retry-after: 1\r\n"), "{answer}");
    (status, body["rule"].clone())
}

const PUSH: &str = r#"{"event":"E","auth":{"password":"canary"}}"#;

fn unverified() -> (u16, Value) {
    (503, json!("push-unverified"))
}

fn wrong() -> (u16, Value) {
    (401, json!("wrong-password"))
}

#[test]
fn the_backend_is_shown_what_the_push_shows_and_where_it_comes_from() {
    let backend = Backend::start(|_, stream| reply(stream, "{}"));
    let server = bind(judged(&backend));
    let batch = r#"[{"event":"E","auth":[1]},{"event":"F","auth":[1]}]"#;
    for (headers, body, auth) in [
        ("", PUSH, json!({"password": "canary"})),
        ("", r#"{"event":"E","auth":"k","password":"p"}"#, json!("k")),
        ("", r#"{"cmd":"notifyAll","data":{"event":"E"},"password":"p"}"#, json!("p")),
        ("", r#"{"event":"E"}"#, Value::Null),
        ("Authorization: Bearer t0ken\r\n", PUSH, json!("t0ken")),
        ("", batch, json!([1])),
    ] {
        assert_eq!(push(server.address(), headers, body).0, 200, "{body}");
        let (head, question) = backend.requests().pop().unwrap();
        assert!(head.starts_with("POST /auth?app=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(question, json!({"auth": auth, "address": "127.0.0.1"}), "{body}");
    }
    let asked = backend.requests().len();
    let differs = (400, json!("auth-differs"));
    for batch in
        [r#"[{"event":"E","auth":1},{"event":"E","auth":2}]"#, r#"[{"event":"E","auth":1},{"event":"E"}]"#]
    {
        assert_eq!(push(server.address(), "", batch), differs, "{batch}");
    }
    let long = json!({"event": "E", "auth": "x".repeat(64 * 1024 - 1)}).to_string();
    assert_eq!(push(server.address(), "", &long), (400, json!("auth-too-long")));
    let syntax = push(server.address(), "Authorization: Bearer t0ken\r\n", "{");
    assert_eq!(syntax, (400, json!("not-json")));
    assert_eq!(backend.requests().len(), asked, "none of these is a question");
    let most = json!({"event": "E", "auth": "x".repeat(64 * 1024 - 2)}).to_string();
    assert_eq!(push(server.address(), "", &most).0, 200);
    assert_eq!(
        push(server.address(), "", r#"{"event":""}"#),
        (400, json!("name-empty")),
        "fields come after"
    );
}

#[test]
fn only_200_with_an_object_is_a_yes_and_only_401_and_403_are_a_no() {
    for (expected, answer) in [
        ((200, Value::Null), yes("{}")),
        ((200, Value::Null), yes(r#" {"any":[{"thing":1}]} "#)),
        (wrong(), status("401 Unauthorized", "")),
        (wrong(), status("403 Forbidden", "{}")),
        (unverified(), yes("")),
        (unverified(), yes("null")),
        (unverified(), yes("[]")),
        (unverified(), yes("true")),
        (unverified(), yes("<!doctype html><title>app</title>")),
        (unverified(), yes("{}{}")),
        (unverified(), yes(&format!(r#"{{"x":"{}"}}"#, "x".repeat(64 * 1024)))),
        (unverified(), status("204 No Content", "")),
        (unverified(), status("201 Created", "{}")),
        (unverified(), status("400 Bad Request", "{}")),
        (unverified(), status("404 Not Found", "{}")),
        (unverified(), status("429 Too Many Requests", "{}")),
        (unverified(), status("500 Oops", "{}")),
        (
            unverified(),
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        (unverified(), format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024))),
        (unverified(), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}".into()),
        (unverified(), String::new()),
    ] {
        let server = bind(judged(&Backend::saying(answer.clone())));
        let shown = &answer[..answer.len().min(80)];
        assert_eq!(push(server.address(), "", PUSH), expected, "{shown}");
    }
}

#[test]
fn a_backend_that_never_ends_is_cut_off_in_bytes_and_in_time() {
    let endless = Backend::start(|_, stream| {
        let mut alive = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_ok();
        while alive {
            alive = stream.write_all(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).as_bytes()).is_ok();
        }
        false
    });
    assert_eq!(push(bind(judged(&endless)).address(), "", PUSH), unverified());
    let silent = Backend::start(|_, _| {
        thread::park_timeout(Duration::from_secs(60));
        false
    });
    let mut config = judged(&silent);
    config.push.timeout = Duration::from_millis(300);
    assert_eq!(push(bind(config).address(), "", PUSH), unverified());
}

#[test]
fn a_no_counts_as_a_guess_and_no_verdict_counts_for_nothing() {
    let broken = Arc::new(AtomicUsize::new(1));
    let state = Arc::clone(&broken);
    let backend = Backend::start(move |question, stream| match state.load(Ordering::SeqCst) {
        1 => stream.write_all(status("500 Oops", "").as_bytes()).is_ok(),
        _ if question["auth"] == "right" => reply(stream, "{}"),
        _ => stream.write_all(status("403 Forbidden", "").as_bytes()).is_ok(),
    });
    let mut config = judged(&backend);
    config.limits.wrong_passwords = 2;
    let server = bind(config);
    let of = |auth: &str| push(server.address(), "", &format!(r#"{{"event":"E","auth":{auth}}}"#));
    for _ in 0..5 {
        assert_eq!(of(r#""right""#), unverified());
    }
    broken.store(0, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!([of("null"), of(r#""""#)], [wrong(), wrong()], "what shows nothing guesses nothing");
    }
    assert_eq!(
        [of(r#""guess""#), of(r#""right""#), of(r#""guess""#)],
        [wrong(), (200, Value::Null), wrong()]
    );
    let asked = backend.requests().len();
    let blocked = of(r#""right""#);
    assert_eq!(blocked, (429, json!("too-many-wrong-passwords")), "a blocked address learns nothing");
    let strong =
        push(server.address(), "Authorization: Bearer 0123456789abcdefghijkl\r\n", r#"{"event":"E"}"#);
    assert_eq!(strong.0, 429);
    assert_eq!(backend.requests().len(), asked, "and the backend is not asked");
}

#[test]
fn so_many_questions_are_under_way_at_once_and_no_more() {
    let (may_answer, under_way) = (Arc::new(Barrier::new(3)), Arc::new(AtomicUsize::new(0)));
    let (answers, counted) = (Arc::clone(&may_answer), Arc::clone(&under_way));
    let backend = Backend::start(move |_, stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        answers.wait();
        reply(stream, "{}")
    });
    let mut config = judged(&backend);
    (config.push.concurrency, config.push.timeout) = (2, Duration::from_secs(60));
    let server = bind(config);
    let address = server.address();
    let pushes: Vec<_> = (0..4).map(|_| thread::spawn(move || push(address, "", PUSH))).collect();
    for round in 1..=2 {
        eventually(|| under_way.load(Ordering::SeqCst) == 2 * round);
        may_answer.wait();
    }
    for push in pushes {
        assert_eq!(push.join().unwrap().0, 200);
    }
}
