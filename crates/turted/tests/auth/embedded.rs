//! Programs that embed the server verify IDENTs themselves.

use std::time::Duration;

use serde_json::json;
use turted::authenticator::{
    Authenticator, Grants, IdentRefusal, IdentRequest, UnixTime, Verification, Verified,
};
use turted::config::{ClientAuth, Join};
use turted::server::Server;

use crate::support::{Client, Serving, at, config, error, joined, rules};

#[test]
fn a_closure_verifies_idents() {
    let server = Serving::of(
        Server::builder(config(ClientAuth::Accept))
            .authenticator(|request: IdentRequest| async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                assert!(request.address.is_loopback());
                assert_eq!(request.transport, "socketio");
                let user = request.user.ok_or(IdentRefusal::UserMissing)?;
                if request.ident.get().contains("open sesame") {
                    Ok(Verified::user(user.name))
                } else {
                    Err(IdentRefusal::NotVerified)
                }
            })
            .bind()
            .unwrap(),
    );
    let mut client = Client::connect(server.address());
    client.ident(&json!({"username": "ali", "word": "open sesame"}), "ali");
    assert_eq!(client.ask("IDENT", &json!({"username": "ali"})), error("IDENT not verified"));
    assert_eq!(client.ask("IDENT", &json!({"word": "open sesame"})), error("user name missing"));
}

/// Grants for a moment.
struct Moment;

impl Authenticator for Moment {
    fn verify(&self, request: IdentRequest) -> Verification<'_> {
        Box::pin(async move {
            let user = request.user.ok_or(IdentRefusal::UserMissing)?;
            let expires = Duration::from_secs(u64::try_from(at(5)).unwrap());
            Ok(Verified {
                channels: Grants::parse(&["private.*"]).unwrap(),
                expires: Some(UnixTime(expires)),
                ..Verified::user(user.name)
            })
        })
    }
}

#[test]
fn a_type_grants_channels_and_lets_them_expire() {
    let mut config = config(ClientAuth::Accept);
    config.channels = rules(&[("private.*", Join::Claim)]);
    let server = Serving::of(Server::builder(config).authenticator(Moment).bind().unwrap());
    let mut client = Client::connect(server.address());
    client.ident(&json!({"username": "alice"}), "alice");
    client.join("private.7", joined("private.7"));
    assert_eq!(client.event(), error("token expired"));
    client.join("private.8", error("channel needs identification"));
}

#[test]
fn one_that_panics_or_never_ends_refuses() {
    let mut config = config(ClientAuth::Accept);
    config.auth.timeout = Duration::from_millis(300);
    let server = Serving::of(
        Server::builder(config)
            .authenticator(|request: IdentRequest| async move {
                let user = request.user.ok_or(IdentRefusal::UserMissing)?;
                match user.name.as_str() {
                    "panic" => panic!("an authenticator panics on purpose"),
                    "never" => std::future::pending().await,
                    _ => Ok(Verified::user(user.name)),
                }
            })
            .bind()
            .unwrap(),
    );
    let mut client = Client::connect(server.address());
    for user in ["panic", "never"] {
        let refused = client.ask("IDENT", &json!({"username": user}));
        assert_eq!(refused, error("IDENT cannot be verified now"), "{user}");
    }
    client.ident(&json!({"username": "alice"}), "alice");
}

/// Panics before it has a future to give.
struct Hasty;

impl Authenticator for Hasty {
    fn verify(&self, _: IdentRequest) -> Verification<'_> {
        panic!("an authenticator panics on purpose")
    }
}

#[test]
fn one_that_panics_at_once_refuses() {
    let server =
        Serving::of(Server::builder(config(ClientAuth::Accept)).authenticator(Hasty).bind().unwrap());
    let mut client = Client::connect(server.address());
    for _ in 0..2 {
        let refused = client.ask("IDENT", &json!({"username": "alice"}));
        assert_eq!(refused, error("IDENT cannot be verified now"));
    }
}
