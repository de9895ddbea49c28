//! Who may ask, and how often.

use std::time::{Duration, Instant};

use serde_json::json;

use super::watcher::CHANNEL;
use super::{HOUR, Watcher, Way, server};
use crate::support::{EventSource, Kind, pause};
use crate::v1;

#[test]
fn a_channel_without_presence_is_refused_with_the_key_and_not_joined() {
    let server = server(HOUR);
    let mut client = v1::Client::new(&server);
    let refused = client.ask(&json!({"id": 1, "do": "join", "channel": "other", "presence": true}));
    assert_eq!(refused["error"]["code"], "presence-refused");
    let reason = "the channel has no presence (`presence` of `[[channels]]`)";
    assert_eq!(refused["error"]["reason"], reason);
    server.dispatcher().notify_channel("other", "e", &1).unwrap();
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.receive()["event"], "last", "it has not joined");
    for kind in Kind::PLAIN {
        let mut client = server.client(kind);
        let refused = client.ask("JOIN", r#"{"channel":"other","presence":true}"#);
        assert!(refused.starts_with(&format!(r#"42["ERROR","{reason}""#)), "{kind:?}: {refused}");
        assert!(client.ask("JOIN", r#"{"channel":"other"}"#).contains(r#""OK""#), "{kind:?}");
    }
    let refused = server.http().get("/sse?channel=c&channel=other&presence=1");
    assert_eq!((refused.status, refused.text()), (403, reason));
    assert!(server.refusals("presence") >= 6, "{}", server.refusals("presence"));
}

#[test]
fn a_stream_is_refused_whose_presence_is_neither_1_nor_0() {
    let server = server(HOUR);
    for value in ["true", "2", "", "01", "1%20"] {
        let refused = server.http().get(&format!("/sse?channel=c&presence={value}"));
        assert_eq!((refused.status, refused.text()), (400, "presence is 1 or 0"), "{value}");
    }
    assert_eq!(server.refusals("sse-presence"), 5);
    for value in ["presence=0", "presence=1"] {
        drop(EventSource::connect(server.address(), &format!("/sse?channel=c&{value}"), &[]).unwrap());
    }
}

#[test]
fn only_members_ask_and_once_a_second() {
    let server = server(HOUR);
    let mut client = v1::Client::new(&server);
    let asked = json!({"id": 1, "do": "presence", "channel": CHANNEL});
    assert_eq!(client.ask(&asked)["error"]["code"], "presence-refused", "it is no member");
    client.join(CHANNEL);
    assert_eq!(client.ask(&asked), json!({"reply": 1, "ok": true, "channel": CHANNEL}));
    let told = json!({"channel": CHANNEL, "users": [], "count": 0, "anonymous": 1});
    assert_eq!(client.receive(), json!({"presence": told}));
    let (started, mut answered) = (Instant::now(), 1);
    while answered < 3 {
        let reply = client.ask(&asked);
        if reply["ok"] == true {
            answered += 1;
            assert_eq!(client.receive()["presence"], told, "a second later it may");
        } else {
            assert_eq!(reply["error"]["code"], "presence-too-often");
            pause(Duration::from_millis(25));
        }
    }
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(server.refusals("presence") >= 3);
    // It was told once: others may come without its being told.
    let mut other = Watcher::v1(&server, "eve");
    other.until(&["eve"], 1);
    other.leave(CHANNEL);
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.receive()["event"], "last");
}

#[test]
fn a_client_that_asks_and_is_told_anyway_hears_nothing_twice() {
    let server = server(HOUR);
    for way in [Way::V1, Way::SocketIo(Kind::V4_WEBSOCKET), Way::SocketIo(Kind::V3_POLLING)] {
        let mut watcher = Watcher::new(&server, way, Some("adam"));
        watcher.until(&["adam"], 0);
        for _ in 0..3 {
            let mut other = Watcher::v1(&server, "eve");
            watcher.ask(CHANNEL);
            watcher.until(&["adam", "eve"], 0);
            other.leave(CHANNEL);
            watcher.until(&["adam"], 0);
        }
        watcher.leave(CHANNEL);
    }
}

#[test]
fn a_join_that_is_repeated_is_told_nothing_more_and_one_behind_a_leave_a_second_later() {
    let server = server(HOUR);
    let names: Vec<_> = (0..128).map(|number| format!("c{number}")).collect();
    let mut client = v1::Client::new(&server);
    let all = json!({"id": 1, "do": "join", "channels": names, "presence": true});
    client.ask(&all);
    for _ in &names {
        assert_eq!(client.receive()["presence"]["users"], json!([]));
    }
    for _ in 0..10 {
        // The reply comes next: nothing was told behind the one before.
        assert_eq!(client.ask(&all)["channels"].as_array().map(Vec::len), Some(names.len()));
        let again = json!({"id": 2, "do": "join", "channel": "c1", "presence": true});
        assert_eq!(client.ask(&again), json!({"reply": 2, "ok": true, "channel": "c1"}));
    }
    let told_before = server.metric("turted_presence_deliveries_total");
    let (started, mut told) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_millis(2_500) {
        for asked in [
            json!({"id": 3, "do": "leave", "channel": "c1"}),
            json!({"id": 4, "do": "join", "channel": "c1", "presence": true}),
        ] {
            client.send(&asked);
            while client.receive()["reply"] != asked["id"] {
                told += 1;
            }
        }
        pause(Duration::from_millis(25));
    }
    assert!((1..=5).contains(&told), "{told} in 2.5 s");
    assert!(server.metric("turted_presence_deliveries_total") - told_before <= 6);
}

#[test]
fn members_that_are_no_booleans_are_refused() {
    let server = server(HOUR);
    let mut client = v1::Client::new(&server);
    for wrong in [json!(1), json!("true"), json!({}), json!([])] {
        let asked = json!({"id": 1, "do": "join", "channel": CHANNEL, "presence": wrong});
        assert_eq!(client.ask(&asked)["error"]["code"], "presence-invalid", "{wrong}");
        let asked = json!({"id": 1, "do": "join", "channels": [CHANNEL], "presence": wrong});
        assert_eq!(client.ask(&asked)["error"]["code"], "presence-invalid", "{wrong}");
    }
}
