//! The authenticators that ask nobody.

use serde_json::json;
use turted::config::{ClientAuth, Hash, TokenRule};

use crate::support::{Client, error, serve};

#[test]
fn everyone_is_who_they_say_they_are() {
    let server = serve(ClientAuth::Accept);
    let mut client = Client::connect(server.address());
    client.ident(&json!({"username": "alice"}), "alice");
    server.dispatcher().notify_user("alice", "HELLO", &1).unwrap();
    assert_eq!(client.dispatched(), "HELLO");
    assert_eq!(client.ask("IDENT", &json!({"token": "x"})), error("user name missing"));
}

#[test]
fn a_password_lets_in_and_a_wrong_one_does_not_end_the_connection() {
    let server = serve(ClientAuth::Password("tiger".into()));
    let mut client = Client::connect(server.address());
    let wrong = client.ask("IDENT", &json!({"username": "alice", "password": "lion"}));
    assert_eq!(wrong, error("IDENT not verified"));
    assert_eq!(client.ask("IDENT", &json!({})), error("IDENT not verified"), "as 3.3.6 said");
    assert_eq!(client.ask("IDENT", &json!({"password": "tiger"})), error("user name missing"));
    client.ident(&json!({"username": "alice", "password": "tiger"}), "alice");
}

#[test]
fn a_token_of_one_user_is_none_for_another() {
    let rule = TokenRule { hash: Hash::Sha256, prefix: "salt".into(), suffix: "pepper".into() };
    let token = rule.sign("alice");
    let server = serve(ClientAuth::Token(rule));
    let mut client = Client::connect_with(server.address(), &json!({"username": "bob", "token": token}));
    assert_eq!(client.event(), error("IDENT not verified"));
    client.ident(&json!({"username": "alice", "token": token}), "alice");
}
