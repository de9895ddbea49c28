//! Tests that an `EventSource` reads what was sent.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod event_stream;

use std::time::Duration;

use event_stream::{Event, EventStream};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets, Via};
use turted_core::name::Name;
use turted_core::wire::sse::{
    encode_envelope, encode_event, encode_gap, encode_heartbeat, encode_ping, encode_start, event_name,
};

fn heartbeat() -> String {
    encode_heartbeat(None)
}

fn dispatch(event: &str, payload: &str) -> Dispatch {
    let payload = RawValue::from_string(payload.to_owned()).unwrap();
    Dispatch { event: Name::new(event).unwrap(), payload, targets: Targets::default() }
}

/// The events of a stream as `(name, data)`.
fn read(stream: &str) -> Vec<(String, String)> {
    EventStream::read(stream).events.into_iter().map(|event| (event.name, event.data)).collect()
}

#[test]
fn events_look_as_the_standard_says() {
    let cursor = Some(Cursor { epoch: 255, sequence: 36 });
    let table = [
        (encode_event(&dispatch("E", "{}"), None), "event: E\ndata: {}\n\n"),
        (encode_event(&dispatch("E", "{}"), cursor), "id: ff-36\nevent: E\ndata: {}\n\n"),
        (encode_event(&dispatch(" E:", "1"), None), "event:  E:\ndata: 1\n\n"),
        (
            encode_event(&dispatch("E", "[\n1,\r\n 2,\r\r3]"), None),
            "event: E\ndata: [\ndata: 1,\ndata:  2,\ndata: \ndata: 3]\n\n",
        ),
        (encode_event(&dispatch("error", "1"), None), "event: turted:error\ndata: 1\n\n"),
        (
            encode_envelope(&dispatch("error", "1"), Via::Channel(&Name::new("a\"b").unwrap()), cursor),
            "id: ff-36\ndata: {\"event\":\"error\",\"payload\":1,\"via\":{\"channel\":\"a\\\"b\"}}\n\n",
        ),
        (encode_start(Duration::from_millis(8000), None), "retry: 8000\n\n"),
        (encode_gap(None), "event: turted:gap\ndata: {}\n\n"),
    ];
    for (stream, expected) in table {
        assert_eq!(stream, expected);
    }
}

#[test]
fn names_that_mean_something_else_are_told_apart() {
    let table = [
        ("error", "turted:error"),
        ("open", "turted:open"),
        ("turted:error", "turted:turted:error"),
        ("turted:gap", "turted:turted:gap"),
        ("turted:", "turted:turted:"),
        ("message", "message"),
        ("ping", "ping"),
        ("Error", "Error"),
        (" open", " open"),
        ("turted", "turted"),
        ("data: injected", "data: injected"),
        (":", ":"),
        ("\u{2028}", "\u{2028}"),
        ("\u{feff}", "\u{feff}"),
    ];
    for (name, sent) in table {
        assert_eq!(event_name(&Name::new(name).unwrap()), sent);
        assert_eq!(read(&encode_event(&dispatch(name, "1"), None)), [(sent.to_owned(), "1".to_owned())]);
    }
}

#[test]
fn only_events_reach_listeners_but_every_id_counts() {
    let cursor = |sequence| Some(Cursor { epoch: 255, sequence });
    let start = encode_start(Duration::from_secs(3), cursor(36));
    let source = EventStream::read(&format!("{start}{0}{0}", heartbeat()));
    assert_eq!((source.events.len(), source.last_id.as_str(), source.retry), (0, "ff-36", Some(3000)));
    let event = encode_event(&dispatch("E", "{}"), cursor(37));
    let source = EventStream::read(&format!(
        "{start}{}{event}{}{}",
        heartbeat(),
        encode_ping(None),
        encode_gap(cursor(40))
    ));
    let seen = |name: &str, id: &str| Event { name: name.into(), data: "{}".into(), id: id.into() };
    assert_eq!(source.events, [seen("E", "ff-37"), seen("ping", "ff-37"), seen("turted:gap", "ff-40")]);
}

/// JSON with line breaks of every kind between its tokens.
fn payload() -> impl Strategy<Value = String> {
    let space = "[ \t\r\n]{0,4}";
    (any::<String>(), space, space, space).prop_map(|(text, before, between, after)| {
        let text = Value::from(text);
        format!("[{before}{text}{between},{{{after}\"a\":{text}{before}}}{after}]")
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[^\\p{Cc}]{1,40}", "(turted:){0,3}(error|open|gap|message|)x?", "[ :a-z]{1,8}"]
        .prop_filter("a name is not empty", |name| !name.is_empty())
}

proptest! {
    #[test]
    fn any_event_arrives_once_with_its_name_and_payload(
        events in vec((name(), payload(), any::<u64>(), any::<u64>()), 0..6),
    ) {
        let (mut stream, mut expected) = (heartbeat(), Vec::new());
        for (event, payload, epoch, sequence) in &events {
            let (dispatch, cursor) = (dispatch(event, payload), Cursor { epoch: *epoch, sequence: *sequence });
            stream.push_str(&encode_event(&dispatch, Some(cursor)));
            stream.push_str(&heartbeat());
            let data = payload.replace("\r\n", "\n").replace('\r', "\n");
            let name = event_name(&dispatch.event).into_owned();
            expected.push(Event { name, data, id: cursor.to_string() });
        }
        prop_assert_eq!(EventStream::read(&stream).events, expected);
    }

    #[test]
    fn the_payload_is_the_same_json(payload in payload()) {
        let [(_, data)] = &read(&encode_event(&dispatch("E", &payload), None))[..] else { panic!() };
        let [sent, received] = [&payload, data].map(|json| serde_json::from_str::<Value>(json).unwrap());
        prop_assert_eq!(sent, received);
    }

    #[test]
    fn an_envelope_is_one_message_with_everything_in_it(
        event in name(),
        channel in name(),
        payload in payload(),
    ) {
        let channel = Name::new(&channel).unwrap();
        let stream = encode_envelope(&dispatch(&event, &payload), Via::Channel(&channel), None);
        let [(name, data)] = &read(&stream)[..] else { panic!("{stream}") };
        prop_assert_eq!(name, "message");
        let envelope: Value = serde_json::from_str(data).unwrap();
        let payload: Value = serde_json::from_str(&payload).unwrap();
        let via = serde_json::json!({"channel": channel.as_str()});
        let expected = serde_json::json!({"event": event, "payload": payload, "via": via});
        prop_assert_eq!(envelope, expected);
    }

    #[test]
    fn every_name_in_a_stream_stands_for_one_event(one in name(), other in name()) {
        let names = [&one, &other].map(|name| Name::new(name).unwrap());
        let sent = [&names[0], &names[1]].map(event_name);
        prop_assert_eq!(sent[0] == sent[1], one == other);
        for sent in sent {
            prop_assert!(!["error", "open", "turted:gap", ""].contains(&&*sent));
        }
    }

    #[test]
    fn any_text_is_a_cursor_in_its_one_form_or_none(text in "[0-9a-f]{0,9}-?[0-9]{0,21}|.{0,20}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string(), text);
        }
    }
}
