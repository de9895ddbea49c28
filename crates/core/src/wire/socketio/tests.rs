//! Packets as recorded from clients, packets that break a rule, and packets for clients.

use serde_json::value::RawValue;

use super::*;
use crate::cursor::Cursor;
use crate::dispatch::{Dispatch, Targets, Via};
use crate::limits::ATTACHMENTS_MAX;
use crate::name::Name;
use crate::wire::engineio::Version;

/// A packet in one line, because raw JSON cannot be compared.
fn describe(packet: &Packet<'_>) -> String {
    let list = |args: &[&RawValue]| args.iter().map(|arg| arg.get()).collect::<Vec<_>>().join(" ");
    match packet {
        Packet::Connect { namespace, query, data } => {
            format!("connect {namespace} {query:?} {:?}", data.map(RawValue::get))
        }
        Packet::Disconnect { namespace } => format!("disconnect {namespace}"),
        Packet::Event { namespace, ack, name, args, attachments } => {
            format!("event {namespace} {ack:?} {name:?} [{}] {attachments}", list(args))
        }
        Packet::Ack { namespace, id, args, attachments } => {
            format!("ack {namespace} {id} [{}] {attachments}", list(args))
        }
        Packet::Error { namespace, data } => format!("error {namespace} {}", data.get()),
    }
}

#[test]
fn packets_of_clients_are_decoded() {
    let table = [
        ("0", "connect / None None"),
        (r#"0{"token":"t"}"#, r#"connect / None Some("{\"token\":\"t\"}")"#),
        ("0/chat", "connect /chat None None"),
        ("0/chat,", "connect /chat None None"),
        ("0/chat?a=1&b=2,", r#"connect /chat Some("a=1&b=2") None"#),
        (r#"0/chat,{}"#, r#"connect /chat None Some("{}")"#),
        ("1", "disconnect /"),
        ("1/chat,", "disconnect /chat"),
        (r#"2["IDENT",{"username":"adam"}]"#, r#"event / None "IDENT" [{"username":"adam"}] 0"#),
        (r#"2["ECHO"]"#, r#"event / None "ECHO" [] 0"#),
        (r#"27["ECHO",1, {"a": 1.0}]"#, r#"event / Some(7) "ECHO" [1 {"a": 1.0}] 0"#),
        (r#"2/chat,7["a\"\u00e9"]"#, r#"event /chat Some(7) "a\"é" [] 0"#),
        (r#"218446744073709551615["e"]"#, r#"event / Some(18446744073709551615) "e" [] 0"#),
        (
            r#"51-["ECHO",{"_placeholder":true,"num":0}]"#,
            r#"event / None "ECHO" [{"_placeholder":true,"num":0}] 1"#,
        ),
        (r#"510-/chat,7["ECHO"]"#, r#"event /chat Some(7) "ECHO" [] 10"#),
        ("37[]", "ack / 7 [] 0"),
        (r#"3/chat,7[1,"b"]"#, r#"ack /chat 7 [1 "b"] 0"#),
        ("62-7[1]", "ack / 7 [1] 2"),
        (r#"4"no""#, r#"error / "no""#),
        (r#"4/chat,{"message":"no"}"#, r#"error /chat {"message":"no"}"#),
    ];
    for (text, packet) in table {
        assert_eq!(decode(text).map(|packet| describe(&packet)), Ok(packet.to_owned()), "{text}");
    }
}

#[test]
fn a_packet_that_breaks_a_rule_is_refused() {
    let table = [
        ("", Malformed::UnknownType),
        ("7", Malformed::UnknownType),
        ("é", Malformed::UnknownType),
        ("0[]", Malformed::ConnectNotObject),
        ("0null", Malformed::ConnectNotObject),
        ("0{", Malformed::ConnectNotObject),
        ("1[]", Malformed::UnexpectedData),
        ("2", Malformed::NotArray),
        ("2{}", Malformed::NotArray),
        ("2[\"a\"", Malformed::NotArray),
        ("2[\"a\"]]", Malformed::NotArray),
        ("2[\"a\",]", Malformed::NotArray),
        ("2[\"a\n\"]", Malformed::NotArray),
        ("2-1[\"a\"]", Malformed::NotArray),
        ("2[]", Malformed::NameNotString),
        ("2[1]", Malformed::NameNotString),
        ("2[null]", Malformed::NameNotString),
        ("2[[\"a\"]]", Malformed::NameNotString),
        (r#"2["\ud800"]"#, Malformed::NameNotString),
        (r#"218446744073709551616["e"]"#, Malformed::InvalidAckId),
        (r#"2000000000000000000001["e"]"#, Malformed::InvalidAckId),
        ("3[]", Malformed::MissingAckId),
        ("5[\"a\"]", Malformed::InvalidAttachments),
        ("5-[\"a\"]", Malformed::InvalidAttachments),
        ("51[\"a\"]", Malformed::InvalidAttachments),
        ("511-[\"a\"]", Malformed::TooManyAttachments),
        ("599999999999999999999999-[\"a\"]", Malformed::TooManyAttachments),
        ("4", Malformed::NotJson),
        ("0/a\u{1e},", Malformed::InvalidNamespace),
    ];
    for (text, malformed) in table {
        assert_eq!(decode(text).map(|packet| describe(&packet)), Err(malformed), "{text}");
    }
}

#[test]
fn limits_hold_at_and_one_above() {
    assert!(decode(&format!(r#"5{ATTACHMENTS_MAX}-["a"]"#)).is_ok());
    assert!(decode(&format!(r#"5{}-["a"]"#, ATTACHMENTS_MAX + 1)).is_err());
    assert!(decode(&format!("0/{}", "x".repeat(254))).is_ok());
    assert!(decode(&format!("0/{}", "x".repeat(255))).is_err());
}

#[test]
fn arguments_beyond_the_sixteenth_are_checked_and_dropped() {
    for (args, kept) in [(15, 15), (16, 16), (17, 16), (10_000, 16)] {
        let text = format!("2[\"a\"{}]", ",1".repeat(args));
        let Ok(Packet::Event { args, .. }) = decode(&text) else { panic!("{text}") };
        assert_eq!(args.len(), kept);
        let text = format!("37[0{}]", ",1".repeat(kept));
        let Ok(Packet::Ack { args, .. }) = decode(&text) else { panic!("{text}") };
        assert_eq!(args.len(), 16.min(kept + 1));
    }
    assert!(decode(&format!("2[\"a\"{},]", ",1".repeat(20))).is_err());
}

#[test]
fn deep_arguments_cost_no_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!("2[\"ECHO\",{deep}]");
    let Ok(Packet::Event { args, .. }) = decode(&text) else { panic!() };
    assert_eq!(args[0].get(), deep);
    assert!(decode(&format!("2[\"ECHO\"{},{deep}]", ",1".repeat(16))).is_ok());
    assert!(decode(&format!("2[\"ECHO\",{}", "[".repeat(100_000))).is_err());
}

#[test]
fn reserved_names_are_those_of_a_socket() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert!(is_reserved(name));
    }
    for name in ["", "Connect", "connected", "__proto__", "ECHO"] {
        assert!(!is_reserved(name));
    }
}

#[test]
fn packets_for_clients_look_as_recorded() {
    let (v3, v4) = (Version::V3, Version::V4);
    let table = [
        (encode_event("OK", &[r#"{"channel":"c"}"#]), r#"42["OK",{"channel":"c"}]"#),
        (encode_event("ERROR", &[r#""IDENT not verified""#]), r#"42["ERROR","IDENT not verified"]"#),
        (encode_event("a\"b", &["1", "2"]), r#"42["a\"b",1,2]"#),
        (encode_event("a", &[]), r#"42["a"]"#),
        (encode_ack(7, r#"{"ok":true}"#), r#"437[{"ok":true}]"#),
        (encode_connect(v3, "S", Some("P")), "40"),
        (encode_connect(v4, "S", None), r#"40{"sid":"S"}"#),
        (encode_connect(v4, "S", Some("P")), r#"40{"sid":"S","pid":"P"}"#),
        (encode_connect_error(v3, "/ns", "Invalid namespace"), r#"44/ns,"Invalid namespace""#),
        (encode_connect_error(v4, "/ns", "Invalid namespace"), r#"44/ns,{"message":"Invalid namespace"}"#),
        (encode_connect_error(v4, "/", "no"), r#"44{"message":"no"}"#),
    ];
    for (packet, expected) in table {
        assert_eq!(packet, expected);
    }
}

#[test]
fn a_dispatch_says_why_it_came_and_keeps_its_payload() {
    let adam = Name::new("adam").unwrap();
    let quoted = Name::new("a\"b").unwrap();
    let dispatch = Dispatch {
        event: Name::new("MESSAGE:NEW").unwrap(),
        payload: RawValue::from_string(r#"{ "b":1.0, "1":"é" }"#.to_owned()).unwrap(),
        targets: Targets::default(),
    };
    let head = r#"42["EVENT",{"event":"MESSAGE:NEW","payload":{ "b":1.0, "1":"é" },"via":"#;
    let table = [
        (Via::User(&adam), None, r#"{"user":"adam"}}]"#),
        (Via::Channel(&quoted), None, r#"{"channel":"a\"b"}}]"#),
        (Via::Broadcast, None, r#"{"broadcast":true}}]"#),
        (Via::Broadcast, Some(Cursor { epoch: 255, sequence: 36 }), r#"{"broadcast":true}},"ff-36"]"#),
    ];
    for (via, offset, tail) in table {
        assert_eq!(encode_dispatch(&dispatch, via, offset), format!("{head}{tail}"));
    }
}
