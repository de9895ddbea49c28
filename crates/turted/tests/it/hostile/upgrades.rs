//! Upgrades from polling to WebSocket that go wrong, and that nothing is lost by it.

use std::time::{Duration, Instant};

use crate::support::{Http, Kind, PATIENCE, TestServer, WebSocket, frame, payload};

const POLLING: [Kind; 2] = [Kind::V3_POLLING, Kind::V4_POLLING];

#[test]
fn an_upgrade_that_breaks_off_loses_nothing() {
    let server = TestServer::new();
    let endings: [(&str, &[u8]); 5] = [
        ("the end", b""),
        ("a packet that is no upgrade", b"42[\"ECHO\",1]"),
        ("no packet", b"x"),
        ("a broken frame", b"\xFF"),
        ("nothing", b"2"),
    ];
    for kind in POLLING {
        for (name, ending) in endings {
            let mut client = server.client(kind);
            let target = kind.target("websocket", &client.sid);
            let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
            socket.send_text("2probe");
            assert_eq!(socket.text().as_deref(), Some("3probe"));
            server.dispatcher().broadcast("held", &name).unwrap();
            match ending {
                [] => {}
                [0xFF] => socket.send(b"\xFF\xFF"),
                packet => socket.send(frame(0x81, packet)),
            }
            if ending.is_empty() {
                drop(socket);
            } else {
                assert_eq!(socket.text(), None, "{name}");
            }
            assert_eq!(client.event().payload, name, "{kind:?}: comes by polling instead");
            client.upgrade(server.address());
            assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#, "{kind:?}: may try again after {name}");
        }
    }
    server.assert_alive();
}

#[test]
fn an_upgrade_that_takes_too_long_is_given_up() {
    let server = TestServer::with(|config| config.socketio.upgrade_timeout = Duration::from_millis(100));
    for (kind, probe) in POLLING.iter().flat_map(|kind| [(*kind, true), (*kind, false)]) {
        let mut client = server.client(kind);
        let target = kind.target("websocket", &client.sid);
        let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
        if probe {
            socket.send_text("2probe");
            assert_eq!(socket.text().as_deref(), Some("3probe"));
        }
        server.dispatcher().broadcast("held", &1).unwrap();
        assert_eq!(socket.text(), None);
        assert_eq!(client.event().payload, 1);
    }
    server.assert_alive();
}

#[test]
fn a_waiting_request_is_sent_home_and_what_waits_moves_along() {
    let server = TestServer::new();
    for kind in POLLING {
        let mut client = server.client(kind);
        let (polling, target) = (kind.target("polling", &client.sid), kind.target("websocket", &client.sid));
        let mut waiting = server.http();
        waiting.send_request("GET", &polling, &[], b"");
        let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
        socket.send_text("2probe");
        assert_eq!(socket.text().as_deref(), Some("3probe"));
        assert_eq!(waiting.read().unwrap().text(), payload(kind.version, &["6"]), "{kind:?}");
        for number in 0..3 {
            server.dispatcher().broadcast("held", &number).unwrap();
            assert_eq!(waiting.get(&polling).text(), payload(kind.version, &["6"]), "held back");
        }
        client.send(r#"42["ECHO",1]"#);
        socket.send_text("5");
        for number in 0..3 {
            assert!(socket.text().unwrap().contains(&format!(r#""payload":{number},"#)));
        }
        assert_eq!(socket.text().as_deref(), Some(r#"42["ECHO",1]"#), "a POST meanwhile is answered too");
        let response = waiting.get(&polling);
        assert_eq!((response.status, response.json()["code"].as_u64()), (400, Some(3)), "it has moved");
        assert_eq!(client.post(payload(kind.version, &["6"])).status, 400);
    }
    server.assert_alive();
}

/// As engine.io does it: 400 would tell the client that there is no such session.
#[test]
fn a_second_websocket_of_a_session_is_closed_and_the_session_lives() {
    let server = TestServer::new();
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        let target = kind.target("websocket", &client.sid);
        let upgrading = POLLING.contains(&kind).then(|| {
            let mut first = WebSocket::connect(server.address(), &target, &[]).unwrap();
            first.send_text("2probe");
            assert_eq!(first.text().as_deref(), Some("3probe"), "{kind:?}");
            first
        });
        let mut second = WebSocket::connect(server.address(), &target, &[]).unwrap();
        assert_eq!(second.close_code(), Some(1008), "{kind:?}");
        match upgrading {
            Some(mut first) => {
                first.send_text("5");
                first.send_text(r#"42["ECHO",1]"#);
                assert_eq!(first.text().as_deref(), Some(r#"42["ECHO",1]"#), "{kind:?}");
            }
            None => assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#, "{kind:?}"),
        }
    }
}

#[test]
fn an_upgrade_may_finish_on_another_worker() {
    let server = TestServer::with(|config| config.workers = 3);
    for round in 0..24 {
        let mut client = server.client(POLLING[round % 2]);
        client.upgrade(server.address());
        server.dispatcher().broadcast("e", &round).unwrap();
        assert_eq!(client.event().payload, round);
        client.leave();
    }
}

#[test]
fn the_end_of_a_session_ends_its_upgrade() {
    let server = TestServer::new();
    for kind in POLLING {
        let client = server.client(kind);
        let target = kind.target("websocket", &client.sid);
        let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
        socket.send_text("2probe");
        assert_eq!(socket.text().as_deref(), Some("3probe"));
        client.leave();
        assert_eq!(socket.text(), None);
        let again = WebSocket::over(Http::connect(server.address()), &target, &[]);
        assert_eq!(again.unwrap_err().status, 400);
    }
}

#[test]
fn a_client_does_not_move_in_the_middle_of_a_post() {
    let server = TestServer::with(|config| config.workers = 1);
    for kind in POLLING {
        let mut client = server.client(kind);
        let (polling, target) = (kind.target("polling", &client.sid), kind.target("websocket", &client.sid));
        let mut posting = server.http();
        let body = payload(kind.version, &[r#"42["ECHO",1]"#]);
        let (first, rest) = body.split_at(4);
        posting
            .send(format!("POST {polling} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len()));
        let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
        posting.send(first);
        socket.send_text("2probe");
        assert_eq!(socket.text().as_deref(), Some("3probe"));
        socket.send_text("5");
        assert_eq!(socket.text(), None, "{kind:?}");
        posting.send(rest);
        assert_eq!(posting.read().unwrap().text(), "ok");
        assert_eq!(client.reply().as_deref(), Some(r#"42["ECHO",1]"#), "the session goes on by polling");
    }
    server.assert_alive();
}

#[test]
fn a_client_that_never_moves_is_answered_every_100_ms_meanwhile() {
    let server = TestServer::new();
    for kind in POLLING {
        let client = server.client(kind);
        let (polling, target) = (kind.target("polling", &client.sid), kind.target("websocket", &client.sid));
        let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
        socket.send_text("2probe");
        assert_eq!(socket.text().as_deref(), Some("3probe"));
        let (mut http, started) = (server.http(), Instant::now());
        for _ in 0..5 {
            assert_eq!(http.get(&polling).text(), payload(kind.version, &["6"]));
        }
        assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
        drop(socket);
        server.dispatcher().broadcast("held", &1).unwrap();
        assert!(http.get(&polling).text().contains("held"), "then it goes on by polling");
    }
}

#[test]
fn a_client_that_is_gone_before_its_websocket_is_answered_may_try_again() {
    let server = TestServer::with(|config| config.workers = 2);
    for round in 0..40 {
        let mut client = server.client(POLLING[round % 2]);
        let target = client.kind.target("websocket", &client.sid);
        // Some of them arrive at the worker that does not own the session, and end as its answer
        // is on the way.
        for _ in 0..4 {
            let mut http = server.http();
            http.send(format!(
                "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ));
        }
        let started = Instant::now();
        loop {
            let mut socket = WebSocket::connect(server.address(), &target, &[]).unwrap();
            socket.send_text("2probe");
            match socket.text() {
                Some(answer) => break assert_eq!(answer, "3probe"),
                None => assert!(started.elapsed() < PATIENCE, "the session stays claimed"),
            }
        }
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
    }
}
