//! Properties of `turted.v1` and of the protocol before it that hold for any input.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use turted_core::auth::Identity;
use turted_core::command::Command;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets, Via};
use turted_core::name::Name;
use turted_core::reply::Reply;
use turted_core::wire::legacy::{self, UNIDENTIFIED, WELCOME};
use turted_core::wire::v1::{self, Action, Error, ErrorCode};

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// A message of the old protocol in short, or the text of its refusal.
fn describe(text: &str) -> String {
    let data = |data: Option<&RawValue>| data.map_or("-", RawValue::get).to_owned();
    match legacy::decode(text) {
        Ok(legacy::Request::Command(Command::Ident(ident))) => format!("ident {}", ident.user.unwrap().json),
        Ok(legacy::Request::Command(Command::Join(name))) => format!("join {}", name.as_str()),
        Ok(legacy::Request::Command(Command::JoinWith(name, _))) => format!("more of {}", name.as_str()),
        Ok(legacy::Request::Command(Command::Presence(_))) => panic!("there is no presence"),
        Ok(legacy::Request::Command(Command::Leave(name))) => format!("leave {}", name.as_str()),
        Ok(legacy::Request::Command(Command::Echo(echo))) => format!("echo {}", data(echo)),
        Ok(legacy::Request::Command(Command::Ping(_))) => panic!("there is no ping"),
        Ok(legacy::Request::Message) => "message".to_owned(),
        Ok(legacy::Request::HelloV1) => "hello".to_owned(),
        Err(malformed) => malformed.to_string(),
    }
}

#[test]
fn messages_of_old_clients_are_decoded_or_refused_by_a_rule_each() {
    let table = [
        (r#"{"type":"ident","data":{"id":1,"username":"alice","token":"T"}}"#, r#"ident "alice""#),
        (r#"{"type":"IDENT","data":{"username":7}}"#, "ident 7"),
        (r#"{"type":"Join","data":{"channel":"constructor"}}"#, "join constructor"),
        (r#"{"type":"join","data":{"channel":"a","history":5}}"#, "join a"),
        (r#"{"type":"join","data":{"channel":"a","presence":true}}"#, "join a"),
        (r#"{"data":{"channel":"a"},"type":"leave","more":1}"#, "leave a"),
        (r#"{"type":"echo","data":{"a" : 1e400}}"#, r#"echo {"a" : 1e400}"#),
        (r#"{"type":"ech\u006f"}"#, "echo -"),
        (r#"{"type":"message","data":5}"#, "message"),
        (" {\"type\":\"message\"}\n", "message"),
        (r#"{"type":"hello","protocol":"turted.v1"}"#, "hello"),
        (r#"{"type":"hello","protocol":"turted.v2"}"#, "the only protocol to ask for is turted.v1"),
        (r#"{"type":"hello"}"#, "the only protocol to ask for is turted.v1"),
        ("", "a message must be a json object"),
        ("hello", "a message must be a json object"),
        (r#"[{"type":"echo"}]"#, "a message must be a json object"),
        (r#"{"type":"echo""#, "a message must be a json object"),
        ("{}", "type missing"),
        (r#"{"type":null}"#, "type must be a string"),
        (r#"{"type":"\ud800"}"#, "type must be a string"),
        (r#"{"type":""}"#, "unknown type"),
        (r#"{"type":"ping"}"#, "unknown type"),
        (r#"{"type":"__proto__"}"#, "unknown type"),
        (r#"{"type":"echo","type":"echo"}"#, "duplicate key type"),
        (r#"{"type":"ident"}"#, "data missing"),
        (r#"{"type":"join","data":null}"#, "data missing"),
        (r#"{"type":"join","data":"chat"}"#, "data must be an object"),
        (r#"{"type":"join","data":{}}"#, "channel missing"),
        (r#"{"type":"leave","data":{"channel":["a"]}}"#, "channel must be a string"),
    ];
    for (text, expected) in table {
        assert_eq!(describe(text), expected, "{text}");
    }
}

#[test]
fn old_clients_are_answered_as_turted_0_1_did() {
    let name = Name::new("alice").unwrap();
    let identity = Identity { name: name.clone(), username_json: r#""alice""#.to_owned() };
    let data = raw(r#"{"b" : 1}"#);
    let table = [
        (Reply::Identified(&identity.into()), Some(r#"{"type":"IDENTIFIED","data":{}}"#)),
        (Reply::Joined(&name), None),
        (Reply::Left(&name), None),
        (Reply::Pong(None), None),
        (Reply::Echo(Some(&data)), Some(r#"{"type":"message","data":{"b" : 1}}"#)),
        (Reply::Echo(None), Some(r#"{"type":"message"}"#)),
        (Reply::Refused("no \"x\""), Some(r#"{"type":"ERR","data":{"ERR":"no \"x\""}}"#)),
    ];
    for (reply, expected) in table {
        assert_eq!(legacy::encode_reply(&reply).as_deref(), expected);
    }
    assert_eq!(UNIDENTIFIED, legacy::encode_reply(&Reply::Refused("UNIDENTIFIED")).unwrap());
    assert_eq!(WELCOME, r#"{"type":"welcome"}"#);
}

/// Which of the three kinds of messages `text` is; there is exactly one.
fn kind(text: &str) -> &'static str {
    let message: Value = serde_json::from_str(text).unwrap();
    let kinds: Vec<_> =
        ["welcome", "reply", "event"].into_iter().filter(|kind| message.get(*kind).is_some()).collect();
    assert_eq!(kinds.len(), 1, "{text}");
    kinds[0]
}

fn id() -> impl Strategy<Value = Value> {
    prop_oneof!["[^\\p{Cc}]{0,20}".prop_map(Value::from), any::<i64>().prop_map(Value::from)]
}

/// Texts that resemble a request.
fn request() -> impl Strategy<Value = String> {
    let names = "(id|do|data|channel|session|cursor|type)";
    let values = r#"("(ident|join|resume|echo|ff-1|a)"|1|null|\{\}|\[1\])"#;
    proptest::string::string_regex(&format!(r#"\{{("{names}":{values},?){{0,5}}\}}?"#)).unwrap()
}

proptest! {
    #[test]
    fn any_dispatch_is_json_with_its_parts(
        (event, user) in ("[^\\p{Cc}]{1,40}", "[^\\p{Cc}]{1,40}"),
        text: String,
        epoch: u64,
        sequence: u64,
    ) {
        let [name, user] = [&event, &user].map(|text| Name::new(text).unwrap());
        let payload = json!({"reply": 1, "type": text, "event": [text]});
        let dispatch = Dispatch { event: name, payload: raw(&payload.to_string()), targets: Targets::default() };
        let (via, cursor) = (Via::User(&user), Cursor { epoch, sequence });
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let message = v1::encode_dispatch(&dispatch, via, Some(cursor));
        let reason = json!({"user": user.as_str()});
        let cursor = cursor.to_string();
        let expected = json!({"event": event, "payload": payload, "via": reason, "cursor": cursor});
        prop_assert_eq!(kind(&message), "event");
        prop_assert_eq!(read(&message), expected);
        let legacy = json!({"type": event, "data": payload, "via": reason});
        prop_assert_eq!(read(&legacy::encode_dispatch(&dispatch, via)), legacy);
    }

    #[test]
    fn any_id_and_reason_make_a_reply(id in id(), reason: String) {
        let request = json!({"id": id, "do": "echo", "data": reason}).to_string();
        let request = v1::decode(&request).unwrap();
        let Action::Command(Command::Echo(data)) = request.action else { panic!() };
        let reply = v1::encode_reply(request.id, &Reply::Echo(data)).unwrap();
        prop_assert_eq!(kind(&reply), "reply");
        let expected = json!({"reply": id, "ok": true, "data": reason});
        prop_assert_eq!(serde_json::from_str::<Value>(&reply).unwrap(), expected);
        for code in ErrorCode::ALL {
            let refusal = v1::encode_error(request.id, &Error::new(*code, reason.clone()));
            prop_assert_eq!(kind(&refusal), "reply");
            let error = json!({"code": code.as_str(), "reason": reason, "rule": code.rule()});
            let expected = json!({"reply": id, "ok": false, "error": error});
            prop_assert_eq!(serde_json::from_str::<Value>(&refusal).unwrap(), expected);
        }
    }

    #[test]
    fn unknown_members_change_nothing(more in "[f-z]{3,8}", text: String) {
        prop_assume!(more != "session");
        for request in [
            json!({"id": 1, "do": "ping"}),
            json!({"id": 1, "do": "join", "channel": "a"}),
            json!({"id": 1, "do": "ident", "data": {"user": "a"}}),
        ] {
            let mut extended = request.clone();
            extended[&more] = json!([text, {"id": 2, "do": "x"}]);
            let [plain, extended] = [request, extended].map(|request| {
                let request = request.to_string();
                format!("{:?}", v1::decode(&request).unwrap().action)
            });
            prop_assert_eq!(plain, extended);
        }
    }

    #[test]
    fn any_text_is_a_request_or_refused(text in prop_oneof![any::<String>(), request()]) {
        let _ = legacy::decode(&text);
        if let Err(refused) = v1::decode(&text) {
            prop_assert_eq!(kind(&v1::encode_error(refused.id, &refused.error)), "reply");
        }
    }
}
