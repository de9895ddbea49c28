//! Tokens that expire while their client is connected, or away.

use std::time::Duration;

use serde_json::json;
use turted::config::{ClientAuth, Config, Join};

use crate::support::{Client, at, bind, config, error, hmac_rule, joined, ok, rules, token};

/// Without leeway, so that a test need not wait for it.
fn strict() -> Config {
    let mut rule = hmac_rule();
    rule.claims.leeway = Duration::from_millis(1);
    let mut config = config(ClientAuth::Jwt(Box::new(rule)));
    config.channels = rules(&[("members", Join::Identified), ("private.*", Join::Claim)]);
    config
}

fn short() -> String {
    token(json!({"sub": "alice", "exp": at(2), "channels": ["private.*"]}))
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
    let longer = token(json!({"sub": "alice", "exp": at(4), "channels": ["private.*"]}));
    client.ident(&json!({"token": longer}), "alice");
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        client.nothing();
        std::thread::park_timeout(Duration::from_millis(100));
    }
    server.dispatcher().notify_channel("private.7", "STILL", &1).unwrap();
    assert_eq!(client.dispatched(), "STILL");
    assert_eq!(client.event(), error("token expired"), "the new token expires as well");
}

#[test]
fn a_session_whose_token_expired_meanwhile_begins_anew() {
    let server = bind(strict());
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": short()}), "alice");
    client.join("private.7", joined("private.7"));
    let shown = client.lose();
    std::thread::park_timeout(Duration::from_millis(3_100));
    server.dispatcher().notify_user("alice", "NO", &1).unwrap();
    let mut client = Client::connect_with(server.address(), &shown);
    assert_eq!(client.event().0, "reconnect", "the client should identify itself again");
    server.dispatcher().notify_channel("private.7", "NO", &1).unwrap();
    client.nothing();
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
