//! Pushes on connections that backends keep: an ordinary one goes a shorter way through the server than any other
//! request. Nobody can tell which way a push went.

mod either;

use std::time::{Duration, Instant};

use super::metrics::expect;
use super::support::{Http, Kind, TestServer, frame, pause, read_some};

const PUSH: &str = r#"{"event":"e","targets":{"broadcast":true}}"#;
const SOON: Duration = Duration::from_millis(300);
/// Longer than a client waits for its end.
const LONG: Duration = Duration::from_secs(600);

/// An ordinary push of this body.
fn request(body: &str) -> String {
    let head = "POST /push/ HTTP/1.1\r\nHost: localhost:7117\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn texts(http: &mut Http, count: usize) -> Vec<(u16, String)> {
    let mut next = || http.read().map(|answer| (answer.status, answer.text().to_owned()));
    (0..count).map(|_| next().expect("an answer")).collect()
}

fn ok() -> (u16, String) {
    (200, "OK".to_owned())
}

#[test]
fn an_answer_says_what_every_answer_says() {
    let server = TestServer::new();
    let mut http = server.http();
    for _ in 0..3 {
        let answer = http.post("/push/", &[], PUSH);
        let lines: Vec<_> = answer.head.trim_end().lines().collect();
        let [status, connection, kept, length, date] = lines[..] else { panic!("{}", answer.head) };
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!([connection, kept], ["connection: keep-alive", "keep-alive: timeout=75"]);
        assert_eq!((length, answer.text()), ("content-length: 2", "OK"));
        let date = date.strip_prefix("date: ").expect("a date");
        assert!(date.len() == "Sun, 06 Nov 1994 08:49:37 GMT".len() && date.ends_with(" GMT"), "{date}");
    }
}

#[test]
fn a_push_may_come_in_pieces_wherever_it_is_cut() {
    let server = TestServer::new();
    let request = request(PUSH);
    let mut kept = server.http();
    for cut in 0..request.len() {
        let (first, second) = request.split_at(cut);
        for http in [&mut kept, &mut server.http()] {
            http.send(first);
            http.send(second);
            assert_eq!(texts(http, 1), [ok()], "cut at {cut}");
        }
    }
    let mut http = server.http();
    request.as_bytes().chunks(1).for_each(|byte| http.send(byte));
    assert_eq!(texts(&mut http, 1), [ok()]);
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let server = TestServer::new();
    let health = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let all = [&request(PUSH), health, &request("{"), &request(PUSH), health].concat();
    let healthy = (200, "ok\n".to_owned());
    let not_json = server.http().post("/push/", &[], "{");
    let expected = [ok(), healthy.clone(), (400, not_json.text().to_owned()), ok(), healthy];
    for cut in [0, 10, request(PUSH).len() - 1, request(PUSH).len(), request(PUSH).len() + 1, all.len()] {
        let mut http = server.http();
        http.send(&all[..cut]);
        http.send(&all[cut..]);
        assert_eq!(texts(&mut http, 5), expected, "cut at {cut}");
    }
}

#[test]
fn a_push_of_which_the_rest_does_not_come_ends_its_connection_in_time() {
    let server = TestServer::with(|config| {
        (config.limits.request_head_wait, config.limits.request_body_wait) = (SOON, SOON);
        config.limits.idle_wait = LONG;
    });
    let request = request(PUSH);
    let head = request.find("\r\n\r\n").unwrap() + 4;
    for is_kept in [false, true] {
        let connect = || {
            let mut http = server.http();
            if is_kept {
                assert_eq!(http.post("/push/", &[], PUSH).status, 200);
            }
            (http, Instant::now())
        };
        let ((mut none, began), (mut line, _), (mut body, _)) = (connect(), connect(), connect());
        none.send("P");
        line.send(&request[..head - 1]);
        body.send(&request[..request.len() - 1]);
        assert!(none.is_ended());
        assert!(line.is_ended());
        let late = body.read().unwrap();
        assert_eq!((late.status, late.header("connection")), (408, Some("close")), "kept: {is_kept}");
        assert!(body.is_ended());
        assert!(began.elapsed() >= SOON, "{:?}", began.elapsed());
    }
}

#[test]
fn a_connection_that_pushed_may_become_anything_else() {
    let server = TestServer::new();
    let text = "x".repeat(12_000);
    let echo = format!(r#"42["ECHO","{text}"]"#);
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // More than hyper reads at once comes with the request, and must not be lost.
    let frames = [frame(0x81, b"40"), frame(0x81, echo.as_bytes())].concat();
    for pushes in 0..3 {
        let mut http = server.http();
        for _ in 0..pushes {
            assert_eq!(http.post("/push/", &[], PUSH).text(), "OK");
        }
        http.send([upgrade.as_bytes(), &frames].concat());
        assert_eq!(http.read_head().unwrap().status, 101);
        let (mut stream, mut heard) = http.into_parts();
        while !String::from_utf8_lossy(&heard).contains(&text) {
            assert!(read_some(&mut stream, &mut heard) > 0, "after {pushes} pushes");
        }
    }
}

#[test]
fn a_push_reaches_everybody_whatever_way_it_goes() {
    let server = TestServer::with(|config| config.workers = 2);
    let mut clients: Vec<_> = (0..8).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    let mut http = server.http();
    for (number, accept) in ["*/*", "application/json", "text/plain", "application/json"].iter().enumerate() {
        let body = format!(r#"{{"event":"e{number}","targets":{{"broadcast":true}},"payload":{number}}}"#);
        let answer = http.post("/push/", &[("Accept", accept)], &body);
        if *accept == "application/json" {
            assert_eq!(answer.json()["delivered"], 8, "{}", answer.text());
        } else {
            assert_eq!(answer.text(), "OK");
        }
        for client in &mut clients {
            assert_eq!(client.event().name, format!("e{number}"));
        }
    }
    clients.into_iter().for_each(|client| client.leave());
}

#[test]
fn a_backend_that_does_not_read_its_answers_is_cut() {
    let server = TestServer::with(|config| config.limits.outbox_stall = SOON);
    let items = vec![r#"{"event":"e","targets":{"users":["u"]}}"#; 350];
    let body = format!("[{}]", items.join(","));
    let push = request(&body).replacen("Content-Type", "Accept", 1);
    assert!(push.len() < 16 * 1024, "it is ordinary");
    let mut http = Http::connect_narrow(server.address());
    let accepted = || server.metric("turted_dispatches_total{source=\"rest\"}");
    let is_taken = |count: usize| {
        let sent = Instant::now();
        while accepted() < count && sent.elapsed() < SOON * 3 {
            pause(Duration::from_millis(2));
        }
        accepted() >= count
    };
    let mut pushes = 1;
    http.send(&push);
    // Each one behind the answer to the last, until an answer does not go out.
    while is_taken(pushes * items.len()) {
        http.send(&push);
        pushes += 1;
    }
    assert!(pushes > 1);
    expect(&server, &[("turted_unread_answers_total", 1.0), ("turted_sockets", 0.0)]);
}

#[test]
fn a_stop_ends_connections_that_wait_for_the_next_push() {
    let server = TestServer::with(|config| config.limits.idle_wait = LONG);
    let mut kept: Vec<_> = (0..20).map(|_| server.http()).collect();
    for http in &mut kept {
        assert_eq!(http.post("/push/", &[], PUSH).text(), "OK");
    }
    let silent = server.http();
    server.stop();
    for mut http in kept.into_iter().chain([silent]) {
        assert!(http.is_ended());
    }
}
