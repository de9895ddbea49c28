//! Tokens as identity providers make them: Keycloak, Auth0, Supabase; and large ones, by every way in.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use turted::authenticator::{Algorithm, ClaimRules, JwtKeys, JwtRefusal, JwtRule, sign};
use turted::config::{ClientAuth, Secret};

use crate::jwt::{P256, RSA, now};
use crate::support::{Client, HMAC_SECRET, at, error, hmac_rule, serve, token};

fn rule(algorithm: Algorithm, key: &str, claims: ClaimRules) -> JwtRule {
    JwtRule { algorithm, keys: JwtKeys::new(algorithm, Secret::from(key)).unwrap(), claims }
}

/// An access token of Keycloak 26: two audiences, nested roles.
fn keycloak() -> Value {
    json!({
        "exp": at(300), "iat": at(0), "auth_time": at(-5), "jti": "onrtac:3b1f0f6e-6a1e-4f0a-9a53-1e7c9b1f4a11",
        "iss": "https://id.example/realms/shop", "aud": ["turted", "account"],
        "sub": "f:7a5c6c5e-2f1c-4c2f:alice", "typ": "Bearer", "azp": "web",
        "sid": "0c8b5b8e-0d7b-4f39-8a5c-3d1c0f0d6c55", "acr": "1", "allowed-origins": ["https://shop.example"],
        "realm_access": {"roles": ["default-roles-shop", "offline_access"]},
        "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
        "scope": "openid profile email", "email_verified": true, "name": "Alice Example",
        "preferred_username": "alice", "channels": {"0": "orders.7", "2": "news.*"},
    })
}

/// An access token of Auth0: a subject with a bar, an audience of its own and that of /userinfo, claims with URLs.
fn auth0() -> Value {
    json!({
        "https://shop.example/channels": ["orders.7"],
        "iss": "https://shop.eu.auth0.com/", "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
        "aud": ["https://api.shop.example", "https://shop.eu.auth0.com/userinfo"],
        "iat": at(0), "exp": at(86_400), "scope": "openid profile", "azp": "my_client_id", "permissions": [],
    })
}

/// An access token of Supabase: one audience, and empty texts and objects.
fn supabase() -> Value {
    json!({
        "aal": "aal1", "amr": [{"method": "password", "timestamp": at(0)}],
        "app_metadata": {"provider": "email", "providers": ["email"]}, "aud": "authenticated",
        "email": "alice@shop.example", "exp": at(3_600), "iat": at(0), "is_anonymous": false,
        "iss": "https://abcdefghijklmnop.supabase.co/auth/v1", "phone": "", "role": "authenticated",
        "session_id": "b7a6f0f7-7f3b-4a58-9c56-3b7e1b9f4c55", "sub": "e1a5b0a7-3c0c-4f5e-8a32-6f1f6d9b7c22",
        "user_metadata": {}, "channels": null,
    })
}

fn rules(issuer: &str, audience: &str, channels: &str) -> ClaimRules {
    ClaimRules {
        issuer: Some(issuer.to_owned()),
        audience: Some(audience.to_owned()),
        channels: Some(channels.to_owned()),
        ..ClaimRules::default()
    }
}

#[test]
fn tokens_of_keycloak_auth0_and_supabase_name_their_users() {
    let keycloak_rules = ClaimRules {
        user: "preferred_username".to_owned(),
        ..rules("https://id.example/realms/shop", "turted", "channels")
    };
    let auth0_rules =
        rules("https://shop.eu.auth0.com/", "https://api.shop.example", "https://shop.example/channels");
    let supabase_rules = rules("https://abcdefghijklmnop.supabase.co/auth/v1", "authenticated", "channels");
    let hmac = (HMAC_SECRET, HMAC_SECRET);
    for (algorithm, (private, public), claims, token, user) in [
        (Algorithm::RS256, RSA, keycloak_rules, keycloak(), "alice"),
        (Algorithm::RS256, RSA, auth0_rules, auth0(), "auth0|5f7c8ec7c33c6c004bbafe82"),
        (Algorithm::ES256, P256, supabase_rules.clone(), supabase(), "e1a5b0a7-3c0c-4f5e-8a32-6f1f6d9b7c22"),
        (Algorithm::HS256, hmac, supabase_rules, supabase(), "e1a5b0a7-3c0c-4f5e-8a32-6f1f6d9b7c22"),
    ] {
        let server = serve(ClientAuth::Jwt(Box::new(rule(algorithm, public, claims))));
        let token = sign(algorithm, &Secret::from(private), &token).unwrap();
        let mut client = Client::connect(server.address());
        client.ident(&json!({ "token": token }), user);
        server.dispatcher().notify_user(user, "HELLO", &1).unwrap();
        assert_eq!(client.dispatched(), "HELLO");
    }
}

#[test]
fn a_token_that_proves_nothing_says_in_the_log_what_is_wrong() {
    let mut strict = hmac_rule();
    strict.claims.audience = Some("turted".to_owned());
    strict.claims.issuer = Some("https://id.example".to_owned());
    let says = |rule: &JwtRule, mut claims: Value| {
        claims["sub"] = "alice".into();
        rule.verify_token(&token(claims), None, now()).unwrap_err().to_string()
    };
    let iss = "https://id.example";
    for (claims, expected) in [
        (json!({"iss": iss, "aud": ["account", "web"]}), "does not contain auth.audience"),
        (json!({"iss": iss}), "aud is missing"),
        (json!({"iss": "https://id.example/", "aud": "turted"}), "not auth.issuer"),
        (json!({"exp": i64::MAX}), "exp is after the year 9999"),
        (json!({"exp": at(60) * 1_000}), "not milliseconds"),
        (json!({"exp": "soon"}), "exp is no number of seconds"),
        (json!({"exp": at(-60)}), "token expired"),
        (json!({"iss": iss, "aud": "turted", "channels": "a b"}), "auth.channels_claim: no list of strings"),
    ] {
        let said = says(&strict, claims);
        assert!(said.contains(expected), "{said}");
    }
    assert!(says(&hmac_rule(), json!({"aud": "authenticated"})).contains("auth.audience"));
    let other = sign(Algorithm::HS256, &Secret::from("another secret"), &json!({})).unwrap();
    assert_eq!(strict.verify_token(&other, None, now()), Err(JwtRefusal::Signature));
    assert!(JwtRefusal::UnknownKey.to_string().contains("SIGHUP"));
}

/// Asks for an event stream with this token: the status.
fn stream(address: SocketAddr, token: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /sse HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line[9..12].to_owned()
}

#[test]
fn a_token_of_eight_kilobytes_is_taken_by_every_way_in() {
    let server = serve(ClientAuth::Jwt(Box::new(hmac_rule())));
    let address = server.address();
    // A third more in base64, and what stands around it.
    let large = token(json!({"sub": "alice", "groups": "x".repeat(5_850)}));
    assert!((7_900..8_000).contains(&large.len()), "{}", large.len());
    let mut client = Client::connect(address);
    client.ident(&json!({ "token": large }), "alice");
    let mut client = Client::connect_with(address, &json!({ "token": large }));
    assert_eq!(client.event(), ("OK".to_owned(), json!({"username": "alice"})));
    let mut client = Client::open(address, &format!("EIO=3&token={large}"));
    assert_eq!(client.packet(), "40");
    assert_eq!(client.event(), ("OK".to_owned(), json!({"username": "alice"})));
    assert_eq!(stream(address, &large), "200");
    let too_large = token(json!({"sub": "alice", "groups": "x".repeat(13_000)}));
    let mut client = Client::connect(address);
    assert_eq!(client.ask("IDENT", &json!({ "token": too_large })), error("IDENT not verified"));
}
