//! Generated push bodies: every JSON type in every field, every missing key, random bytes, and random valid
//! pushes that must be read back unchanged.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use turted_core::dispatch::Dispatch;
use turted_core::push::{self, PushRefusal, RefusalKind};

fn dispatches(body: &str) -> Result<Vec<Dispatch>, PushRefusal> {
    push::parse(body.as_bytes(), push::PushLimits::default())?.into_dispatches()
}

/// One value of each type, and those that some languages treat as false.
const VALUES: [&str; 14] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "1.5",
    "1e400",
    r#""""#,
    r#""text""#,
    r#""\ud800""#,
    "[]",
    "{}",
    r#"[{"a":[1]}]"#,
];

/// A push of the current form with every field. `CURRENT_FIELDS` has a pointer to each field and those of
/// [`VALUES`] that it takes. The same follows for the old form.
const CURRENT: &str = r#"{"event":"E","targets":{"user":"a","users":["b"],"channel":"c","channels":["d"],"broadcast":true},"payload":{},"auth":"P"}"#;
const CURRENT_FIELDS: [(&str, &[&str]); 11] = [
    ("/event", &[r#""text""#]),
    ("/targets", &["null", "[]", "{}"]),
    ("/payload", &VALUES),
    ("/auth", &VALUES),
    ("/targets/user", LIST),
    ("/targets/users", LIST),
    ("/targets/channel", LIST),
    ("/targets/channels", LIST),
    ("/targets/users/0", ELEMENT),
    ("/targets/channels/0", ELEMENT),
    ("/targets/broadcast", &["null", "true", "false", "0", r#""""#]),
];
const LEGACY: &str = r#"{"cmd":"notify","password":"P","data":{"event":"E","user":"a","users":["b"],"channel":"c","channels":["d"],"payload":{}}}"#;
const LEGACY_FIELDS: [(&str, &[&str]); 11] = [
    ("/cmd", &[]),
    ("/password", &VALUES),
    ("/data", &[]),
    ("/data/event", &[r#""text""#]),
    ("/data/user", LIST),
    ("/data/users", LIST),
    ("/data/channel", LIST),
    ("/data/channels", LIST),
    ("/data/users/0", ELEMENT),
    ("/data/channels/0", ELEMENT),
    ("/data/payload", &VALUES),
];
const LIST: &[&str] = &["null", "0", "7", r#""text""#, "[]", "{}"];
const ELEMENT: &[&str] = &["0", "7", r#""text""#];

/// `template` with the value at `pointer` replaced by the JSON text `value`, which `serde_json::Value` need
/// not be able to hold.
fn with(template: &str, pointer: &str, value: &str) -> String {
    let mut body: Value = serde_json::from_str(template).unwrap();
    *body.pointer_mut(pointer).unwrap() = json!("<value>");
    body.to_string().replace(r#""<value>""#, value)
}

fn check_every_type(template: &str, fields: &[(&str, &[&str])]) {
    for (pointer, accepted) in fields {
        for value in VALUES {
            let body = with(template, pointer, value);
            match dispatches(&body) {
                Ok(_) => assert!(accepted.contains(&value), "accepted: {body}"),
                Err(refusal) => {
                    assert!(!accepted.contains(&value), "{refusal}: {body}");
                    assert_eq!(refusal.index, None);
                    let field = refusal.field.unwrap_or_else(|| (*pointer).to_owned());
                    assert!(field.starts_with(pointer), "{field} for {body}");
                }
            }
        }
    }
}

#[test]
fn every_type_in_every_field_is_taken_or_refused_by_the_rule_of_that_field() {
    check_every_type(CURRENT, &CURRENT_FIELDS);
    check_every_type(LEGACY, &LEGACY_FIELDS);
}

#[test]
fn every_type_as_a_whole_body_or_item_is_refused() {
    for value in VALUES {
        let refusal = dispatches(value).expect_err(value);
        let json = value != "null";
        assert_eq!(refusal.kind == RefusalKind::Invalid, json, "{value}");
        assert!(dispatches(&format!("[{value}]")).is_err(), "{value}");
    }
}

fn without(template: &str, parent: &str, key: &str) -> String {
    let mut body: Value = serde_json::from_str(template).unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    body.to_string()
}

#[test]
fn every_missing_key_has_its_meaning() {
    for key in ["targets", "payload", "auth"] {
        assert!(dispatches(&without(CURRENT, "", key)).is_ok(), "{key}");
    }
    for key in ["user", "users", "channel", "channels", "broadcast"] {
        assert!(dispatches(&without(CURRENT, "/targets", key)).is_ok(), "{key}");
    }
    for key in ["user", "users", "channel", "channels", "payload"] {
        assert!(dispatches(&without(LEGACY, "/data", key)).is_ok(), "{key}");
    }
    assert!(dispatches(&without(LEGACY, "", "password")).is_ok());
    let rule = |body: &str| dispatches(body).unwrap_err().rule;
    assert_eq!(rule(&without(CURRENT, "", "event")), "event-missing");
    assert_eq!(rule(&without(LEGACY, "/data", "event")), "event-missing");
    assert_eq!(rule(&without(LEGACY, "", "data")), "data-missing");
    assert!(dispatches(&without(LEGACY, "", "cmd")).is_ok(), "as up to 3.2.2");
}

#[test]
fn every_prefix_of_a_body_is_no_json() {
    for body in [CURRENT, LEGACY] {
        for end in 0..body.len() {
            assert_eq!(
                push::parse(&body.as_bytes()[..end], push::PushLimits::default()).unwrap_err().kind,
                RefusalKind::NotJson
            );
        }
    }
}

/// JSON texts of any shape, with white space and escapes.
fn payload() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(&VALUES[..]).prop_map(str::to_owned),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| json!(text).to_string()),
    ];
    leaf.prop_recursive(6, 32, 4, |inner| {
        let space = prop::sample::select(vec!["", " ", "\n", "\t "]);
        prop_oneof![
            (space.clone(), vec(inner.clone(), 0..4))
                .prop_map(|(space, values)| format!("[{}]", values.join(&format!(",{space}")))),
            (space, vec((any::<String>(), inner), 0..4)).prop_map(|(space, members)| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("{}:{space}{value}", json!(key))).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn names() -> impl Strategy<Value = Vec<String>> {
    vec("[^\\p{Cc}]{1,40}", 0..8).prop_map(|mut names| {
        names.sort();
        names.dedup();
        names
    })
}

fn texts(names: &[turted_core::name::Name]) -> Vec<&str> {
    names.iter().map(|name| name.as_str()).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_without_panic(body in vec(any::<u8>(), 0..256)) {
        let _ = push::parse(&body, push::PushLimits::default()).and_then(push::Parsed::into_dispatches);
    }

    #[test]
    fn any_damage_to_a_body_is_refused_or_read_without_panic(at in 0..LEGACY.len(), byte: u8, legacy: bool) {
        let mut body = (if legacy { LEGACY } else { CURRENT }).as_bytes().to_vec();
        let at = at % body.len();
        body[at] = byte;
        let _ = push::parse(&body, push::PushLimits::default()).and_then(push::Parsed::into_dispatches);
    }

    #[test]
    fn any_json_text_is_json(body in payload()) {
        let parsed = push::parse(body.as_bytes(), push::PushLimits::default());
        prop_assert_eq!(parsed.is_ok(), body != "null");
        if let Err(refusal) = parsed.map(push::Parsed::into_dispatches).unwrap_or(Ok(Vec::new())) {
            let text = refusal.to_string();
            prop_assert!(text.len() < 256 && !text.contains(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn a_valid_push_comes_back_as_it_was(
        event in "[^\\p{Cc}]{1,60}", users in names(), channels in names(), broadcast: bool,
        payload in payload(), secret: String,
    ) {
        let mut targets = Map::new();
        targets.insert("users".to_owned(), json!(users));
        targets.insert("channels".to_owned(), json!(channels));
        targets.insert("broadcast".to_owned(), json!(broadcast));
        let item = format!(
            r#"{{"event":{},"payload": {payload}, "targets":{},"auth":{}}}"#,
            json!(event), Value::from(targets), json!({ "password": secret }),
        );
        for body in [item.clone(), format!("[{item}]")] {
            let parsed = push::parse(body.as_bytes(), push::PushLimits::default()).unwrap();
            prop_assert!(parsed.credentials().all(|given| given.is_some_and(|given| given.reveal() == secret)));
            let dispatches = parsed.into_dispatches().unwrap();
            prop_assert_eq!(dispatches.len(), 1);
            prop_assert_eq!(dispatches[0].event.as_str(), &event);
            prop_assert_eq!(dispatches[0].payload.get(), &payload);
            prop_assert_eq!(texts(&dispatches[0].targets.users), users.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(texts(&dispatches[0].targets.channels), channels.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(dispatches[0].targets.broadcast, broadcast);
        }
    }
}
