//! Socket.IO: a packet that is decoded, written and decoded again is the same packet. Every text that
//! `serde_json` reads as an event is one. Arguments can be dispatched unchanged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::{RawValue, Value};
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets, Via};
use turted_core::limits::ATTACHMENTS_MAX;
use turted_core::name::Name;
use turted_core::wire::socketio::{Packet, decode, encode_ack, encode_dispatch, encode_event};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    check_against_model(text);
    let Ok(packet) = decode(text) else { return };
    let rewritten = write(&packet);
    let again = decode(&rewritten).expect("a written packet is well-formed");
    assert_eq!(format!("{again:?}"), format!("{packet:?}"), "{rewritten}");
    if let Packet::Event { name, args, .. } = &packet {
        check_encoders(name, args);
    }
});

/// In the root namespace and without an id, an event is a JSON array that begins with a string.
fn check_against_model(text: &str) {
    let Some(json) = text.strip_prefix('2') else {
        return;
    };
    let Ok(model) = serde_json::from_str::<Vec<Value>>(json) else {
        return;
    };
    let decoded = decode(text);
    let Some(Value::String(model_name)) = model.first() else {
        return assert!(decoded.is_err());
    };
    let Ok(Packet::Event { namespace: "/", ack: None, name, args, attachments: 0 }) = decoded else {
        panic!("an event was refused")
    };
    assert_eq!(&name, model_name);
    assert_eq!(args.len(), (model.len() - 1).min(16));
    for (arg, model) in args.iter().zip(&model[1..]) {
        assert_eq!(&serde_json::from_str::<Value>(arg.get()).expect("JSON"), model);
    }
}

fn write(packet: &Packet<'_>) -> String {
    let join = |args: &[&RawValue]| args.iter().map(|arg| arg.get()).collect::<Vec<_>>().join(",");
    let announce = |plain: char, binary: char, count: usize| {
        assert!(count <= ATTACHMENTS_MAX);
        if count == 0 { plain.to_string() } else { format!("{binary}{count}-") }
    };
    match packet {
        Packet::Connect { namespace, query, data } => {
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            format!("0{namespace}{query},{}", data.map_or("", RawValue::get))
        }
        Packet::Disconnect { namespace } => format!("1{namespace},"),
        Packet::Event { namespace, ack, name, args, attachments } => {
            let kind = announce('2', '5', *attachments);
            let id = ack.map(|id| id.to_string()).unwrap_or_default();
            let name = serde_json::to_string(name).expect("a string");
            let comma = if args.is_empty() { "" } else { "," };
            format!("{kind}{namespace},{id}[{name}{comma}{}]", join(args))
        }
        Packet::Ack { namespace, id, args, attachments } => {
            format!("{}{namespace},{id}[{}]", announce('3', '6', *attachments), join(args))
        }
        Packet::Error { namespace, data } => format!("4{namespace},{}", data.get()),
    }
}

fn check_encoders(name: &str, args: &[&RawValue]) {
    let raw: Vec<&str> = args.iter().map(|arg| arg.get()).collect();
    let event = encode_event(name, &raw);
    let Ok(Packet::Event { name: echoed, args: kept, .. }) = decode(&event[1..]) else { panic!("{event}") };
    assert_eq!(echoed, name);
    assert_eq!(kept.iter().map(|arg| arg.get()).collect::<Vec<_>>(), raw);
    let (Some(arg), Ok(name)) = (args.first(), Name::new(name)) else {
        return;
    };
    let ack = encode_ack(7, arg.get());
    assert!(matches!(decode(&ack[1..]), Ok(Packet::Ack { id: 7, .. })));
    check_dispatch(name, arg);
}

fn check_dispatch(name: Name, payload: &RawValue) {
    let targets = Targets::default();
    let dispatch = Dispatch { event: name.clone(), payload: payload.to_owned(), targets };
    let offset = Cursor { epoch: 255, sequence: 36 };
    let packet = encode_dispatch(&dispatch, Via::Channel(&name), Some(offset));
    let Ok(Packet::Event { name: event, args, .. }) = decode(&packet[1..]) else { panic!("{packet}") };
    let quoted = serde_json::to_string(name.as_str()).expect("a string");
    let body = format!(r#"{{"event":{quoted},"payload":{},"via":{{"channel":{quoted}}}}}"#, payload.get());
    assert_eq!(event, "EVENT");
    assert_eq!(args.iter().map(|arg| arg.get()).collect::<Vec<_>>(), [&body, "\"ff-36\""]);
}
