//! Who may join which channel.

use serde_json::json;
use turted::config::{ClientAuth, Config, IdentMode, Join};

use crate::backend::{Backend, reply};
use crate::support::{Client, bind, config, error, hmac_rule, joined, rules, token};

const NEEDS_IDENT: &str = "channel needs identification";
const NOT_GRANTED: &str = "channel not granted";

fn guarded(method: ClientAuth) -> Config {
    let mut config = config(method);
    config.channels = rules(&[
        ("members", Join::Identified),
        ("private.*", Join::Claim),
        ("private.lobby", Join::Open),
        ("private.staff.*", Join::Identified),
    ]);
    config
}

fn by_token() -> ClientAuth {
    ClientAuth::Jwt(Box::new(hmac_rule()))
}

#[test]
fn each_rule_lets_in_whom_it_names() {
    let server = bind(guarded(by_token()));
    let mut client = Client::connect(server.address());
    client.join("news", joined("news"));
    client.join("private.lobby", joined("private.lobby"));
    for channel in ["members", "private.7", "private.", "private.staff.1", "private.lobby2"] {
        client.join(channel, error(NEEDS_IDENT));
    }
    client.ident(&json!({"token": token(json!({"sub": "bob"}))}), "bob");
    client.join("members", joined("members"));
    client.join("private.staff.1", joined("private.staff.1"));
    client.join("private.7", error(NOT_GRANTED));
    let granting = token(json!({"sub": "alice", "channels": ["private.7", "private.x.*"]}));
    client.ident(&json!({"token": granting}), "alice");
    client.join("private.7", joined("private.7"));
    client.join("private.x.y", joined("private.x.y"));
    client.join("private.8", error(NOT_GRANTED));
    server.dispatcher().notify_channel("private.8", "NO", &1).unwrap();
    server.dispatcher().notify_channel("private.7", "YES", &1).unwrap();
    assert_eq!(client.dispatched(), "YES");
}

#[test]
fn grants_end_with_the_ident_they_came_with() {
    let server = bind(guarded(by_token()));
    let mut client = Client::connect(server.address());
    let alice = token(json!({"sub": "alice", "channels": ["private.*"]}));
    client.ident(&json!({"token": alice}), "alice");
    client.join("private.7", joined("private.7"));
    client.join("members", joined("members"));
    client.ident(&json!({"token": token(json!({"sub": "bob"}))}), "bob");
    server.dispatcher().notify_channel("private.7", "NO", &1).unwrap();
    server.dispatcher().notify_channel("members", "YES", &1).unwrap();
    assert_eq!(client.dispatched(), "YES", "bob was not granted what alice was");
    client.join("private.7", error(NOT_GRANTED));
}

#[test]
fn a_refused_ident_takes_nothing_away() {
    let server = bind(guarded(by_token()));
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": token(json!({"sub": "alice", "channels": ["private.7"]}))}), "alice");
    assert_eq!(client.ask("IDENT", &json!({"token": "x"})), error("IDENT not verified"));
    client.join("private.7", joined("private.7"));
}

#[test]
fn added_users_add_their_grants() {
    let mut config = guarded(by_token());
    config.auth.ident = IdentMode::Add;
    let server = bind(config);
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": token(json!({"sub": "alice", "channels": ["private.a"]}))}), "alice");
    client.ident(&json!({"token": token(json!({"sub": "bob", "channels": ["private.b"]}))}), "bob");
    client.join("private.a", joined("private.a"));
    client.join("private.b", joined("private.b"));
    client.join("private.c", error(NOT_GRANTED));
}

#[test]
fn the_backend_grants_channels_as_a_token_does() {
    let backend = Backend::start(|_, stream| reply(stream, r#"{"user":"alice","channels":["private.7"]}"#));
    let server = bind(guarded(backend.method()));
    let mut client = Client::connect(server.address());
    client.ident(&json!({"username": "alice"}), "alice");
    client.join("private.7", joined("private.7"));
    client.join("private.8", error(NOT_GRANTED));
}

#[test]
fn a_session_that_comes_back_keeps_its_channels_and_its_grants() {
    let server = bind(guarded(by_token()));
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": token(json!({"sub": "alice", "channels": ["private.*"]}))}), "alice");
    client.join("private.7", joined("private.7"));
    let shown = client.lose();
    server.dispatcher().notify_channel("private.7", "MISSED", &1).unwrap();
    let mut client = Client::connect_with(server.address(), &shown);
    assert_eq!(client.dispatched(), "MISSED");
    client.join("private.8", joined("private.8"));
    server.dispatcher().notify_channel("private.8", "NEW", &1).unwrap();
    assert_eq!(client.dispatched(), "NEW");
}
