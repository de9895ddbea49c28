//! Sessions by `xhr` and `jsonp`: opening, sending, taking turns, ending.

use std::time::{Duration, Instant};

use super::{Client, Way, encode, new_session};
use crate::support::{Http, PATIENCE, TestServer};

const ECHO_A: &str = r#"["{\"type\":\"echo\",\"data\":\"a\"}"]"#;
const ECHOED_A: &str = r#"a["{\"type\":\"message\",\"data\":\"a\"}"]"#;

fn poll(server: &TestServer, session: &str) -> String {
    let answer = server.http().post(&format!("{session}/xhr"), &[], "");
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

const OCCUPIED: &str = "c[2010,\"Another connection still open\"]\n";

/// A poll that waits: of two that are sent, the one that is not refused.
fn wait(server: &TestServer, session: &str) -> Http {
    let [mut one, mut other] = [(); 2].map(|()| {
        let mut http = server.http();
        http.send_request("POST", &format!("{session}/xhr"), &[], b"");
        http
    });
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "one of two is refused");
        if one.has_answer() {
            assert_eq!(one.read().unwrap().text(), OCCUPIED);
            return other;
        }
        if other.has_answer() {
            assert_eq!(other.read().unwrap().text(), OCCUPIED);
            return one;
        }
    }
}

#[test]
fn a_session_opens_says_something_and_hears_it_whatever_the_server_part_is() {
    for workers in [1, 3] {
        let server = TestServer::with(|config| config.workers = workers);
        for session in [new_session(), "/turted/abcdefgh_i-j%20/abcdefg_i-j%20".into(), "/turted/1/1".into()]
        {
            assert_eq!(poll(&server, &session), "o\n");
            let sent = server.http().post(&format!("{session}/xhr_send"), &[], ECHO_A);
            assert_eq!((sent.status, sent.text()), (204, ""));
            assert_eq!(sent.header("content-type"), Some("text/plain; charset=UTF-8"));
            assert_eq!(sent.header("access-control-allow-origin"), Some("*"));
            assert!(sent.header("cache-control").unwrap().contains("no-store"));
            let elsewhere = session.replace("/turted/000", "/turted/999");
            assert_eq!(poll(&server, &elsewhere), format!("{ECHOED_A}\n"));
        }
    }
}

#[test]
fn the_answers_to_the_messages_of_one_body_come_in_one_frame() {
    let server = TestServer::new();
    let session = new_session();
    poll(&server, &session);
    let mut waiting = wait(&server, &session);
    let two = ECHO_A.replace(']', r#","{\"type\":\"echo\",\"data\":\"b\"}"]"#);
    assert_eq!(server.http().post(&format!("{session}/xhr_send"), &[], two).status, 204);
    let frame = waiting.read().unwrap();
    let expected = ECHOED_A.replace(']', r#","{\"type\":\"message\",\"data\":\"b\"}"]"#);
    assert_eq!(frame.text(), format!("{expected}\n"));
}

#[test]
fn messages_are_taken_whatever_their_content_type_is() {
    let server = TestServer::new();
    let session = new_session();
    poll(&server, &session);
    let kinds = ["text/plain", "T", "application/json", "", "application/json; charset=utf-8", "text/xml"];
    for kind in kinds {
        let sent = server.http().post(&format!("{session}/xhr_send"), &[("Content-Type", kind)], ECHO_A);
        assert_eq!(sent.status, 204, "{kind}");
    }
    let form = [("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")];
    for target in ["xhr_send", "jsonp_send"] {
        let sent = server.http().post(&format!("{session}/{target}"), &form, format!("d={}", encode(ECHO_A)));
        assert!(matches!(sent.status, 200 | 204), "{target}");
    }
    assert_eq!(server.http().post(&format!("{session}/jsonp_send"), &[], ECHO_A).text(), "ok");
    let heard = poll(&server, &session);
    assert_eq!(heard.matches("message").count(), kinds.len() + 3, "all in one frame: {heard}");
}

#[test]
fn what_cannot_be_read_is_refused_and_the_session_lives() {
    let server = TestServer::new();
    let session = new_session();
    poll(&server, &session);
    let form: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
    let cases = [
        (&[][..], "xhr_send", r#"["x"#, "Broken JSON encoding."),
        (&[], "xhr_send", "", "Payload expected."),
        (&[], "xhr_send", "{}", "Payload expected."),
        (&[], "xhr_send", "[7]", "Broken JSON encoding."),
        (form, "jsonp_send", "d=%5B%22x", "Broken JSON encoding."),
        (form, "jsonp_send", "", "Payload expected."),
        (form, "jsonp_send", "d=", "Payload expected."),
        (form, "jsonp_send", "p=p", "Payload expected."),
        (form, "jsonp_send", "d=%zz", "Broken JSON encoding."),
    ];
    for (headers, target, body, reason) in cases {
        let answer = server.http().post(&format!("{session}/{target}"), headers, body);
        assert_eq!((answer.status, answer.text()), (500, reason), "{target} {body}");
    }
    assert_eq!(server.http().post(&format!("{session}/xhr_send"), &[], ECHO_A).status, 204);
    assert_eq!(poll(&server, &session), format!("{ECHOED_A}\n"));
}

#[test]
fn a_session_nobody_opened_takes_nothing() {
    let server = TestServer::with(|config| config.workers = 3);
    for target in ["xhr_send", "jsonp_send"] {
        let answer = server.http().post(&format!("{}/{target}", new_session()), &[], ECHO_A);
        assert_eq!(answer.status, 404);
    }
}

#[test]
fn a_script_needs_a_function_that_is_a_name() {
    let server = TestServer::new();
    let session = new_session();
    for transport in ["jsonp", "htmlfile"] {
        let answer = server.http().get(&format!("{session}/{transport}"));
        assert_eq!((answer.status, answer.text()), (500, r#""callback" parameter required"#));
        let long = "x".repeat(33);
        for name in ["alert(1)", "%28", "a;b", "a%20b", "a%0Ab", "%3C", "%ff", &long] {
            let answer = server.http().get(&format!("{session}/{transport}?c={name}"));
            assert_eq!(answer.status, 500, "{name}");
            assert!(answer.text().contains("callback"), "{}", answer.text());
        }
    }
    assert_eq!(server.http().get(&format!("{session}/jsonp?c=%63b")).text(), "/**/cb(\"o\");\r\n");
}

#[test]
fn the_second_of_two_receivers_is_sent_home_and_the_first_goes_on() {
    for workers in [1, 3] {
        let server = TestServer::with(|config| config.workers = workers);
        let session = new_session();
        assert_eq!(poll(&server, &session), "o\n");
        let mut first = wait(&server, &session);
        assert_eq!(server.http().post(&format!("{session}/xhr_send"), &[], ECHO_A).status, 204);
        assert_eq!(first.read().unwrap().text(), format!("{ECHOED_A}\n"));
    }
}

#[test]
fn a_receiver_that_is_gone_takes_the_session_with_it() {
    for workers in [1, 3] {
        let server = TestServer::with(|config| config.workers = workers);
        let session = new_session();
        assert_eq!(poll(&server, &session), "o\n");
        drop(wait(&server, &session));
        let started = Instant::now();
        loop {
            match &*poll(&server, &session) {
                // The news of its end is still on its way.
                OCCUPIED => assert!(started.elapsed() < PATIENCE),
                other => break assert_eq!(other, "c[1002,\"Connection interrupted\"]\n"),
            }
        }
        assert_eq!(poll(&server, &session), "c[1002,\"Connection interrupted\"]\n", "again and again");
        let sent = server.http().post(&format!("{session}/xhr_send"), &[], ECHO_A);
        assert_eq!(sent.status, 204, "the client hears of it where it receives");
    }
}

#[test]
fn a_session_that_nobody_receives_is_forgotten_and_its_end_too() {
    let server = TestServer::with(|config| config.sockjs.disconnect_delay = Duration::from_millis(50));
    let session = new_session();
    assert_eq!(poll(&server, &session), "o\n");
    let started = Instant::now();
    let send = || server.http().post(&format!("{session}/xhr_send"), &[], "[]").status;
    while send() != 404 {
        assert!(started.elapsed() < PATIENCE, "it is still there");
    }
    assert_eq!(poll(&server, &session), "o\n", "the id is free");
    drop(wait(&server, &session));
    while poll(&server, &session) != "o\n" {
        assert!(started.elapsed() < PATIENCE, "its end is still told");
    }
}

#[test]
fn a_session_lives_as_long_as_somebody_receives() {
    // Long enough for a busy machine to ask again.
    const DELAY: Duration = Duration::from_secs(2);
    let server = TestServer::with(|config| {
        config.sockjs.disconnect_delay = DELAY;
        config.sockjs.heartbeat = DELAY / 10;
    });
    let mut client = Client::connect(&server, Way::Xhr);
    let started = Instant::now();
    while started.elapsed() < DELAY * 2 {
        assert_eq!(client.frame(), "h");
    }
    assert!(client.ask(r#"{"type":"echo","data":1}"#).contains("message"));
}

/// Clients that are told one after the other: without anybody who waits for them a server that stops is gone
/// before the last one.
const BETWEEN_POLLS: usize = 20;

#[test]
fn the_stop_of_the_server_is_told_to_a_client_between_two_polls() {
    let server = TestServer::new();
    let mut backend = server.http();
    let mut clients: Vec<_> =
        (0..BETWEEN_POLLS).map(|_| (server.http(), format!("{}/xhr", new_session()))).collect();
    for (http, target) in &mut clients {
        assert_eq!(http.post(target, &[], "").text(), "o\n");
    }
    let stopping = std::thread::spawn(move || server.stop());
    let started = Instant::now();
    while backend.post("/push/", &[], r#"{"event":"e"}"#).status == 200 {
        assert!(started.elapsed() < PATIENCE, "the server stops");
    }
    for (http, target) in &mut clients {
        assert_eq!(http.post(target, &[], "").text(), "c[1012,\"the server is stopping\"]\n");
    }
    drop((clients, backend));
    stopping.join().unwrap();
}

#[test]
fn the_stop_of_the_server_is_told_to_receivers_and_opens_no_session() {
    let server = TestServer::new();
    let session = new_session();
    assert_eq!(poll(&server, &session), "o\n");
    let mut waiting = wait(&server, &session);
    let reader = std::thread::spawn(move || waiting.read().map(|answer| answer.text().to_owned()));
    server.stop();
    let told = reader.join().unwrap().unwrap();
    assert_eq!(told, "c[1012,\"the server is stopping\"]\n");
}
