//! Sessions by `xhr_streaming`, `eventsource` and `htmlfile`: one chunk for each frame, and the end
//! of a response that has grown long.

use std::time::{Duration, Instant};

use super::{Chunks, Client, Way, new_session};
use crate::support::{Http, PATIENCE, Pair, TestServer, read_some};

const ECHO: &str = r#"{"type":"echo","data":"  \u0000\n%\u0041</script>é"}"#;
const ECHOED: &str = r#"{"type":"message","data":"  \u0000\n%\u0041</script>é"}"#;
const OCCUPIED: &str = r#"c[2010,"Another connection still open"]"#;

fn open(server: &TestServer, way: Way, session: &str) -> Chunks {
    let (method, target) = way.receiver(session);
    Chunks::open(server, (method, &target))
}

/// A response past its prelude.
fn frames(server: &TestServer, way: Way, session: &str) -> Chunks {
    let mut response = open(server, way, session);
    response.next().unwrap();
    response
}

fn next(way: Way, response: &mut Chunks) -> Option<String> {
    response.next().map(|chunk| way.unwrap(&chunk))
}

#[test]
fn a_response_begins_as_old_browsers_need_it() {
    let server = TestServer::new();
    for way in Way::STREAMING {
        let mut response = open(&server, way, &new_session());
        assert_eq!(response.head.header("transfer-encoding"), Some("chunked"), "{way:?}");
        assert_eq!(response.head.header("content-length"), None);
        assert_eq!(response.head.header("x-accel-buffering"), Some("no"));
        let prelude = response.next().unwrap();
        match way {
            Way::XhrStreaming => assert_eq!(prelude, "h".repeat(2048) + "\n"),
            Way::EventSource => assert_eq!(prelude, "\r\n"),
            _ => {
                assert!(prelude.len() > 1024, "{prelude}");
                assert!(prelude.contains("var c = parent.cb.x_1;"), "{prelude}");
            }
        }
        assert_eq!(next(way, &mut response).as_deref(), Some("o"));
    }
}

#[test]
fn each_frame_is_a_chunk_of_its_own() {
    for workers in [1, 3] {
        let server = TestServer::with(|config| config.workers = workers);
        for way in Way::STREAMING {
            let mut client = Client::connect(&server, way);
            for _ in 0..3 {
                assert_eq!(client.ask(ECHO), ECHOED, "{way:?}");
            }
        }
    }
}

#[test]
fn a_response_that_has_grown_long_ends_and_the_session_goes_on() {
    let server = TestServer::with(|config| config.sockjs.response_bytes = 4096);
    for way in Way::STREAMING {
        let session = new_session();
        let mut response = frames(&server, way, &session);
        assert_eq!(next(way, &mut response).as_deref(), Some("o"));
        let message = serde_json::to_string(&[format!(r#"{{"type":"echo","data":"{}"}}"#, "x".repeat(1000))]);
        let mut heard = 0;
        for _ in 0..4 {
            let sent = server.http().post(&format!("{session}/xhr_send"), &[], message.as_ref().unwrap());
            assert_eq!(sent.status, 204);
            heard += next(way, &mut response).unwrap().len();
        }
        assert!((4000..4400).contains(&heard), "{heard}");
        assert_eq!(next(way, &mut response), None, "{way:?}");
        let sent = server.http().post(&format!("{session}/xhr_send"), &[], message.as_ref().unwrap());
        assert_eq!(sent.status, 204);
        let mut response = frames(&server, way, &session);
        assert!(next(way, &mut response).unwrap().contains("xxx"), "what came meanwhile");
    }
}

#[test]
fn a_session_may_go_on_by_another_transport_with_what_waits() {
    let server = TestServer::with(|config| config.sockjs.response_bytes = 64);
    for first in Way::BY_REQUESTS {
        for second in Way::BY_REQUESTS {
            let mut client = Client::connect(&server, first);
            assert_eq!(client.ask(ECHO), ECHOED, "{first:?}");
            if first.is_streaming() {
                // The response has grown long enough; its end makes room for the next receiver.
                client.say(ECHO);
                client.leave_when_over();
            } else {
                client.say(ECHO);
            }
            client.way = second;
            assert_eq!(client.hear(), ECHOED, "{first:?}, then {second:?}");
            client.say(ECHO);
            assert_eq!(client.hear(), ECHOED);
        }
    }
}

#[test]
fn the_second_of_two_responses_is_ended_and_the_first_goes_on() {
    let server = TestServer::with(|config| config.workers = 3);
    for way in Way::STREAMING {
        let mut client = Client::connect(&server, way);
        let mut second = frames(&server, way, &client.session);
        assert_eq!(next(way, &mut second).as_deref(), Some(OCCUPIED));
        assert_eq!(next(way, &mut second), None);
        let poll = server.http().post(&format!("{}/xhr", client.session), &[], "");
        assert_eq!(poll.text().trim_end(), OCCUPIED);
        assert_eq!(client.ask(ECHO), ECHOED);
    }
}

#[test]
fn a_response_whose_client_is_gone_takes_the_session_with_it() {
    let server = TestServer::with(|config| config.workers = 3);
    for way in Way::STREAMING {
        let mut client = Client::connect(&server, way);
        client.leave();
        let started = Instant::now();
        loop {
            let mut response = frames(&server, way, &client.session);
            let frame = next(way, &mut response).unwrap();
            assert_eq!(next(way, &mut response), None);
            if frame != OCCUPIED {
                break assert_eq!(frame, r#"c[1002,"Connection interrupted"]"#, "{way:?}");
            }
            assert!(started.elapsed() < PATIENCE);
        }
    }
}

#[test]
fn an_old_client_gets_a_response_without_chunks_that_ends_with_the_connection() {
    let server = TestServer::with(|config| config.sockjs.response_bytes = 60);
    for way in Way::STREAMING {
        let session = new_session();
        let (method, target) = way.receiver(&session);
        let mut http = server.http();
        http.send(format!(
            "{method} {target} HTTP/1.0\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n"
        ));
        let head = http.read_head().unwrap();
        assert!(head.status_line().starts_with("HTTP/1.0 200"), "{}", head.head);
        assert_eq!((head.header("transfer-encoding"), head.header("content-length")), (None, None));
        let list = serde_json::to_string(&[ECHO]).unwrap();
        let sent = Http::connect(server.address()).post(&format!("{session}/xhr_send"), &[], list);
        assert_eq!(sent.status, 204);
        let (mut stream, mut body) = http.into_parts();
        while read_some(&mut stream, &mut body) > 0 {}
        let body = String::from_utf8(body).unwrap();
        let at = body.find(match way {
            Way::XhrStreaming => "o\n",
            Way::EventSource => "data: o",
            _ => "<script>\np(\"o",
        });
        let frames = &body[at.unwrap()..];
        assert_eq!(frames.matches("message").count(), 1, "{frames}");
        assert!(!frames.contains("\r\n0\r\n"), "{frames}");
    }
}

#[test]
fn a_response_is_kept_alive_by_heartbeats() {
    let server = TestServer::with(|config| {
        config.sockjs.heartbeat = Duration::from_millis(30);
        config.sockjs.disconnect_delay = Duration::from_millis(50);
    });
    for way in Way::STREAMING {
        let started = Instant::now();
        let mut client = Client::connect(&server, way);
        (0..5).for_each(|_| assert_eq!(client.frame(), "h", "{way:?}"));
        assert!(started.elapsed() >= Duration::from_millis(120));
        assert_eq!(client.ask(ECHO), ECHOED);
    }
}

#[test]
fn heartbeats_count_towards_the_length_of_a_response() {
    let server = TestServer::with(|config| {
        config.sockjs.heartbeat = Duration::from_millis(5);
        config.sockjs.response_bytes = 10;
    });
    let mut response = frames(&server, Way::XhrStreaming, &new_session());
    let mut sent = Vec::new();
    while let Some(frame) = response.next() {
        sent.push(frame);
    }
    assert_eq!(sent.concat(), "o\nh\nh\nh\nh\n");
}

#[test]
fn the_stop_of_the_server_is_told_and_ends_the_response() {
    let server = TestServer::new();
    let mut responses: Vec<_> =
        Way::STREAMING.iter().map(|way| (*way, frames(&server, *way, &new_session()))).collect();
    for (way, response) in &mut responses {
        assert_eq!(next(*way, response).as_deref(), Some("o"));
    }
    server.stop();
    for (way, response) in &mut responses {
        assert_eq!(next(*way, response).as_deref(), Some(r#"c[1012,"the server is stopping"]"#));
        assert_eq!(next(*way, response), None);
    }
}

#[test]
fn a_response_takes_its_tls_along_to_the_owner_of_the_session() {
    let pair = Pair::new();
    let server = TestServer::with(|config| {
        config.tls = Some(pair.files());
        config.workers = 3;
    });
    let tunnel = pair.tunnel(server.address());
    let connect = || Http::connect(tunnel.address());
    for way in Way::STREAMING.into_iter().cycle().take(9) {
        let session = new_session();
        let (method, target) = way.receiver(&session);
        let mut response = Chunks::over(connect(), (method, &target));
        response.next().unwrap();
        assert_eq!(next(way, &mut response).as_deref(), Some("o"), "{way:?}");
        let list = serde_json::to_string(&[ECHO]).unwrap();
        assert_eq!(connect().post(&format!("{session}/xhr_send"), &[], list).status, 204);
        assert!(next(way, &mut response).unwrap().contains("message"));
    }
}
