//! socket.io-client 1 encodes UTF-8 twice over polling, as text: `Jörg` is `JÃ¶rg` in UTF-8.

use super::open_v3;
use crate::support::{Http, TestServer};

/// As its packet payload of text, by a client that encodes UTF-8 once, or twice.
fn payload(packet: &str, times: usize) -> String {
    let text: String = if times == 1 { packet.to_owned() } else { packet.bytes().map(char::from).collect() };
    format!("{}:{text}", text.encode_utf16().count())
}

struct Session {
    http: Http,
    target: String,
}

impl Session {
    fn new(server: &TestServer, more: &str) -> Self {
        let mut http = server.http();
        let sid = open_v3(&mut http, more);
        Self { http, target: format!("/socket.io/?EIO=3&transport=polling{more}&sid={sid}") }
    }

    fn post(&mut self, body: impl AsRef<[u8]>) -> u16 {
        let kind = [("Content-Type", "text/plain;charset=UTF-8")];
        self.http.post(&self.target.clone(), &kind, body).status
    }

    fn poll(&mut self) -> String {
        self.http.get(&self.target.clone()).text().to_owned()
    }
}

#[test]
fn a_text_over_polling_is_what_its_client_meant_whether_encoded_once_or_twice() {
    let server = TestServer::new();
    for times in [1, 2] {
        let mut session = Session::new(&server, "&b64=1");
        for name in ["Jörg", "Zoë €", "😀", "plain"] {
            let ident = format!(r#"42["IDENT",{{"username":"{name}"}}]"#);
            assert_eq!(session.post(payload(&ident, times)), 200, "{name} {times}");
            session.poll();
            server.dispatcher().notify_user(name, "E", &name).unwrap();
            let heard = session.poll();
            assert!(heard.is_ascii(), "{name} {times}: {heard}");
            assert!(heard.contains("EVENT"), "{name} {times}: {heard}");
        }
        // Several packets in one body, of which only one has such a text.
        let body = [r#"42["ECHO","a"]"#, r#"42["ECHO","ö"]"#].map(|packet| payload(packet, times)).concat();
        assert_eq!(session.post(body), 200);
        let heard = session.poll();
        assert!(heard.contains(r#"["ECHO","a"]"#), "{times}: {heard}");
        assert!(heard.contains("\\u00f6"), "{times}: {heard}");
    }
}

#[test]
fn a_client_that_encoded_once_is_never_taken_for_one_that_encodes_twice() {
    let server = TestServer::new();
    let mut session = Session::new(&server, "&b64=1");
    let echo = |text: &str| payload(&format!(r#"42["ECHO","{text}"]"#), 1);
    assert_eq!(session.post(echo("ö")), 200);
    session.poll();
    // Looks as if it were encoded twice.
    assert_eq!(session.post(echo("Ã¶")), 200);
    assert!(session.poll().contains("\\u00c3\\u00b6"));
    // The other way round it cannot be told at first, and is as soon as it can.
    let mut session = Session::new(&server, "&b64=1");
    assert_eq!(session.post(echo("Ã¶")), 200);
    assert!(session.poll().contains("\\u00f6"), "docs/protocol-socketio.md says so");
    assert_eq!(session.post(echo("ö")), 200);
    assert!(session.poll().contains("\\u00f6"));
    assert_eq!(session.post(echo("Ã¶")), 200);
    assert!(session.poll().contains("\\u00c3\\u00b6"));
}

#[test]
fn an_answer_to_a_client_of_engine_io_3_reads_alike_however_often_it_decodes_utf8() {
    let server = TestServer::new();
    let pushed = "ö€😀";
    for (more, kind) in [
        ("&b64=1", "text/plain; charset=UTF-8"),
        ("&j=4", "text/plain; charset=UTF-8"),
        ("", "application/octet-stream"),
    ] {
        let mut session = Session::new(&server, more);
        server.dispatcher().broadcast("E", &pushed).unwrap();
        let answer = session.http.get(&session.target.clone());
        assert_eq!(answer.header("content-type"), Some(kind), "{more}");
        if kind.starts_with("text/") {
            assert!(answer.body.is_ascii(), "{more}: {}", answer.text());
        } else {
            // Bytes count bytes, and are UTF-8 once.
            let (head, packet) =
                answer.body.split_at(answer.body.iter().position(|byte| *byte == 0xFF).unwrap());
            let digits: String = head[1..].iter().map(|digit| char::from(digit + b'0')).collect();
            assert_eq!((head[0], digits.parse()), (0, Ok(packet.len() - 1)));
            assert!(std::str::from_utf8(&packet[1..]).unwrap().contains(pushed));
        }
    }
    let mut v4 = server.http();
    let sid = v4.get("/socket.io/?EIO=4&transport=polling").text()[9..29].to_owned();
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    v4.post(&target, &[], "40");
    v4.get(&target);
    server.dispatcher().broadcast("E", &pushed).unwrap();
    assert!(v4.get(&target).text().contains(pushed), "Engine.IO 4 has no such clients");
}
