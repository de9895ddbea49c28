//! Keys of JSON Web Tokens: several in one file, sets of them, and their change while the server runs.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use turted::authenticator::{Algorithm, ClaimRules, JwtKeyRefusal, JwtKeys, JwtRefusal, JwtRule, sign};
use turted::config::{ClientAuth, Config, ConfigFile, Secret, Sources};

use crate::jwt::{ED25519, P256, RSA, now};
use crate::support::{Client, at, bind, config, error};

/// The key that comes after [`P256`].
const NEXT: (&str, &str) = (include_str!("../keys/p256-next.pem"), include_str!("../keys/p256-next.pub.pem"));

/// A genuine token, with this name of its key in the header.
fn signed(algorithm: Algorithm, private: &str, kid: Option<&str>, claims: &Value) -> String {
    let mut header = jsonwebtoken::Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    let key = match algorithm {
        Algorithm::RS256 => jsonwebtoken::EncodingKey::from_rsa_pem(private.as_bytes()),
        Algorithm::EdDSA => jsonwebtoken::EncodingKey::from_ed_pem(private.as_bytes()),
        _ => jsonwebtoken::EncodingKey::from_ec_pem(private.as_bytes()),
    };
    jsonwebtoken::encode(&header, claims, &key.unwrap()).unwrap()
}

fn rule(algorithm: Algorithm, text: &str) -> Result<JwtRule, JwtKeyRefusal> {
    let keys = JwtKeys::new(algorithm, Secret::from(text))?;
    Ok(JwtRule { algorithm, keys, claims: ClaimRules::default() })
}

fn alice() -> Value {
    json!({"sub": "alice", "exp": at(60)})
}

fn der(public: &str) -> Vec<u8> {
    let body: String = public.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(body).unwrap()
}

/// The JSON Web Key of one of the test keys: their DER forms end in the numbers.
fn jwk(kid: &str, public: &str, members: Value) -> Value {
    let (der, text) = (der(public), |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes));
    let mut key = match der.len() {
        91 => json!({"kty": "EC", "crv": "P-256", "x": text(&der[27..59]), "y": text(&der[59..])}),
        44 => json!({"kty": "OKP", "crv": "Ed25519", "x": text(&der[12..])}),
        294 => json!({"kty": "RSA", "n": text(&der[33..289]), "e": text(&der[291..])}),
        other => panic!("a test key of {other} bytes"),
    };
    key["kid"] = kid.into();
    key.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    key
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

#[test]
fn each_of_several_keys_in_one_pem_file_counts() {
    let both = format!("# the next one\n{}# the current one\n{}", NEXT.1, P256.1);
    let rule = rule(Algorithm::ES256, &both).unwrap();
    assert_eq!(rule.keys.count(), 2);
    for private in [P256.0, NEXT.0] {
        for kid in [None, Some("anything"), Some("../../dev/null")] {
            let token = signed(Algorithm::ES256, private, kid, &alice());
            assert!(rule.verify_token(&token, None, now()).is_ok(), "keys in PEM have no names");
        }
    }
    let one = self::rule(Algorithm::ES256, P256.1).unwrap();
    let other = signed(Algorithm::ES256, NEXT.0, None, &alice());
    assert_eq!(one.verify_token(&other, None, now()), Err(JwtRefusal::Signature));
}

#[test]
fn a_key_in_pem_is_read_however_its_lines_end() {
    let token = signed(Algorithm::RS256, RSA.0, None, &alice());
    let lines: Vec<&str> = RSA.1.lines().collect();
    for end in ["\n", "\r\n", "\\n", "\\r\\n", " ", "\n\n", "\n    "] {
        let rule = rule(Algorithm::RS256, &lines.join(end)).unwrap();
        assert!(rule.verify_token(&token, None, now()).is_ok(), "{end:?}");
    }
}

#[test]
fn a_text_without_a_key_is_refused_with_what_is_wrong_with_it() {
    let refusal = |text: &str| rule(Algorithm::ES256, text).unwrap_err();
    let without_end = P256.1.replace("-----END PUBLIC KEY-----", "");
    let damaged = P256.1.replace("MFkw", "M*kw");
    let bundle = format!("{}-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n", P256.1);
    let mixed = format!("{}{}", P256.1, RSA.1);
    let private = json!({"d": "AAAA"});
    for (text, expected) in [
        ("", JwtKeyRefusal::NoPublicKey),
        ("tiger", JwtKeyRefusal::NoPublicKey),
        (&without_end, JwtKeyRefusal::BrokenPem),
        (&damaged, JwtKeyRefusal::BrokenPem),
        (P256.0, JwtKeyRefusal::Private),
        (&format!("{}{}", P256.1, P256.0), JwtKeyRefusal::Private),
        (&bundle, JwtKeyRefusal::Certificate),
        (&mixed, JwtKeyRefusal::OtherKind),
        (r#"{"keys":[]}"#, JwtKeyRefusal::NoneInSet),
        (r#"{"keys":"#, JwtKeyRefusal::BrokenSet),
        (r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA"}]}"#, JwtKeyRefusal::BrokenSet),
        (r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#, JwtKeyRefusal::OtherKind),
        (&set(&[jwk("a", P256.1, private)]), JwtKeyRefusal::Private),
        (&set(&[jwk("a", RSA.1, json!({}))]), JwtKeyRefusal::NoneInSet),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
    assert_eq!(rule(Algorithm::HS256, &set(&[])).unwrap_err(), JwtKeyRefusal::SetForHmac);
    assert!(JwtKeyRefusal::Certificate.to_string().contains("openssl x509 -pubkey"));
}

#[test]
fn sixteen_keys_may_be_there_and_no_seventeenth() {
    assert_eq!(rule(Algorithm::ES256, &P256.1.repeat(16)).unwrap().keys.count(), 16);
    assert_eq!(rule(Algorithm::ES256, &P256.1.repeat(17)).unwrap_err(), JwtKeyRefusal::TooMany);
}

#[test]
fn a_key_of_a_set_verifies_the_tokens_that_name_it_or_none() {
    let keys = set(&[jwk("old", P256.1, json!({"use": "sig"})), jwk("new", NEXT.1, json!({"alg": "ES256"}))]);
    let rule = rule(Algorithm::ES256, &keys).unwrap();
    let verify = |private: &str, kid: Option<&str>| {
        let token = signed(Algorithm::ES256, private, kid, &alice());
        rule.verify_token(&token, None, now()).map(|_| ())
    };
    for (private, kid) in [(P256.0, Some("old")), (NEXT.0, Some("new")), (P256.0, None), (NEXT.0, None)] {
        assert_eq!(verify(private, kid), Ok(()), "{kid:?}");
    }
    assert_eq!(verify(P256.0, Some("new")), Err(JwtRefusal::Signature), "signed with another than it names");
    for kid in ["", "newer", "../../dev/null"] {
        assert_eq!(verify(NEXT.0, Some(kid)), Err(JwtRefusal::UnknownKey), "{kid}");
    }
}

#[test]
fn keys_of_a_set_that_are_for_something_else_do_not_count() {
    for (algorithm, (private, public)) in
        [(Algorithm::RS256, RSA), (Algorithm::EdDSA, ED25519), (Algorithm::ES256, P256)]
    {
        let keys = set(&[
            // As Keycloak publishes its key for encryption, beside one with the members of other providers.
            jwk("enc", RSA.1, json!({"use": "enc", "alg": "RSA-OAEP", "x5c": ["MII="], "x5t": "AA"})),
            json!({"kty": "oct", "k": "AAAA", "kid": "shared"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "other curve"}),
            jwk("wrap", public, json!({"key_ops": ["wrapKey"]})),
            jwk("own", public, json!({"use": "sig", "key_ops": ["verify"], "ext": true})),
        ]);
        let rule = rule(algorithm, &keys).unwrap();
        assert_eq!(rule.keys.count(), 1, "{algorithm:?}");
        let token = signed(algorithm, private, Some("own"), &alice());
        assert!(rule.verify_token(&token, None, now()).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn a_set_with_a_short_key_of_rsa_is_refused() {
    let n = URL_SAFE_NO_PAD.encode([0xff; 128]);
    let short = json!({"kty": "RSA", "n": n, "e": "AQAB"});
    assert_eq!(rule(Algorithm::RS256, &set(&[short])).unwrap_err(), JwtKeyRefusal::ShortRsa);
}

/// A configuration whose keys are in a file with this text, and that file.
fn from_file(text: &str) -> (TempDir, PathBuf, Config) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("keys");
    fs::write(&file, text).unwrap();
    let variables = [("TURTED_AUTH_ALGORITHM", "ES256"), ("TURTED_AUTH_KEY_FILE", file.to_str().unwrap())];
    let sources = Sources {
        variables: variables.map(|(name, value)| (name.into(), value.into())).into(),
        file: ConfigFile::IfPresent(directory.path().join("none")),
        flags: Vec::new(),
    };
    let method = Config::load(&sources).unwrap().auth.method;
    let mut config = config(method);
    config.limits.wrong_idents = 1;
    (directory, file, config)
}

#[test]
fn a_token_of_a_key_that_was_taken_out_is_refused_and_no_guess() {
    let (_directory, file, config) = from_file(P256.1);
    let server = bind(config);
    let keys = server.keys().unwrap();
    let mut client = Client::connect(server.address());
    let [old, new] =
        [P256.0, NEXT.0].map(|key| json!({"token": signed(Algorithm::ES256, key, None, &alice())}));
    client.ident(&old, "alice");
    fs::write(&file, format!("{}{}", P256.1, NEXT.1)).unwrap();
    assert_eq!(keys.reload().unwrap(), Some(2));
    client.ident(&old, "alice");
    client.ident(&new, "alice");

    fs::write(&file, NEXT.1).unwrap();
    assert_eq!(keys.reload().unwrap(), Some(1));
    for _ in 0..3 {
        assert_eq!(client.ask("IDENT", &old), error("token expired"), "the client is to get a new one");
    }
    let stale = json!({"sub": "alice", "exp": at(-3_600)});
    for key in [P256.0, NEXT.0] {
        let token = signed(Algorithm::ES256, key, None, &stale);
        assert_eq!(client.ask("IDENT", &json!({ "token": token })), error("token expired"));
    }
    server.dispatcher().notify_user("alice", "STILL", &1).unwrap();
    assert_eq!(client.dispatched(), "STILL", "who is a user stays one");
    client.ident(&new, "alice");

    let forged = old["token"].as_str().unwrap().replace('.', ".A");
    assert_eq!(client.ask("IDENT", &json!({ "token": forged })), error("IDENT not verified"));
    let guess = client.ask("IDENT", &json!({"token": "a.b.c"}));
    assert_eq!(guess.1, "too many wrong IDENTs from this address (limits.wrong_idents)", "that was a guess");

    fs::write(&file, P256.1).unwrap();
    assert_eq!(keys.reload().unwrap(), Some(1));
    client.ident(&old, "alice");
}

#[test]
fn a_set_with_names_is_read_again_and_its_former_keys_are_known() {
    let (_directory, file, config) = from_file(&set(&[jwk("a", P256.1, json!({}))]));
    let server = bind(config);
    let mut client = Client::connect(server.address());
    let ident = |key: &str, kid: &str| json!({"token": signed(Algorithm::ES256, key, Some(kid), &alice())});
    client.ident(&ident(P256.0, "a"), "alice");
    fs::write(&file, set(&[jwk("b", NEXT.1, json!({}))])).unwrap();
    server.keys().unwrap().reload().unwrap();
    client.ident(&ident(NEXT.0, "b"), "alice");
    assert_eq!(client.ask("IDENT", &ident(P256.0, "a")), error("token expired"));
    assert_eq!(
        client.ask("IDENT", &ident(P256.0, "b")),
        error("IDENT not verified"),
        "it lies about its key"
    );
}

#[test]
fn keys_that_cannot_be_read_again_stay() {
    let (_directory, file, config) = from_file(P256.1);
    let server = bind(config);
    let keys = server.keys().unwrap();
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        keys.reload().map_err(|error| error.to_string())
    };
    assert!(reload(RSA.1).unwrap_err().ends_with("(ES256 needs P-256, ES384 P-384, EdDSA Ed25519)"));
    assert!(reload(P256.0).unwrap_err().contains("this is a private key"));
    let comment = "#".repeat(64 * 1024 - P256.1.len());
    assert!(reload(&format!("#{comment}{}", P256.1)).unwrap_err().contains("at most 65536 bytes"));
    assert_eq!(reload(&format!("{comment}{}", P256.1)), Ok(Some(1)));
    fs::remove_file(&file).unwrap();
    assert!(keys.reload().unwrap_err().to_string().contains("cannot take the keys of "));
    let mut client = Client::connect(server.address());
    client.ident(&json!({"token": signed(Algorithm::ES256, P256.0, None, &alice())}), "alice");
}

#[test]
fn keys_that_came_from_no_file_are_not_read_again() {
    let rule = rule(Algorithm::ES256, P256.1).unwrap();
    let server = bind(config(ClientAuth::Jwt(Box::new(rule))));
    assert_eq!(server.keys().unwrap().reload().unwrap(), None);
    assert!(bind(config(ClientAuth::Accept)).keys().is_none());
}

#[test]
fn a_shared_secret_is_changed_like_a_key() {
    let (_directory, file, mut config) = from_file(P256.1);
    let secrets = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
    let keys = JwtKeys::new(Algorithm::HS256, Secret::from(secrets[0])).unwrap().from_file(&file);
    let claims = ClaimRules::default();
    config.auth.method = ClientAuth::Jwt(Box::new(JwtRule { algorithm: Algorithm::HS256, keys, claims }));
    let server = bind(config);
    let mut client = Client::connect(server.address());
    let [old, new] = secrets
        .map(|secret| json!({"token": sign(Algorithm::HS256, &Secret::from(secret), &alice()).unwrap()}));
    client.ident(&old, "alice");
    fs::write(&file, format!("{}\n", secrets[1])).unwrap();
    server.keys().unwrap().reload().unwrap();
    assert_eq!(client.ask("IDENT", &old), error("token expired"));
    client.ident(&new, "alice");
}
