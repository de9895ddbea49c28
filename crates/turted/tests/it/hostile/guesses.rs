//! Guessing: session ids, and passwords.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use crate::support::{Http, Kind, TestServer};

#[test]
fn a_session_id_that_is_nearly_right_is_unknown() {
    let server = TestServer::new();
    let mut http = server.http();
    for kind in [Kind::V3_POLLING, Kind::V4_POLLING] {
        let mut client = server.client(kind);
        for at in 0..client.sid.len() {
            let mut sid = client.sid.clone().into_bytes();
            sid[at] = if sid[at] == b'A' { b'B' } else { b'A' };
            let response = http.get(&kind.target("polling", &String::from_utf8(sid).unwrap()));
            assert_eq!((response.status, response.json()["code"].as_u64()), (400, Some(1)), "character {at}");
        }
        assert!(client.ask("ECHO", "1").contains("ECHO"), "the session itself is unharmed");
    }
    server.assert_alive();
}

#[test]
fn a_session_id_is_worth_nothing_after_the_end() {
    let server = TestServer::new();
    for kind in Kind::ALL {
        let client = server.client(kind);
        let sid = client.sid.clone();
        client.leave();
        // Its place is given to somebody else.
        let mut heir = server.client(kind);
        for transport in ["polling", "websocket"] {
            let upgrade = [
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ];
            let headers = if transport == "websocket" { &upgrade[..] } else { &[] };
            let response = server.http().request("GET", &kind.target(transport, &sid), headers, b"");
            assert_eq!(
                (response.status, response.json()["code"].as_u64()),
                (400, Some(1)),
                "{kind:?} {transport}"
            );
        }
        assert_eq!(heir.ask("ECHO", "1"), r#"42["ECHO",1]"#);
    }
    server.assert_alive();
}

#[test]
fn the_public_id_of_a_connection_does_not_open_its_session() {
    let server = TestServer::new();
    let client = server.client(Kind::V4_POLLING);
    let connected: serde_json::Value = serde_json::from_str(&client.connected[2..]).unwrap();
    let public = connected["sid"].as_str().unwrap();
    let response = server.http().get(&client.kind.target("polling", public));
    assert_eq!((response.status, response.json()["code"].as_u64()), (400, Some(1)));
}

/// A connection from another address of this machine.
pub(super) fn from(source: [u8; 4], server: SocketAddr) -> Http {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::from(source), 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    Http::over(socket.into())
}

#[test]
fn after_ten_wrong_passwords_an_address_has_to_wait_and_others_do_not() {
    let server = TestServer::with(|config| config.push.password = Some("tiger".into()));
    let push = |http: &mut Http, password: &str| {
        let body = format!(r#"{{"event":"e","targets":{{}},"auth":{{"password":"{password}"}}}}"#);
        http.post("/push/", &[], body)
    };
    let mut guesser = from([127, 0, 0, 2], server.address());
    for _ in 0..9 {
        assert_eq!((push(&mut guesser, "lion").status, push(&mut guesser, "tiger").status), (401, 200));
    }
    assert_eq!(guesser.post("/push/", &[], r#"{"event":"e"}"#).status, 401, "no password is no guess");
    assert_eq!(guesser.post("/push/", &[("Authorization", "Bearer lion")], r#"{"event":"e"}"#).status, 401);
    let eleventh = push(&mut guesser, "tiger");
    assert_eq!(eleventh.status, 429, "a right password does not help meanwhile");
    let wait: u32 = eleventh.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=61).contains(&wait), "{wait}");
    assert_eq!(
        push(&mut from([127, 0, 0, 2], server.address()), "tiger").status,
        429,
        "nor another connection"
    );
    assert_eq!(push(&mut from([127, 0, 0, 3], server.address()), "tiger").status, 200);
}

/// 128 bits in base64, and one character less.
const STRONG: &str = "0123456789abcdefghijkl";
const WEAK: &str = "0123456789abcdefghijk";

#[test]
fn a_right_password_that_nobody_guesses_passes_in_the_header_after_too_many_guesses() {
    for (password, passes) in [(STRONG, true), (WEAK, false)] {
        let server = TestServer::with(|config| {
            config.push.password = Some(password.into());
            config.limits.wrong_passwords = 2;
        });
        let event = r#"{"event":"e"}"#;
        let push = |bearer: &str| {
            let header = format!("Bearer {bearer}");
            let answer = server.http().post("/push/", &[("Authorization", &header)], event);
            (answer.status, answer.text().to_owned(), answer.header("retry-after").is_some())
        };
        for _ in 0..2 {
            assert_eq!((push(password).0, push("lion").0), (200, 401));
        }
        let refused = push("lion");
        assert_eq!((refused.0, refused.2), (429, true));
        assert_eq!(push(&password[1..]), refused, "one that is nearly right hears what all hear");
        assert_eq!(push(password).0, if passes { 200 } else { 429 });
        if !passes {
            assert_eq!(push(password), refused, "a guesser does not hear that a short one is right");
        }
        assert_eq!(push("lion").0, 429, "the address stays blocked");
        let body = format!(r#"{{"event":"e","auth":"{password}"}}"#);
        assert_eq!(server.push(&body).status, 429, "what is in the body is not read");
        let both = format!(r#"{{"event":"e","auth":"{password}"}}"#);
        let wrong = [("Authorization", "Bearer lion")];
        assert_eq!(server.http().post("/push/", &wrong, both).status, 429);
    }
}

#[test]
fn an_empty_credential_is_no_guess_and_a_wrong_one_is() {
    let server = TestServer::with(|config| {
        config.push.password = Some("tiger".into());
        config.limits.wrong_passwords = 1;
    });
    let empty = [
        r#"{"event":"e","auth":""}"#,
        r#"{"event":"e","auth":{"password":""}}"#,
        r#"{"event":"e","auth":{}}"#,
        r#"{"event":"e","auth":null}"#,
        r#"[{"event":"e","auth":""},{"event":"e","auth":""}]"#,
        r#"{"cmd":"notifyAll","password":"","data":{"event":"e"}}"#,
        r#"{"cmd":"notifyAll","auth":"","data":{"event":"e"}}"#,
    ];
    for _ in 0..2 {
        for body in empty {
            assert_eq!(server.push(body).status, 401, "{body}");
        }
        for header in ["Bearer", "Bearer ", "Bearer    ", ""] {
            let headers = [("Authorization", header)];
            assert_eq!(server.http().post("/push/", &headers, r#"{"event":"e"}"#).status, 401, "{header:?}");
            let right = server.http().post("/push/", &headers, r#"{"event":"e","auth":"tiger"}"#);
            assert_eq!(right.status, 200, "{header:?} says nothing");
        }
    }
    assert_eq!(server.push(r#"{"event":"e","auth":"tiger"}"#).status, 200);
    assert_eq!(server.push(r#"{"event":"e","auth":"none"}"#).status, 401, "a word is a guess");
    assert_eq!(server.push(r#"{"event":"e","auth":"tiger"}"#).status, 429);
}

#[test]
fn guesses_that_are_made_at_once_are_counted_one_by_one() {
    let server = TestServer::with(|config| {
        config.push.password = Some("tiger".into());
        config.workers = 1;
    });
    let body = r#"{"event":"e","auth":"lion"}"#;
    let (first, last) = body.split_at(body.len() - 1);
    let mut guesses: Vec<Http> = (0..20).map(|_| from([127, 0, 0, 2], server.address())).collect();
    for guess in &mut guesses {
        guess.send(format!("POST /push/ HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()));
        guess.send(first);
    }
    // Behind this answer all of them wait for the end of their bodies.
    assert_eq!(server.http().get("/").status, 404);
    guesses.iter_mut().for_each(|guess| guess.send(last));
    let statuses: Vec<_> = guesses.iter_mut().map(|guess| guess.read().unwrap().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 10, "{statuses:?}");
}

#[test]
fn a_guesser_with_many_addresses_has_no_more_attempts_with_each_and_bars_nobody() {
    let server = TestServer::with(|config| {
        config.push.password = Some("tiger".into());
        config.limits.wrong_passwords = 2;
        config.limits.password_addresses = 3;
    });
    let guess = |host: u8, password: &str| {
        let body = format!(r#"{{"event":"e","targets":{{}},"auth":"{password}"}}"#);
        from([127, 0, 1, host], server.address()).post("/push/", &[], body).status
    };
    for host in 1..=20 {
        assert_eq!([(); 3].map(|()| guess(host, "lion")), [401, 401, 429], "127.0.1.{host}");
    }
    assert_eq!(guess(20, "tiger"), 429, "a right password does not help meanwhile");
    assert_eq!(guess(21, "tiger"), 200, "who did not guess is let in");
}

#[test]
fn a_header_that_claims_another_address_is_not_believed() {
    let server = TestServer::with(|config| {
        config.push.password = Some("tiger".into());
        config.limits.wrong_passwords = 2;
    });
    let mut http = from([127, 0, 0, 4], server.address());
    let claim = |number: u8| format!("10.0.0.{number}");
    for (number, status) in [(1, 401), (2, 401), (3, 429)] {
        let headers = [("X-Forwarded-For", &*claim(number)), ("X-Real-IP", &claim(number))];
        assert_eq!(http.post("/push/", &headers, r#"{"event":"e","auth":"lion"}"#).status, status);
    }
}

#[test]
fn a_batch_needs_the_password_in_every_item_and_an_empty_one_does_not_pass() {
    let server = TestServer::with(|config| config.push.password = Some("tiger".into()));
    let cases = [
        (r#"[{"event":"e","auth":"tiger"},{"event":"e","auth":"tiger"}]"#, 200),
        (r#"[{"event":"e","auth":"tiger"},{"event":"e"}]"#, 401),
        (r#"[{"event":"e","auth":"tiger"},{"event":"e","auth":"lion"}]"#, 401),
        ("[]", 401),
        ("[[]]", 401),
        ("7", 401),
        (r#""tiger""#, 401),
        (r#"{"event":"e","auth":{"password":"tiger","password":"lion"}}"#, 401),
        (r#"{"event":"e","auth":["tiger"]}"#, 401),
        (r#"{"event":"e","auth":{"hasOwnProperty":1}}"#, 401),
        (r#"{"event":"e","auth":null}"#, 401),
    ];
    for (body, status) in cases {
        assert_eq!(server.push(body).status, status, "{body}");
    }
    let empty = server.http().post("/push/", &[("Authorization", "Bearer tiger")], "[]");
    assert_eq!(empty.status, 400);
}
