//! What is said in SockJS, over each of its transports: the messages of turted 0.1, and turted.v1.

use std::sync::{Arc, mpsc};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use turted::authenticator::{IdentRefusal, IdentRequest, Verified};
use turted::config::{Auth, ClientAuth, Secret};
use turted::server::Server;

use super::{Client, Way};
use crate::support::{TestServer, config};
use crate::v1::members::{channels_of, ident, server as proving};

const HELLO: &str = r#"{"type":"hello","protocol":"turted.v1"}"#;

fn push(server: &TestServer, event: &str, targets: Value) {
    let body = json!({"event": event, "targets": targets, "payload": {"n": 1.0, "é": "%</script>"}});
    assert_eq!(server.push(body.to_string()).text(), "OK");
}

fn message(event: &str, via: &str) -> String {
    format!(r#"{{"type":"{event}","data":{{"n":1.0,"é":"%</script>"}},"via":{via}}}"#)
}

/// Whoever hears this has heard everything before it, also its own joining.
fn settle(client: &mut Client) {
    let echo = r#"{"type":"echo","data":"settled"}"#;
    assert_eq!(client.ask(echo), r#"{"type":"message","data":"settled"}"#);
}

#[test]
fn a_client_of_turted_0_1_identifies_joins_leaves_and_hears_why() {
    for workers in [1, 3] {
        let server = TestServer::with(|config| config.workers = workers);
        for way in Way::ALL {
            let mut client = Client::connect(&server, way);
            let ident = r#"{"type":"IDENT","data":{"id":1,"username":"adam","token":"t"}}"#;
            assert_eq!(client.ask(ident), r#"{"type":"IDENTIFIED","data":{}}"#, "{way:?}");
            client.say(r#"{"type":"join","data":{"channel":"chat"}}"#);
            settle(&mut client);
            push(&server, "USER", json!({"users": ["adam"], "channels": ["chat"]}));
            assert_eq!(client.hear(), message("USER", r#"{"user":"adam"}"#));
            push(&server, "CHANNEL", json!({"channels": ["chat"]}));
            assert_eq!(client.hear(), message("CHANNEL", r#"{"channel":"chat"}"#));
            push(&server, "ALL", json!({"broadcast": true}));
            assert_eq!(client.hear(), message("ALL", r#"{"broadcast":true}"#));
            client.say(r#"{"type":"leave","data":{"channel":"chat"}}"#);
            settle(&mut client);
            push(&server, "LEFT", json!({"channels": ["chat"]}));
            settle(&mut client);
            assert_eq!(client.ask(r#"{"type":"message","data":7}"#), r#"{"type":"welcome"}"#);
            client.leave();
        }
    }
}

#[test]
fn many_pushes_come_in_order_and_whole_over_responses_that_end() {
    let server = TestServer::with(|config| {
        config.workers = 3;
        config.sockjs.response_bytes = 1000;
    });
    let mut clients = Way::ALL.map(|way| Client::connect(&server, way));
    clients.iter_mut().for_each(settle);
    let mut http = server.http();
    for number in 0..200 {
        let body = json!({"event": "N", "targets": {"broadcast": true}, "payload": number}).to_string();
        assert_eq!(http.post("/push/", &[], body).text(), "OK");
    }
    for client in &mut clients {
        for number in 0..200 {
            let heard: Value = serde_json::from_str(&client.hear()).unwrap();
            assert_eq!(heard["data"], number, "{:?}", client.way);
        }
    }
}

#[test]
fn what_cannot_be_done_is_answered_with_the_reason_and_the_client_stays() {
    let server = TestServer::new();
    let cases = [
        ("no json", "a message must be a json object"),
        ("", "a message must be a json object"),
        ("[]", "a message must be a json object"),
        ("{}", "type missing"),
        (r#"{"type":7}"#, "type must be a string"),
        (r#"{"type":"fly"}"#, "unknown type"),
        (r#"{"type":"echo","type":"join"}"#, "duplicate key type"),
        (r#"{"type":"join"}"#, ""),
        (r#"{"type":"join","data":{"channel":7}}"#, ""),
        (r#"{"type":"ident","data":null}"#, ""),
        (r#"{"type":"hello","protocol":"v9"}"#, "the only protocol to ask for is turted.v1"),
        (HELLO, "hello must be the first message"),
    ];
    for way in Way::ALL {
        let mut client = Client::connect(&server, way);
        for (said, reason) in cases {
            let answer: Value = serde_json::from_str(&client.ask(said)).unwrap();
            assert_eq!(answer["type"], "ERR", "{way:?} {said}");
            let told = answer["data"]["ERR"].as_str().unwrap();
            assert!(told.contains(reason), "{said}: {told}");
            assert!(!told.is_empty(), "{said}: {told}");
        }
        settle(&mut client);
        client.leave();
    }
}

#[test]
fn a_user_that_is_not_verified_is_unidentified_and_hears_nothing() {
    let server = TestServer::with(|config| {
        config.auth =
            Auth { method: ClientAuth::Password(Secret::from("right")), ..turted::config::Auth::default() };
    });
    for way in Way::ALL {
        let mut client = Client::connect(&server, way);
        let ident = |secret: &str| {
            json!({"type": "ident", "data": {"username": "adam", "password": secret}}).to_string()
        };
        let refused = r#"{"type":"ERR","data":{"ERR":"UNIDENTIFIED"}}"#;
        assert_eq!(client.ask(&ident("wrong")), refused, "{way:?}");
        push(&server, "SECRET", json!({"users": ["adam"]}));
        settle(&mut client);
        assert_eq!(client.ask(&ident("right")), r#"{"type":"IDENTIFIED","data":{}}"#);
        push(&server, "FOR:ADAM", json!({"users": ["adam"]}));
        assert_eq!(client.hear(), message("FOR:ADAM", r#"{"user":"adam"}"#));
        client.leave();
    }
}

#[test]
fn a_flood_is_told_and_ended() {
    let server =
        TestServer::with(|config| (config.limits.message_rate, config.limits.message_burst) = (1, 5));
    for way in Way::ALL {
        let mut client = Client::connect(&server, way);
        (0..5).for_each(|_| settle(&mut client));
        let flood = client.ask(r#"{"type":"echo","data":"too much"}"#);
        assert!(flood.contains("limits.message_rate"), "{way:?} {flood}");
        assert!(client.is_ended(), "{way:?}");
    }
}

#[test]
fn a_client_that_says_hello_first_speaks_turted_v1_from_then_on() {
    for workers in [1, 3] {
        let server = TestServer::with(|config| config.workers = workers);
        for way in Way::ALL {
            let mut client = Client::connect(&server, way);
            let welcome: Value = serde_json::from_str(&client.ask(HELLO)).unwrap();
            assert_eq!(welcome["welcome"]["protocol"], "turted.v1", "{way:?}");
            assert_eq!(welcome["welcome"]["ping_interval_ms"], 25_000);
            let ident = client.ask(r#"{"id":1,"do":"ident","data":{"username":"adam"}}"#);
            assert_eq!(ident, r#"{"reply":1,"ok":true,"username":"adam"}"#);
            client.ask(r#"{"id":2,"do":"join","channel":"chat"}"#);
            push(&server, "NEWS", json!({"channels": ["chat"]}));
            let event = client.hear();
            let start =
                r#"{"event":"NEWS","payload":{"n":1.0,"é":"%</script>"},"via":{"channel":"chat"},"cursor":"#;
            assert!(event.starts_with(start), "{way:?} {event}");
            let late: Value = serde_json::from_str(&client.ask(HELLO)).unwrap();
            assert_eq!(late["error"]["code"], "command-missing");
            client.leave();
        }
    }
}

#[test]
fn a_client_of_turted_v1_resumes_over_any_transport_what_it_began_over_another() {
    let server = TestServer::with(|config| config.workers = 3);
    for (before, after) in Way::ALL.into_iter().zip(Way::ALL.into_iter().rev()) {
        let mut client = Client::connect(&server, before);
        let welcome: Value = serde_json::from_str(&client.ask(HELLO)).unwrap();
        let session = welcome["welcome"]["session"].as_str().unwrap().to_owned();
        client.ask(r#"{"id":1,"do":"ident","data":{"username":"adam"}}"#);
        push(&server, "SEEN", json!({"users": ["adam"]}));
        let seen: Value = serde_json::from_str(&client.hear()).unwrap();
        let pong: Value = serde_json::from_str(&client.ask(r#"{"id":2,"do":"ping"}"#)).unwrap();
        assert_eq!(pong["cursor"], seen["cursor"], "{before:?}");
        client.leave();
        push(&server, "MISSED", json!({"users": ["adam"]}));
        let mut back = Client::connect(&server, after);
        back.ask(HELLO);
        let resume = json!({"id": 9, "do": "resume", "session": session, "cursor": seen["cursor"]});
        let resumed: Value = serde_json::from_str(&back.ask(&resume.to_string())).unwrap();
        assert_eq!((&resumed["ok"], &resumed["replayed"]), (&true.into(), &1.into()), "{before:?} {after:?}");
        assert_eq!(
            (&resumed["username"], channels_of(&server, &resumed["connection"])),
            (&"adam".into(), json!([]))
        );
        let missed: Value = serde_json::from_str(&back.hear()).unwrap();
        assert_eq!(missed["event"], "MISSED");
        push(&server, "NEW", json!({"users": ["adam"]}));
        let new: Value = serde_json::from_str(&back.hear()).unwrap();
        assert_eq!(new["event"], "NEW");
        back.leave();
    }
}

#[test]
fn a_client_of_turted_v1_in_sockjs_is_told_what_expires_and_what_is_lost() {
    let server = proving(3);
    for way in Way::ALL {
        let mut client = Client::connect(&server, way);
        let mut ask =
            |request: &Value| -> Value { serde_json::from_str(&client.ask(&request.to_string())).unwrap() };
        let welcome = ask(&serde_json::from_str(HELLO).unwrap());
        assert_eq!(channels_of(&server, &welcome["welcome"]["connection"]), json!([]), "{way:?}");
        let identified = ask(&ident("adam", Some(700), &["claim.a"]));
        assert!(identified["expires_in_ms"].as_u64().unwrap() <= 700, "{identified}");
        let joined = ask(&json!({"id": 2, "do": "join", "channels": ["claim.a", "claim.b", "open"]}));
        assert_eq!(joined["channels"], json!(["claim.a", "open"]));
        assert_eq!(joined["refused"][0]["error"]["code"], "join-refused");
        let told: Value = serde_json::from_str(&client.hear()).unwrap();
        assert_eq!((&told["error"]["code"], &told["left"]), (&"token-expired".into(), &json!(["claim.a"])));
        client.leave();
    }
}

#[test]
fn what_a_client_says_is_done_in_order_also_while_its_user_is_verified() {
    let (asked, is_asked) = mpsc::sync_channel(1);
    let may_answer = Arc::new(Semaphore::new(0));
    let allowed = Arc::clone(&may_answer);
    let authenticator = move |request: IdentRequest| {
        let (asked, allowed) = (asked.clone(), Arc::clone(&allowed));
        async move {
            assert_eq!(request.transport, "sockjs");
            asked.send(()).unwrap();
            allowed.acquire().await.unwrap().forget();
            request.user.map(|user| Verified::user(user.name)).ok_or(IdentRefusal::UserMissing)
        }
    };
    let server = Server::builder(turted::config::Config { workers: 3, ..config() })
        .authenticator(authenticator)
        .bind()
        .unwrap();
    let server = TestServer::run(server);
    let ident = r#"{"type":"ident","data":{"username":"adam"}}"#;
    let echo = |number| json!({"type": "echo", "data": number}).to_string();
    for way in Way::ALL {
        let mut client = Client::connect(&server, way);
        let mut first = client.start_saying(&[ident, &echo(1)]);
        is_asked.recv().unwrap();
        let mut second = client.start_saying(&[&echo(2), &echo(3)]);
        may_answer.add_permits(1);
        assert_eq!(client.hear(), r#"{"type":"IDENTIFIED","data":{}}"#, "{way:?}");
        for number in 1..=3 {
            assert_eq!(client.hear(), format!(r#"{{"type":"message","data":{number}}}"#), "{way:?}");
        }
        for sending in [&mut first, &mut second].into_iter().flatten() {
            assert_eq!(sending.read().unwrap().status, 204);
        }
        client.leave();
    }
}
