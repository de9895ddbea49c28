//! Who is told of what, over each transport.

use std::time::Duration;

use serde_json::{Value, json};
use turted::authenticator::{IdentRequest, UnixTime, Verified};
use turted::server::Server;

use super::watcher::CHANNEL;
use super::{HOUR, Watcher, Way, allow, server};
use crate::support::{Kind, TestServer, config};
use crate::v1;

/// Does this for each transport at once, in a channel of its own.
fn for_each_way(test: impl Fn(Way, &str) + Sync) {
    std::thread::scope(|scope| {
        for (number, way) in Way::all().into_iter().enumerate() {
            let test = &test;
            scope.spawn(move || test(way, &format!("c{number}")));
        }
    });
}

#[test]
fn members_hear_over_each_transport_who_comes_and_goes() {
    let server = server(Duration::from_millis(50));
    for_each_way(|way, channel| {
        let v1 = |user| Watcher::of(&server, Way::V1, (user, channel));
        let mut observer = v1(Some("observer"));
        let mut own = Watcher::of(&server, way, (Some("adam"), channel));
        own.until(&["adam", "observer"], 0);
        observer.until(&["adam", "observer"], 0);
        let (other, nobody) = (v1(Some("eve")), v1(None));
        own.until(&["adam", "eve", "observer"], 1);
        other.end();
        nobody.end();
        own.until(&["adam", "observer"], 0);
        own.end();
        observer.until(&["observer"], 0);
    });
}

#[test]
fn a_member_is_listed_whether_it_asks_or_not_and_only_members_are_told() {
    let server = server(HOUR);
    let mut silent = v1::Client::new(&server);
    silent.ask(&json!({"id": 1, "do": "ident", "data": {"username": "silent"}}));
    silent.join(CHANNEL);
    let mut watcher = Watcher::v1(&server, "adam");
    watcher.until(&["adam", "silent"], 0);
    watcher.leave(CHANNEL);
    watcher.told.clear();
    let mut other = Watcher::v1(&server, "eve");
    // An hour of grace is for lost connections: a LEAVE counts at once.
    other.until(&["eve", "silent"], 0);
    server.dispatcher().notify_user("adam", "last", &0).unwrap();
    server.dispatcher().notify_user("silent", "last", &0).unwrap();
    assert_eq!(silent.receive()["event"], "last", "it has not asked");
}

#[test]
fn a_user_with_two_tabs_leaves_with_the_last_of_them() {
    let server = server(Duration::from_millis(20));
    for_each_way(|way, channel| {
        let of = |way, user| Watcher::of(&server, way, (Some(user), channel));
        let mut observer = of(Way::V1, "observer");
        let (first, second) = (of(way, "adam"), of(way, "adam"));
        observer.until(&["adam", "observer"], 0);
        first.end();
        // Something that comes behind its end.
        let mut mark = of(Way::V1, "mark");
        observer.until(&["adam", "mark", "observer"], 0);
        mark.leave(channel);
        observer.until(&["adam", "observer"], 0);
        second.end();
        observer.until(&["observer"], 0);
    });
}

#[test]
fn a_page_that_is_loaded_anew_is_not_told() {
    for way in Way::all() {
        let server = server(HOUR);
        let mut observer = Watcher::v1(&server, "observer");
        let page = Watcher::new(&server, way, Some("adam"));
        observer.until(&["adam", "observer"], 0);
        drop(page);
        let again = Watcher::new(&server, way, Some("adam"));
        // What comes behind it.
        let mark = Watcher::v1(&server, "mark");
        let told = json!({"channel": CHANNEL, "joined": ["mark"], "left": [], "count": 3, "anonymous": 0});
        assert_eq!(observer.hear(), told, "{way:?}");
        drop((again, mark));
    }
}

#[test]
fn another_ident_counts_at_once() {
    let server = server(HOUR);
    for_each_way(|way, channel| {
        if matches!(way, Way::Sse) {
            return;
        }
        let mut observer = Watcher::of(&server, Way::V1, (Some("observer"), channel));
        let mut client = Watcher::of(&server, way, (None, channel));
        observer.until(&["observer"], 1);
        client.ident("adam");
        observer.until(&["adam", "observer"], 0);
        client.ident("eve");
        observer.until(&["eve", "observer"], 0);
        client.leave(channel);
        observer.until(&["observer"], 0);
    });
}

/// A server where the user `adam` is verified for a moment, which is longer than it takes to be told.
fn short_lived() -> TestServer {
    let mut config = config();
    allow(&mut config);
    config.presence.grace = HOUR;
    let server = Server::builder(config).authenticator(|request: IdentRequest| async move {
        let name = request.user.map(|user| user.name).expect("a user");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let expires = (name.as_str() == "adam").then_some(UnixTime(now + Duration::from_millis(2_500)));
        Ok(Verified { expires, ..Verified::user(name) })
    });
    TestServer::run(server.bind().unwrap())
}

#[test]
fn a_token_that_expires_counts_at_once() {
    let server = short_lived();
    std::thread::scope(|scope| {
        for way in [Way::V1, Way::SocketIo(Kind::V4_WEBSOCKET), Way::Sse] {
            let server = &server;
            scope.spawn(move || {
                let channel = format!("c{way:?}");
                let channel: String = channel.chars().filter(char::is_ascii_alphanumeric).collect();
                let mut observer = Watcher::of(server, Way::V1, (Some("observer"), &channel));
                let client = Watcher::of(server, way, (Some("adam"), &channel));
                observer.until(&["adam", "observer"], 0);
                // A stream ends with its proof; others stay in the channel without a user.
                observer.until(&["observer"], u64::from(!matches!(way, Way::Sse)));
                client.end();
                observer.until(&["observer"], 0);
            });
        }
    });
}

#[test]
fn what_follows_a_reply_comes_behind_it_and_behind_the_history() {
    use turted::config::{ChannelPattern, Depth, HistoryRules};
    let server = TestServer::with(|config| {
        allow(config);
        let depth = Depth { events: 5, age: HOUR };
        config.history = HistoryRules::new([(ChannelPattern::parse("c*").unwrap(), depth)]);
    });
    server.dispatcher().notify_channel(CHANNEL, "e", &1).unwrap();
    let push = r#"{"event":"settled","targets":{"users":["nobody"]},"payload":0}"#;
    let answer = server.http().request("POST", "/push/", &[("Accept", "application/json")], push.as_bytes());
    assert_eq!(answer.status, 200);
    let mut client = v1::Client::new(&server);
    let asked = json!({"id": 1, "do": "join", "channel": CHANNEL, "history": 5, "presence": true});
    assert_eq!(client.ask(&asked)["replayed"], 1);
    assert_eq!(client.receive()["payload"], 1);
    let told = json!({"channel": CHANNEL, "users": [], "count": 0, "anonymous": 1});
    assert_eq!(client.receive(), json!({"presence": told}));
    let again = client.ask(&asked);
    assert_eq!(again, json!({"reply": 1, "ok": true, "channel": CHANNEL, "replayed": 0, "complete": false}));
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.receive()["event"], "last", "it is told already");
}

#[test]
fn a_join_of_several_channels_tells_of_each_and_refuses_those_without_presence() {
    let server = server(HOUR);
    let mut client = v1::Client::new(&server);
    let list = json!({"id": 1, "do": "join", "channels": ["c1", "other", "c2"], "presence": true});
    let reply = client.ask(&list);
    assert_eq!(reply["channels"], json!(["c1", "c2"]));
    assert_eq!(reply["refused"][0]["error"]["code"], "presence-refused");
    let mut told: Vec<Value> = (0..2).map(|_| client.receive()["presence"]["channel"].take()).collect();
    told.sort_unstable_by_key(ToString::to_string);
    assert_eq!(told, ["c1", "c2"]);
}

#[test]
fn who_is_taken_out_of_a_channel_by_an_operator_leaves_at_once_and_hears_no_more() {
    let server = TestServer::with(|config| {
        allow(config);
        config.presence.grace = HOUR;
        config.admin.write_token = Some("a token of 22 characters that writes".into());
    });
    let mut observer = Watcher::v1(&server, "observer");
    let mut member = v1::Client::new(&server);
    member.ask(&json!({"id": 1, "do": "ident", "data": {"username": "adam"}}));
    member.ask(&json!({"id": 1, "do": "join", "channel": CHANNEL, "presence": true}));
    observer.until(&["adam", "observer"], 0);
    let bearer = [("Authorization", "Bearer a token of 22 characters that writes")];
    let removed = server.admin().post("/api/v1/channels/c/remove", &bearer, r#"{"user":"adam"}"#);
    let reached = removed.json();
    assert_eq!((removed.status, &reached["connections"], &reached["away"]), (200, &json!(1), &json!(0)));
    observer.until(&["observer"], 0);
    let mut other = Watcher::v1(&server, "eve");
    observer.until(&["eve", "observer"], 0);
    other.leave(CHANNEL);
    observer.until(&["observer"], 0);
    server.dispatcher().notify_user("adam", "last", &0).unwrap();
    let mut told = member.receive();
    while told["left"].is_null() {
        assert!(told["presence"].is_object(), "{told}");
        told = member.receive();
    }
    assert_eq!(member.receive()["event"], "last");
}
