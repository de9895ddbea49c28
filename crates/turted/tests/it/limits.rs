//! Every limit: what is at it passes, what is one above is refused as the table in the docs says.

mod pushes;

use std::time::{Duration, Instant};

use serde_json::json;
use turted::config::{Config, IdentMode};

use crate::support::{
    Client, Http, Kind, PATIENCE, Response, TestServer, Transport, WebSocket, eventually, frame,
    is_forgotten, payload,
};

fn patient(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        config.limits.message_rate = 1_000_000;
        config.limits.message_burst = 1_000_000;
        change(config);
    })
}

fn is_error(reply: &str) -> bool {
    reply.starts_with(r#"42["ERROR",""#)
}

#[test]
fn a_connection_joins_128_channels() {
    let server = patient(|_| {});
    for kind in Kind::PLAIN {
        let mut client = server.client(kind);
        let mut join =
            |number: usize| client.ask("JOIN", &json!({"channel": format!("c{number}")}).to_string());
        for number in 0..128 {
            assert!(!is_error(&join(number)));
        }
        let refused = join(128);
        assert!(is_error(&refused), "{refused}");
        assert!(refused.contains("limits.channels_per_connection"), "{refused}");
        assert!(!is_error(&join(5)), "one that is joined already is no further one");
        assert!(!is_error(&client.ask("LEAVE", r#"{"channel":"c0"}"#)));
        assert!(!is_error(&client.ask("JOIN", r#"{"channel":"c128"}"#)), "there is room again");
        client.leave();
    }
}

#[test]
fn a_connection_is_eight_users_if_the_operator_wants_the_old_way() {
    let server = patient(|config| config.auth.ident = IdentMode::Add);
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let mut ident =
        |number: usize| client.ask("IDENT", &json!({"username": format!("u{number}")}).to_string());
    assert!((0..8).all(|number| !is_error(&ident(number))));
    assert!(is_error(&ident(8)));
    assert!(!is_error(&ident(7)), "a user it is already");
}

#[test]
fn a_name_has_255_bytes() {
    let server = patient(|_| {});
    for (name, good) in
        [("x".repeat(255), true), ("x".repeat(256), false), ("é".repeat(127), true), ("é".repeat(128), false)]
    {
        for kind in Kind::PLAIN {
            let mut client = server.client(kind);
            assert_eq!(!is_error(&client.ask("JOIN", &json!({"channel": name}).to_string())), good);
            assert_eq!(!is_error(&client.ask("IDENT", &json!({"username": name}).to_string())), good);
            client.leave();
        }
        for push in [
            json!({"event": name}),
            json!({"event": "e", "targets": {"users": name}}),
            json!({"event": "e", "targets": {"channels": [name]}}),
        ] {
            assert_eq!(server.push(push.to_string()).status == 200, good);
        }
    }
}

/// A packet of the Engine.IO message type with `bytes` bytes.
fn echo(bytes: usize) -> String {
    let (head, tail) = ("42[\"ECHO\",[\"", "\"]]");
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

#[test]
fn a_message_has_64_kib() {
    let server = patient(|_| {});
    for kind in [Kind::V3_WEBSOCKET, Kind::V4_WEBSOCKET, Kind::V4_UPGRADED] {
        let mut client = server.client(kind);
        client.send(&echo(65_536));
        assert!(client.reply().unwrap().starts_with(&echo(65_536)[..65_535]));
        client.send(&echo(65_537));
        let reason = client.socket().close_reason();
        assert_eq!(reason, Some((1009, "message too large (limits.message_bytes)".to_owned())), "{kind:?}");
    }
    for kind in [Kind::V3_POLLING, Kind::V4_POLLING] {
        let mut client = server.client(kind);
        client.send(&echo(65_536));
        assert!(client.reply().unwrap().starts_with(&echo(65_536)[..65_535]));
        // The type digit of Engine.IO is not counted here.
        let response = client.post(payload(kind.version, &[&echo(65_538)]));
        assert!(matches!(response.status, 200 | 413), "{}", response.status);
        assert!(client.is_ended(), "{kind:?}");
    }
    server.assert_alive();
}

#[test]
fn a_fragmented_message_has_64_kib_over_all_its_fragments() {
    let server = patient(|_| {});
    for (bytes, good) in [(65_536, true), (65_537, false)] {
        let mut client = server.client(Kind::V4_WEBSOCKET);
        let text = echo(bytes);
        let (first, rest) = text.as_bytes().split_at(40_000);
        client.socket().send(frame(0x01, first));
        client.socket().send(frame(0x80, rest));
        if good {
            assert!(client.reply().unwrap().starts_with(&text[..65_535]));
        } else {
            assert_eq!(client.socket().close_code(), Some(1009));
        }
    }
}

#[test]
fn a_message_has_64_fragments_or_what_the_operator_says() {
    let (usual, changed) = (patient(|_| {}), patient(|config| config.limits.message_fragments = 3));
    for (server, fragments, good) in
        [(&usual, 64, true), (&usual, 65, false), (&changed, 3, true), (&changed, 4, false)]
    {
        let mut client = server.client(Kind::V4_WEBSOCKET);
        client.socket().send(frame(0x01, br#"42["ECHO","#));
        (2..fragments).for_each(|_| client.socket().send(frame(0x00, b" ")));
        client.socket().send(frame(0x80, b"1]"));
        if good {
            assert_eq!(client.reply().unwrap(), r#"42["ECHO",1]"#);
        } else {
            assert_eq!(client.socket().close_code(), Some(1008));
        }
    }
}

#[test]
fn a_polling_body_has_256_packets_or_what_the_operator_says() {
    let (usual, changed) = (patient(|_| {}), patient(|config| config.limits.polling_packets = 300));
    for kind in [Kind::V3_POLLING, Kind::V4_POLLING] {
        for (server, packets, good) in
            [(&usual, 256, true), (&usual, 257, false), (&changed, 300, true), (&changed, 301, false)]
        {
            let mut client = server.client(kind);
            let response = client.post(payload(kind.version, &vec![r#"42["ECHO",1]"#; packets]));
            if good {
                assert_eq!(response.text(), "ok");
                assert!((0..packets).all(|_| client.reply().unwrap() == r#"42["ECHO",1]"#));
            } else {
                assert_eq!(response.status, 400);
                assert!(client.is_ended());
            }
        }
    }
    changed.assert_alive();
}

#[test]
fn a_polling_body_has_the_bytes_that_were_announced() {
    let server = patient(|config| config.socketio.max_payload = 1_000);
    let lost = || server.metric(r#"turted_closes_total{reason="transport_lost"}"#);
    for (before, kind) in [Kind::V3_POLLING, Kind::V4_POLLING].into_iter().enumerate() {
        let body = |bytes: usize| match kind.version {
            3 => format!("{}:{}", bytes - 4, echo(bytes - 4)),
            _ => echo(bytes),
        };
        let mut client = server.client(kind);
        assert_eq!(client.post(body(1_000)).text(), "ok");
        assert!(client.reply().unwrap().starts_with(r#"42["ECHO","#));
        let mut http = server.http();
        let response = http.post(&kind.target("polling", &client.sid), &[], body(1_001));
        assert_eq!((response.status, response.header("connection")), (413, Some("close")));
        assert!(response.text().contains("socketio.max_payload"), "{}", response.text());
        assert!(http.is_ended());
        // Its owner may be another worker, which hears of it later.
        eventually("what it would have carried is lost, so the session ends", || lost() == before + 1);
        assert!(is_forgotten(&server, &client));
    }
}

#[test]
fn a_client_sends_256_messages_at_once_and_is_told_before_it_is_cut() {
    for kind in Kind::ALL {
        let server = TestServer::with(|config| config.limits.message_rate = 0);
        if kind.transport == Transport::Polling {
            // A message that overtakes the poll ends the session before it: once more then.
            let mut told =
                std::iter::repeat_with(|| say_too_much_by_polling(client_at_its_limit(&server, kind)));
            let told = told.by_ref().take(20).find(|told| !told.contains("Session ID unknown"));
            let told = told.expect("a poll that comes first");
            assert!(told.contains(r#"42["ERROR","too many messages"#), "{told}");
        } else {
            let mut client = client_at_its_limit(&server, kind);
            client.emit("ECHO", "1");
            assert!(client.reply().unwrap().starts_with(r#"42["ERROR","too many messages"#));
            assert_eq!(client.socket().close_code(), Some(1008), "{kind:?}");
        }
    }
}

/// A client that has sent as many messages as it may.
fn client_at_its_limit(server: &TestServer, kind: Kind) -> Client {
    let mut client = server.client(kind);
    // What it sent to connect counts.
    let upgrade = if kind.transport == Transport::Upgraded { 2 } else { 0 };
    let sent = usize::from(kind.version == 4) + upgrade;
    for number in sent..256 {
        client.emit("ECHO", &number.to_string());
    }
    for number in sent..256 {
        assert_eq!(client.reply().unwrap(), format!(r#"42["ECHO",{number}]"#), "{kind:?}");
    }
    client
}

/// Sends one message more while a poll is under way: what the poll is told. The session must have ended then.
fn say_too_much_by_polling(mut client: Client) -> String {
    let mut poll = Http::over(client.send_poll().stream.try_clone().unwrap());
    client.post(payload(client.kind.version, &[r#"42["ECHO",1]"#]));
    let told = poll.read().unwrap().text().to_owned();
    assert!(client.is_ended());
    told
}

#[test]
fn pings_of_a_websocket_and_probes_count_as_messages() {
    let server = TestServer::with(|config| config.limits.message_rate = 1);
    for first in [0x89, 0x8A] {
        let mut client = server.client(Kind::V3_WEBSOCKET);
        (0..300).for_each(|_| client.socket().send(frame(first, b"")));
        assert_eq!(client.socket().close_code(), Some(1008));
    }
    let client = server.client(Kind::V3_POLLING);
    let target = client.kind.target("websocket", &client.sid);
    let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
    (0..300).for_each(|_| socket.send_text("2probe"));
    let answers = std::iter::from_fn(|| socket.text()).count();
    assert!(answers <= 256, "{answers}");
}

#[test]
fn a_packet_promises_ten_attachments() {
    let server = patient(|_| {});
    for kind in [Kind::V3_WEBSOCKET, Kind::V4_WEBSOCKET] {
        let mut client = server.client(kind);
        let data: &[u8] = if kind.version == 3 { b"\x04x" } else { b"x" };
        client.send(r#"4510-["ECHO",1]"#);
        assert!(is_error(&client.reply().unwrap()));
        (0..10).for_each(|_| client.socket().send(frame(0x82, data)));
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
        client.send(r#"4511-["ECHO",1]"#);
        assert_eq!(client.socket().close_code(), Some(1002));
    }
}

#[test]
fn an_ident_is_128_deep() {
    let server = patient(|_| {});
    let ident = |depth: usize| {
        format!(r#"{{"username":"u","x":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1))
    };
    let mut client = server.client(Kind::V4_WEBSOCKET);
    assert!(!is_error(&client.ask("IDENT", &ident(128))));
    assert!(is_error(&client.ask("IDENT", &ident(129))));
}

#[test]
fn a_request_has_100_headers_and_16_kib_of_them() {
    let server = TestServer::new();
    let request = |lines: &[String]| {
        let mut http = server.http();
        http.send(format!("GET /x HTTP/1.1\r\nHost: a\r\n{}\r\n", lines.concat()));
        http.read().unwrap().status
    };
    let many = |count: usize| (0..count).map(|number| format!("X{number}: y\r\n")).collect::<Vec<_>>();
    assert_eq!((request(&many(99)), request(&many(100))), (404, 431), "with the host");
    let long = |bytes: usize| [format!("X: {}\r\n", "y".repeat(bytes))];
    assert_eq!(request(&long(15 * 1024)), 404);
    assert_eq!(request(&long(17 * 1024)), 431);
    server.assert_alive();
}

#[test]
fn a_target_has_8_kib() {
    let server = TestServer::new();
    let mut http = server.http();
    let target = |bytes: usize| format!("/{}", "x".repeat(bytes - 1));
    assert_eq!(http.get(&target(8_192)).status, 404);
    let response = http.get(&target(8_193));
    assert_eq!(response.status, 414);
    assert!(response.text().contains("limits.request_uri_bytes"), "{}", response.text());
    let query = format!("/socket.io/?EIO=4&transport=polling&x={}", "y".repeat(8_192));
    assert_eq!(http.get(&query).status, 414);
    assert_eq!(WebSocket::connect(server.address(), &query, &[]).unwrap_err().status, 414);
}

#[test]
fn connections_beyond_the_limit_are_told_to_come_back() {
    let server = TestServer::with(|config| {
        config.limits.connections = Some(3);
        config.limits.spare_connections = 0;
    });
    let mut clients: Vec<Client> = (0..3).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    let mut fourth = server.http();
    let refused = fourth.read().expect("an answer before any request");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert!(fourth.is_ended());
    assert_eq!(clients[0].ask("ECHO", "1"), r#"42["ECHO",1]"#);
    clients.pop().unwrap().leave();
    let started = std::time::Instant::now();
    // The place is free once the server has seen the client hang up.
    while server.http().post("/push", &[], r#"{"event":"e"}"#).status != 200 {
        assert!(started.elapsed() < crate::support::PATIENCE);
    }
}

#[test]
fn polling_sessions_beyond_the_limit_are_told_to_come_back() {
    let server = TestServer::with(|config| config.limits.connections = Some(4));
    let mut http = server.http();
    let target = Kind::V3_POLLING.target("polling", "");
    let sids: Vec<String> = (0..4).map(|_| sid(&http.get(&target))).collect();
    for sid in &sids {
        // One that nobody came back to would give way.
        let session = Kind::V3_POLLING.target("polling", sid);
        assert_eq!(http.post(&session, &[], payload(3, &["6"])).status, 200);
    }
    let refused = http.get(&target);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    let session = Kind::V3_POLLING.target("polling", &sids[0]);
    assert_eq!(http.post(&session, &[], payload(3, &["1"])).status, 200);
    assert_eq!(http.get(&target).status, 200, "the place of one that ended");
}

/// The id of a session in its handshake.
fn sid(handshake: &Response) -> String {
    let (_, rest) = handshake.text().split_once(r#""sid":""#).expect("a handshake");
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn a_connection_whose_client_ignores_the_good_bye_is_given_up() {
    let server = TestServer::with(|config| {
        config.limits.connections = Some(1);
        config.socketio.connect_timeout = Duration::from_millis(100);
    });
    let mut silent = Client::open(server.address(), Kind::V4_WEBSOCKET);
    assert_eq!(silent.socket().close_code(), Some(1008));
    let is_served = || {
        let mut http = server.http();
        http.send_request("GET", "/", &[], b"");
        http.read().is_some_and(|answer| answer.status == 404)
    };
    let deadline = Instant::now() + PATIENCE;
    while !is_served() {
        assert!(Instant::now() < deadline, "it still counts as a connection");
    }
}
