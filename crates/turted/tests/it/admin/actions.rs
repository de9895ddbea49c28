//! What operators change, and what clients hear of it.

use std::time::Duration;

use serde_json::{Value, json};
use turted::config::{ChannelPattern, Depth, HistoryRules, Secret};

use crate::live::{TOKEN as WRITES, Watcher};
use crate::support::{EventSource, Http, Kind, Response, TestServer, WebSocket, eventually};
use crate::v1;

pub(super) const READS: &str = "a token of 22 characters that reads";

pub(super) fn server() -> TestServer {
    with(|_| {})
}

pub(super) fn with(change: impl FnOnce(&mut turted::config::Config)) -> TestServer {
    TestServer::with(|config| {
        config.admin.token = Some(Secret::from(READS));
        config.admin.write_token = Some(Secret::from(WRITES));
        change(config);
    })
}

pub(super) fn ask(mut admin: Http, (method, target): (&str, &str), token: &str, body: &str) -> Response {
    let bearer = format!("Bearer {token}");
    admin.request(
        method,
        target,
        &[("Authorization", &bearer), ("Accept", "application/json")],
        body.as_bytes(),
    )
}

/// Does something, which must be answered with this.
pub(super) fn act(server: &TestServer, asked: (&str, &str), body: &Value) -> Value {
    let answer = ask(server.admin(), asked, WRITES, &body.to_string());
    assert_eq!(answer.status, 200, "{asked:?}: {}", answer.text());
    answer.json()
}

pub(super) fn ident(client: &mut v1::Client, user: &str) {
    let reply = client.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}));
    assert_eq!(reply["ok"], true, "{reply}");
}

fn members(server: &TestServer, channel: &str) -> Value {
    ask(server.admin(), ("GET", &format!("/api/v1/channels/{channel}")), READS, "").json()["connections"]
        .take()
}

/// What the server counts in one series.
pub(super) fn metric(server: &TestServer, series: &str) -> usize {
    let metrics = ask(server.admin(), ("GET", "/metrics"), READS, "");
    let mut lines = metrics.text().lines().filter_map(|line| line.rsplit_once(' '));
    lines.find(|(own, _)| *own == series).map_or(0, |(_, value)| value.parse().unwrap())
}

pub(super) fn resume(server: &TestServer, welcome: &Value) -> Value {
    let mut next = v1::Client::new(server);
    next.ask(&json!({"id": 2, "do": "resume", "session": welcome["session"], "cursor": welcome["cursor"]}))
}

#[test]
fn an_action_takes_the_token_that_writes() {
    let server = server();
    let paths = [
        ("POST", "/api/v1/users/adam/disconnect"),
        ("POST", "/api/v1/connections/0-0-0/disconnect"),
        ("POST", "/api/v1/channels/chat/remove"),
        ("POST", "/api/v1/push"),
        ("DELETE", "/api/v1/channels/chat/history"),
        ("DELETE", "/api/v1/channels/chat/history/1-1"),
    ];
    for asked in paths {
        assert_eq!(server.admin().request(asked.0, asked.1, &[], b"").status, 401, "{asked:?}");
        let refused = ask(server.admin(), asked, READS, "{}");
        assert_eq!(refused.status, 403, "{asked:?}");
        assert!(refused.text().contains("this token only reads"), "{}", refused.text());
    }
    assert_eq!(ask(server.admin(), ("GET", "/metrics"), WRITES, "").status, 200, "it reads as well");
    for (reads, open) in [(Some(READS), false), (None, true)] {
        let server = TestServer::with(|config| config.admin.token = reads.map(Secret::from));
        for asked in paths {
            let refused = ask(server.admin(), asked, READS, "{}");
            assert_eq!(refused.status, 403, "{asked:?}");
            assert!(refused.text().contains("admin_write_token is not set"), "{}", refused.text());
        }
        let node = ask(server.admin(), ("GET", "/api/v1/node"), READS, "").json();
        assert_eq!((&node["actions"], &node["payloads"]), (&json!("off"), &json!(!open)));
    }
}

#[test]
fn what_an_action_does_not_understand_is_refused_and_nothing_is_done() {
    let server = server();
    let mut adam = v1::Client::new(&server);
    ident(&mut adam, "adam");
    let long = json!({"reason": "x".repeat(121)}).to_string();
    let disconnect = ("POST", "/api/v1/users/adam/disconnect");
    for body in [
        "[]",
        "{",
        r#"{"reason":""}"#,
        &long,
        r#"{"reason":"a\nb"}"#,
        r#"{"come_back":1}"#,
        r#"{"comeback":false}"#,
    ] {
        assert_eq!(ask(server.admin(), disconnect, WRITES, body).status, 400, "{body}");
    }
    let remove = ("POST", "/api/v1/channels/chat/remove");
    let long = json!({"connection": "0".repeat(256)}).to_string();
    for body in [
        &long,
        "",
        "{}",
        r#"{"user":"adam","connection":"0-0-0"}"#,
        r#"{"user":""}"#,
        r#"{"user":null}"#,
        r#"{"user":"a","user":"b"}"#,
        r#"["adam"]"#,
        r#"{"user":7}"#,
    ] {
        assert_eq!(ask(server.admin(), remove, WRITES, body).status, 400, "{body}");
    }
    let flood = "x".repeat(5_000);
    assert_eq!(ask(server.admin(), disconnect, WRITES, &flood).status, 413);
    for (asked, status) in [
        (("POST", "/api/v1/connections/0-70000-0/disconnect"), 404),
        (("DELETE", "/api/v1/channels/chat/history/1-1"), 404),
        (("DELETE", "/api/v1/channels/chat/history/x"), 400),
        (("POST", "/api/v1/users/a%0Ab/disconnect"), 400),
        (("POST", "/api/v1/users/adam/disconnect?x=1"), 400),
    ] {
        assert_eq!(ask(server.admin(), asked, WRITES, "").status, status, "{asked:?}");
    }
    for (path, allow) in [
        ("users/adam/disconnect", "POST"),
        ("channels/chat/history", "GET, HEAD, DELETE"),
        ("users", "GET, HEAD"),
    ] {
        let answer = ask(server.admin(), ("PUT", &format!("/api/v1/{path}")), WRITES, "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{path}");
    }
    adam.ping();
}

#[test]
fn a_client_that_is_cut_comes_back_with_its_session() {
    let server = server();
    let mut adam = v1::Client::new(&server);
    ident(&mut adam, "adam");
    let mut watcher = Watcher::of(server.admin_address(), "type=action,closed");
    let done = act(&server, ("POST", "/api/v1/users/adam/disconnect"), &json!({"reason": "an update"}));
    assert_eq!(done, json!({"connections": 1, "sessions": 0}));
    assert_eq!(adam.socket.close_reason(), Some((4100, "an update".to_owned())));
    watcher.expect("closed", &[("reason", json!("disconnected by an operator"))]);
    watcher.expect(
        "action",
        &[
            ("action", json!("disconnect")),
            ("users", json!(["adam"])),
            ("address", json!("127.0.0.1")),
            ("reason", json!("an update")),
            ("count", json!(1)),
        ],
    );
    let reply = resume(&server, &adam.welcome);
    assert_eq!((&reply["ok"], &reply["username"]), (&json!(true), &json!("adam")), "{reply}");
    assert_eq!(metric(&server, "turted_closes_total{reason=\"operator\"}"), 1);
}

#[test]
fn a_client_that_is_sent_away_is_told_to_stay_away_and_its_session_ends() {
    let server = server();
    let mut adam = v1::Client::new(&server);
    ident(&mut adam, "adam");
    let id = ask(server.admin(), ("GET", "/api/v1/users/adam"), READS, "").json()["connection_ids"][0].take();
    let path = format!("/api/v1/connections/{}/disconnect", id.as_str().unwrap());
    let done = act(&server, ("POST", &path), &json!({"come_back": false}));
    assert_eq!(done, json!({"connections": 1, "sessions": 0}));
    assert_eq!(adam.socket.close_reason(), Some((4000, "ended by an operator".to_owned())));
    assert_eq!(resume(&server, &adam.welcome)["error"]["code"], "session-unknown");
}

#[test]
fn sessions_of_a_user_whose_clients_are_away_end_too() {
    let server = server();
    let (mut adam, mut eve) = (v1::Client::new(&server), v1::Client::new(&server));
    ident(&mut adam, "adam");
    ident(&mut eve, "eve");
    let welcomes = [adam.welcome.clone(), eve.welcome.clone()];
    drop((adam, eve));
    eventually("both are away", || metric(&server, "turted_lost_sessions") == 2);
    let path = "/api/v1/users/adam/disconnect";
    assert_eq!(act(&server, ("POST", path), &json!({}))["sessions"], 0, "they may come back");
    let done = act(&server, ("POST", path), &json!({"come_back": false}));
    assert_eq!(done, json!({"connections": 0, "sessions": 1}));
    assert_eq!(resume(&server, &welcomes[0])["error"]["code"], "session-unknown");
    assert_eq!(resume(&server, &welcomes[1])["ok"], true);
}

/// A client that hears it does not come back, which is wanted here and nowhere else.
#[test]
fn packet_41_is_sent_only_to_clients_that_are_not_to_come_back() {
    let server = server();
    for kind in Kind::ALL {
        for (come_back, expected) in [(true, None), (false, Some("41"))] {
            let mut client = server.client(kind);
            client.ask("IDENT", r#"{"username":"adam"}"#);
            let body = json!({"come_back": come_back});
            let done = act(&server, ("POST", "/api/v1/users/adam/disconnect"), &body);
            assert_eq!(done["connections"], 1, "{kind:?}");
            assert_eq!(client.receive().as_deref(), expected, "{kind:?}");
            assert!(client.is_ended(), "{kind:?}");
        }
    }
}

#[test]
fn users_and_channels_that_are_named_as_dot_segments_are_reached_by_a_parameter() {
    let server = server();
    for name in [".", ".."] {
        let mut client = v1::Client::new(&server);
        ident(&mut client, name);
        client.join(name);
        let [user, channel, remove, history, disconnect] =
            ["users", "channels", "channels/remove", "channels/history", "users/disconnect"]
                .map(|path| format!("/api/v1/{path}?name={name}"));
        let read = |target: &str| ask(server.admin(), ("GET", target), READS, "").json();
        assert_eq!((read(&user)["name"].as_str(), read(&user)["online"].as_bool()), (Some(name), Some(true)));
        assert_eq!(read(&channel)["connections"], 1);
        assert_eq!(read(&history)["events"], json!([]));
        assert_eq!(act(&server, ("DELETE", &history), &Value::Null)["events"], 0);
        assert_eq!(act(&server, ("POST", &remove), &json!({"user": name}))["connections"], 1);
        assert_eq!(client.receive(), json!({"left": [name]}));
        assert_eq!(act(&server, ("POST", &disconnect), &json!({}))["connections"], 1);
    }
}

#[test]
fn a_request_that_waits_is_answered_with_the_good_bye() {
    let server = server();
    for kind in [Kind::V3_POLLING, Kind::V4_POLLING] {
        let mut client = server.client(kind);
        client.ask("IDENT", r#"{"username":"adam"}"#);
        let mut request = server.http();
        request.send_request("GET", &kind.target("polling", &client.sid), &[], b"");
        act(&server, ("POST", "/api/v1/users/adam/disconnect"), &json!({"come_back": false}));
        let answer = request.read().unwrap();
        assert_eq!(answer.status, 200, "{kind:?}");
        assert!(answer.text().trim_start_matches("2:").starts_with("41"), "{kind:?}: {}", answer.text());
        assert!(crate::support::is_forgotten(&server, &client), "{kind:?}");
    }
}

#[test]
fn a_client_that_is_taken_out_of_a_channel_hears_so_in_its_own_words() {
    let server = server();
    let mut watcher = Watcher::of(server.admin_address(), "type=left,action");
    let mut adam = v1::Client::new(&server);
    ident(&mut adam, "adam");
    adam.join("chat");
    adam.join("news");
    let mut io = server.client(Kind::V4_WEBSOCKET);
    io.ask("IDENT", r#"{"username":"adam"}"#);
    io.ask("JOIN", r#"{"channel":"chat"}"#);
    let mut stream =
        EventSource::connect(server.address(), "/sse?channel=chat", &[("Authorization", "Basic YWRhbTo=")])
            .unwrap();
    let mut eve = v1::Client::new(&server);
    ident(&mut eve, "eve");
    eve.join("chat");
    eventually("all are members", || members(&server, "chat") == 4);
    let remove = ("POST", "/api/v1/channels/chat/remove");
    assert_eq!(act(&server, remove, &json!({"user": "adam"})), json!({"connections": 3, "away": 0}));
    assert_eq!(adam.receive(), json!({"left": ["chat"]}));
    assert_eq!(io.receive().as_deref(), Some(r#"42["LEFT",{"channels":["chat"]}]"#));
    let told = stream.event();
    assert_eq!((&*told.name, &*told.data), ("turted:left", r#"{"channels":["chat"]}"#));
    assert_eq!((members(&server, "chat"), members(&server, "news")), (json!(1), json!(1)));
    for _ in 0..3 {
        watcher.expect("left", &[("channel", json!("chat")), ("users", json!(["adam"]))]);
    }
    watcher.expect("action", &[("action", json!("remove")), ("channel", json!("chat")), ("count", json!(3))]);
    let id =
        ask(server.admin(), ("GET", "/api/v1/channels/chat"), READS, "").json()["connection_ids"][0].take();
    assert_eq!(act(&server, remove, &json!({"connection": id})), json!({"connections": 1, "away": 0}));
    assert_eq!(eve.receive(), json!({"left": ["chat"]}));
    assert_eq!(
        act(&server, remove, &json!({"connection": id})),
        json!({"connections": 0, "away": 0}),
        "it is no member"
    );
    server.dispatcher().notify_channel("chat", "E", &1).unwrap().wait().unwrap();
    server.dispatcher().broadcast("LAST", &1).unwrap().wait().unwrap();
    assert_eq!(eve.receive()["event"], "LAST", "nothing of the channel comes any more");
    eve.join("chat");
}

#[test]
fn a_client_whose_connection_breaks_is_told_of_the_channel_when_it_resumes() {
    let server = server();
    let mut adam = v1::Client::new(&server);
    ident(&mut adam, "adam");
    adam.join("chat");
    act(&server, ("POST", "/api/v1/channels/chat/remove"), &json!({"user": "adam"}));
    // What the server said is not read.
    let welcome = adam.welcome.clone();
    drop(adam);
    eventually("it is away", || metric(&server, "turted_lost_sessions") == 1);
    let reply = resume(&server, &welcome);
    assert_eq!((&reply["ok"], &reply["left"]), (&json!(true), &json!(["chat"])), "{reply}");
    assert_eq!(members(&server, "chat"), 0);
}

#[test]
fn clients_of_turted_0_1_are_taken_out_of_a_channel_in_silence() {
    let server = server();
    let mut old = WebSocket::connect(server.address(), "/turted/websocket", &[]).unwrap();
    old.send_text(r#"{"type":"ident","data":{"username":"adam"}}"#);
    old.send_text(r#"{"type":"join","data":{"channel":"chat"}}"#);
    eventually("it is a member", || members(&server, "chat") == 1);
    assert_eq!(
        act(&server, ("POST", "/api/v1/channels/chat/remove"), &json!({"user": "adam"}))["connections"],
        1
    );
    server.dispatcher().notify_user("adam", "LAST", &1).unwrap().wait().unwrap();
    let heard: Vec<_> = std::iter::from_fn(|| old.text())
        .map(|text| serde_json::from_str::<Value>(&text).unwrap()["type"].take())
        .take_while(|kind| kind != "LAST")
        .collect();
    assert!(!heard.iter().any(|kind| kind.as_str().unwrap_or("").contains("left")), "{heard:?}");
}

#[test]
fn an_operator_pushes_by_the_rules_of_a_push() {
    let server = with(|config| config.push.password = Some(Secret::from("tiger")));
    let mut adam = v1::Client::new(&server);
    ident(&mut adam, "adam");
    let push = ("POST", "/api/v1/push");
    let body = json!({"event": "E", "targets": {"users": ["adam"]}, "payload": 1});
    let accepted = act(&server, push, &body);
    assert_eq!(accepted["delivered"], 1, "{accepted}");
    assert_eq!(adam.receive()["event"], "E");
    let wrong = ask(server.admin(), push, WRITES, r#"{"event":"","targets":{}}"#);
    assert_eq!((wrong.status, &wrong.json()["rule"]), (400, &json!("name-empty")));
    assert_eq!(metric(&server, "turted_refusals_total{rule=\"name-empty\"}"), 1);
    let bearer = format!("Bearer {WRITES}");
    let keyed = || {
        let headers = [("Authorization", &*bearer), ("Accept", "application/json"), ("Idempotency-Key", "k")];
        server.admin().post(push.1, &headers, body.to_string()).json()["id"].take()
    };
    let first = keyed();
    assert_eq!(keyed(), first, "it is dispatched once");
    let plain = server.admin().post(push.1, &[("Authorization", &bearer)], body.to_string());
    assert_eq!(plain.header("content-type"), Some("application/json"), "whatever its client reads best");
    let mut encoded = server.admin();
    let headers = [("Authorization", &*bearer), ("Content-Encoding", "gzip")];
    assert_eq!(encoded.post(push.1, &headers, body.to_string()).status, 415);
}

#[test]
fn history_that_is_deleted_is_not_told_to_those_who_join_later() {
    let server = with(|config| {
        let depth = Depth { events: 10, age: Duration::from_secs(60) };
        config.history = HistoryRules::new([(ChannelPattern::parse("chat").unwrap(), depth)]);
    });
    for payload in 1..=3 {
        server.dispatcher().notify_channel("chat", "E", &payload).unwrap().wait().unwrap();
    }
    let kept = || {
        let history = ask(server.admin(), ("GET", "/api/v1/channels/chat/history"), READS, "").json();
        let events = history["events"].as_array().unwrap().clone();
        events.iter().map(|event| (event["payload"].clone(), event["position"].clone())).collect::<Vec<_>>()
    };
    let second = kept()[1].1.as_str().unwrap().to_owned();
    let one = format!("/api/v1/channels/chat/history/{second}");
    assert_eq!(act(&server, ("DELETE", &one), &Value::Null), json!({"events": 1, "on_disk": false}));
    let gone = ask(server.admin(), ("DELETE", &one), WRITES, "");
    assert_eq!(gone.status, 404);
    assert!(
        gone.text().contains("the history of this channel has no event at this position"),
        "{}",
        gone.text()
    );
    assert_eq!(kept().iter().map(|(payload, _)| payload.clone()).collect::<Vec<_>>(), [3, 1]);
    let mut eve = v1::Client::new(&server);
    let reply = eve.ask(&json!({"id": 1, "do": "join", "channel": "chat", "history": 9}));
    assert_eq!((&reply["replayed"], &reply["complete"]), (&json!(2), &json!(false)), "{reply}");
    let all = ("DELETE", "/api/v1/channels/chat/history");
    assert_eq!(act(&server, all, &Value::Null), json!({"events": 2, "on_disk": false}));
    assert!(kept().is_empty());
}
