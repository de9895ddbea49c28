//! Tokens that expire while their client is connected, or away.

use std::time::Duration;

use serde_json::json;
use turted::config::{ClientAuth, Config, Join};

use crate::backend::{Backend, reply, yes};
use crate::support::{Client, at, bind, config, error, hmac_rule, joined, ok, rules, token};

/// Without leeway, so that a test need not wait for it.
fn strict() -> Config {
    let mut rule = hmac_rule();
    rule.claims.leeway = Duration::from_millis(1);
    let mut config = config(ClientAuth::Jwt(Box::new(rule)));
    config.channels = rules(&[("members", Join::Identified), ("private.*", Join::Claim)]);
    config
}

/// How long the shortest token is valid, in seconds: enough for a busy machine to use it before.
const SHORT: i64 = 5;

fn short() -> String {
    token(json!({"sub": "alice", "exp": at(SHORT), "channels": ["private.*"]}))
}

#[test]
fn a_connection_whose_token_expires_is_told_stays_and_is_nobody() {
    let server = bind(strict());
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": short()}), "alice");
    for channel in ["open", "members", "private.7"] {
        client.join(channel, joined(channel));
    }
    assert_eq!(client.event(), error("token expired"));
    server.dispatcher().notify_user("alice", "NO", &1).unwrap();
    server.dispatcher().notify_channel("members", "NO", &1).unwrap();
    server.dispatcher().notify_channel("private.7", "NO", &1).unwrap();
    server.dispatcher().notify_channel("open", "YES", &1).unwrap();
    assert_eq!(client.dispatched(), "YES");
    client.join("private.7", error("channel needs identification"));
    client.ident(&json!({"token": token(json!({"sub": "alice"}))}), "alice");
    client.join("members", joined("members"));
}

#[test]
fn a_new_token_in_time_changes_nothing_else() {
    let server = bind(strict());
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": short()}), "alice");
    client.join("private.7", joined("private.7"));
    let longer = token(json!({"sub": "alice", "exp": at(2 * SHORT), "channels": ["private.*"]}));
    client.ident(&json!({"token": longer}), "alice");
    let expired = std::time::Instant::now() + Duration::from_secs(SHORT.unsigned_abs());
    while std::time::Instant::now() < expired {
        client.nothing();
        std::thread::park_timeout(Duration::from_millis(100));
    }
    server.dispatcher().notify_channel("private.7", "STILL", &1).unwrap();
    assert_eq!(client.dispatched(), "STILL");
    assert_eq!(client.event(), error("token expired"), "the new token expires as well");
}

#[test]
fn a_session_whose_token_expired_meanwhile_begins_anew_without_what_it_opened() {
    let server = bind(strict());
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": short()}), "alice");
    for channel in ["open", "members", "private.7"] {
        client.join(channel, joined(channel));
    }
    let shown = client.lose();
    std::thread::park_timeout(Duration::from_secs(SHORT.unsigned_abs()) + Duration::from_millis(100));
    server.dispatcher().notify_user("alice", "NO", &1).unwrap();
    let mut client = Client::connect_with(server.address(), &shown);
    assert_eq!(client.event().0, "reconnect", "the client should identify itself again");
    server.dispatcher().notify_user("alice", "NO", &1).unwrap();
    server.dispatcher().notify_channel("private.7", "NO", &1).unwrap();
    server.dispatcher().notify_channel("members", "NO", &1).unwrap();
    server.dispatcher().notify_channel("open", "YES", &1).unwrap();
    assert_eq!(client.dispatched(), "YES");
}

#[test]
fn a_session_that_comes_back_still_expires() {
    let server = bind(strict());
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": short()}), "alice");
    let mut client = Client::connect_with(server.address(), &client.lose());
    server.dispatcher().notify_user("alice", "HELLO", &1).unwrap();
    assert_eq!(client.dispatched(), "HELLO");
    assert_eq!(client.event(), error("token expired"));
}

#[test]
fn a_token_of_a_thousand_years_overflows_nothing() {
    let server = bind(strict());
    let mut client = Client::connect(server.address());
    for _ in 0..50 {
        let token = token(json!({"sub": "alice", "exp": 253_402_300_799_i64}));
        assert_eq!(client.ask("IDENT", &json!({"token": token})), ok(json!({"username": "alice"})));
    }
    client.nothing();
}

#[test]
fn a_user_of_the_backend_expires_when_its_answer_says_so() {
    let backend = Backend::start(|_, stream| {
        reply(stream, r#"{"user":"alice","channels":["private.*"],"expires_in":0.5}"#)
    });
    let server = bind(Config { auth: config(backend.method()).auth, ..strict() });
    let mut client = Client::connect(server.address());
    client.ident(&json!({}), "alice");
    client.join("private.7", joined("private.7"));
    assert_eq!(client.event(), error("token expired"));
    server.dispatcher().notify_user("alice", "NO", &1).unwrap();
    server.dispatcher().notify_channel("private.7", "NO", &1).unwrap();
    client.nothing();
    client.ident(&json!({}), "alice");
}

#[test]
fn an_answer_whose_end_is_no_number_of_seconds_is_no_verdict() {
    for end in ["null", "0", "-1", r#""600""#, "1e400"] {
        let backend = Backend::saying(yes(&format!(r#"{{"user":"alice","expires_in":{end}}}"#)));
        let server = bind(config(backend.method()));
        let mut client = Client::connect(server.address());
        let reply = client.ask("IDENT", &json!({"username": "alice"}));
        assert_eq!(reply, error("IDENT cannot be verified now"), "{end}");
    }
}
