//! Which user an IDENT proves, and which it does not.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use serde_json::value::RawValue;
use turted_core::auth::{ClientAuthenticator, Hash, IdentRefusal, TokenRule, UnknownHash};
use turted_core::command::Command;
use turted_core::secret::Secret;

/// `hash(salté + alice + pepper)` as Python's hashlib computes it.
const TOKENS: [(&str, &str); 4] = [
    ("md5", "60194062ce7ff1e75b005c03266e8a9a"),
    ("sha1", "af66a3e1bcec1fdc13b3ab525b439ae4f1cfef56"),
    ("sha256", "f8d3df62e008c244c8da7049a0ae8dc7f156e2bb9c275c3ab5d3154ab90becf5"),
    (
        "sha512",
        "4ebc528e25e49816943c0c6da73bea67dae3cdbbfad48c600df5d01f85936b746b9a61fed833832442e5234aee3f71a737aa1115da0542e7dd22984b4bb2a0e0",
    ),
];

fn rule(hash: &str) -> TokenRule {
    TokenRule { hash: hash.parse().unwrap(), prefix: "salté".into(), suffix: "pepper".into() }
}

/// The user name of the reply, or the text of the refusal.
fn verify(authenticator: &ClientAuthenticator, json: &str) -> Result<String, IdentRefusal> {
    let data: Box<RawValue> = serde_json::from_str(json).unwrap();
    let Ok(Command::Ident(ident)) = Command::decode("IDENT", &[&data]) else { panic!("{json}") };
    authenticator.verify(&ident).map(|identity| identity.username_json)
}

#[test]
fn tokens_are_those_of_other_languages() {
    for (hash, token) in TOKENS {
        assert_eq!(rule(hash).sign("alice"), token);
        assert!(rule(hash).verify("alice", token), "{hash}");
        assert!(rule(hash).verify("alice", &token.to_uppercase()), "{hash}");
    }
    assert_eq!("sha3".parse::<Hash>(), Err(UnknownHash));
    assert_eq!("SHA256".parse::<Hash>(), Err(UnknownHash));
}

#[test]
fn a_token_proves_nobody_else_and_nothing_less() {
    for (hash, token) in TOKENS {
        let longer = format!("{token}00");
        let other = rule(hash).sign("bob");
        for wrong in ["", "h57dlot8", "zz", &token[1..], &token[2..], &longer, &other, &format!(" {token}")] {
            assert!(!rule(hash).verify("alice", wrong), "{hash} {wrong}");
        }
        assert!(!rule(hash).verify("bob", token), "{hash}");
        assert!(!rule(hash).verify("Alice", token), "{hash}");
    }
}

#[test]
fn an_authenticator_names_the_user_it_proved() {
    let password = ClientAuthenticator::Password("tiger".into());
    let token = ClientAuthenticator::Token(rule("sha256"));
    let good = TOKENS[2].1;
    let number = rule("sha256").sign("7");
    let with_token = |user: &str, token: &str| format!(r#"{{"username":{user},"token":"{token}"}}"#);
    let (missing, wrong) = (Err(IdentRefusal::UserMissing), Err(IdentRefusal::NotVerified));
    let alice = || Ok(r#""alice""#.to_owned());
    let cases = [
        (&ClientAuthenticator::Accept, r#"{"user":"alice"}"#.to_owned(), alice()),
        (&ClientAuthenticator::Accept, r#"{"username":7}"#.to_owned(), Ok("7".to_owned())),
        (&ClientAuthenticator::Accept, "{}".to_owned(), missing.clone()),
        (&password, r#"{"username":"alice","password":"tiger"}"#.to_owned(), alice()),
        (&password, r#"{"username":"alice","password":"lion"}"#.to_owned(), wrong.clone()),
        (&password, r#"{"username":"alice","password":["tiger"]}"#.to_owned(), wrong.clone()),
        (&password, r#"{"username":"alice"}"#.to_owned(), wrong.clone()),
        (&password, r#"{"password":"tiger"}"#.to_owned(), missing.clone()),
        (&password, r#"{"password":"lion"}"#.to_owned(), wrong.clone()),
        (&password, "{}".to_owned(), wrong.clone()),
        (&token, "{}".to_owned(), wrong.clone()),
        (&token, with_token(r#""alice""#, good), alice()),
        (&token, with_token(r#""bob""#, good), wrong.clone()),
        (&token, with_token("7", &number), Ok("7".to_owned())),
        (&token, with_token(r#""foo""#, "h57dlot8"), wrong.clone()),
        (&token, r#"{"username":"alice"}"#.to_owned(), wrong.clone()),
        (&token, format!(r#"{{"token":"{good}"}}"#), wrong.clone()),
    ];
    for (authenticator, json, expected) in cases {
        assert_eq!(verify(authenticator, &json), expected, "{json}");
    }
    assert_eq!(IdentRefusal::NotVerified.to_string(), "IDENT not verified");
}

#[test]
fn a_secret_is_matched_by_itself_alone_and_never_shown() {
    let secret = Secret::from("tiger");
    assert!(secret.matches("tiger"));
    for wrong in ["", "tige", "tiger ", "Tiger", "tigertiger"] {
        assert!(!secret.matches(wrong), "{wrong}");
    }
    assert!(!Secret::from("").matches(""), "a forgotten setting lets no client in");
    let shown = format!("{:?} {:?}", ClientAuthenticator::Password(secret), rule("md5"));
    assert!(!shown.contains("tiger"), "{shown}");
    assert!(!shown.contains("pepper"), "{shown}");
    assert!(shown.contains("***"), "{shown}");
}

#[test]
fn a_secret_of_128_bits_in_base64_is_one_that_nobody_guesses() {
    let of = |characters: usize| Secret::from("é".repeat(characters));
    assert!(of(22).is_strong(), "characters count, not bytes");
    assert!(!of(21).is_strong(), "characters count, not bytes");
    assert!(!Secret::from("").is_strong());
    assert!(Secret::from("").is_empty());
    assert!(!of(1).is_empty());
    let rule = |prefix, suffix| TokenRule { hash: Hash::Md5, prefix: of(prefix), suffix: of(suffix) };
    for (prefix, suffix, expected) in
        [(22, 0, true), (0, 22, true), (11, 11, true), (11, 10, false), (0, 0, false)]
    {
        let rule = rule(prefix, suffix);
        assert_eq!(rule.is_strong(), expected, "{prefix} and {suffix}");
        assert_eq!(ClientAuthenticator::Token(rule).is_strong(), expected);
    }
    assert!(ClientAuthenticator::Password(of(22)).is_strong());
    assert!(!ClientAuthenticator::Password(of(21)).is_strong());
    assert!(!ClientAuthenticator::Accept.is_strong(), "it asks for no secret");
}
