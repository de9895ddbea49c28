//! Who begins anew instead: what cannot be recovered, and that the client is told.

use std::sync::{Mutex, mpsc};

use serde_json::{Value, json};
use turted::authenticator::{IdentRefusal, IdentRequest};
use turted::server::Server;

use crate::support::resuming::{RECONNECT, Resuming, offset_of_reconnect, open_on, say};
use crate::support::{Client, Kind, TestServer, config};

#[test]
fn an_offset_that_is_none_begins_a_new_session() {
    let server = TestServer::new();
    server.dispatcher().broadcast("early", &0).unwrap();
    let mut client = Resuming::new(&server);
    server.dispatcher().broadcast("e", &0).unwrap();
    client.event();
    let epoch = client.offset.clone().unwrap().split('-').next().unwrap().to_owned();
    let numbers = ["0", "999", "18446744073709551615", "99999999999999999999", "-1", "x", ""];
    let garbage = ["", "-", "x", "0-1", "é", "ffffffff-1", "fffffffff-1", "1-2-3"].map(str::to_owned);
    for offset in garbage.into_iter().chain(numbers.map(|number| format!("{epoch}-{number}"))) {
        let mut client = Resuming::new(&server);
        client.ask("JOIN", r#"{"channel":"c"}"#);
        client.offset = Some(offset.clone());
        let (mut back, recovered) = client.resume_over(Client::open(server.address(), Kind::V4_WEBSOCKET));
        assert!(!recovered, "{offset}");
        server.dispatcher().notify_channel("c", "e", &"new").unwrap();
        server.dispatcher().broadcast("last", &0).unwrap();
        assert_eq!(
            back.payloads_until("last"),
            ["new"],
            "{offset}: the session is known, and so its channels"
        );
        back.client.leave();
    }
    server.assert_alive();
}

#[test]
fn an_offset_or_a_pid_of_another_type_begins_a_new_session() {
    let server = TestServer::new();
    for value in ["7", "true", "[]", "{}", r#"["x"]"#, r#""\ud800""#] {
        let client = Resuming::new(&server);
        let packets =
            [format!(r#"40{{"pid":{value}}}"#), format!(r#"40{{"pid":"{}","offset":{value}}}"#, client.pid)];
        for packet in &packets {
            let mut other = Client::connect_with(server.address(), Kind::V4_WEBSOCKET, packet);
            assert!(!other.connected.contains(&client.pid), "{packet}");
            let next = other.ask("ECHO", "1");
            assert!(next.starts_with(RECONNECT) || next == r#"42["ECHO",1]"#, "{packet}: {next}");
        }
    }
    server.assert_alive();
}

#[test]
fn a_pid_nobody_knows_begins_a_new_session_and_says_so() {
    let server = TestServer::new();
    let unknown = "A".repeat(20);
    for pid in ["x", &unknown, "Lzk9pAHJwoLQmHjzAAAB", "constructor", ""] {
        let packet = format!("40{}", json!({"pid": pid, "offset": "0-1"}));
        let mut client = Client::connect_with(server.address(), Kind::V4_WEBSOCKET, &packet);
        offset_of_reconnect(&client.receive().unwrap());
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
    }
    server.assert_alive();
}

#[test]
fn a_session_that_began_anew_can_be_recovered_before_its_first_event() {
    let server = TestServer::new();
    let client = Client::open(server.address(), Kind::V4_WEBSOCKET);
    let before = Resuming { client, pid: "A".repeat(20), offset: Some("0-1".to_owned()) };
    let client = Client::open(server.address(), Kind::V4_WEBSOCKET);
    let (mut client, recovered) = before.resume_over(client);
    assert!(!recovered);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    server.dispatcher().notify_channel("c", "missed", &1).unwrap();
    assert_eq!(client.resume(&server).event().name, "missed");
}

#[test]
fn a_session_that_was_left_on_purpose_or_broke_a_rule_is_not_kept() {
    let server = TestServer::new();
    for last in ["41", "4nonsense"] {
        let mut client = Resuming::new(&server);
        client.client.send(last);
        client.client.socket().close_code();
        let (_, recovered) = client.resume_over(Client::open(server.address(), Kind::V4_WEBSOCKET));
        assert!(!recovered, "{last}");
    }
}

#[test]
fn a_session_is_recovered_once() {
    let server = TestServer::new();
    let client = Resuming::new(&server);
    let packet = client.packet();
    let first = client.resume(&server);
    let again = Client::connect_with(server.address(), Kind::V4_WEBSOCKET, &packet);
    assert_eq!(again.connected, first.client.connected, "the last one to come has it");
    let mut first = first.client;
    assert!(first.is_ended());
}

#[test]
fn a_gap_that_the_log_cannot_fill_begins_a_new_session() {
    let server = TestServer::with(|config| config.recovery.log_dispatches = 3);
    for (missed, fills) in [(3, true), (4, false)] {
        let mut client = Resuming::new(&server);
        client.ask("JOIN", r#"{"channel":"c"}"#);
        server.dispatcher().notify_channel("c", "e", &0).unwrap();
        client.event();
        say(&server, "c", missed);
        let (mut back, recovered) = client.resume_over(Client::open(server.address(), Kind::V4_WEBSOCKET));
        assert_eq!(recovered, fills, "{missed} missed");
        server.dispatcher().broadcast("last", &0).unwrap();
        assert_eq!(back.payloads_until("last").len(), if fills { missed } else { 0 });
        back.client.leave();
    }
}

#[test]
fn a_client_behind_a_gap_is_who_it_was_and_hears_only_what_is_new() {
    let server = TestServer::with(|config| {
        config.recovery.log_dispatches = 3;
        config.workers = 2;
    });
    let mut client = Resuming::new(&server);
    client.ask("IDENT", r#"{"username":"u"}"#);
    for channel in ["c", "left", "d"] {
        client.ask("JOIN", &json!({"channel": channel}).to_string());
    }
    client.ask("LEAVE", r#"{"channel":"left"}"#);
    // A client behind a gap can be behind a second one.
    for _ in 0..2 {
        say(&server, "c", 4);
        let before = client.pid.clone();
        let (back, recovered) = client.resume_over(Client::open(server.address(), Kind::V4_WEBSOCKET));
        assert!(!recovered && back.pid != before);
        client = back;
        let push = r#"[{"event":"e","targets":{"users":["u"]},"payload":1},{"event":"e","targets":{"channels":["c"]},"payload":2},
            {"event":"e","targets":{"channels":["left"]},"payload":3},{"event":"e","targets":{"channels":["d"]},"payload":4}]"#;
        assert_eq!(server.push(push).text(), "OK");
        server.dispatcher().broadcast("last", &0).unwrap();
        assert_eq!(client.payloads_until("last"), [1, 2, 4]);
    }
    server.dispatcher().notify_channel("d", "missed", &5).unwrap();
    assert_eq!(client.resume(&server).event().payload, 5, "the new session can be resumed");
}

#[test]
fn an_answer_that_tells_of_a_gap_and_is_lost_costs_no_membership() {
    let server = TestServer::with(|config| {
        config.recovery.log_dispatches = 1;
        config.workers = 2;
    });
    let mut client = Resuming::new(&server);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    say(&server, "c", 2);
    let (first, without_offset) = (client.packet(), format!("40{}", json!({"pid": client.pid})));
    // The client never reads these answers, so it shows again what it knows.
    let unread = [0, 1].map(|worker| {
        let mut client = open_on(&server, worker);
        client.send(&first);
        (client.receive().unwrap(), client)
    });
    let mut back = Client::open(server.address(), Kind::V4_WEBSOCKET);
    back.send(&without_offset);
    back.connected = back.receive().unwrap();
    let mut back = Resuming::over(back);
    assert_ne!(back.pid, client.pid, "it is told that there is a gap, whatever it shows");
    offset_of_reconnect(&back.client.receive().unwrap());
    server.dispatcher().notify_channel("c", "e", &"new").unwrap();
    assert_eq!(back.event().payload, "new");
    // From its answer on it shows the new id, and the first one is good no longer.
    let mut back = back.resume(&server);
    for packet in [first, format!("40{}", json!({"pid": pid_of(&unread[0].0)}))] {
        let mut late = Client::connect_with(server.address(), Kind::V4_WEBSOCKET, &packet);
        offset_of_reconnect(&late.receive().unwrap());
        server.dispatcher().notify_channel("c", "e", &"not for it").unwrap();
        assert_eq!(late.ask("ECHO", "1"), r#"42["ECHO",1]"#);
        assert_eq!(back.event().payload, "not for it");
    }
}

fn pid_of(connected: &str) -> Value {
    serde_json::from_str::<Value>(&connected[2..]).unwrap()["pid"].clone()
}

#[test]
fn an_ident_that_comes_with_a_gap_replaces_the_user_before() {
    let server = TestServer::with(|config| config.recovery.log_dispatches = 1);
    let mut client = Resuming::new(&server);
    client.ask("IDENT", r#"{"username":"before"}"#);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    say(&server, "c", 2);
    let packet = json!({"pid": client.pid, "username": "behind"});
    let mut back = Client::connect_with(server.address(), Kind::V4_WEBSOCKET, &format!("40{packet}"));
    offset_of_reconnect(&back.receive().unwrap());
    assert!(back.receive().unwrap().starts_with(r#"42["OK",{"username":"behind"}"#));
    server.dispatcher().notify_user("before", "e", &1).unwrap();
    server.dispatcher().notify_user("behind", "e", &2).unwrap();
    server.dispatcher().notify_channel("c", "e", &3).unwrap();
    assert_eq!([back.event().payload, back.event().payload], [2, 3]);
}

#[test]
fn more_than_may_be_replayed_begins_a_new_session() {
    let server = TestServer::with(|config| config.recovery.replay = 5);
    for (missed, fills) in [(5, true), (6, false)] {
        let mut client = Resuming::new(&server);
        client.ask("JOIN", r#"{"channel":"c"}"#);
        say(&server, "c", missed);
        say(&server, "another", 20);
        let (_, recovered) = client.resume_over(Client::open(server.address(), Kind::V4_WEBSOCKET));
        assert_eq!(recovered, fills, "{missed} missed");
    }
}

#[test]
fn recovery_can_be_switched_off() {
    let server = TestServer::with(|config| config.recovery.enabled = false);
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let connected: Value = serde_json::from_str(&client.connected[2..]).unwrap();
    assert_eq!(connected.as_object().unwrap().keys().collect::<Vec<_>>(), ["sid"]);
    server.dispatcher().broadcast("e", &0).unwrap();
    assert_eq!(client.event().offset, None);
    assert_eq!(client.ask("ECHO", r#""x""#), r#"42["ECHO","x"]"#);
}

/// A server on which a worker hangs from an IDENT, which is told, until the sender is dropped.
fn server_that_hangs() -> (TestServer, mpsc::Receiver<()>, mpsc::SyncSender<()>) {
    let (hang, hangs) = mpsc::sync_channel(1);
    let (release, released) = mpsc::sync_channel::<()>(1);
    let released = Mutex::new(released);
    let authenticator = move |_: IdentRequest| {
        hang.send(()).unwrap();
        // Its end is news enough.
        let _ = released.lock().unwrap().recv();
        async { Err(IdentRefusal::NotVerified) }
    };
    let server = Server::builder(config()).authenticator(authenticator).bind().unwrap();
    (TestServer::run(server), hangs, release)
}

#[test]
fn a_session_of_a_worker_that_hangs_is_unknown_after_a_while() {
    let (server, hangs, release) = server_that_hangs();
    let mut lost = open_on(&server, 0);
    lost.send("40");
    lost.connected = lost.receive().unwrap();
    let lost = Resuming::over(lost);
    let (mut hanging, mut back) = (open_on(&server, 0), open_on(&server, 1));
    hanging.send("40");
    hanging.receive().unwrap();
    hanging.send(r#"42["IDENT",{"username":"u"}]"#);
    hangs.recv().unwrap();
    back.send(&lost.packet());
    let connected = back.receive().expect("an answer while the other worker hangs");
    assert!(!connected.contains(&lost.pid), "{connected}");
    offset_of_reconnect(&back.receive().unwrap());
    drop(release);
    assert!(hanging.receive().unwrap().contains("ERROR"));
    assert_eq!(back.ask("ECHO", "1"), r#"42["ECHO",1]"#);
}
