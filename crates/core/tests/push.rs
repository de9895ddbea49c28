//! What push bodies mean, which bodies are refused, and by which rule.

use turted_core::dispatch::{Dispatch, Targets};
use turted_core::limits::{BATCH_DISPATCHES_MAX, NAME_BYTES_MAX, TARGETS_MAX};
use turted_core::name::Name;
use turted_core::push::{self, PushRefusal, RefusalKind};

fn dispatches(body: &str) -> Result<Vec<Dispatch>, PushRefusal> {
    push::parse(body.as_bytes(), push::PushLimits::default())?.into_dispatches()
}

fn only(body: &str) -> Dispatch {
    let mut dispatches = dispatches(body).unwrap_or_else(|refusal| panic!("{body}: {refusal}"));
    assert_eq!(dispatches.len(), 1, "{body}");
    dispatches.remove(0)
}

/// `users;channels` with names separated by commas, and `*` at the end for broadcast.
fn summary(targets: &Targets) -> String {
    let join = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
    let all = if targets.broadcast { "*" } else { "" };
    format!("{};{}{all}", join(&targets.users), join(&targets.channels))
}

#[track_caller]
fn check_targets(targets: &str, expected: &str) {
    let body = format!(r#"{{"event":"E","targets":{targets}}}"#);
    assert_eq!(summary(&only(&body).targets), expected, "{targets}");
}

/// `expected` is `rule field`, and the kind is `Invalid`.
#[track_caller]
fn check_refused(body: &str, expected: &str) {
    let refusal = dispatches(body).expect_err(body);
    let found = format!("{} {}", refusal.rule, refusal.field.as_deref().unwrap_or_default());
    assert_eq!((found.trim_end(), refusal.kind), (expected, RefusalKind::Invalid), "{body}");
}

#[test]
fn targets_are_read_in_every_shape_that_backends_send() {
    let cases = [
        ("null", ";"),
        ("{}", ";"),
        ("[]", ";"),
        ("[ \n]", ";"),
        (r#"{"users":["bob"]}"#, "bob;"),
        (r#"{"users":"bob"}"#, "bob;"),
        (r#"{"user":"bob"}"#, "bob;"),
        (r#"{"channel":"c","channels":["d"]}"#, ";c,d"),
        (r#"{"channels":["d","e"],"users":["a"]}"#, "a;d,e"),
        (r#"{"users":{"0":"a","2":"b"}}"#, "a,b;"),
        (r#"{"users":null,"channels":[]}"#, ";"),
        (r#"{"users":[7,-1,"x"]}"#, "7,-1,x;"),
        (r#"{"users":[7,"7","a","a"],"user":"a"}"#, "a,7;"),
        (r#"{"users":["a"],"channels":["a"]}"#, "a;a"),
        (r#"{"users":["\u00e9","é"]}"#, "é;"),
        (r#"{"\u0075sers":["a"]}"#, "a;"),
        (
            r#"{"users":["__proto__","toString"],"channels":["constructor"]}"#,
            "__proto__,toString;constructor",
        ),
        (r#"{"users":["a"],"broadcast":true}"#, "a;*"),
        (r#"{"users":["a"],"broadcast":false}"#, "a;"),
    ];
    for (targets, expected) in cases {
        check_targets(targets, expected);
    }
    assert_eq!(only(r#"{"event":"E"}"#).targets, Targets::default());
}

#[test]
fn broadcast_counts_only_if_it_is_true() {
    for json in ["true", "1", r#""1""#] {
        check_targets(&format!(r#"{{"broadcast":{json}}}"#), ";*");
    }
    for json in ["false", "0", "null", r#""""#, r#""0""#] {
        check_targets(&format!(r#"{{"broadcast":{json}}}"#), ";");
    }
    for json in ["2", "-1", "-0", "1.0", "1e400", "[]", "{}", "[1]", r#""true""#, r#""yes""#, r#""\ud800""#] {
        let body = format!(r#"{{"event":"E","targets":{{"broadcast":{json}}}}}"#);
        check_refused(&body, "broadcast-not-a-boolean /targets/broadcast");
    }
}

#[test]
fn payloads_times_targets_have_a_limit_for_the_whole_body() {
    let item = r#"{"event":"E","targets":{"users":["a","b"],"channels":["a"],"broadcast":true},"payload":"1234567"}"#;
    let read = |body: &str, expansion_bytes: usize| {
        let limits = push::PushLimits { expansion_bytes, ..Default::default() };
        push::parse(body.as_bytes(), limits)?.into_dispatches()
    };
    // Four targets, each with one byte of event and nine of payload.
    assert_eq!(read(item, 40).unwrap().len(), 1);
    let batch = format!("[{item},{item}]");
    assert_eq!(read(&batch, 80).unwrap().len(), 2);
    for (body, most) in [(item, 39), (&batch, 79)] {
        let refusal = read(body, most).unwrap_err();
        assert_eq!((refusal.rule, refusal.kind), ("expansion-too-large", RefusalKind::TooLarge));
        assert!(refusal.to_string().contains("limits.expansion_bytes"), "{refusal}");
    }
    let nobody = format!(r#"{{"event":"E","payload":"{}"}}"#, "x".repeat(1_000));
    assert_eq!(read(&nobody, 1).unwrap().len(), 1, "a dispatch without targets takes no frame");
}

#[test]
fn payloads_are_forwarded_byte_for_byte() {
    let payloads = [
        "0",
        "false",
        r#""""#,
        "null",
        "[]",
        "{}",
        "1.0",
        "1e400",
        "-0",
        "12345678901234567890",
        r#""\ud800""#,
        r#"{"a" : 1,"a":2, "\u00e9":"\/"}"#,
        "[1,\n\t2]",
        "\"\u{2028}😀\"",
        r#"{"_placeholder":true,"num":0}"#,
    ];
    for payload in payloads {
        let current = format!(r#"{{"event":"E","payload": {payload} }}"#);
        assert_eq!(only(&current).payload.get(), payload);
        let legacy = format!(r#"{{"cmd":"notify","data":{{"event":"E","payload":{payload}}}}}"#);
        assert_eq!(only(&legacy).payload.get(), payload);
    }
    assert_eq!(only(r#"{"event":"E"}"#).payload.get(), "{}");
    assert_eq!(only(r#"{"cmd":"notify","data":{"event":"E"}}"#).payload.get(), "{}");
}

#[test]
fn depth_is_no_danger_in_any_field() {
    for depth in [12_000, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(only(&format!(r#"{{"event":"E","payload":{deep}}}"#)).payload.get(), deep);
        assert!(dispatches(&format!(r#"{{"event":"E","other":{deep}}}"#)).is_ok());
        assert!(dispatches(&format!(r#"{{"event":"E","auth":{deep}}}"#)).is_ok());
        check_refused(&format!(r#"{{"event":{deep}}}"#), "event-not-a-string /event");
        check_refused(&format!(r#"{{"event":"E","targets":{deep}}}"#), "targets-not-an-object /targets");
        let users = format!(r#"{{"event":"E","targets":{{"users":{deep}}}}}"#);
        check_refused(&users, "name-not-a-string /targets/users/0");
        check_refused(&deep, "item-not-an-object");
        assert_eq!(dispatches(&deep[..depth]).unwrap_err().kind, RefusalKind::NotJson);
        let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        check_refused(&objects, "event-missing /event");
    }
}

#[test]
fn a_broken_rule_is_named_with_its_field() {
    let long = format!(r#"{{"event":"{}"}}"#, "x".repeat(NAME_BYTES_MAX + 1));
    let targets = |targets: &str| format!(r#"{{"event":"E","targets":{targets}}}"#);
    let legacy = |data: &str| format!(r#"{{"cmd":"notify","data":{data}}}"#);
    let cases = [
        ("{}".to_owned(), "event-missing /event"),
        (r#"{"event":""}"#.to_owned(), "name-empty /event"),
        (r#"{"event":"a\nb"}"#.to_owned(), "name-control-character /event"),
        (r#"{"event":"\udc00"}"#.to_owned(), "lone-surrogate /event"),
        (long, "name-too-long /event"),
        (r#""text""#.to_owned(), "item-not-an-object"),
        (targets(r#""users""#), "targets-not-an-object /targets"),
        (targets(r#"["a"]"#), "targets-not-an-object /targets"),
        (targets("false"), "targets-not-an-object /targets"),
        (targets(r#"{"hasOwnProperty":1}"#), "targets-unknown-key /targets/hasOwnProperty"),
        (targets(r#"{"a\nb":1}"#), "targets-unknown-key /targets"),
        (targets(r#"{"\ud800":1}"#), "targets-unknown-key /targets"),
        (targets(&format!(r#"{{"{}":1}}"#, "k".repeat(33))), "targets-unknown-key /targets"),
        (targets(r#"{"users":[["a"]]}"#), "name-not-a-string /targets/users/0"),
        (targets(r#"{"users":{"x":"a","y":1.5}}"#), "name-not-a-string /targets/users/y"),
        (targets(r#"{"users":["a","","c"]}"#), "name-empty /targets/users/1"),
        (targets(r#"{"channel":"\u0000"}"#), "name-control-character /targets/channel"),
        (targets(r#"{"channels":["\ud800"]}"#), "lone-surrogate /targets/channels/0"),
        (targets(r#"{"users":true}"#), "names-not-a-list /targets/users"),
        (targets(r#"{"users":7.5}"#), "names-not-a-list /targets/users"),
        (targets(r#"{"users":-0}"#), "names-not-a-list /targets/users"),
        (legacy("[]"), "data-not-an-object /data"),
        (r#"{"data":[]}"#.to_owned(), "data-not-an-object /data"),
        (r#"{"data":{}}"#.to_owned(), "event-missing /data/event"),
        (r#"{"data":null}"#.to_owned(), "event-missing /event"),
        (r#"{"targets":{},"data":{"event":"E"}}"#.to_owned(), "event-missing /event"),
        (legacy("{}"), "event-missing /data/event"),
        (legacy(r#"{"event":"E","users":[null]}"#), "name-not-a-string /data/users/0"),
        (r#"{"cmd":"notifyall","data":{"event":"E"}}"#.to_owned(), "cmd-unknown /cmd"),
        (r#"{"cmd":null,"data":{"event":"E"}}"#.to_owned(), "cmd-unknown /cmd"),
    ];
    for (body, expected) in cases {
        check_refused(&body, expected);
    }
}

#[test]
fn a_duplicate_key_is_refused_wherever_readers_could_disagree() {
    for key in ["event", "targets", "payload", "auth", "password"] {
        let body = format!(r#"{{"{key}":"a","{key}":"a"}}"#);
        check_refused(&body, &format!("duplicate-key /{key}"));
    }
    for key in ["user", "users", "channel", "channels", "broadcast"] {
        let body = format!(r#"{{"event":"E","targets":{{"{key}":"1","{key}":"1"}}}}"#);
        check_refused(&body, &format!("duplicate-key /targets/{key}"));
    }
    for key in ["event", "user", "users", "channel", "channels", "payload"] {
        let body = format!(r#"{{"cmd":"notify","data":{{"{key}":"1","{key}":"1"}}}}"#);
        check_refused(&body, &format!("duplicate-key /data/{key}"));
    }
    check_refused(r#"{"event":"a","\u0065vent":"b"}"#, "duplicate-key /event");
    check_refused(r#"{"cmd":"notify","cmd":"notifyAll","data":{}}"#, "duplicate-key /cmd");
    assert!(dispatches(r#"{"event":"a","other":1,"other":2}"#).is_ok());
}

#[test]
fn the_form_before_3_3_3_reaches_the_same_targets() {
    let cases = [
        (r#"{"cmd":"notifyUser","password":"P","data":{"event":"E","user":"u"}}"#, "u;"),
        (r#"{"cmd":"notifyUser","auth":"P","data":{"event":"E","users":["u","v"],"user":"w"}}"#, "w,u,v;"),
        (
            r#"{"cmd":"notifyChannel","auth":"P","data":{"event":"E","channel":"c","channels":{"1":"d"}}}"#,
            ";c,d",
        ),
        (r#"{"cmd":"notify","data":{"event":"E","user":["u"],"channels":["c"],"x":1}}"#, "u;c"),
        (r#"{"cmd":"notifyAll","data":{"event":"E","user":["u"],"channels":["c"]}}"#, ";*"),
        (r#"{"cmd":"notifyAll","data":{"event":"E","user":1.5}}"#, ";*"),
        (r#"{"password":"P","data":{"event":"E","user":"u","channel":"c"}}"#, "u;c"),
        (r#"{"data":{"event":"E"},"payload":1}"#, ";"),
    ];
    for (body, expected) in cases {
        assert_eq!(summary(&only(body).targets), expected, "{body}");
    }
}

#[test]
fn a_batch_has_the_most_items_and_not_one_more() {
    let batch = |length: usize| format!("[{}]", vec![r#"{"event":"E"}"#; length].join(","));
    assert_eq!(dispatches(&batch(BATCH_DISPATCHES_MAX)).unwrap().len(), BATCH_DISPATCHES_MAX);
    check_refused(&batch(BATCH_DISPATCHES_MAX + 1), "batch-too-long");
    check_refused("[]", "batch-empty");
}

#[test]
fn a_dispatch_has_the_most_targets_and_not_one_more() {
    let list = |from: usize, to: usize| format!("{:?}", (from..to).collect::<Vec<_>>());
    let body = |users: &str, channels: &str| {
        format!(r#"{{"event":"E","targets":{{"users":{users},"channels":{channels}}}}}"#)
    };
    let targets = only(&body(&list(0, TARGETS_MAX), "[]")).targets;
    assert_eq!(targets.users.len(), TARGETS_MAX);
    assert_eq!(only(&body(&list(0, TARGETS_MAX - 1), "[0]")).targets.channels.len(), 1);
    check_refused(
        &body(&list(0, TARGETS_MAX + 1), "[]"),
        &format!("targets-too-many /targets/users/{TARGETS_MAX}"),
    );
    check_refused(&body(&list(0, TARGETS_MAX), "[0]"), "targets-too-many /targets");
    let twice = format!("{:?}", (0..TARGETS_MAX).chain(0..TARGETS_MAX).collect::<Vec<_>>());
    assert_eq!(only(&body(&twice, "[]")).targets, targets, "duplicates do not count");
}

#[test]
fn an_event_called_error_is_an_ordinary_event() {
    for event in ["error", "__proto__", "constructor", "connect"] {
        assert_eq!(only(&format!(r#"{{"event":"{event}"}}"#)).event.as_str(), event);
    }
}
