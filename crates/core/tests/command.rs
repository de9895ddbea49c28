//! What clients may ask, and how each broken command is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;
use turted_core::command::{Command, CommandRefusal, Extras};
use turted_core::limits::{IDENT_DEPTH_MAX, NAME_BYTES_MAX};

/// The command in short, or the text of its refusal.
fn decode(event: &str, json: &[&str]) -> String {
    let args: Vec<Box<RawValue>> = json.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
    let args: Vec<&RawValue> = args.iter().map(|raw| &**raw).collect();
    let short = |data: Option<&RawValue>| data.map_or("-", RawValue::get).to_owned();
    match Command::decode(event, &args) {
        Ok(Command::Ident(ident)) => match ident.user {
            Some(user) => format!("ident {} {}", user.name.as_str(), user.json),
            None => "ident".to_owned(),
        },
        Ok(Command::Join(name)) => format!("join {}", name.as_str()),
        Ok(Command::JoinWith(name, Extras { history, presence })) => {
            let history = history.map_or(String::new(), |wanted| {
                let since = wanted.since.map_or("-".to_owned(), |since| since.to_string());
                format!(" {} {since}", wanted.newest)
            });
            let presence = if presence { " presence" } else { "" };
            format!("join {}{history}{presence}", name.as_str())
        }
        Ok(Command::Presence(name)) => format!("presence {}", name.as_str()),
        Ok(Command::Leave(name)) => format!("leave {}", name.as_str()),
        Ok(Command::Echo(data)) => format!("echo {}", short(data)),
        Ok(Command::Ping(data)) => format!("ping {}", short(data)),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn commands_are_decoded() {
    let cases: [(&str, &[&str], &str); 42] = [
        ("IDENT", &[r#"{"username":"alice"}"#], r#"ident alice "alice""#),
        ("IDENT", &[r#"{"user":"alice"}"#], r#"ident alice "alice""#),
        ("IDENT", &[r#"{"username":"a","user":"b"}"#], r#"ident a "a""#),
        ("IDENT", &[r#"{"username":"","user":"b"}"#], r#"ident b "b""#),
        ("IDENT", &[r#"{"username":0,"user":"b"}"#], r#"ident b "b""#),
        ("IDENT", &[r#"{"username":7}"#], "ident 7 7"),
        ("IDENT", &[r#"{"username":"\u00e9\"\/"}"#], r#"ident é"/ "é\"/""#),
        ("IDENT", &[r#"{"username":"__proto__"}"#], r#"ident __proto__ "__proto__""#),
        ("IDENT", &[r#"{"token":"abc"}"#], "ident"),
        ("IDENT", &[r#"{"hasOwnProperty":1}"#], "ident"),
        ("IDENT", &["{}"], "ident"),
        ("JOIN", &[r#"{"channel":"chat","x":1}"#], "join chat"),
        ("JOIN", &[r#"{"channel":"constructor"}"#, "7"], "join constructor"),
        ("JOIN", &[r#"{"channel":"c","history":50}"#], "join c 50 -"),
        ("JOIN", &[r#"{"channel":"c","since":"ff-36"}"#], "join c 1000 ff-36"),
        ("JOIN", &[r#"{"channel":"c","history":1000,"since":"ff-36"}"#], "join c 1000 ff-36"),
        ("JOIN", &[r#"{"channel":"c","history":0,"since":null}"#], "join c"),
        ("JOIN", &[r#"{"channel":"c","history":null}"#], "join c"),
        ("JOIN", &[r#"{"channel":"c","history":1001}"#], "history must be a whole number from 0 to 1000"),
        ("JOIN", &[r#"{"channel":"c","history":"50"}"#], "history must be a whole number from 0 to 1000"),
        ("JOIN", &[r#"{"channel":"c","history":-1}"#], "history must be a whole number from 0 to 1000"),
        ("JOIN", &[r#"{"channel":"c","since":7}"#], "since must be a cursor or a position"),
        ("JOIN", &[r#"{"channel":"c","presence":true}"#], "join c presence"),
        ("JOIN", &[r#"{"channel":"c","presence":true,"history":5}"#], "join c 5 - presence"),
        ("JOIN", &[r#"{"channel":"c","presence":false}"#], "join c"),
        ("JOIN", &[r#"{"channel":"c","presence":null}"#], "join c"),
        ("JOIN", &[r#"{"channel":"c","presence":1}"#], "presence must be true or false"),
        ("JOIN", &[r#"{"channel":"c","presence":"true"}"#], "presence must be true or false"),
        ("PRESENCE", &[r#"{"channel":"chat"}"#], "presence chat"),
        ("LEAVE", &[r#"{"channel":"chat"}"#], "leave chat"),
        ("ECHO", &[r#"{"a" : 1e400}"#], r#"echo {"a" : 1e400}"#),
        ("ECHO", &["1", "2"], "echo 1"),
        ("ECHO", &[], "echo -"),
        ("PING", &["null"], "ping null"),
        ("PING", &[], "ping -"),
        ("message", &[r#""ECHO""#], "echo -"),
        ("message", &[r#""PING""#, "1"], "ping -"),
        ("message", &[r#""JOIN""#], "data missing"),
        ("message", &[r#""IDENT""#, "{}"], "data missing"),
        ("message", &[r#""LEAVE""#], "data missing"),
        (
            "message",
            &[r#""CLOSE""#],
            "unknown command: there are IDENT, JOIN, LEAVE, PRESENCE, ECHO and PING",
        ),
        (
            "message",
            &[r#""message""#],
            "unknown command: there are IDENT, JOIN, LEAVE, PRESENCE, ECHO and PING",
        ),
    ];
    for (event, args, expected) in cases {
        assert_eq!(decode(event, args), expected, "{event} {args:?}");
    }
}

#[test]
fn other_names_are_no_commands() {
    for event in ["", "ident", "Join", "OK", "EVENT", "CLOSE", "disconnect", "__proto__", "ECHO "] {
        assert_eq!(decode(event, &["{}"]), CommandRefusal::Unknown.to_string(), "{event}");
    }
}

#[test]
fn broken_commands_are_refused_by_a_rule_each() {
    let long = format!(r#"{{"channel":"{}"}}"#, "x".repeat(NAME_BYTES_MAX + 1));
    let cases: [(&str, &[&str], &str); 20] = [
        ("IDENT", &[], "data missing"),
        ("IDENT", &["null"], "data missing"),
        ("IDENT", &["5"], "data must be an object"),
        ("IDENT", &["[]"], "data must be an object"),
        ("IDENT", &[r#""alice""#], "data must be an object"),
        ("IDENT", &[r#"{"username":true}"#], "user name must be a string or an integer"),
        ("IDENT", &[r#"{"username":1.5}"#], "user name must be a string or an integer"),
        ("IDENT", &[r#"{"username":{},"user":"a"}"#], "user name must be a string or an integer"),
        ("IDENT", &[r#"{"username":"\ud800"}"#], "user name must be a string or an integer"),
        ("IDENT", &[r#"{"username":"a\n"}"#], "user name: a name must not contain control characters"),
        ("IDENT", &[r#"{"username":"a","username":"b"}"#], "duplicate key username"),
        ("JOIN", &[], "data missing"),
        ("JOIN", &["{}"], "channel missing"),
        ("JOIN", &[r#"{"channel":null}"#], "channel missing"),
        ("JOIN", &[r#"{"channel":""}"#], "channel missing"),
        ("JOIN", &[r#"{"channel":7}"#], "channel must be a string"),
        ("JOIN", &[r#"{"channel":["a"]}"#], "channel must be a string"),
        ("JOIN", &[&long], "channel: a name has at most 255 bytes"),
        ("LEAVE", &[r#"{"channel":"a","channel":"a"}"#], "duplicate key channel"),
        ("message", &["5"], "message must be the name of a command"),
    ];
    for (event, args, expected) in cases {
        assert_eq!(decode(event, args), expected, "{event} {args:?}");
    }
    assert_eq!(decode("message", &[]), "message must be the name of a command");
}

#[test]
fn every_type_in_every_place_is_taken_or_refused() {
    let values =
        ["null", "true", "false", "0", "7", "1.5", "1e400", r#""""#, r#""a""#, r#""\ud800""#, "[]", "{}"];
    for event in ["IDENT", "JOIN", "LEAVE", "PRESENCE", "ECHO", "PING", "message", "other"] {
        for value in values {
            decode(event, &[value]);
            let object = |key: &str| decode(event, &[&format!(r#"{{"{key}":{value}}}"#)]);
            match event {
                "JOIN" | "LEAVE" | "PRESENCE" => {
                    assert_eq!(object("channel").ends_with(" a"), value == r#""a""#, "{value}")
                }
                "IDENT" => {
                    let named = [r#""a""#, "7"].contains(&value);
                    assert_eq!(object("username").starts_with("ident "), named, "{value}");
                    assert_eq!(object("user").starts_with("ident "), named, "{value}");
                    assert_eq!(object("password"), "ident", "{value}");
                    assert_eq!(object("token"), "ident", "{value}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn depth_of_ident_data_is_limited_and_elsewhere_no_danger() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let ident = |depth: usize| decode("IDENT", &[&format!(r#"{{"user":"a","x":{}}}"#, nested(depth - 1))]);
    assert_eq!(ident(IDENT_DEPTH_MAX), r#"ident a "a""#);
    for depth in [IDENT_DEPTH_MAX + 1, 8_000, 100_000] {
        assert_eq!(ident(depth), "data must not be nested deeper than 128");
    }
    assert_eq!(decode("ECHO", &[&nested(8_000)]), format!("echo {}", nested(8_000)));
    assert_eq!(decode("JOIN", &[&nested(100_000)]), "data must be an object");
    let joined = decode("JOIN", &[&format!(r#"{{"channel":"a","x":{}}}"#, nested(100_000))]);
    assert_eq!(joined, "join a");
}

#[test]
fn debug_shows_no_secret() {
    let json = r#"{"username":"alice","password":"tiger","token":"tiger","x":"tiger"}"#;
    let data: Box<RawValue> = serde_json::from_str(json).unwrap();
    let shown = format!("{:?}", Command::decode("IDENT", &[&data]).unwrap());
    assert!(shown.contains("alice"), "{shown}");
    assert!(!shown.contains("tiger"), "{shown}");
}

proptest! {
    #[test]
    fn any_text_is_a_command_or_refused_without_panic(event: String, texts in vec(any::<String>(), 0..3)) {
        let json: Vec<String> = texts.iter().map(|text| serde_json::Value::from(&**text).to_string()).collect();
        let json: Vec<&str> = json.iter().map(String::as_str).collect();
        decode(&event, &json);
        decode("message", &json);
    }

    #[test]
    fn any_name_is_joined_and_any_user_identified(name in "[^\\p{Cc}]{1,60}") {
        let quoted = serde_json::Value::from(&*name).to_string();
        prop_assert_eq!(decode("JOIN", &[&format!(r#"{{"channel":{quoted}}}"#)]), format!("join {name}"));
        let ident = decode("IDENT", &[&format!(r#"{{"username":{quoted}}}"#)]);
        prop_assert_eq!(ident, format!("ident {name} {quoted}"));
    }
}
