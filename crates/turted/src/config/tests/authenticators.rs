//! `auth.method` = "jwt" and "http": what they need, and what they refuse.

use super::*;
use crate::auth::Algorithm;

const PUBLIC_KEY: &str = include_str!("../../../tests/keys/p256.pub.pem");
const PRIVATE_KEY: &str = include_str!("../../../tests/keys/p256.pem");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_json_web_token_has_an_algorithm_a_key_and_claims() {
    let place = Place::new(
        "[auth]\nmethod = \"jwt\"\nalgorithm = \"ES256\"\nkey_file = \"key.pem\"\nuser_claim = \"uid\"\n\
         channels_claim = \"rooms\"\nissuer = \"me\"\naudience = \"turted\"\nleeway = \"5s\"",
    );
    place.write("key.pem", PUBLIC_KEY);
    set_mode(&place.0.path().join("key.pem"), 0o644);
    let loaded = place.load(&[], &[]).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new(), "a public key may be read by all");
    let ClientAuth::Jwt(rule) = loaded.config.auth.method else { panic!("jwt") };
    assert_eq!(rule.algorithm, Algorithm::ES256);
    assert_eq!(rule.claims.user, "uid");
    assert_eq!(rule.claims.channels.as_deref(), Some("rooms"));
    assert_eq!(rule.claims.issuer.as_deref(), Some("me"));
    assert_eq!(rule.claims.audience.as_deref(), Some("turted"));
    assert_eq!(rule.claims.leeway, Duration::from_secs(5));
}

#[test]
fn keys_and_urls_alone_choose_their_method() {
    let variables = [("TURTED_AUTH_ALGORITHM", "HS256"), ("TURTED_AUTH_KEY", SECRET)];
    let config = Place::new("").load(&variables, &[]).unwrap().config;
    assert!(matches!(config.auth.method, ClientAuth::Jwt(_)));
    let config = Place::new("").load(&[("TURTED_AUTH_URL", "http://backend/")], &[]).unwrap().config;
    assert_eq!(config.auth.method, ClientAuth::Http("http://backend/".parse().unwrap()));
}

#[test]
fn what_is_missing_or_does_not_belong_is_told() {
    check(
        "[auth]\nmethod = \"jwt\"",
        &[],
        "turted.toml:2:10: `auth.method` = \"jwt\" needs `auth.key` or `auth.key_file`\n\
         turted.toml:2:10: `auth.method` = \"jwt\" needs `auth.algorithm`",
    );
    check(
        "[auth]\nalgorithm = \"RS256\"",
        &[],
        "turted.toml:2:13: `auth.method` = \"jwt\" needs `auth.key` or `auth.key_file`",
    );
    check("[auth]\nmethod = \"http\"", &[], "turted.toml:2:10: `auth.method` = \"http\" needs `auth.url`");
    check(
        "[auth]\nmethod = \"http\"\nurl = \"http://a/\"\nkey = \"x\"",
        &[],
        "turted.toml:4:7: `auth.key` has no effect with `auth.method` = \"http\"",
    );
    check(
        "[auth]\nmethod = \"accept\"\nurl = \"http://a/\"\nissuer = \"x\"",
        &[],
        "turted.toml:3:7: `auth.url` has no effect with `auth.method` = \"accept\"\n\
         turted.toml:4:10: `auth.issuer` has no effect with `auth.method` = \"accept\"",
    );
    check(
        "[auth]\nalgorithm = \"none\"",
        &[],
        "turted.toml:2:13: `auth.algorithm`: expected \"HS256\", \"HS384\", \"HS512\", \"RS256\", \"RS384\", \
         \"RS512\", \"PS256\", \"PS384\", \"PS512\", \"ES256\", \"ES384\" or \"EdDSA\", found \"none\"",
    );
    check(
        "[auth]\nurl = \"http://a/\"\ntimeout = \"21s\"",
        &[],
        "turted.toml:3:11: `auth.timeout` = 21000 is above `socketio.ping_timeout` = 20000: the answer to a \
         heartbeat waits behind an IDENT (both in milliseconds)",
    );
    check(
        "[auth]\nuser_claim = \"\"",
        &[],
        "turted.toml:2:14: `auth.user_claim`: expected a string that is not empty, found \"\"",
    );
}

#[test]
fn a_url_that_is_none_is_not_repeated() {
    for url in ["https://user:canary@backend/", "http://user:canary@backend/", "backend", ""] {
        check(
            &format!("[auth]\nurl = \"{url}\""),
            &[],
            "turted.toml:2:7: `auth.url`: expected a URL such as \"http://127.0.0.1:8080/auth\": http or https, without credentials",
        );
    }
}

#[test]
fn an_authority_is_named_for_a_backend_over_tls_alone() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let place = Place::new("[auth]\nurl = \"https://backend/\"\nca = \"ca.pem\"");
    place.write("ca.pem", &key.cert.pem());
    let config = place.load(&[], &[]).unwrap().config;
    assert_eq!(config.auth.method, ClientAuth::Http("https://backend/".parse().unwrap()));
    assert_eq!(config.auth.ca, Some(place.0.path().join("ca.pem")));
    place.write("ca.pem", "canary");
    let error = place.load(&[], &[]).map(|_| ()).unwrap_err();
    assert!(
        error.starts_with("turted.toml:3:6: `auth.ca`: cannot read the certificates in ca.pem: "),
        "{error}"
    );
    check(
        "[auth]\nurl = \"http://backend/\"\nca = \"ca.pem\"",
        &[],
        "turted.toml:3:6: `auth.ca` has no effect without TLS: `auth.url` begins with https:// then",
    );
    check("[auth]\nca = \"ca.pem\"", &[], "turted.toml:2:6: `auth.method` = \"http\" needs `auth.url`");
}

#[test]
fn a_key_that_is_none_is_told_without_being_shown() {
    let cases = [
        (
            "HS256",
            PUBLIC_KEY,
            "a PEM key is no shared secret; it belongs to an RS, PS, ES or EdDSA algorithm",
        ),
        ("ES256", PRIVATE_KEY, "this is a private key, which stays with the signer; expected its public key"),
        (
            "ES256",
            "canary",
            "expected public keys in PEM (-----BEGIN PUBLIC KEY-----) or a set of JSON Web Keys ({\"keys\":[..]})",
        ),
        (
            "ES384",
            PUBLIC_KEY,
            "the key is not one of this algorithm (ES256 needs P-256, ES384 P-384, EdDSA Ed25519)",
        ),
    ];
    let short = include_str!("../../../tests/keys/rsa1024.pub.pem");
    for (algorithm, key, reason) in
        cases.into_iter().chain([("RS256", short, "an RSA key has at least 2048 bits")])
    {
        let variables = [("TURTED_AUTH_ALGORITHM", algorithm), ("TURTED_AUTH_KEY", key)];
        let what = format!("`auth.key` with `auth.algorithm` = \"{algorithm}\": {reason}");
        check("", &variables, &format!("TURTED_AUTH_KEY: {what}"));
    }
}

#[test]
fn a_short_secret_is_a_warning() {
    let load = |key: &str| {
        let variables = [("TURTED_AUTH_ALGORITHM", "HS256"), ("TURTED_AUTH_KEY", key)];
        Place::new("").load(&variables, &[]).unwrap()
    };
    assert!(load(SECRET).warnings.is_empty());
    let loaded = load("canary");
    let [warning] = &loaded.warnings[..] else { panic!("one warning") };
    assert!(warning.starts_with("`auth.key` is shorter than the hash"), "{warning}");
    let shown = format!("{loaded:?} {}", loaded.effective());
    assert!(!shown.contains("canary"), "{shown}");
}
