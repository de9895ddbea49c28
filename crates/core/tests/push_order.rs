//! In which order the faults of a push body are answered: syntax, credentials, then the rules of the fields.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use turted_core::channel::ChannelPattern;
use turted_core::push::{self, PushRefusal, RefusalKind, Scope, Shape};

fn refused(body: &str) -> PushRefusal {
    push::parse(body.as_bytes(), push::PushLimits::default()).unwrap().into_dispatches().expect_err(body)
}

#[test]
fn a_body_that_is_no_json_is_refused_before_anything_else() {
    let bodies: [&[u8]; 18] = [
        b"",
        b" ",
        b"null",
        b" null\n",
        b"{",
        b"[",
        b"{]",
        b"nul",
        b"\xef\xbb\xbf{}",
        b"{\"event\":\"\xff\"}",
        b"\xff",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{} {}",
        b"{\"a\nb\":1}",
        b"{'event':1}",
        b"[{\"cmd\":1},]",
        b"01",
        b"NaN",
    ];
    for body in bodies {
        let refusal = push::parse(body, push::PushLimits::default()).expect_err("not JSON");
        assert_eq!(refusal.kind, RefusalKind::NotJson, "{}", body.escape_ascii());
        assert_eq!(refusal.to_string(), "Data was not json");
    }
}

#[test]
fn missing_data_of_the_old_form_is_refused_before_the_credentials() {
    for body in [r#"{"cmd":1}"#, r#"{"cmd":"notify","data":null,"auth":"P"}"#, r#"{"cmd":null,"cmd":1}"#] {
        let refusal = push::parse(body.as_bytes(), push::PushLimits::default()).expect_err(body);
        assert_eq!((refusal.kind, refusal.index), (RefusalKind::DataMissing, None));
        assert_eq!(refusal.to_string(), "data missing");
    }
    let refusal =
        push::parse(br#"[{"event":"E"},{"cmd":"notify"}]"#, push::PushLimits::default()).unwrap_err();
    assert_eq!((refusal.kind, refusal.index), (RefusalKind::DataMissing, Some(1)));
}

#[test]
fn credentials_are_found_in_every_place_they_were_sent_in() {
    let cases = [
        (r#"{"auth":{"password":"P"}}"#, Some("P")),
        (r#"{"auth":"P"}"#, Some("P")),
        (r#"{"password":"P"}"#, Some("P")),
        (r#"{"password":"Q","auth":{"password":"P","x":[]}}"#, Some("P")),
        (r#"{"password":"Q","auth":7}"#, Some("Q")),
        (r#"{"auth":"\u00e9"}"#, Some("é")),
        (r#"{"cmd":1,"data":1,"auth":{"password":"P"}}"#, Some("P")),
        (r#"{"cmd":1,"data":1,"password":"P"}"#, Some("P")),
        (r#"{"auth":{"hasOwnProperty":1}}"#, None),
        (r#"{"auth":{"password":7}}"#, None),
        (r#"{"auth":{"password":"P","password":"P"}}"#, None),
        (r#"{"auth":["P"]}"#, None),
        (r#"{"auth":null}"#, None),
        (r#"{"auth":"\ud800"}"#, None),
        ("{}", None),
        (r#""P""#, None),
        ("7", None),
        ("1e400", None),
        ("true", None),
        ("[]", None),
        (r#"["P"]"#, None),
        ("[null]", None),
    ];
    for (body, expected) in cases {
        let parsed = push::parse(body.as_bytes(), push::PushLimits::default()).unwrap();
        let found: Vec<_> = parsed.credentials().map(|given| given.map(|given| given.reveal())).collect();
        assert_eq!(found, [expected], "{body}");
    }
}

#[test]
fn a_broken_rule_does_not_hide_the_credentials() {
    let bodies = [
        r#"{"event":7,"targets":7,"auth":"P"}"#,
        r#"{"event":"a","event":"b","auth":"P"}"#,
        r#"[{"auth":"P"},{"auth":"P","cmd":1,"data":1}]"#,
    ];
    for body in bodies {
        let parsed = push::parse(body.as_bytes(), push::PushLimits::default()).unwrap();
        assert!(parsed.credentials().all(|given| given.is_some_and(|given| given.matches("P"))), "{body}");
        assert!(parsed.into_dispatches().is_err(), "{body}");
    }
}

#[test]
fn no_secret_is_shown_by_debug() {
    for body in [
        r#"{"auth":{"password":"tiger"}}"#,
        r#"[{"auth":"tiger"}]"#,
        r#"{"cmd":1,"data":1,"password":"tiger"}"#,
    ] {
        assert!(
            !format!("{:?}", push::parse(body.as_bytes(), push::PushLimits::default())).contains("tiger"),
            "{body}"
        );
    }
}

#[test]
fn a_batch_is_read_in_order_and_a_refusal_names_the_item() {
    let body =
        r#"[{"event":"A","auth":"P"},{"cmd":"notifyAll","data":{"event":"B"},"password":"Q"},{"event":"C"}]"#;
    let parsed = push::parse(body.as_bytes(), push::PushLimits::default()).unwrap();
    assert_eq!(parsed.shape(), Shape::Batch);
    let found: Vec<_> = parsed.credentials().map(|given| given.map(|given| given.reveal())).collect();
    assert_eq!(found, [Some("P"), Some("Q"), None]);
    let dispatches = parsed.into_dispatches().unwrap();
    let events: Vec<_> = dispatches.iter().map(|dispatch| dispatch.event.as_str()).collect();
    assert_eq!(events, ["A", "B", "C"]);
    for wrong in ["null", "7", "[]", "{}"] {
        let refusal = refused(&format!(r#"[{{"event":"A"}},{wrong}]"#));
        assert_eq!(refusal.index, Some(1), "{wrong}");
    }
    let refusal = refused(r#"[{"event":"A","targets":{"users":[[]]}}]"#);
    let text = "item 0: /targets/users/0: a name must be a string or an integer (name-not-a-string)";
    assert_eq!(refusal.to_string(), text);
    assert_eq!(push::parse(b"{}", push::PushLimits::default()).unwrap().shape(), Shape::Single);
}

/// What a key may push that has these events and channels, and neither users nor everyone.
fn scope(events: &[&str], channels: &[&str]) -> Scope {
    let patterns =
        |list: &[&str]| Some(list.iter().map(|text| ChannelPattern::parse(text).unwrap()).collect());
    Scope { events: patterns(events), channels: patterns(channels), users: false, broadcast: false }
}

#[test]
fn a_key_allows_what_it_lists_and_the_field_says_what_it_does_not() {
    let narrow = scope(&["ORDER:*", "PING"], &["shop", "news.*"]);
    let pushed = |body: &str, scope: &Scope| {
        push::parse(body.as_bytes(), push::PushLimits::default()).unwrap().into_dispatches_of(scope)
    };
    for body in [
        r#"{"event":"ORDER:1","targets":{"channels":["shop","news.","news.sport"]}}"#,
        r#"{"event":"PING","targets":{"channel":"shop","users":[],"broadcast":false}}"#,
        r#"{"event":"PING"}"#,
        r#"{"cmd":"notifyChannel","data":{"event":"PING","channel":"shop"}}"#,
    ] {
        assert!(pushed(body, &narrow).is_ok(), "{body}");
    }
    for (body, field) in [
        (r#"{"event":"ORDER"}"#, "/event"),
        (r#"{"event":"PING:1"}"#, "/event"),
        (r#"{"event":"PING","targets":{"user":"adam"}}"#, "/targets/user"),
        (r#"{"event":"PING","targets":{"users":{"a":7}}}"#, "/targets/users/a"),
        (r#"{"event":"PING","targets":{"channels":["shop","shops"]}}"#, "/targets/channels/1"),
        (r#"{"event":"PING","targets":{"channels":["news"]}}"#, "/targets/channels/0"),
        (r#"{"event":"PING","targets":{"channels":["shop"],"broadcast":"1"}}"#, "/targets/broadcast"),
        (r#"{"cmd":"notifyAll","data":{"event":"PING"}}"#, "/cmd"),
        (r#"{"cmd":"notifyUser","data":{"event":"PING","user":"adam"}}"#, "/data/user"),
        (r#"{"cmd":"notify","data":{"event":"OTHER"}}"#, "/data/event"),
    ] {
        let refusal = pushed(body, &narrow).expect_err(body);
        assert_eq!((refusal.kind, refusal.rule), (RefusalKind::NotAllowed, "key-not-allowed"), "{body}");
        assert_eq!(refusal.field.as_deref(), Some(field), "{body}");
        assert!(pushed(body, &Scope::ALL).is_ok(), "{body}");
    }
    let users = Scope { channels: Some(Vec::new()), broadcast: false, ..Scope::ALL };
    assert!(pushed(r#"{"event":"E","targets":{"users":["adam"]}}"#, &users).is_ok());
    assert!(pushed(r#"{"event":"E","targets":{"channel":"c"}}"#, &users).is_err());
    let batch = r#"[{"event":"PING"},{"event":"PING","targets":{"broadcast":true}}]"#;
    assert_eq!(pushed(batch, &narrow).unwrap_err().index, Some(1));
}

#[test]
fn what_a_backend_judges_is_passed_on_as_it_was_written() {
    let auths = |body: &str| {
        let parsed = push::parse(body.as_bytes(), push::PushLimits::default()).unwrap();
        parsed.auths().map(|auth| auth.map(|auth| auth.get().to_owned())).collect::<Vec<_>>()
    };
    for (body, auth) in [
        (r#"{"event":"E"}"#, None),
        (r#"{"event":"E","auth":null}"#, None),
        ("[]", None),
        ("7", None),
        (r#"{"event":"E","auth":{"k": [1, 2]},"password":"p"}"#, Some(r#"{"k": [1, 2]}"#)),
        (r#"{"event":"E","auth":null,"password":"p"}"#, Some(r#""p""#)),
        (r#"{"event":"E","auth":7}"#, Some("7")),
    ] {
        assert_eq!(auths(body), [auth.map(str::to_owned)], "{body}");
    }
    assert_eq!(
        auths(r#"[{"auth":1},{"auth":1.0},{}]"#),
        [Some("1".to_owned()), Some("1.0".to_owned()), None]
    );
}
