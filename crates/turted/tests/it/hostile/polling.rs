//! Polling requests that break a rule.

use crate::support::{Client, Http, Kind, TestServer, eventually, is_forgotten, payload};

const POLLING: [Kind; 2] = [Kind::V3_POLLING, Kind::V4_POLLING];
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD: &str = r#"{"code":3,"message":"Bad request"}"#;

fn assert_gone(server: &TestServer, client: &Client) {
    let response = server.http().get(&client.kind.target("polling", &client.sid));
    assert_eq!((response.status, response.text()), (400, UNKNOWN), "{:?}", client.kind);
}

#[test]
fn bodies_that_are_no_payload_end_the_session() {
    let server = TestServer::new();
    let separators = "\u{1e}".repeat(100_000);
    let v4 = ["", "\u{1e}", "\u{1e}\u{1e}\u{1e}", "42[\"ECHO\",1]\u{1e}", &separators, "x", "b!", "\0"];
    let colons = ":".repeat(100_000);
    let v3 = [
        "",
        ":",
        ":4",
        &colons,
        "-1:4",
        "+1:4",
        "0:",
        "1:",
        "5:4",
        "01:4",
        "a:4",
        "1",
        "1:4x",
        "2:4é",
        "2:4😀",
        "99999999999999999999999999:4",
        "18446744073709551616:4",
        "1.5:4",
        " 1:4",
        "1:4-1:4",
    ];
    let cases = v4.map(|body| (Kind::V4_POLLING, body)).into_iter();
    for (kind, body) in cases.chain(v3.map(|body| (Kind::V3_POLLING, body))) {
        let mut client = server.client(kind);
        let response = client.post(body);
        assert!(matches!(response.status, 200 | 400), "{body:.20}: {}", response.status);
        assert_gone(&server, &client);
    }
    server.assert_alive();
}

#[test]
fn a_body_that_is_no_utf8_is_refused() {
    let server = TestServer::new();
    for kind in POLLING {
        let body = [&payload(kind.version, &["42[\"ECHO\",\"é\"]"]).into_bytes()[..]].concat();
        let broken: Vec<u8> = body.into_iter().filter(|byte| *byte != 0xA9).collect();
        let mut client = server.client(kind);
        let response = client.post(broken);
        assert_eq!((response.status, response.text()), (400, BAD));
        assert_gone(&server, &client);
    }
    server.assert_alive();
}

#[test]
fn binary_bodies_of_version_3_are_read_and_broken_ones_refused() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V3_POLLING);
    let target = client.kind.target("polling", &client.sid);
    let octets = [("Content-Type", "application/octet-stream")];
    let good = b"\x00\x01\x02\xFF42[\"ECHO\",1]";
    assert_eq!(server.http().post(&target, &octets, good).text(), "ok");
    assert_eq!(client.reply().unwrap(), r#"42["ECHO",1]"#);
    for body in [
        &b"\x02\x01\xFF4"[..],
        b"\x00\xFF4",
        b"\x00\x09\x09\x09\xFF4",
        b"\x00\x0A\xFF4",
        b"\x00\x01\xFF\xFE",
        b"\xFF",
    ] {
        let client = server.client(Kind::V3_POLLING);
        let target = client.kind.target("polling", &client.sid);
        let response = server.http().post(&target, &octets, body);
        assert_eq!(response.status, 400, "{body:?}");
        assert_gone(&server, &client);
    }
    server.assert_alive();
}

#[test]
fn two_gets_at_once_end_the_session() {
    let server = TestServer::new();
    for kind in POLLING {
        let mut client = server.client(kind);
        let target = kind.target("polling", &client.sid);
        client.send_poll();
        let mut others = [server.http(), server.http()];
        others.iter_mut().for_each(|http| http.send_request("GET", &target, &[], b""));
        let refused = others.iter_mut().filter_map(|http| http.read()).filter(|answer| answer.status == 400);
        assert!(refused.count() > 0);
        assert!(client.is_ended(), "the one that waited is sent home");
        assert_gone(&server, &client);
    }
    server.assert_alive();
}

#[test]
fn two_posts_at_once_end_the_session() {
    let server = TestServer::new();
    for kind in POLLING {
        let mut client = server.client(kind);
        let target = kind.target("polling", &client.sid);
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        );
        let mut first = server.http();
        first.send(head);
        // The server asks for the body: it has seen the first one.
        assert_eq!(first.read_head().unwrap().status, 100);
        let second = client.post(payload(kind.version, &["42[\"ECHO\",1]"]));
        assert_eq!((second.status, second.text()), (400, BAD), "{kind:?}");
        first.send(payload(kind.version, &["6"]));
        assert_gone(&server, &client);
    }
    server.assert_alive();
}

#[test]
fn a_post_that_breaks_off_ends_the_session() {
    let server = TestServer::new();
    for kind in POLLING {
        let client = server.client(kind);
        let target = kind.target("polling", &client.sid);
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 99\r\n\r\n4"
        );
        let mut broken = server.http();
        broken.send(head);
        assert_eq!(broken.read_head().unwrap().status, 100);
        broken.finish();
        assert!(broken.is_ended());
        // Its packets are lost, and the client may not know.
        eventually(&format!("the session of {kind:?} ends"), || is_forgotten(&server, &client));
    }
}

#[test]
fn a_client_that_lets_go_of_its_get_is_gone() {
    // Where the push wins the race, what comes after it is too much some time.
    let server = TestServer::with(|config| config.limits.outbox_frames = 100);
    for kind in POLLING {
        let mut client = server.client(kind);
        client.ask("JOIN", r#"{"channel":"c"}"#);
        let poll = client.send_poll().stream.try_clone().unwrap();
        poll.shutdown(std::net::Shutdown::Both).unwrap();
        let mut pusher = server.http();
        // The end of the request and the push race; the push loses in the end.
        let push = r#"{"event":"e","targets":{"channels":"c"}}"#;
        let mut push =
            || pusher.post("/push", &[("Accept", "application/json")], push).json()["delivered"].clone();
        let started = std::time::Instant::now();
        while push() != 0 {
            assert!(started.elapsed() < crate::support::PATIENCE);
        }
        assert_gone(&server, &client);
    }
}

#[test]
fn requests_that_are_no_handshake_are_refused_as_engine_io_does() {
    let server = TestServer::new();
    let mut http = server.http();
    let cases = [
        ("GET", "/socket.io/", 0),
        ("GET", "/socket.io/?EIO=4", 0),
        ("GET", "/socket.io/?EIO=4&transport=", 0),
        ("GET", "/socket.io/?EIO=4&transport=constructor", 0),
        ("GET", "/socket.io/?EIO=4&transport=webtransport", 0),
        ("POST", "/socket.io/?EIO=4&transport=polling", 2),
        ("PUT", "/socket.io/?EIO=4&transport=polling", 2),
        ("GET", "/socket.io/?EIO=4&transport=websocket", 3),
        ("GET", "/socket.io/?EIO=4&transport=%FF", 3),
        ("GET", "/socket.io/?EIO=4&transport=polling&%ff=%fe", 3),
        ("GET", "/socket.io/?EIO=3&transport=polling&j=x", 3),
        ("GET", "/socket.io/?EIO=3&transport=polling&j=-1", 3),
        ("GET", "/socket.io/?EIO=3&transport=polling&j=99999999999", 3),
        ("GET", "/socket.io/?EIO=5&transport=polling", 5),
        ("GET", "/socket.io/?EIO=2&transport=polling", 5),
        ("GET", "/socket.io/?transport=polling", 5),
        ("GET", "/socket.io/?EIO=4&transport=polling&sid=", 1),
        ("GET", "/socket.io/?EIO=4&transport=polling&sid=constructor", 1),
        ("GET", "/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA", 1),
        ("POST", "/socket.io/?EIO=4&transport=polling&sid=_____________________", 1),
        ("GET", "/socket.io/?EIO=4&transport=polling&sid=____________________", 1),
    ];
    for (method, target, code) in cases {
        let response = http.request(method, target, &[], b"");
        assert_eq!(
            (response.status, response.json()["code"].as_u64()),
            (400, Some(code)),
            "{method} {target}"
        );
    }
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    for (target, code) in
        [("/socket.io/?EIO=4&transport=polling", 3), ("/socket.io/?EIO=4&transport=websocket", 3)]
    {
        let response = http.request("GET", target, &upgrade, b"");
        assert_eq!((response.status, response.json()["code"].as_u64()), (400, Some(code)), "{target}");
    }
    server.assert_alive();
}

#[test]
fn a_script_answer_cannot_break_out_of_its_string() {
    let server = TestServer::new();
    let mut http = server.http();
    let opened = http.get("/socket.io/?EIO=3&transport=polling&j=7");
    let text = opened.text();
    assert!(text.starts_with("___eio[7](\""), "{text}");
    assert!(text.ends_with("\");"), "{text}");
    let sid = text.split("sid\\\":\\\"").nth(1).unwrap().split('\\').next().unwrap().to_owned();
    server.dispatcher().broadcast("e", &"\"); alert(1); //\u{2028}\u{2029}</script>").unwrap();
    let polled = http.get(&format!("/socket.io/?EIO=3&transport=polling&j=7&sid={sid}"));
    let text = polled.text();
    let inner = text.strip_prefix("___eio[7](").unwrap().strip_suffix(");").unwrap();
    assert!(!inner.contains(['\u{2028}', '\u{2029}']), "{inner}");
    let payload: String = serde_json::from_str(inner).expect("one string");
    assert!(payload.contains("alert(1)"), "{payload}");
    let mut post =
        |body: &str| http.post(&format!("/socket.io/?EIO=3&transport=polling&j=7&sid={sid}"), &[], body);
    assert_eq!(post("d=12:42[\"ECHO\",1]").text(), "ok");
    assert_eq!(post("no form").status, 400);
    server.assert_alive();
}

#[test]
fn a_request_may_land_on_any_worker() {
    let server = TestServer::with(|config| config.workers = 3);
    for kind in POLLING {
        let client = server.client(kind);
        let target = kind.target("polling", &client.sid);
        for number in 0..12 {
            let body = payload(kind.version, &[&format!(r#"42["ECHO",{number}]"#)]);
            let mut http = Http::connect(server.address());
            assert_eq!(http.post(&target, &[], body).text(), "ok");
            let polled = Http::connect(server.address()).get(&target);
            assert!(polled.text().contains(&format!(r#"["ECHO",{number}]"#)), "{}", polled.text());
        }
    }
}
