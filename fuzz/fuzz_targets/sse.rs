//! Event streams: a browser reads each event once and as it was sent, whatever its name and its payload. The
//! input is a line with the name, then the payload.

#![no_main]

#[path = "../../crates/core/tests/event_stream/mod.rs"]
mod event_stream;

use event_stream::{Event, EventStream};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets, Via};
use turted_core::name::Name;
use turted_core::wire::sse::{encode_envelope, encode_event, encode_heartbeat, encode_start, event_name};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((name, payload)) = text.split_once('\n') else {
        return check_cursor(text);
    };
    let Ok(name) = Name::new(name) else { return };
    let Ok(payload) = serde_json::from_str::<Box<RawValue>>(payload) else {
        return;
    };
    let targets = Targets::default();
    let dispatch = Dispatch { event: name, payload, targets };
    check_event(&dispatch);
    check_envelope(&dispatch);
});

fn check_cursor(text: &str) {
    let Ok(cursor) = text.parse::<Cursor>() else {
        return;
    };
    assert_eq!(cursor.to_string(), text);
    let stream = EventStream::read(&encode_start(std::time::Duration::from_millis(7), Some(cursor)));
    assert_eq!((stream.last_id.as_str(), stream.retry, stream.events.len()), (text, Some(7), 0));
}

/// Line breaks as a browser delivers them.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn check_event(dispatch: &Dispatch) {
    let cursor = Cursor { epoch: 255, sequence: 36 };
    let event = encode_event(dispatch, Some(cursor));
    let name = event_name(&dispatch.event).into_owned();
    let reserved = ["error", "open", "turted:gap"];
    assert!(!reserved.contains(&name.as_str()));
    let original = name.strip_prefix("turted:").unwrap_or(&name);
    assert_eq!(original, dispatch.event.as_str());
    let expected = Event { name, data: lines(dispatch.payload.get()), id: cursor.to_string() };
    let stream = EventStream::read(&format!("{0}{event}{0}{event}", encode_heartbeat(None)));
    assert_eq!(stream.events, [expected.clone(), expected]);
}

fn check_envelope(dispatch: &Dispatch) {
    let event = encode_envelope(dispatch, Via::User(&dispatch.event), None);
    let stream = EventStream::read(&event);
    assert_eq!(stream.events.len(), 1);
    let quoted = serde_json::to_string(dispatch.event.as_str()).expect("a string");
    let payload = lines(dispatch.payload.get());
    let expected = format!(r#"{{"event":{quoted},"payload":{payload},"via":{{"user":{quoted}}}}}"#);
    assert_eq!((stream.events[0].name.as_str(), stream.events[0].data.as_str()), ("message", &*expected));
}
