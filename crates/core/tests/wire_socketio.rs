//! Properties of the Socket.IO wire that hold for any input.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets, Via};
use turted_core::limits::NAME_BYTES_MAX;
use turted_core::name::Name;
use turted_core::wire::engineio::Version;
use turted_core::wire::socketio::{
    Packet, decode, encode_ack, encode_connect, encode_connect_error, encode_dispatch, encode_event,
};

/// JSON texts as clients and backends write them, spaces included.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1.0".to_owned()),
        Just("-1e400".to_owned()),
        Just(r#""\ud800""#.to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            inner.prop_map(|item| format!(r#"{{"a": {item},"a":1}}"#)),
        ]
    })
}

fn name() -> impl Strategy<Value = Name> {
    any::<String>().prop_filter_map("a name", |text| Name::new(&text).ok())
}

fn raw(args: &[&RawValue]) -> Vec<String> {
    args.iter().map(|arg| arg.get().to_owned()).collect()
}

proptest! {
    #[test]
    fn an_event_arrives_as_it_was_sent(name in any::<String>(), args in vec(json(), 0..=16)) {
        let borrowed: Vec<_> = args.iter().map(String::as_str).collect();
        let text = encode_event(&name, &borrowed);
        let Ok(Packet::Event { namespace, ack, name: decoded, args: kept, attachments }) =
            decode(text.strip_prefix('4').unwrap())
        else {
            panic!("{text}")
        };
        prop_assert_eq!((namespace, ack, attachments), ("/", None, 0));
        prop_assert_eq!(decoded, name);
        prop_assert_eq!(raw(&kept), args);
    }

    #[test]
    fn an_ack_arrives_as_it_was_sent(id in any::<u64>(), arg in json()) {
        let text = encode_ack(id, &arg);
        let Ok(Packet::Ack { id: decoded, args, .. }) = decode(&text[1..]) else { panic!("{text}") };
        prop_assert_eq!(decoded, id);
        prop_assert_eq!(raw(&args), [arg]);
    }

    #[test]
    fn all_parts_of_an_event_are_found(
        namespace in "/[a-z]{0,8}",
        id in any::<Option<u64>>(),
        attachments in 0usize..=10,
        arg in json(),
    ) {
        let digits = id.map(|id| id.to_string()).unwrap_or_default();
        let text = format!(r#"5{attachments}-{namespace},{digits}["e",{arg}]"#);
        let Ok(Packet::Event { namespace: n, ack, args, attachments: a, .. }) = decode(&text) else {
            panic!("{text}")
        };
        prop_assert_eq!((n, ack, a), (namespace.as_str(), id, attachments));
        prop_assert_eq!(raw(&args), [arg]);
    }

    #[test]
    fn a_connect_error_arrives_as_it_was_sent(namespace in "/[a-z]{0,8}", message in any::<String>()) {
        for version in [Version::V3, Version::V4] {
            let text = encode_connect_error(version, &namespace, &message);
            let Ok(Packet::Error { namespace: decoded, data }) = decode(&text[1..]) else {
                panic!("{text}")
            };
            prop_assert_eq!(decoded, &namespace);
            let data: Value = serde_json::from_str(data.get()).unwrap();
            let found = if version == Version::V3 { &data } else { &data["message"] };
            prop_assert_eq!(found, &Value::from(message.as_str()));
        }
    }

    #[test]
    fn a_connect_carries_its_ids(sid in any::<String>(), pid in any::<Option<String>>()) {
        let text = encode_connect(Version::V4, &sid, pid.as_deref());
        let Ok(Packet::Connect { namespace: "/", query: None, data: Some(data) }) = decode(&text[1..])
        else {
            panic!("{text}")
        };
        let data: Value = serde_json::from_str(data.get()).unwrap();
        prop_assert_eq!(data["sid"].as_str(), Some(sid.as_str()));
        prop_assert_eq!(data.get("pid").and_then(Value::as_str), pid.as_deref());
    }

    #[test]
    fn a_dispatch_is_an_event_with_its_payload_untouched(
        event in name(),
        payload in json(),
        user in name(),
        offset in any::<Option<(u64, u64)>>(),
    ) {
        let raw_payload = RawValue::from_string(payload.clone()).unwrap();
        let dispatch = Dispatch { event, payload: raw_payload, targets: Targets::default() };
        let offset = offset.map(|(epoch, sequence)| Cursor { epoch, sequence });
        let text = encode_dispatch(&dispatch, Via::User(&user), offset);
        let Ok(Packet::Event { name, args, .. }) = decode(&text[1..]) else { panic!("{text}") };
        let event = serde_json::to_string(dispatch.event.as_str()).unwrap();
        let user = serde_json::to_string(user.as_str()).unwrap();
        let mut expected =
            vec![format!(r#"{{"event":{event},"payload":{payload},"via":{{"user":{user}}}}}"#)];
        expected.extend(offset.map(|offset| format!("\"{offset}\"")));
        prop_assert_eq!(name, "EVENT");
        prop_assert_eq!(raw(&args), expected);
    }

    #[test]
    fn any_text_is_decoded_or_refused(text in any::<String>()) {
        let _ = decode(&text);
    }

    #[test]
    fn text_that_resembles_a_packet_is_bounded(
        text in "[0-6][0-9]{0,2}-?(/[a-z?]{0,3},?)?[0-9]{0,21}(\\[|\\{)?(\"[a-z\\\\]{0,2}\"|,|1|\\]|\\}|:){0,24}",
    ) {
        if let Ok(
            Packet::Event { namespace, args, attachments, .. }
            | Packet::Ack { namespace, args, attachments, .. },
        ) = decode(&text)
        {
            prop_assert!(args.len() <= 16 && attachments <= 10);
            prop_assert!(namespace.len() <= NAME_BYTES_MAX && namespace.starts_with('/'));
        }
    }
}
