//! Requests in turted.v1 that make no sense.

use serde_json::{Value, json};

use super::{INTERNALS, VALUES};
use crate::support::TestServer;
use crate::v1::Client;

/// The code of the refusal, or nothing if it was done.
fn judge(client: &mut Client, request: &str) -> String {
    client.socket.send_text(request);
    let reply = client.receive();
    assert!(reply.get("reply").is_some(), "{request}: {reply}");
    if reply["ok"] == true {
        return String::new();
    }
    let error = &reply["error"];
    assert!(error["rule"].is_string(), "{request}: {reply}");
    assert!(error["reason"].is_string(), "{request}: {reply}");
    error["code"].as_str().unwrap().to_owned()
}

#[test]
fn names_of_javascript_internals_are_ordinary_in_turted_v1_too() {
    let server = TestServer::new();
    for name in INTERNALS {
        let mut client = Client::new(&server);
        client.join(name);
        assert_eq!(
            judge(&mut client, &json!({"id": name, "do": "ident", "data": {"user": name}}).to_string()),
            ""
        );
        let push = json!({"event": name, "targets": {"users": [name], "channels": [name]}, "payload": name});
        assert_eq!(server.push(push.to_string()).text(), "OK");
        server.dispatcher().notify_user(name, "last", &0).unwrap();
        let event = client.receive();
        assert_eq!((&event["event"], &event["via"]), (&json!(name), &json!({"user": name})));
        assert_eq!(client.receive()["event"], "last", "once");
    }
    server.assert_alive();
}

#[test]
fn every_json_type_in_every_member_of_a_request_is_judged() {
    let server = TestServer::with(|config| config.limits.message_rate = 1_000_000);
    let mut client = Client::new(&server);
    for value in VALUES {
        let is_name = matches!(value, r#""x""# | r#""__proto__""#);
        let is_integer = matches!(value, "1" | "-1" | "123456789012345678901234567890");
        assert_ne!(judge(&mut client, value), "", "{value}");
        assert_ne!(judge(&mut client, &format!(r#"{{"id":1,"do":{value}}}"#)), "", "{value}");
        for member in ["join", "leave"] {
            let code = judge(&mut client, &format!(r#"{{"id":1,"do":"{member}","channel":{value}}}"#));
            assert_eq!(code.is_empty(), is_name, "{member} {value}: {code}");
        }
        for field in ["username", "user"] {
            let code =
                judge(&mut client, &format!(r#"{{"id":1,"do":"ident","data":{{"{field}":{value}}}}}"#));
            assert_eq!(code.is_empty(), is_name || is_integer, "{field} {value}: {code}");
        }
        for member in ["session", "cursor"] {
            let request = json!({"id": 1, "do": "resume", "session": "s", "cursor": "1-1"}).to_string();
            let own = if member == "session" { r#""s""# } else { r#""1-1""# };
            let request = request.replace(&format!(r#""{member}":{own}"#), &format!(r#""{member}":{value}"#));
            assert_ne!(judge(&mut client, &request), "", "{request}");
        }
        client.socket.send_text(format!(r#"{{"id":1,"do":"echo","data":{value}}}"#));
        let echo = client.socket.text().unwrap();
        assert_eq!(echo, format!(r#"{{"reply":1,"ok":true,"data":{value}}}"#), "byte for byte");
    }
    server.assert_alive();
}

#[test]
fn deep_nesting_is_refused_or_passed_through_never_parsed() {
    let server = TestServer::with(|config| config.limits.message_rate = 1_000_000);
    let mut client = Client::new(&server);
    for depth in [127, 128, 129, 12_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        client.socket.send_text(format!(r#"{{"id":1,"do":"echo","data":{nested}}}"#));
        let echo = client.socket.text().unwrap();
        assert!(
            echo == format!(r#"{{"reply":1,"ok":true,"data":{nested}}}"#) || echo.contains("too-deep"),
            "{depth}"
        );
        let ident = format!(r#"{{"id":1,"do":"ident","data":{{"username":"x","more":{nested}}}}}"#);
        let code = judge(&mut client, &ident);
        assert_eq!(code.is_empty(), depth < 128, "{depth}: {code}");
    }
    server.assert_alive();
}

#[test]
fn a_session_and_a_cursor_of_somebody_else_or_of_nobody_resume_nothing() {
    let server = TestServer::new();
    let mut victim = Client::new(&server);
    victim.join("secret");
    let cursor = victim.welcome["cursor"].as_str().unwrap().to_owned();
    let session = victim.welcome["session"].as_str().unwrap().to_owned();
    let mut client = Client::new(&server);
    let flipped: String = session.chars().rev().collect();
    let future = cursor.rsplit_once('-').map(|(epoch, _)| format!("{epoch}-{}", u64::MAX)).unwrap();
    for (session, cursor) in [(flipped.as_str(), cursor.as_str()), ("", &cursor), (&session[1..], &cursor)] {
        let request = json!({"id": 1, "do": "resume", "session": session, "cursor": cursor}).to_string();
        assert!(
            ["session-unknown", "session-invalid"].contains(&&*judge(&mut client, &request)),
            "{request}"
        );
    }
    // The right session with a position that nobody can have seen: the session is gone, and with
    // it nothing is given away.
    let request = json!({"id": 1, "do": "resume", "session": session, "cursor": future}).to_string();
    assert_eq!(judge(&mut client, &request), "gap");
    server.dispatcher().notify_channel("secret", "e", &1).unwrap();
    server.dispatcher().broadcast("last", &Value::Null).unwrap();
    assert_eq!(client.receive()["event"], "last");
}

/// The proof that opened them would be forgotten with the rest, and its expiry with it.
#[test]
fn resuming_a_session_keeps_nothing_that_was_proved_or_joined_before() {
    let server = TestServer::with(|config| config.limits.channels_per_connection = 1);
    let empty = Client::new(&server);
    let (session, cursor) = (empty.welcome["session"].clone(), empty.welcome["cursor"].clone());
    drop(empty);
    let mut client = Client::new(&server);
    client.join("private");
    let ident = json!({"id": 1, "do": "ident", "data": {"username": "alice"}}).to_string();
    assert_eq!(judge(&mut client, &ident), "");
    let request = json!({"id": 1, "do": "resume", "session": session, "cursor": cursor}).to_string();
    assert_eq!(judge(&mut client, &request), "");
    server.dispatcher().notify_user("alice", "user", &1).unwrap();
    server.dispatcher().notify_channel("private", "channel", &1).unwrap();
    client.join("other");
    server.dispatcher().notify_channel("other", "last", &1).unwrap();
    assert_eq!(client.receive()["event"], "last");
}
