//! Commands of clients that make no sense, over every version and transport.

use serde_json::json;
use turted::config::{ClientAuth, Hash, IdentMode, TokenRule};

use super::{INTERNALS, VALUES};
use crate::support::{Client, Kind, TestServer};

/// A server whose clients may talk as much as they like.
fn patient_server() -> TestServer {
    TestServer::with(|config| config.limits.message_rate = 1_000_000)
}

fn assert_refused(client: &mut Client, event: &str, argument: &str) {
    let reply = client.ask(event, argument);
    assert!(reply.starts_with(r#"42["ERROR",""#), "{event} {argument}: {reply}");
}

fn assert_ok(client: &mut Client, event: &str, argument: &str) {
    let reply = client.ask(event, argument);
    assert!(reply.starts_with(r#"42["OK",{"#), "{event} {argument}: {reply}");
}

#[test]
fn names_of_javascript_internals_are_ordinary() {
    let server = TestServer::new();
    for kind in Kind::ALL {
        for name in INTERNALS {
            let mut client = server.client(kind);
            assert_ok(&mut client, "JOIN", &json!({"channel": name}).to_string());
            assert_ok(&mut client, "IDENT", &json!({"username": name}).to_string());
            for targets in [
                json!({"users": [name]}),
                json!({"channels": [name]}),
                json!({"users": name, "channels": name}),
            ] {
                let push = json!({"event": name, "targets": targets, "payload": name});
                assert_eq!(server.push(push.to_string()).text(), "OK");
            }
            server.dispatcher().notify_user(name, "last", &0).unwrap();
            let events = client.events_until("last");
            assert_eq!(events.len(), 3, "{kind:?} {name}");
            let vias: Vec<_> = events.iter().map(|event| event.via.to_string()).collect();
            let (user, channel) = (json!({"user": name}).to_string(), json!({"channel": name}).to_string());
            assert_eq!(vias, [user.clone(), channel, user]);
            client.leave();
        }
    }
    server.assert_alive();
}

#[test]
fn commands_without_sense_are_answered_with_an_error_and_the_connection_lives() {
    let server = patient_server();
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        for packet in ["IDENT", "JOIN", "LEAVE", "message", "CLOSE", "EVENT", "OK", "ERROR", "__proto__", ""]
        {
            client.send(&format!(r#"42["{packet}"]"#));
            let reply = client.reply().unwrap();
            assert!(reply.starts_with(r#"42["ERROR",""#), "{packet}: {reply}");
        }
        for name in ["CLOSE", "JOIN", "IDENT", "LEAVE", "ERROR", "message", "disconnect"] {
            assert_refused(&mut client, "message", &format!("\"{name}\""));
        }
        assert_eq!(client.ask("message", r#""ECHO""#), r#"42["ECHO",null]"#);
        assert_eq!(client.ask("ECHO", "7"), r#"42["ECHO",7]"#, "{kind:?}");
        client.leave();
    }
    server.assert_alive();
}

#[test]
fn every_json_type_in_every_command_and_field_is_judged() {
    let server = patient_server();
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        for value in VALUES {
            for event in ["IDENT", "JOIN", "LEAVE", "message"] {
                assert_refused(&mut client, event, value);
            }
            let is_name = matches!(value, r#""x""# | r#""__proto__""#);
            let is_integer = matches!(value, "1" | "-1" | "123456789012345678901234567890");
            for event in ["JOIN", "LEAVE"] {
                let judged = if is_name { assert_ok } else { assert_refused };
                judged(&mut client, event, &format!(r#"{{"channel":{value}}}"#));
            }
            for field in ["username", "user"] {
                let judged = if is_name || is_integer { assert_ok } else { assert_refused };
                judged(&mut client, "IDENT", &format!(r#"{{"{field}":{value}}}"#));
            }
            let echo = client.ask("ECHO", value);
            assert!(echo.starts_with(&format!(r#"42["ECHO",{value}"#)), "byte for byte: {echo}");
            let pong = client.ask("PING", value);
            assert!(pong.starts_with(&format!(r#"42["PONG",{value}"#)), "{pong}");
        }
        client.leave();
    }
    server.assert_alive();
}

#[test]
fn a_key_given_twice_is_refused() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    assert_refused(&mut client, "JOIN", r#"{"channel":"a","channel":"b"}"#);
    assert_refused(&mut client, "JOIN", r#"{"channel":"a","ch\u0061nnel":"b"}"#);
    assert_refused(&mut client, "IDENT", r#"{"username":"a","username":"b"}"#);
    server.assert_alive();
}

#[test]
fn a_second_ident_replaces_the_first_unless_the_operator_wants_the_old_way() {
    for (mode, expected) in [(IdentMode::Replace, 1), (IdentMode::Add, 2)] {
        let server = TestServer::with(|config| config.auth.ident = mode);
        for kind in Kind::ALL {
            let mut client = server.client(kind);
            assert_ok(&mut client, "IDENT", r#"{"username":"alice"}"#);
            assert_ok(&mut client, "IDENT", r#"{"username":"bob"}"#);
            server.dispatcher().notify_user("alice", "e", &1).unwrap();
            server.dispatcher().notify_user("bob", "e", &2).unwrap();
            server.dispatcher().notify_user("bob", "last", &3).unwrap();
            assert_eq!(client.events_until("last").len(), expected, "{kind:?}");
            client.leave();
        }
    }
}

#[test]
fn leaving_ends_a_channel_and_joining_it_often_is_joining_once() {
    let server = patient_server();
    for kind in Kind::PLAIN {
        let mut client = server.client(kind);
        let times = if kind == Kind::V4_WEBSOCKET { 2_000 } else { 20 };
        (0..times).for_each(|_| assert_ok(&mut client, "JOIN", r#"{"channel":"c"}"#));
        server.dispatcher().notify_channel("c", "e", &1).unwrap();
        server.dispatcher().broadcast("last", &0).unwrap();
        assert_eq!(client.events_until("last").len(), 1);
        assert_eq!(client.ask("LEAVE", r#"{"channel":"c"}"#).get(..24), Some(r#"42["OK",{"channel":"c"}]"#));
        assert_ok(&mut client, "LEAVE", r#"{"channel":"never joined"}"#);
        server.dispatcher().notify_channel("c", "e", &2).unwrap();
        server.dispatcher().broadcast("last", &0).unwrap();
        assert_eq!(client.events_until("last").len(), 0, "{kind:?}");
        client.leave();
    }
}

#[test]
fn a_token_proves_its_own_user_and_nobody_else() {
    let rule = TokenRule { hash: Hash::Sha256, prefix: "salt".into(), suffix: "pepper".into() };
    let token = rule.sign("alice");
    let server = TestServer::with(|config| {
        config.auth.method = ClientAuth::Token(rule);
        config.limits.wrong_idents = 1_000;
    });
    let ident = |user: &str, token: &str| json!({"username": user, "token": token}).to_string();
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        for (user, token) in
            [("bob", &*token), ("alice", ""), ("alice", "00"), ("Alice", &token), ("alice", &token[1..])]
        {
            let reply = client.ask("IDENT", &ident(user, token));
            assert!(reply.starts_with(r#"42["ERROR","IDENT not verified""#), "{reply}");
        }
        assert_refused(&mut client, "IDENT", r#"{"username":"alice"}"#);
        assert_refused(&mut client, "IDENT", r#"{"username":"alice","token":null}"#);
        assert_ok(&mut client, "IDENT", &ident("alice", &token));
        server.dispatcher().notify_user("alice", "e", &1).unwrap();
        assert_eq!(client.event().payload, 1);
        client.leave();
    }
}

#[test]
fn reserved_events_of_clients_break_the_protocol() {
    let server = TestServer::new();
    let reserved =
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
    for kind in Kind::ALL {
        for event in reserved {
            let mut client = server.client(kind);
            client.send(&format!(r#"42["{event}"]"#));
            assert!(client.is_ended(), "{kind:?} {event}");
        }
    }
    let counted = r#"{"event":"e","targets":{"broadcast":true}}"#;
    let answer = server.http().post("/push/", &[("Accept", "application/json")], counted);
    assert_eq!(answer.json()["delivered"], 0, "no ghost is left");
    server.assert_alive();
}

#[test]
fn depth_is_passed_through_or_refused_and_never_a_crash() {
    let server = TestServer::new();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        assert_eq!(client.ask("ECHO", &nested(8_000)), format!(r#"42["ECHO",{}]"#, nested(8_000)));
        assert_refused(&mut client, "JOIN", &nested(8_000));
        assert_refused(&mut client, "IDENT", &format!(r#"{{"username":"a","x":{}}}"#, nested(8_000)));
        assert_refused(&mut client, "JOIN", &format!(r#"{{"channel":{}}}"#, nested(8_000)));
        let push =
            format!(r#"{{"event":"deep","targets":{{"broadcast":true}},"payload":{}}}"#, nested(12_000));
        assert_eq!(server.push(push).text(), "OK");
        let packet = client.receive().unwrap();
        assert!(packet.contains(&format!(r#""payload":{},"#, nested(12_000))), "{kind:?}");
        client.leave();
    }
    server.assert_alive();
}

#[test]
fn binary_data_are_refused_politely_and_broken_promises_end_the_connection() {
    let server = TestServer::new();
    for kind in Kind::ALL {
        let (binary, wrong) = if kind.version == 3 { ("b4AQID", "bAQID") } else { ("bAQID", "b!") };
        let promise = r#"451-["ECHO",{"_placeholder":true,"num":0}]"#;
        let mut client = server.client(kind);
        client.send(promise);
        assert!(client.reply().unwrap().starts_with(r#"42["ERROR","#), "{kind:?}");
        server.dispatcher().broadcast("e", &1).unwrap();
        assert_eq!(client.event().payload, 1, "events come while an attachment is awaited");
        client.send(binary);
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
        client.send(promise);
        assert!(client.reply().unwrap().starts_with(r#"42["ERROR","#));
        client.send(r#"42["ECHO",1]"#);
        assert!(client.is_ended(), "{kind:?}: a text where an attachment was promised");
        for packet in
            [binary, wrong, r#"4511-["ECHO"]"#, r#"45-["ECHO"]"#, r#"45["ECHO"]"#, r#"45-1-["ECHO"]"#]
        {
            let mut client = server.client(kind);
            if kind.transport == crate::support::Transport::Polling {
                client.post(crate::support::payload(kind.version, &[packet]));
            } else {
                client.send(packet);
            }
            assert!(client.is_ended(), "{kind:?} {packet}");
        }
    }
    server.assert_alive();
}

#[test]
fn another_namespace_is_refused_and_the_connection_stays() {
    let server = TestServer::new();
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        let refusal =
            if kind.version == 3 { "\"Invalid namespace\"" } else { r#"{"message":"Invalid namespace"}"# };
        client.send("40/admin,");
        assert_eq!(client.reply().unwrap(), format!("44/admin,{refusal}"));
        client.send("40/__proto__,");
        assert_eq!(client.reply().unwrap(), format!("44/__proto__,{refusal}"));
        assert_eq!(client.ask("ECHO", "1"), r#"42["ECHO",1]"#);
        client.leave();
    }
}

#[test]
fn an_acknowledgement_is_sent_to_whoever_asks_for_one() {
    let server = TestServer::new();
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        client.send(r#"427["JOIN",{"channel":"c"}]"#);
        assert_eq!(client.reply().unwrap(), r#"42["OK",{"channel":"c"}]"#);
        assert_eq!(client.reply().unwrap(), r#"437[{"ok":true,"channel":"c"}]"#);
        client.send(r#"4218446744073709551615["JOIN"]"#);
        assert!(client.reply().unwrap().starts_with(r#"42["ERROR","data missing""#));
        assert_eq!(client.reply().unwrap(), r#"4318446744073709551615[{"ok":false,"error":"data missing"}]"#);
        client.leave();
    }
}
