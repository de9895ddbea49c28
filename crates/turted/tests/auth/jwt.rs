//! JSON Web Tokens: each kind of key, and what is refused however genuine it looks.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use turted::authenticator::{
    Algorithm, ClaimRules, JwtKeyRefusal, JwtKeys, JwtRefusal, JwtRule, UnixTime, sign,
};
use turted::config::{ClientAuth, Secret};

use crate::support::{Client, HMAC_SECRET, at, error, hmac_rule, serve, token};

/// Test keys: the private one signs in the tests, the public one verifies.
pub(crate) const RSA: (&str, &str) = (include_str!("../keys/rsa.pem"), include_str!("../keys/rsa.pub.pem"));
pub(crate) const P256: (&str, &str) =
    (include_str!("../keys/p256.pem"), include_str!("../keys/p256.pub.pem"));
const P384: (&str, &str) = (include_str!("../keys/p384.pem"), include_str!("../keys/p384.pub.pem"));
pub(crate) const ED25519: (&str, &str) =
    (include_str!("../keys/ed25519.pem"), include_str!("../keys/ed25519.pub.pem"));

/// An HMAC key of 64 bytes, long enough for every hash.
const HMAC: (&str, &str) = (SECRET_64, SECRET_64);
const SECRET_64: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const ALGORITHMS: [(Algorithm, (&str, &str)); 12] = [
    (Algorithm::HS256, HMAC),
    (Algorithm::HS384, HMAC),
    (Algorithm::HS512, HMAC),
    (Algorithm::RS256, RSA),
    (Algorithm::RS384, RSA),
    (Algorithm::RS512, RSA),
    (Algorithm::PS256, RSA),
    (Algorithm::PS384, RSA),
    (Algorithm::PS512, RSA),
    (Algorithm::ES256, P256),
    (Algorithm::ES384, P384),
    (Algorithm::EdDSA, ED25519),
];

fn rule(algorithm: Algorithm, public: &str) -> JwtRule {
    let keys = JwtKeys::new(algorithm, Secret::from(public)).unwrap();
    JwtRule { algorithm, keys, claims: ClaimRules::default() }
}

pub(crate) fn now() -> UnixTime {
    UnixTime(std::time::Duration::from_secs(u64::try_from(at(0)).unwrap()))
}

#[test]
fn every_algorithm_verifies_its_own_tokens_and_no_other_algorithms() {
    let claims = json!({"sub": "alice", "exp": at(60)});
    for (algorithm, (private, public)) in ALGORITHMS {
        let genuine = sign(algorithm, &Secret::from(private), &claims).unwrap();
        for (other, (_, public_of_other)) in ALGORITHMS {
            let verified = rule(other, public_of_other).verify_token(&genuine, None, now());
            if other == algorithm {
                assert_eq!(verified.unwrap().identity.name.as_str(), "alice");
            } else {
                assert_eq!(verified, Err(JwtRefusal::Algorithm), "{algorithm:?} as {other:?}");
            }
        }
        let (message, signature) = genuine.rsplit_once('.').unwrap();
        let cut = format!("{message}.{}", &signature[..signature.len() - 4]);
        assert!(rule(algorithm, public).verify_token(&cut, None, now()).is_err(), "{algorithm:?}");
    }
}

#[test]
fn a_key_that_does_not_belong_to_its_algorithm_is_refused_at_the_start() {
    let refusal = |algorithm, text: &str| JwtKeys::new(algorithm, Secret::from(text)).unwrap_err();
    for (algorithm, (private, public)) in ALGORITHMS.into_iter().skip(3) {
        assert_eq!(refusal(algorithm, private), JwtKeyRefusal::Private);
        assert_eq!(refusal(algorithm, SECRET_64), JwtKeyRefusal::NoPublicKey);
        assert_eq!(refusal(algorithm, "-----BEGIN CERTIFICATE-----\nMII="), JwtKeyRefusal::Certificate);
        let broken = public.replace("BEGIN PUBLIC KEY-----\nM", "BEGIN PUBLIC KEY-----\nA");
        assert_eq!(refusal(algorithm, &broken), JwtKeyRefusal::OtherKind);
        assert_eq!(refusal(Algorithm::HS256, public), JwtKeyRefusal::PemForHmac);
    }
    for (algorithm, key) in [
        (Algorithm::ES256, P384.1),
        (Algorithm::ES384, P256.1),
        (Algorithm::ES256, RSA.1),
        (Algorithm::RS256, P256.1),
        (Algorithm::EdDSA, P256.1),
    ] {
        assert_eq!(refusal(algorithm, key), JwtKeyRefusal::OtherKind, "{algorithm:?}");
    }
    let short = include_str!("../keys/rsa1024.pub.pem");
    assert_eq!(refusal(Algorithm::RS256, short), JwtKeyRefusal::ShortRsa);
}

#[test]
fn the_token_names_the_user_in_ident_and_handshake_of_both_versions() {
    let server = serve(ClientAuth::Jwt(Box::new(hmac_rule())));
    let genuine = token(json!({"sub": "alice", "channels": ["news.*"]}));
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": genuine}), "alice");
    client.ident(&json!({"token": genuine, "username": "alice"}), "alice");
    for other in [json!("bob"), json!(7), json!("Alice")] {
        let refused = client.ask("IDENT", &json!({"token": genuine, "user": other}));
        assert_eq!(refused, error("IDENT not verified"));
    }
    server.dispatcher().notify_user("alice", "HELLO", &1).unwrap();
    assert_eq!(client.dispatched(), "HELLO", "a refused IDENT changes nothing");

    let mut client = Client::connect_with(server.address(), &json!({"token": genuine}));
    assert_eq!(client.event(), ("OK".to_owned(), json!({"username": "alice"})));
    let mut client = Client::open(server.address(), &format!("EIO=3&token={genuine}"));
    assert_eq!(client.packet(), "40");
    assert_eq!(client.event(), ("OK".to_owned(), json!({"username": "alice"})));
}

/// A token of this header and payload with the signature that HMAC and `secret` give.
fn crafted(header: &str, payload: &str, secret: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// A genuinely signed token of this payload.
fn signed(payload: &str) -> String {
    crafted(r#"{"alg":"HS256","typ":"JWT"}"#, payload, HMAC_SECRET)
}

fn good_payload() -> String {
    json!({"sub": "alice", "exp": at(60)}).to_string()
}

/// Tokens whose header lies, or whose signature is somebody else's.
fn wrong_signatures() -> Vec<(&'static str, String)> {
    let good = good_payload();
    let unsigned = |header: &str| {
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(good_payload()))
    };
    let by_attacker = |header: &str| crafted(header, &good_payload(), "attacker");
    let jwk = r#"{"alg":"HS256","jwk":{"kty":"oct","k":"YXR0YWNrZXI"}}"#;
    let rs256 =
        sign(Algorithm::RS256, &Secret::from(RSA.0), &json!({"sub": "alice", "exp": at(60)})).unwrap();
    let hs384 = sign(Algorithm::HS384, &Secret::from(HMAC_SECRET), &json!({"sub": "alice", "exp": at(60)}));
    let genuine = signed(&good);
    let mut parts = genuine.split('.');
    let [header, payload, signature] = [(); 3].map(|()| parts.next().unwrap());
    let mut flipped = signature.to_owned();
    flipped.replace_range(0..1, if signature.starts_with('A') { "B" } else { "A" });
    vec![
        ("alg none", unsigned(r#"{"alg":"none"}"#)),
        ("alg None", unsigned(r#"{"alg":"None"}"#)),
        ("alg nOnE", unsigned(r#"{"alg":"nOnE"}"#)),
        ("alg empty", unsigned(r#"{"alg":""}"#)),
        ("alg missing", unsigned(r#"{"typ":"JWT"}"#)),
        ("alg null", unsigned(r#"{"alg":null}"#)),
        ("alg twice", crafted(r#"{"alg":"HS256","alg":"none"}"#, &good, HMAC_SECRET)),
        ("alg none with a genuine signature", crafted(r#"{"alg":"none"}"#, &good, HMAC_SECRET)),
        ("alg in lower case", crafted(r#"{"alg":"hs256"}"#, &good, HMAC_SECRET)),
        ("signature empty", unsigned(r#"{"alg":"HS256"}"#)),
        ("signature of another key", by_attacker(r#"{"alg":"HS256"}"#)),
        ("signature changed", format!("{header}.{payload}.{flipped}")),
        ("another algorithm of the family", hs384.unwrap()),
        ("another family", rs256),
        ("kid of another key", by_attacker(r#"{"alg":"HS256","kid":"../../dev/null"}"#)),
        ("kid of an empty file", crafted(r#"{"alg":"HS256","kid":"/dev/null"}"#, &good, "")),
        ("kid of SQL", by_attacker(r#"{"alg":"HS256","kid":"' UNION SELECT 'attacker' --"}"#)),
        ("kid an object", by_attacker(r#"{"alg":"HS256","kid":{"k":"attacker"}}"#)),
        ("an empty key", crafted(r#"{"alg":"HS256"}"#, &good, "")),
        ("alg with a line break", crafted("{\"alg\":\"HS256\\n\"}", &good, HMAC_SECRET)),
        ("alg a list", crafted(r#"{"alg":["HS256","none"]}"#, &good, HMAC_SECRET)),
        ("jku", by_attacker(r#"{"alg":"HS256","jku":"http://127.0.0.1:1/keys"}"#)),
        ("jwk", by_attacker(jwk)),
        ("x5u", by_attacker(r#"{"alg":"HS256","x5u":"http://127.0.0.1:1/key"}"#)),
        ("x5c", by_attacker(r#"{"alg":"HS256","x5c":["AAAA"]}"#)),
        ("crit", crafted(r#"{"alg":"HS256","crit":["exp"]}"#, &good, HMAC_SECRET)),
        ("crit with b64", crafted(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, &good, HMAC_SECRET)),
    ]
}

/// Tokens that are not in the shape of one.
fn wrong_shapes() -> Vec<(&'static str, String)> {
    let genuine = signed(&good_payload());
    let parts: Vec<&str> = genuine.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let large = json!({"sub": "alice", "exp": at(60), "filler": "x".repeat(16 * 1024)}).to_string();
    let standard = |text: &str| STANDARD.encode(URL_SAFE_NO_PAD.decode(text).unwrap());
    vec![
        ("empty", String::new()),
        ("dots", "..".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{genuine}.{signature}")),
        ("truncated", genuine[..genuine.len() - 1].to_owned()),
        ("header and payload swapped", format!("{payload}.{header}.{signature}")),
        ("payload and signature swapped", format!("{header}.{signature}.{payload}")),
        (
            "payload of another",
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"bob"}"#)),
        ),
        ("padding", format!("{genuine}=")),
        ("standard base64", format!("{header}.{payload}.{}", standard(signature))),
        ("space before", format!(" {genuine}")),
        ("line break after", format!("{genuine}\n")),
        ("NUL inside", format!("{header}.{payload}\0.{signature}")),
        ("bearer", format!("Bearer {genuine}")),
        ("oversize", signed(&large)),
        ("almost a whole message", "a".repeat(60_000)),
        ("dots without end", ".".repeat(60_000)),
        ("JSON form", json!({"payload": payload, "signature": signature}).to_string()),
    ]
}

/// Tokens that are genuine and still prove nothing.
fn wrong_claims() -> Vec<(&'static str, String)> {
    let with = |claims: &str| signed(&format!(r#"{{"sub":"alice",{claims}}}"#));
    let sub = |sub: &str| signed(&format!(r#"{{"sub":{sub},"exp":{}}}"#, at(60)));
    let good = good_payload();
    vec![
        ("exp missing", signed(r#"{"sub":"alice"}"#)),
        ("exp in milliseconds", with(&format!(r#""exp":{}"#, at(60) * 1000))),
        ("exp huge", with(r#""exp":18446744073709551615"#)),
        ("exp beyond numbers", with(r#""exp":1e400"#)),
        ("exp negative", with(r#""exp":-1"#)),
        ("exp a string", with(&format!(r#""exp":"{}""#, at(60)))),
        ("exp null", with(r#""exp":null"#)),
        ("exp twice", with(&format!(r#""exp":1,"exp":{}"#, at(60)))),
        ("nbf in the future", with(&format!(r#""exp":{},"nbf":{}"#, at(600), at(300)))),
        ("nbf twice", with(&format!(r#""exp":{},"nbf":{},"nbf":1"#, at(600), at(300)))),
        ("aud twice", with(&format!(r#""exp":{},"aud":"other","aud":[]"#, at(60)))),
        ("channels twice", with(&format!(r#""exp":{},"channels":[],"channels":["*"]"#, at(60)))),
        ("exp and its twin by escape", with(&format!(r#""exp":1,"\u0065xp":{}"#, at(60)))),
        ("nbf a string", with(&format!(r#""exp":{},"nbf":"0""#, at(60)))),
        ("audience of somebody else", with(&format!(r#""exp":{},"aud":"other""#, at(60)))),
        ("sub missing", signed(&format!(r#"{{"exp":{}}}"#, at(60)))),
        ("sub null", sub("null")),
        ("sub empty", sub(r#""""#)),
        ("sub a list", sub(r#"["alice"]"#)),
        ("sub an object", sub(r#"{"name":"alice"}"#)),
        ("sub a fraction", sub("1.5")),
        ("sub with a line break", sub(r#""ali\nce""#)),
        ("sub with NUL", sub(r#""alice\u0000""#)),
        ("sub with C1", sub(r#""alice\u0085""#)),
        ("sub with half a surrogate", sub(r#""\ud800""#)),
        ("sub too long", sub(&format!("\"{}\"", "x".repeat(256)))),
        ("sub twice", signed(&format!(r#"{{"sub":"alice","sub":"alice","exp":{}}}"#, at(60)))),
        ("channels no list", with(&format!(r#""exp":{},"channels":"*""#, at(60)))),
        ("channels of truths", with(&format!(r#""exp":{},"channels":[true]"#, at(60)))),
        ("nested", signed(&format!("\"{}\"", signed(&good)))),
        ("a list", signed(&format!("[{good}]"))),
        ("no JSON", signed("sub=alice")),
        ("deep", signed(&"[".repeat(8_000))),
        ("two objects", signed(&format!("{good}{good}"))),
        ("byte order mark", signed(&format!("\u{feff}{good}"))),
    ]
}

#[test]
fn a_forged_token_makes_nobody_of_anyone_and_the_connection_stays() {
    let server = serve(ClientAuth::Jwt(Box::new(hmac_rule())));
    let forged = [wrong_signatures(), wrong_shapes(), wrong_claims()].concat();
    assert_eq!(forged.len(), 81, "each of them is refused below");
    for chunk in forged.chunks(20) {
        let mut client = Client::connect(server.address());
        for (what, token) in chunk {
            assert_eq!(client.ask("IDENT", &json!({"token": token})), error("IDENT not verified"), "{what}");
        }
        for user in ["alice", "bob", "7"] {
            server.dispatcher().notify_user(user, "SECRET", &1).unwrap();
        }
        client.nothing();
        client.ident(&json!({"token": signed(&good_payload())}), "alice");
    }
}

#[test]
fn a_token_member_that_is_no_string_is_no_token() {
    let server = serve(ClientAuth::Jwt(Box::new(hmac_rule())));
    let mut client = Client::connect(server.address());
    for value in [json!(null), json!(1), json!(["a"]), json!({"alg": "none"}), json!(true)] {
        assert_eq!(client.ask("IDENT", &json!({"token": value})), error("IDENT not verified"));
    }
    assert_eq!(client.ask("IDENT", &json!({"username": "alice"})), error("IDENT not verified"));
}

#[test]
fn an_expired_token_says_so_that_the_client_can_get_another() {
    let server = serve(ClientAuth::Jwt(Box::new(hmac_rule())));
    let mut client = Client::connect(server.address());
    let old = token(json!({"sub": "alice", "exp": at(-31)}));
    assert_eq!(client.ask("IDENT", &json!({"token": old})), error("token expired"));
    let within_leeway = token(json!({"sub": "alice", "exp": at(-20)}));
    client.ident(&json!({"token": within_leeway}), "alice");
}

#[test]
fn a_public_key_is_no_shared_secret() {
    for (algorithm, (_, public)) in ALGORITHMS.into_iter().skip(3) {
        let server_rule = rule(algorithm, public);
        for secret in [public, public.trim_end(), &public.replace('\n', "")] {
            let confused = crafted(r#"{"alg":"HS256"}"#, &good_payload(), secret);
            let refused = server_rule.verify_token(&confused, None, now());
            assert_eq!(refused, Err(JwtRefusal::Algorithm), "{algorithm:?}");
            let header = format!(r#"{{"alg":"{algorithm:?}"}}"#);
            let mislabelled = crafted(&header, &good_payload(), secret);
            assert_eq!(server_rule.verify_token(&mislabelled, None, now()), Err(JwtRefusal::Signature));
        }
    }
}

/// CVE-2022-21449: a verifier that forgets to check for zero takes this for every message.
#[test]
fn a_signature_of_zeros_is_no_signature() {
    for (algorithm, bytes) in [(Algorithm::ES256, 64), (Algorithm::ES384, 96), (Algorithm::EdDSA, 64)] {
        let (_, (_, public)) = ALGORITHMS.into_iter().find(|(other, _)| *other == algorithm).unwrap();
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm:?}"}}"#));
        let payload = URL_SAFE_NO_PAD.encode(good_payload());
        for signature in [vec![0; bytes], vec![0xFF; bytes], vec![0x30, 0x06, 2, 1, 0, 2, 1, 0], Vec::new()] {
            let token = format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(signature));
            let refused = rule(algorithm, public).verify_token(&token, None, now());
            assert_eq!(refused, Err(JwtRefusal::Signature), "{algorithm:?}");
        }
    }
}

#[test]
fn issuer_and_audience_must_be_those_of_the_configuration() {
    let mut strict = hmac_rule();
    strict.claims.issuer = Some("https://id.example".to_owned());
    strict.claims.audience = Some("turted".to_owned());
    let server = serve(ClientAuth::Jwt(Box::new(strict)));
    let mut client = Client::connect(server.address());
    let mut ident = |claims: Value| client.ask("IDENT", &json!({"token": token(claims)})).0;
    let (iss, aud) = ("https://id.example", "turted");
    assert_eq!(ident(json!({"sub": "a", "iss": iss, "aud": aud})), "OK");
    assert_eq!(ident(json!({"sub": "a", "iss": iss, "aud": ["x", aud]})), "OK");
    for claims in [
        json!({"sub": "a"}),
        json!({"sub": "a", "iss": iss}),
        json!({"sub": "a", "aud": aud}),
        json!({"sub": "a", "iss": "https://id.example/", "aud": aud}),
        json!({"sub": "a", "iss": [iss], "aud": aud}),
        json!({"sub": "a", "iss": iss, "aud": "turted2"}),
        json!({"sub": "a", "iss": iss, "aud": {aud: true}}),
    ] {
        assert_eq!(ident(claims.clone()), "ERROR", "{claims}");
    }
}

#[test]
fn names_of_all_scripts_are_users() {
    let server = serve(ClientAuth::Jwt(Box::new(hmac_rule())));
    let mut client = Client::connect(server.address());
    for user in ["\u{5d0}\u{5d1}", "\u{1f600}", "__proto__", "a\u{301}", "\u{e1}", "\u{202e}evil", "a b"] {
        client.ident(&json!({"token": token(json!({"sub": user}))}), user);
        server.dispatcher().notify_user(user, "HELLO", &1).unwrap();
        assert_eq!(client.dispatched(), "HELLO", "{user}");
    }
    server.dispatcher().notify_user("\u{e1}", "TWIN", &1).unwrap();
    client.nothing();
}
