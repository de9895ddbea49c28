//! Requests and their refusals, one table each, and the table of codes.

use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::auth::{IdentRefusal, Identity};
use crate::command::{Command, Extras};
use crate::limits::{
    CHANNELS_PER_JOIN_MAX, HISTORY_EVENTS_MAX, IDENT_DEPTH_MAX, NAME_BYTES_MAX, REQUEST_ID_BYTES_MAX,
};
use crate::name::Name;
use crate::registry::MembershipRefusal;
use crate::reply::{Identified, Reply};

/// A request in short, or the code of its refusal; the id before it.
fn describe(text: &str) -> String {
    let id = |id: Option<Id<'_>>| id.map_or("-", Id::as_json).to_owned();
    let data = |data: Option<&RawValue>| data.map_or("-", RawValue::get).to_owned();
    match decode(text) {
        Err(refused) => format!("{} {}", id(refused.id), refused.error.code.as_str()),
        Ok(request) => {
            let action = match request.action {
                Action::Command(Command::Ident(ident)) => {
                    format!("ident {}", ident.user.map_or("-".into(), |user| user.json))
                }
                Action::Command(Command::Join(name)) => format!("join {}", name.as_str()),
                Action::Command(Command::JoinWith(name, Extras { history, presence })) => {
                    let history = history.map_or(String::new(), |wanted| format!(" from {}", wanted.newest));
                    format!("join {}{history}{}", name.as_str(), if presence { " presence" } else { "" })
                }
                Action::Command(Command::Presence(name)) => format!("presence {}", name.as_str()),
                Action::Command(Command::Leave(name)) => format!("leave {}", name.as_str()),
                Action::Command(Command::Echo(raw)) => format!("echo {}", data(raw)),
                Action::Command(Command::Ping(raw)) => format!("ping {}", data(raw)),
                Action::JoinEach(JoinEach { channels, presence }) => {
                    let each = channels.iter().map(|asked| match &asked.name {
                        Ok(name) => format!("{}={}", asked.json, name.as_str()),
                        Err(error) => format!("{} {}", asked.json, error.code.as_str()),
                    });
                    let presence = if presence { " presence" } else { "" };
                    format!("join {}{presence}", each.collect::<Vec<_>>().join(", "))
                }
                Action::Resume(resume) => format!("resume {} {}", resume.session, resume.cursor),
            };
            format!("{} {action}", id(request.id))
        }
    }
}

#[test]
fn requests_are_decoded() {
    let table = [
        (r#"{"id":1,"do":"ident","data":{"username":"alice","token":"T"}}"#, r#"1 ident "alice""#),
        (r#"{"do":"ident","data":{"user":7}}"#, "- ident 7"),
        (r#"{"do":"ident","data":{}}"#, "- ident -"),
        (r#"{"id":"a\u0062","do":"join","channel":"chat"}"#, r#""a\u0062" join chat"#),
        (r#"{"id":"\ud800","do":"leave","channel":"__proto__"}"#, r#""\ud800" leave __proto__"#),
        (r#"{"do":"echo","data":{"a" : 1.0}}"#, r#"- echo {"a" : 1.0}"#),
        (r#"{"id":1e400,"do":"echo"}"#, "1e400 echo -"),
        (r#"{"id":-0,"do":"ping","data":1}"#, "-0 ping -"),
        (r#"{"id":null,"do":"ping"}"#, "- ping -"),
        (" {\n\"do\" : \"\\u0070ing\" }\r\n", "- ping -"),
        (r#"{"id":2,"do":"resume","session":"S","cursor":"ff-36"}"#, "2 resume S ff-36"),
        (r#"{"id":1,"do":"join","channels":["a","b"]}"#, r#"1 join "a"=a, "b"=b"#),
        (r#"{"do":"join","channels":["\u0061","a"],"channel":null}"#, r#"- join "\u0061"=a, "a"=a"#),
        (
            r#"{"do":"join","channels":["","a\n","\ud800","b"]}"#,
            r#"- join "" channel-missing, "a\n" channel-invalid, "\ud800" channel-invalid, "b"=b"#,
        ),
        (r#"{"do":"join","channels":null,"channel":"a"}"#, "- join a"),
        (r#"{"do":"leave","channels":["b"],"channel":"a"}"#, "- leave a"),
        (r#"{"do":"ping","channels":7}"#, "- ping -"),
        (r#"{"do":"join","channel":"a","presence":true}"#, "- join a presence"),
        (r#"{"do":"join","channel":"a","presence":false}"#, "- join a"),
        (r#"{"do":"join","channels":["a"],"presence":true}"#, r#"- join "a"=a presence"#),
        (r#"{"do":"join","channels":["a"],"presence":null}"#, r#"- join "a"=a"#),
        (r#"{"id":1,"do":"presence","channel":"a"}"#, "1 presence a"),
        (r#"{"new":1,"do":"join","channel":"a","new":2,"data":{"a":1},"more":{"id":7}}"#, "- join a"),
    ];
    for (text, expected) in table {
        assert_eq!(describe(text), expected, "{text}");
    }
}

#[test]
fn a_request_that_breaks_a_rule_is_refused_with_its_id() {
    let table = [
        ("", "- not-json"),
        ("{", "- not-json"),
        ("{}{}", "- not-json"),
        ("{'do':'ping'}", "- not-json"),
        ("\u{feff}{}", "- not-json"),
        ("[]", "- not-an-object"),
        ("null", "- not-an-object"),
        (r#""ping""#, "- not-an-object"),
        ("{}", "- command-missing"),
        (r#"{"id":1}"#, "1 command-missing"),
        (r#"{"id":1,"do":null}"#, "1 command-missing"),
        (r#"{"id":1,"do":["ping"]}"#, "1 command-missing"),
        (r#"{"id":1,"do":"\ud800"}"#, "1 command-missing"),
        (r#"{"id":1,"do":"JOIN"}"#, "1 command-unknown"),
        (r#"{"id":1,"do":"message"}"#, "1 command-unknown"),
        (r#"{"id":1,"id":2,"do":"ping"}"#, "- duplicate-key"),
        (r#"{"id":1,"do":"ping","do":"ping"}"#, "1 duplicate-key"),
        (r#"{"id":1,"do":"join","channel":"a","channel":"a"}"#, "1 duplicate-key"),
        (r#"{"id":1,"do":"ident","data":{"user":"a","user":"b"}}"#, "1 duplicate-key"),
        (r#"{"id":true,"do":"ping"}"#, "- id-invalid"),
        (r#"{"id":{},"do":"ping"}"#, "- id-invalid"),
        (r#"{"id":[1],"do":"ping"}"#, "- id-invalid"),
        (r#"{"id":1,"do":"ident"}"#, "1 data-missing"),
        (r#"{"id":1,"do":"ident","data":null}"#, "1 data-missing"),
        (r#"{"id":1,"do":"ident","data":"alice"}"#, "1 data-not-an-object"),
        (r#"{"id":1,"do":"ident","data":{"user":true}}"#, "1 user-invalid"),
        (r#"{"id":1,"do":"ident","data":{"user":"a\n"}}"#, "1 user-invalid"),
        (r#"{"id":1,"do":"join","data":{"channel":"a"}}"#, "1 channel-missing"),
        (r#"{"id":1,"do":"join","channel":""}"#, "1 channel-missing"),
        (r#"{"id":1,"do":"join","channel":7}"#, "1 channel-invalid"),
        (r#"{"id":1,"do":"leave","channel":"a\u0000"}"#, "1 channel-invalid"),
        (r#"{"id":1,"do":"join","channels":["a"],"channel":"a"}"#, "1 channels-invalid"),
        (r#"{"id":1,"do":"join","channels":["a"],"channel":""}"#, "1 channels-invalid"),
        (r#"{"id":1,"do":"join","channels":[]}"#, "1 channels-invalid"),
        (r#"{"id":1,"do":"join","channels":"a"}"#, "1 channels-invalid"),
        (r#"{"id":1,"do":"join","channels":{"0":"a"}}"#, "1 channels-invalid"),
        (r#"{"id":1,"do":"join","channels":["a",7]}"#, "1 channels-invalid"),
        (r#"{"id":1,"do":"join","channels":["a",null]}"#, "1 channels-invalid"),
        (r#"{"id":1,"do":"join","channels":[["a"]]}"#, "1 channels-invalid"),
        (r#"{"id":1,"do":"join","channels":["a"],"channels":["a"]}"#, "1 duplicate-key"),
        (r#"{"id":1,"do":"join","channels":["a"],"presence":true,"presence":true}"#, "1 duplicate-key"),
        (r#"{"id":1,"do":"join","channels":["a"],"presence":1}"#, "1 presence-invalid"),
        (r#"{"id":1,"do":"join","channel":"a","presence":"yes"}"#, "1 presence-invalid"),
        (r#"{"id":1,"do":"join","channel":"a","presence":true,"presence":true}"#, "1 duplicate-key"),
        (r#"{"id":1,"do":"presence"}"#, "1 channel-missing"),
        (r#"{"id":1,"do":"presence","channel":7}"#, "1 channel-invalid"),
        (r#"{"id":1,"do":"join","channels":null}"#, "1 channel-missing"),
        (r#"{"id":1,"do":"leave","channels":["a"]}"#, "1 channel-missing"),
        (r#"{"do":"resume","session":"S","cursor":"ff-36"}"#, "- id-missing"),
        (r#"{"id":1,"do":"resume","cursor":"ff-36"}"#, "1 session-invalid"),
        (r#"{"id":1,"do":"resume","session":"","cursor":"ff-36"}"#, "1 session-invalid"),
        (r#"{"id":1,"do":"resume","session":"S"}"#, "1 cursor-invalid"),
        (r#"{"id":1,"do":"resume","session":"S","cursor":"ff-036"}"#, "1 cursor-invalid"),
        (r#"{"id":1,"do":"resume","session":"S","cursor":36}"#, "1 cursor-invalid"),
    ];
    for (text, expected) in table {
        assert_eq!(describe(text), expected, "{text}");
    }
}

#[test]
fn limits_hold_at_and_one_above() {
    let with_id = |bytes: usize| describe(&format!(r#"{{"id":"{}","do":"ping"}}"#, "x".repeat(bytes - 2)));
    assert!(with_id(REQUEST_ID_BYTES_MAX).ends_with("\" ping -"));
    assert_eq!(with_id(REQUEST_ID_BYTES_MAX + 1), "- id-invalid");
    let joins = |count: usize| describe(&json!({"do": "join", "channels": vec!["c"; count]}).to_string());
    assert_eq!(joins(CHANNELS_PER_JOIN_MAX).matches("=c").count(), CHANNELS_PER_JOIN_MAX);
    assert_eq!(joins(CHANNELS_PER_JOIN_MAX + 1), "- channels-invalid");
    assert_eq!(joins(100 * CHANNELS_PER_JOIN_MAX), "- channels-invalid");
    let name = |bytes: usize| describe(&json!({"do": "join", "channels": ["x".repeat(bytes)]}).to_string());
    assert!(name(NAME_BYTES_MAX).contains("\"=x"));
    assert!(name(NAME_BYTES_MAX + 1).ends_with("\" channel-invalid"));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let ident = |depth: usize| describe(&format!(r#"{{"do":"ident","data":{{"x":{}}}}}"#, nested(depth - 1)));
    assert_eq!(ident(IDENT_DEPTH_MAX), "- ident -");
    assert_eq!(ident(IDENT_DEPTH_MAX + 1), "- data-too-deep");
    assert_eq!(describe(&format!(r#"{{"do":"ping","x":{}}}"#, nested(100_000))), "- ping -");
    assert_eq!(describe(&nested(100_000)), "- not-an-object");
}

#[test]
fn replies_repeat_the_id_and_only_refusals_need_none() {
    let text = r#"{"id":1.0,"do":"echo","data":[1, 2]}"#;
    let request = decode(text).unwrap();
    let Action::Command(Command::Echo(data)) = request.action else { panic!() };
    let name = Name::new("a\"").unwrap();
    let identity = Identity { name: name.clone(), username_json: "7".to_owned() };
    let lasting = Identified::from(identity.clone());
    let expires_in = Some(Duration::from_micros(59_999_999));
    let ending = Identified { identity, expires_in, left: vec![name.clone(), Name::new("b").unwrap()] };
    let table = [
        (Reply::Identified(&lasting), r#"{"reply":1.0,"ok":true,"username":7}"#),
        (
            Reply::Identified(&ending),
            r#"{"reply":1.0,"ok":true,"username":7,"expires_in_ms":59999,"left":["a\"","b"]}"#,
        ),
        (Reply::Joined(&name), r#"{"reply":1.0,"ok":true,"channel":"a\""}"#),
        (Reply::Left(&name), r#"{"reply":1.0,"ok":true,"channel":"a\""}"#),
        (Reply::Echo(data), r#"{"reply":1.0,"ok":true,"data":[1, 2]}"#),
        (Reply::Echo(None), r#"{"reply":1.0,"ok":true,"data":null}"#),
        (Reply::Pong(None), r#"{"reply":1.0,"ok":true}"#),
    ];
    for (reply, expected) in table {
        assert_eq!(encode_reply(request.id, &reply).as_deref(), Some(expected));
        assert_eq!(encode_reply(None, &reply), None);
    }
    assert_eq!(encode_reply(request.id, &Reply::Refused("no")), None);
    let error = Error::new(ErrorCode::Gap, "12 events are \"lost\"");
    let rule = ErrorCode::Gap.rule();
    let tail = format!(
        r#","ok":false,"error":{{"code":"gap","reason":"12 events are \"lost\"","rule":"{rule}"}}}}"#
    );
    assert_eq!(encode_error(request.id, &error), format!(r#"{{"reply":1.0{tail}"#));
    assert_eq!(encode_error(None, &error), format!(r#"{{"reply":null{tail}"#));
}

#[test]
fn the_reply_to_a_ping_has_the_position_if_there_is_one() {
    let id = decode(r#"{"id":"p","do":"ping"}"#).unwrap().id;
    let cursor = "ff-36".parse().ok();
    assert_eq!(encode_pong(id, cursor).as_deref(), Some(r#"{"reply":"p","ok":true,"cursor":"ff-36"}"#));
    assert_eq!(encode_pong(id, None).as_deref(), Some(r#"{"reply":"p","ok":true}"#));
    assert_eq!(encode_pong(None, cursor), None);
}

#[test]
fn the_reply_to_a_join_of_several_tells_of_each_as_it_was_sent() {
    let text = r#"{"id":1,"do":"join","channels":["\u0061","","b"]}"#;
    let request = decode(text).unwrap();
    let Action::JoinEach(asked) = request.action else { panic!() };
    let outcomes: Vec<Joined<'_>> =
        asked.channels.into_iter().map(|asked| (asked.json, asked.name.map(drop))).collect();
    let rule = ErrorCode::ChannelMissing.rule();
    let tail = format!(
        r#""ok":true,"channels":["\u0061","b"],"refused":[{{"channel":"","error":{{"code":"channel-missing","reason":"channel missing","rule":"{rule}"}}}}]}}"#
    );
    assert_eq!(encode_joined(request.id, &outcomes), Some(format!(r#"{{"reply":1,{tail}"#)));
    assert_eq!(encode_joined(None, &outcomes), Some(format!(r#"{{"reply":null,{tail}"#)));
    let joined = r#"{"reply":1,"ok":true,"channels":["\u0061"],"refused":[]}"#;
    assert_eq!(encode_joined(request.id, &outcomes[..1]).as_deref(), Some(joined));
    assert_eq!(encode_joined(None, &outcomes[..1]), None, "a success without an id is not answered");
}

#[test]
fn the_reply_to_a_resume_tells_who_and_where_the_client_is() {
    let request = decode(r#"{"id":1,"do":"resume","session":"S","cursor":"ff-36"}"#).unwrap();
    let (alice, chat) = (Name::new("alice").unwrap(), Name::new("chat").unwrap());
    let resumed = Resumed {
        session: "S",
        replayed: 3,
        connection: "C",
        username: Some(&alice),
        expires_in: Some(Duration::from_secs(5)),
        left: &[chat],
    };
    let expected = r#"{"reply":1,"ok":true,"session":"S","replayed":3,"connection":"C","username":"alice","expires_in_ms":5000,"left":["chat"]}"#;
    assert_eq!(encode_resumed(request.id.unwrap(), &resumed), expected);
}

#[test]
fn the_greeting_tells_who_and_where_the_client_is() {
    let identity = Identity { name: Name::new("alice").unwrap(), username_json: r#""alice""#.to_owned() };
    let welcome = Welcome {
        session: "S",
        connection: "C",
        cursor: Some("ff-36".parse().unwrap()),
        identified: Some(&Identified { expires_in: Some(Duration::ZERO), ..identity.into() }),
        ping_interval: Duration::from_millis(25_500),
        message_bytes: 1,
    };
    let expected = r#"{"welcome":{"protocol":"turted.v1","session":"S","connection":"C","cursor":"ff-36","username":"alice","expires_in_ms":0,"ping_interval_ms":25500,"message_bytes_max":1}}"#;
    assert_eq!(welcome.to_json(), expected);
}

#[test]
fn refusals_of_the_session_have_codes() {
    let table = [
        (Error::from(IdentRefusal::UserMissing), "user-missing"),
        (Error::from(IdentRefusal::NotVerified), "ident-refused"),
        (Error::from(IdentRefusal::Expired), "token-expired"),
        (Error::from(IdentRefusal::Unavailable), "ident-unavailable"),
        (Error::from(IdentRefusal::TooManyWrong), "too-many-wrong-idents"),
        (Error::from(MembershipRefusal::TooManyChannels(1)), "too-many-channels"),
        (Error::from(MembershipRefusal::TooManyUsers(1)), "too-many-users"),
    ];
    for (error, code) in table {
        assert_eq!(error.code.as_str(), code);
        assert!(!error.reason.is_empty());
    }
}

const DOCUMENT: &str = include_str!("../../../../../docs/protocol-v1.md");

#[test]
fn the_document_has_every_code_with_its_rule() {
    let (_, section) = DOCUMENT.split_once("\n## Errors\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let row = |code: &ErrorCode| format!("| `{}` | {} |", code.as_str(), code.rule());
    assert_eq!(rows, ErrorCode::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn codes_and_rules_need_no_escape() {
    for text in ErrorCode::ALL.iter().flat_map(|code| [code.as_str(), code.rule()]) {
        assert_eq!(Value::from(text).to_string(), format!("\"{text}\""));
    }
}

#[test]
fn rules_name_the_limits_that_hold() {
    let table = [
        (ErrorCode::IdInvalid, REQUEST_ID_BYTES_MAX),
        (ErrorCode::DataTooDeep, IDENT_DEPTH_MAX),
        (ErrorCode::ChannelInvalid, NAME_BYTES_MAX),
        (ErrorCode::ChannelsInvalid, CHANNELS_PER_JOIN_MAX),
        (ErrorCode::UserInvalid, NAME_BYTES_MAX),
        (ErrorCode::HistoryInvalid, HISTORY_EVENTS_MAX),
    ];
    for (code, limit) in table {
        let number = |text: &str| text.trim_end_matches(',') == limit.to_string();
        assert!(code.rule().split(' ').any(number), "{}", code.rule());
    }
}

#[test]
fn the_messages_in_the_document_are_messages() {
    let is_message = |line: &&str| line.starts_with('{');
    let lines = DOCUMENT.lines().map(|line| line.trim_start_matches(['<', '>', ' ']));
    let (mut requests, mut told) = (0, 0);
    for line in lines.filter(is_message) {
        let value: Value = serde_json::from_str(line).expect(line);
        match ["welcome", "reply", "event", "presence"]
            .iter()
            .filter(|name| value.get(**name).is_some())
            .count()
        {
            0 if value.get("left").is_some() => told += 1,
            0 => requests += decode(line).map(|_| 1).expect(line),
            1 => told += 1,
            _ => panic!("{line}"),
        }
    }
    assert_eq!((requests, told), (11, 20));
}
