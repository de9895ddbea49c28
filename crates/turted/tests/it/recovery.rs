//! Connection state recovery: a client that comes back gets exactly what it missed, or is told that
//! it has to begin anew.

mod anew;
mod crowd;

use serde_json::json;

use crate::support::resuming::{Resuming, open_on};
use crate::support::{Client, Kind, TestServer};

#[test]
fn a_client_that_comes_back_gets_exactly_what_it_missed() {
    let server = TestServer::new();
    let dispatcher = server.dispatcher();
    let mut client = Resuming::new(&server);
    client.ask("IDENT", r#"{"username":"u"}"#);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    client.ask("JOIN", r#"{"channel":"left"}"#);
    client.ask("LEAVE", r#"{"channel":"left"}"#);
    dispatcher.notify_user("u", "e", &0).unwrap();
    assert_eq!(client.event().payload, 0);
    client.client.socket().stream.shutdown(std::net::Shutdown::Both).unwrap();
    dispatcher.notify_user("u", "e", &1).unwrap();
    dispatcher.notify_user("other", "e", &"not for it").unwrap();
    dispatcher.notify_channel("c", "e", &2).unwrap();
    dispatcher.notify_channel("left", "e", &"not for it").unwrap();
    dispatcher.broadcast("e", &3).unwrap();
    let push = r#"{"event":"e","targets":{"users":["x","u"],"channels":["c"],"broadcast":true},"payload":4}"#;
    assert_eq!(server.push(push).text(), "OK");
    let mut client = client.resume(&server);
    dispatcher.notify_channel("c", "e", &5).unwrap();
    dispatcher.broadcast("last", &0).unwrap();
    let vias = [
        json!({"user": "u"}),
        json!({"channel": "c"}),
        json!({"broadcast": true}),
        json!({"user": "u"}),
        json!({"channel": "c"}),
    ];
    for (number, via) in (1..).zip(vias) {
        let event = client.event();
        assert_eq!((event.payload, event.via), (json!(number), via));
    }
    assert_eq!(client.event().name, "last");
}

#[test]
fn a_client_without_an_offset_gets_everything_since_it_connected() {
    let server = TestServer::new();
    server.dispatcher().broadcast("e", &"too early").unwrap();
    let mut client = Resuming::new(&server);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    server.dispatcher().broadcast("e", &1).unwrap();
    server.dispatcher().notify_channel("c", "e", &2).unwrap();
    let mut client = client.resume(&server);
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.payloads_until("last"), [1, 2]);
}

#[test]
fn a_client_comes_back_as_often_as_it_likes() {
    let server = TestServer::with(|config| config.workers = 3);
    let mut client = Resuming::new(&server);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    for round in 0..20 {
        server.dispatcher().notify_channel("c", "e", &[round, 1]).unwrap();
        if round % 3 == 0 {
            client.event();
        }
        server.dispatcher().notify_channel("c", "e", &[round, 2]).unwrap();
        let seen = usize::from(round % 3 == 0);
        client = client.resume(&server);
        server.dispatcher().notify_channel("c", "last", &0).unwrap();
        let expected: Vec<_> = [json!([round, 1]), json!([round, 2])].into_iter().skip(seen).collect();
        assert_eq!(client.payloads_until("last"), expected);
        client.offset.as_ref().unwrap();
    }
}

#[test]
fn a_session_is_claimed_on_any_worker_while_its_old_connection_lives() {
    let server = TestServer::with(|config| config.workers = 2);
    for worker in [0, 1] {
        for next in [0, 1, 0] {
            let mut first = open_on(&server, worker);
            first.send("40");
            first.connected = first.receive().unwrap();
            let mut client = Resuming::over(first);
            client.ask("JOIN", r#"{"channel":"c"}"#);
            server.dispatcher().notify_channel("c", "e", &1).unwrap();
            client.event();
            server.dispatcher().notify_channel("c", "e", &2).unwrap();
            let old = Resuming {
                client: open_on(&server, next),
                pid: client.pid.clone(),
                offset: client.offset.clone(),
            };
            let mut claiming = old.client;
            claiming.send(&client.packet());
            claiming.connected = claiming.receive().unwrap();
            assert_eq!(claiming.connected, client.client.connected);
            let mut back = Resuming::over(claiming);
            server.dispatcher().notify_channel("c", "last", &0).unwrap();
            assert_eq!(back.payloads_until("last"), [2]);
            let ends = std::iter::from_fn(|| client.client.receive()).filter(|packet| packet == "41").count();
            assert_eq!(ends, 0, "the old connection ends without packet 41");
            back.client.leave();
        }
    }
}

#[test]
fn what_was_said_before_a_client_joined_is_not_repeated_to_it() {
    let server = TestServer::new();
    let mut client = Resuming::new(&server);
    server.dispatcher().notify_channel("c", "e", &"before").unwrap();
    server.dispatcher().notify_user("u", "e", &"before").unwrap();
    // Resolved on every worker: the client joins after it in every sense.
    server.http().post("/push", &[("Accept", "application/json")], r#"{"event":"barrier"}"#);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    client.ask("IDENT", r#"{"username":"u"}"#);
    server.dispatcher().notify_channel("c", "e", &1).unwrap();
    server.dispatcher().notify_user("u", "e", &2).unwrap();
    for _ in 0..2 {
        client = client.resume(&server);
        client.offset = None;
    }
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.payloads_until("last"), [1, 2]);
}

#[test]
fn a_string_at_the_end_of_a_reply_does_not_hide_the_offset() {
    let server = TestServer::new();
    for (event, argument) in
        [("ECHO", r#""x""#), ("PING", r#""ffffffff-7""#), ("JOIN", "7"), ("nonsense", "7")]
    {
        let mut client = Resuming::new(&server);
        server.dispatcher().broadcast("e", &1).unwrap();
        client.event();
        let real = client.offset.clone();
        client.ask(event, argument);
        assert_eq!(client.offset, real, "{event}");
        server.dispatcher().broadcast("e", &2).unwrap();
        let mut client = client.resume(&server);
        server.dispatcher().broadcast("last", &0).unwrap();
        assert_eq!(client.payloads_until("last"), [2]);
        client.client.leave();
    }
}

#[test]
fn a_session_moves_between_transports() {
    let server = TestServer::new();
    let mut client = Resuming::over(server.client(Kind::V4_POLLING));
    client.ask("JOIN", r#"{"channel":"c"}"#);
    server.dispatcher().notify_channel("c", "e", &1).unwrap();
    client.event();
    server.dispatcher().notify_channel("c", "e", &2).unwrap();
    let (mut client, recovered) = client.resume_over(Client::open(server.address(), Kind::V4_WEBSOCKET));
    assert!(recovered);
    assert_eq!(client.event().payload, 2);
    server.dispatcher().notify_channel("c", "e", &3).unwrap();
    let (mut client, recovered) = client.resume_over(Client::open(server.address(), Kind::V4_POLLING));
    assert!(recovered);
    assert_eq!(client.event().payload, 3);
    client.client.upgrade(server.address());
    server.dispatcher().notify_channel("c", "e", &4).unwrap();
    assert_eq!(client.event().payload, 4);
}

#[test]
fn a_client_that_jumps_between_workers_under_load_misses_and_repeats_nothing() {
    const EVENTS: u32 = 2_000;
    let server = TestServer::with(|config| {
        config.workers = 3;
        // A jumper may be late on a busy machine.
        config.recovery.replay = 2 * EVENTS as usize;
        config.limits.outbox_frames = 2 * EVENTS as usize;
    });
    let jump = &|mut client: Resuming, every: u32| {
        for expected in 0..EVENTS {
            client = if expected % 17 == every { client.resume(&server) } else { client };
            assert_eq!(client.event().payload, expected);
        }
    };
    std::thread::scope(|scope| {
        for every in 0..4 {
            let mut client = Resuming::new(&server);
            client.ask("JOIN", r#"{"channel":"c"}"#);
            scope.spawn(move || jump(client, every));
        }
        for number in 0..EVENTS {
            server.dispatcher().notify_channel("c", "e", &number).unwrap();
        }
    });
}
