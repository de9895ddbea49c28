//! Any template and any message: a template is refused or read again from what it shows, and a message becomes a dispatch
//! that keeps the rules of names, or breaks one that is told in one short line.
//!
//! The first line of the input is the template, the second one the expression, the rest the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::dispatch::Dispatch;
use turted_core::limits::NAME_BYTES_MAX;
use turted_core::push;
use turted_core::push::map::{Expression, Map, PayloadForm};
use turted_core::push::template::{Place, Template, Values};

const PLACES: [Place; 4] = [Place::Channel, Place::Key, Place::File, Place::Header];
/// Compiling what is longer takes all the time.
const EXPRESSION_BYTES_MAX: usize = 64;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (Some(template), Some(expression)) = (text(), text()) else { return };
    let message = parts.next().unwrap_or_default();
    let _ = push::id(message);
    let expression = (!expression.is_empty() && expression.len() <= EXPRESSION_BYTES_MAX)
        .then(|| Expression::new(expression).ok())
        .flatten();
    let captures = expression.as_ref().map(Expression::captures).unwrap_or_default();
    let template = match Template::parse(template, &PLACES, &captures) {
        Ok(template) => template,
        Err(fault) => return assert!(fault.to_string().len() < template.len() + 128),
    };
    assert_eq!(Template::parse(&template.to_string(), &PLACES, &captures).as_ref(), Ok(&template));
    let none = Template::parse("", &PLACES, &captures).expect("an empty text has no placeholder");
    for payload in [PayloadForm::Json, PayloadForm::Text, PayloadForm::Captures] {
        for broadcast in [&none, &template] {
            let map = Map {
                expression: expression.clone(),
                event: template.clone(),
                users: vec![template.clone(), template.clone()],
                channels: vec![template.clone()],
                broadcast: broadcast.clone(),
                payload,
            };
            check(&map, message);
        }
    }
});

fn check(map: &Map, message: &[u8]) {
    let headers = [("a".to_owned(), "{key}".to_owned())];
    let file = String::from_utf8_lossy(message);
    let values = Values { channel: "c", key: "k.\u{e4}", file: &file, headers: &headers };
    match map.dispatch(message, &values) {
        Ok(Some(dispatch)) => check_dispatch(&dispatch),
        Ok(None) => assert!(map.expression.is_some(), "without an expression every message counts"),
        Err(refusal) => {
            let text = refusal.to_string();
            assert!(text.len() < 256 && !text.contains(char::is_control), "{text:?}");
        }
    }
}

fn check_dispatch(dispatch: &Dispatch) {
    let targets = &dispatch.targets;
    assert_eq!((targets.users.len(), targets.channels.len()), (1, 1), "the same name is listed once");
    for name in targets.users.iter().chain(&targets.channels).chain([&dispatch.event]) {
        let name = name.as_str();
        assert!((1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control), "{name:?}");
    }
    serde_json::from_str::<&serde_json::value::RawValue>(dispatch.payload.get()).expect("a payload is JSON");
}
