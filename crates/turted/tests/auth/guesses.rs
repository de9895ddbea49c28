//! Wrong IDENTs, counted per address, whoever verifies them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use serde_json::{Value, json};
use turted::authenticator::{Algorithm, IdentRefusal, IdentRequest, JwtKeys, JwtRule, Verified, sign};
use turted::config::{ClientAuth, Config, Hash, Secret, TokenRule};
use turted::server::Server;

use crate::backend::{Backend, reply, status, user};
use crate::support::{Client, Serving, at, bind, config, error, hmac_rule, token};

const TOO_MANY: &str = "too many wrong IDENTs from this address (limits.wrong_idents)";

/// The configuration with the limit as operators get it.
fn limited(method: ClientAuth) -> Config {
    Config { limits: Config::default().limits, ..config(method) }
}

/// A backend that knows alice by her word, and counts who asks.
fn backend() -> Backend {
    Backend::start(|question, stream| match question["ident"]["word"].as_str() {
        Some("sesame") => reply(stream, &user(&json!("alice"))),
        _ => std::io::Write::write_all(stream, status("403 Forbidden", "{}").as_bytes()).is_ok(),
    })
}

/// A rule whose key has one character less than nobody guesses, and a token of alice.
fn short_rule() -> (JwtRule, String) {
    let secret = Secret::from("0123456789abcdefghijk");
    let signed = sign(Algorithm::HS256, &secret, &json!({"sub": "alice", "exp": at(60)})).unwrap();
    (JwtRule { keys: JwtKeys::new(Algorithm::HS256, secret).unwrap(), ..hmac_rule() }, signed)
}

#[test]
fn after_ten_wrong_idents_an_address_is_not_verified_whatever_it_shows() {
    let rule = TokenRule { hash: Hash::Sha256, prefix: "pre".into(), suffix: "post".into() };
    let hashed = rule.sign("alice");
    let backend = backend();
    let (short, signed) = short_rule();
    let cases: [(ClientAuth, Value, Value); 4] = [
        (ClientAuth::Password("tiger".into()), json!({"password": "tiger"}), json!({"password": "lion"})),
        (ClientAuth::Token(rule), json!({ "token": hashed }), json!({"token": "00"})),
        (ClientAuth::Jwt(Box::new(short)), json!({"token": signed}), json!({"token": "a.b.c"})),
        (backend.method(), json!({"word": "sesame"}), json!({"word": "lion"})),
    ];
    for (method, mut right, mut wrong) in cases {
        let name = format!("{method:?}");
        for ident in [&mut right, &mut wrong] {
            ident["username"] = "alice".into();
        }
        let server = bind(limited(method));
        let mut client = Client::connect(server.address());
        for _ in 0..9 {
            assert_eq!(client.ask("IDENT", &wrong), error("IDENT not verified"), "{name}");
        }
        client.ident(&right, "alice");
        assert_eq!(client.ask("IDENT", &wrong), error("IDENT not verified"), "{name}");
        for ident in [&wrong, &right] {
            assert_eq!(client.ask("IDENT", ident), error(TOO_MANY), "{name}");
        }
        let mut other = Client::connect(server.address());
        assert_eq!(other.ask("IDENT", &right), error(TOO_MANY), "{name}: another connection does not help");
        server.dispatcher().notify_user("alice", "STILL", &1).unwrap();
        assert_eq!(client.dispatched(), "STILL", "{name}: who was verified before stays");
        let mut stranger = Client::connect_from([127, 0, 0, 3], server.address());
        stranger.ident(&right, "alice");
    }
    assert_eq!(backend.requests().len(), 12, "ten wrong ones, and one right one from each address");
}

#[test]
fn a_right_ident_that_nobody_guesses_passes_after_too_many_wrong_ones() {
    let rule = TokenRule { hash: Hash::Sha256, prefix: "0123456789".into(), suffix: "abcdefghijkl".into() };
    let hashed = rule.sign("alice");
    let strong = "0123456789abcdefghijkl";
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys");
    let read = |name: &str| Secret::from(std::fs::read_to_string(format!("{keys}/{name}")).unwrap());
    let by_key = JwtRule {
        algorithm: Algorithm::ES256,
        keys: JwtKeys::new(Algorithm::ES256, read("p256.pub.pem")).unwrap(),
        ..hmac_rule()
    };
    let claims = json!({"sub": "alice", "exp": at(60)});
    let signed_by_key = sign(Algorithm::ES256, &read("p256.pem"), &claims).unwrap();
    let signed = token(json!({"sub": "alice"}));
    let expired = token(json!({"sub": "alice", "exp": at(-3600)}));
    let cases: [(ClientAuth, Value, Value); 4] = [
        (ClientAuth::Password(strong.into()), json!({"password": strong}), json!({"password": &strong[1..]})),
        (ClientAuth::Token(rule), json!({"token": hashed}), json!({"token": "00"})),
        (ClientAuth::Jwt(Box::new(hmac_rule())), json!({"token": signed}), json!({"token": expired})),
        (ClientAuth::Jwt(Box::new(by_key)), json!({"token": signed_by_key}), json!({"token": signed})),
    ];
    for (method, mut right, mut wrong) in cases {
        let name = format!("{method:?}");
        let mut config = limited(method);
        config.limits.wrong_idents = 1;
        for ident in [&mut right, &mut wrong] {
            ident["username"] = "alice".into();
        }
        let server = bind(config);
        let mut client = Client::connect(server.address());
        let guess = json!({"username": "alice", "password": "lion", "token": "a.b.c"});
        assert_eq!(client.ask("IDENT", &guess), error("IDENT not verified"), "{name}");
        for ident in [&guess, &wrong, &json!({"username": "alice"})] {
            assert_eq!(client.ask("IDENT", ident), error(TOO_MANY), "{name}");
        }
        client.ident(&right, "alice");
        assert_eq!(client.ask("IDENT", &guess), error(TOO_MANY), "{name}: the address stays blocked");
    }
}

#[test]
fn an_empty_password_or_token_is_no_guess() {
    let rule = TokenRule { hash: Hash::Sha256, prefix: "pre".into(), suffix: "post".into() };
    let methods = [
        ClientAuth::Password("tiger".into()),
        ClientAuth::Token(rule),
        ClientAuth::Jwt(Box::new(hmac_rule())),
    ];
    for method in methods {
        let name = format!("{method:?}");
        let mut config = limited(method);
        config.limits.wrong_idents = 1;
        let server = bind(config);
        let mut client = Client::connect(server.address());
        for _ in 0..3 {
            for empty in [json!({"password": ""}), json!({"token": ""}), json!({"password": "", "token": ""})]
            {
                let mut ident = empty.clone();
                ident["username"] = "alice".into();
                assert_eq!(client.ask("IDENT", &ident), error("IDENT not verified"), "{name} {empty}");
            }
        }
        let word = json!({"username": "alice", "password": "none", "token": "none"});
        assert_eq!(client.ask("IDENT", &word), error("IDENT not verified"), "{name}");
        assert_eq!(client.ask("IDENT", &word), error(TOO_MANY), "{name}: a word is a guess");
    }
}

#[test]
fn what_proves_nothing_and_guesses_nothing_is_not_counted() {
    let server = bind(limited(ClientAuth::Jwt(Box::new(hmac_rule()))));
    let mut client = Client::connect(server.address());
    let old = token(json!({"sub": "alice", "exp": at(-3600)}));
    for _ in 0..11 {
        assert_eq!(client.ask("IDENT", &json!({"token": old})), error("token expired"));
        assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error("IDENT not verified"));
        assert_eq!(client.ask("IDENT", &json!({"token": 7})), error("IDENT not verified"));
        assert_eq!(client.ask("IDENT", &json!([])), error("data must be an object"));
    }
    client.ident(&json!({"token": token(json!({"sub": "alice"}))}), "alice");

    let broken = Backend::saying("nonsense");
    let mut config = limited(broken.method());
    config.limits.wrong_idents = 1;
    let server = bind(config);
    let mut client = Client::connect(server.address());
    for _ in 0..3 {
        assert_eq!(client.ask("IDENT", &json!({})), error("IDENT cannot be verified now"));
    }
}

#[test]
fn guesses_that_are_verified_at_once_tell_no_more_than_one_by_one() {
    const CLIENTS: usize = 20;
    let asked = Arc::new(AtomicUsize::new(0));
    let all_ask = Arc::clone(&asked);
    let mut config = limited(ClientAuth::Accept);
    config.auth.timeout = Duration::from_secs(10);
    let server = Serving::of(
        Server::builder(config)
            .authenticator(move |request: IdentRequest| {
                all_ask.fetch_add(1, Ordering::SeqCst);
                let all_ask = Arc::clone(&all_ask);
                async move {
                    while all_ask.load(Ordering::SeqCst) < CLIENTS {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    match request.user {
                        Some(user) if user.name.as_str() == "right" => Ok(Verified::user(user.name)),
                        _ => Err(IdentRefusal::NotVerified),
                    }
                }
            })
            .bind()
            .unwrap(),
    );
    let barrier = Barrier::new(CLIENTS);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let guess = || {
            let mut client = Client::connect(server.address());
            barrier.wait();
            client.ask("IDENT", &json!({"username": "wrong"}))
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(guess)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let told = answers.iter().filter(|answer| **answer == error("IDENT not verified")).count();
    let untold = answers.iter().filter(|answer| **answer == error(TOO_MANY)).count();
    assert_eq!((told, untold), (10, CLIENTS - 10));
}

#[test]
fn an_operator_may_allow_more_or_less() {
    let mut config = limited(ClientAuth::Password("tiger".into()));
    config.limits.wrong_idents = 1;
    let server = bind(config.clone());
    let wrong = json!({"username": "alice", "password": "lion"});
    let mut client = Client::connect(server.address());
    assert_eq!(client.ask("IDENT", &wrong), error("IDENT not verified"));
    assert_eq!(client.ask("IDENT", &wrong), error(TOO_MANY));
    config.limits.wrong_idents = 11;
    let server = bind(config);
    let mut client = Client::connect(server.address());
    for _ in 0..11 {
        assert_eq!(client.ask("IDENT", &wrong), error("IDENT not verified"));
    }
    assert_eq!(client.ask("IDENT", &wrong), error(TOO_MANY));
}
