//! Packets and payloads of both versions: as recorded from clients, and broken ones that no client sends.

use std::time::Duration;

use super::*;
use crate::limits::POLLING_PACKETS_MAX;

use Version::{V3, V4};

type Packets = Result<Vec<Packet<'static>>, Malformed>;

fn binary(bytes: &[u8]) -> Packet<'static> {
    Packet::Binary(bytes.to_vec().into())
}

#[test]
fn text_packets_are_decoded() {
    let table = [
        (V4, "0", Ok(Packet::Open)),
        (V4, "1", Ok(Packet::Close)),
        (V3, "2", Ok(Packet::Ping(""))),
        (V3, "2probe", Ok(Packet::Ping("probe"))),
        (V4, "3", Ok(Packet::Pong(""))),
        (V4, "4", Ok(Packet::Message(""))),
        (V4, "42[\"ECHO\",\"é\"]", Ok(Packet::Message("2[\"ECHO\",\"é\"]"))),
        (V4, "5", Ok(Packet::Upgrade)),
        (V4, "6", Ok(Packet::Noop)),
        (V3, "b4AQIDBA==", Ok(binary(&[1, 2, 3, 4]))),
        (V4, "bAQIDBA==", Ok(binary(&[1, 2, 3, 4]))),
        (V4, "b", Ok(binary(&[]))),
        (V3, "b4", Ok(binary(&[]))),
        (V3, "b", Err(Malformed::BinaryType)),
        (V3, "b2AQ==", Err(Malformed::BinaryType)),
        (V4, "bAQ", Err(Malformed::InvalidBase64)),
        (V4, "bAR==", Err(Malformed::InvalidBase64)),
        (V4, "b$", Err(Malformed::InvalidBase64)),
        (V4, "", Err(Malformed::Empty)),
        (V4, "7", Err(Malformed::UnknownType)),
        (V4, "é", Err(Malformed::UnknownType)),
        (V4, "5x", Err(Malformed::UnexpectedData)),
        (V4, "0{}", Err(Malformed::UnexpectedData)),
    ];
    for (version, text, packet) in table {
        assert_eq!(Packet::decode_text(version, text), packet, "{version:?} {text}");
    }
}

#[test]
fn binary_frames_have_a_type_in_version_3_only() {
    assert_eq!(Packet::decode_binary(V3, &[4, 4, 1]), Ok(binary(&[4, 1])));
    assert_eq!(Packet::decode_binary(V4, &[4, 4, 1]), Ok(binary(&[4, 4, 1])));
    assert_eq!(Packet::decode_binary(V4, &[]), Ok(binary(&[])));
    assert_eq!(Packet::decode_binary(V3, &[]), Err(Malformed::Empty));
    assert_eq!(Packet::decode_binary(V3, &[2]), Err(Malformed::BinaryType));
    assert_eq!(encode_binary(V3, &[1]), [4, 1]);
    assert_eq!(encode_binary(V4, &[1]), [1]);
}

#[test]
fn payloads_are_decoded() {
    let recorded = "30:42[\"ECHO\",\"é€😀 \\\"q\\\" \\\\ end\"]";
    let message = Packet::Message(&recorded[4..]);
    let table = [
        (V3, "2:401:2", Ok(vec![Packet::Message("0"), Packet::Ping("")])),
        (V3, recorded, Ok(vec![message])),
        (V3, "10:b4AQIDBA==1:6", Ok(vec![binary(&[1, 2, 3, 4]), Packet::Noop])),
        (V3, "3:4😀", Ok(vec![Packet::Message("😀")])),
        (V3, "2:4😀", Err(Malformed::SplitCharacter)),
        (V3, "2:4😀1:6", Err(Malformed::SplitCharacter)),
        (V3, "4:4😀", Err(Malformed::Truncated)),
        (V3, "", Err(Malformed::Empty)),
        (V3, "0:", Err(Malformed::InvalidLength)),
        (V3, ":2", Err(Malformed::InvalidLength)),
        (V3, "-1:2", Err(Malformed::InvalidLength)),
        (V3, "+1:2", Err(Malformed::InvalidLength)),
        (V3, "1e0:2", Err(Malformed::InvalidLength)),
        (V3, "01:2", Err(Malformed::InvalidLength)),
        (V3, "0000000001:2", Err(Malformed::InvalidLength)),
        (V3, "1", Err(Malformed::InvalidLength)),
        (V3, "2\x1e2", Err(Malformed::InvalidLength)),
        (V3, "é:2", Err(Malformed::InvalidLength)),
        (V3, "2:2", Err(Malformed::Truncated)),
        (V3, "999999999:2", Err(Malformed::Truncated)),
        (V3, "1000000000:2", Err(Malformed::InvalidLength)),
        (V3, "18446744073709551617:2", Err(Malformed::InvalidLength)),
        (V4, "40", Ok(vec![Packet::Message("0")])),
        (V4, "40\x1ebAQ==\x1e3", Ok(vec![Packet::Message("0"), binary(&[1]), Packet::Pong("")])),
        (V4, "", Err(Malformed::Empty)),
        (V4, "\x1e", Err(Malformed::Empty)),
        (V4, "3\x1e", Err(Malformed::Empty)),
        (V4, "2:40", Ok(vec![Packet::Ping(":40")])),
    ];
    for (version, body, packets) in table {
        assert_eq!(decode_payload(version, body, POLLING_PACKETS_MAX), packets, "{version:?} {body:?}");
    }
}

#[test]
fn a_payload_may_have_the_most_packets_and_not_one_more() {
    for version in [V3, V4] {
        let payload = |packets| {
            let mut payload = PayloadEncoder::new(version);
            (0..packets).for_each(|_| payload.push("6"));
            payload.finish()
        };
        let most = payload(POLLING_PACKETS_MAX);
        assert_eq!(decode_payload(version, &most, POLLING_PACKETS_MAX).unwrap().len(), POLLING_PACKETS_MAX);
        let more = payload(POLLING_PACKETS_MAX + 1);
        assert_eq!(decode_payload(version, &more, POLLING_PACKETS_MAX), Err(Malformed::TooManyPackets));
    }
    let most = encode_binary_payload(&vec![Packet::Noop; POLLING_PACKETS_MAX]);
    assert!(decode_binary_payload(&most, POLLING_PACKETS_MAX).is_ok());
    let more = encode_binary_payload(&vec![Packet::Noop; POLLING_PACKETS_MAX + 1]);
    assert_eq!(decode_binary_payload(&more, POLLING_PACKETS_MAX), Err(Malformed::TooManyPackets));
}

#[test]
fn binary_payloads_count_bytes() {
    let table: [(&[u8], Packets); 11] = [
        (b"\x00\x03\xff4\xc3\xa9", Ok(vec![Packet::Message("é")])),
        (b"\x01\x03\xff\x04\x01\x02\x00\x01\xff6", Ok(vec![binary(&[1, 2]), Packet::Noop])),
        (b"\x00\x01\x00\xff4123456789", Ok(vec![Packet::Message("123456789")])),
        (b"", Err(Malformed::Empty)),
        (b"\x00\xff", Err(Malformed::InvalidLength)),
        (b"\x00\x00\x01\xff6", Err(Malformed::InvalidLength)),
        (b"\x00\x0a\xff6", Err(Malformed::InvalidLength)),
        (b"\x00\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff6", Err(Malformed::InvalidLength)),
        (b"\x00\x02\xff6", Err(Malformed::Truncated)),
        (b"\x00\x02\xff4\xff", Err(Malformed::InvalidText)),
        (b"\x02\x01\xff6", Err(Malformed::UnknownType)),
    ];
    for (body, packets) in table {
        assert_eq!(decode_binary_payload(body, POLLING_PACKETS_MAX), packets, "{body:x?}");
    }
}

#[test]
fn jsonp_answers_are_javascript() {
    assert_eq!(encode_jsonp(0, "2:40"), r#"___eio[0]("2:40");"#);
    let script = encode_jsonp(7, "a\"\\\n\u{2028}\u{2029}é");
    assert_eq!(script, r#"___eio[7]("a\"\\\n\u2028\u2029é");"#);
}

#[test]
fn jsonp_forms_are_decoded() {
    let table: [(&[u8], Result<&str, Malformed>); 12] = [
        (b"d=2%3A40", Ok("2:40")),
        (b"d=2:40&x=1", Ok("2:40")),
        (b"x=1&d=a+b%2B%C3%a9", Ok("a b+é")),
        (b"d=", Ok("")),
        (br"d=a\nb", Ok("a\nb")),
        (br"d=a\\nb", Ok(r"a\nb")),
        (br"d=a\\\nb\", Ok(r"a\\nb\")),
        (b"e=2", Err(Malformed::MissingField)),
        (b"", Err(Malformed::MissingField)),
        (b"d=%4", Err(Malformed::InvalidEscape)),
        (b"d=%+4", Err(Malformed::InvalidEscape)),
        (b"d=%ff", Err(Malformed::InvalidText)),
    ];
    for (body, text) in table {
        assert_eq!(decode_jsonp_form(body), text.map(str::to_owned), "{body:?}");
    }
}

#[test]
fn handshakes_look_as_recorded() {
    let mut handshake = Handshake {
        sid: "S",
        upgrades: Upgrades::WebSocket,
        ping_interval: Duration::from_millis(25_000),
        ping_timeout: Duration::from_millis(20_000),
        max_payload: Some(1_000_000),
    };
    let v4 = r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    assert_eq!(handshake.to_packet(), v4);
    handshake.max_payload = None;
    handshake.sid = "0123456789abcdefghij";
    let mut payload = PayloadEncoder::new(V3);
    payload.push(&handshake.to_packet());
    payload.push("40");
    let v3 = r#"97:0{"sid":"0123456789abcdefghij","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}2:40"#;
    assert_eq!(payload.finish(), v3);
}

/// Bodies as written by engine.io-parser 1.3.2 and 2.2.1, of socket.io-client 1.7.4 and 2.5.0.
#[test]
fn a_text_that_is_utf8_twice_is_told_from_one_that_is_so_once() {
    for (body, text) in [
        ("8:42[\"\u{c3}\u{b6}\"]", Some("42[\"\u{f6}\"]")),
        ("9:42[\"\u{e2}\u{82}\u{ac}\"]", Some("42[\"\u{20ac}\"]")),
        ("10:42[\"\u{f0}\u{9f}\u{98}\u{80}\"]", Some("42[\"\u{1f600}\"]")),
        ("7:42[\"\u{f6}\"]", None),
        ("7:42[\"\u{20ac}\"]", None),
        ("8:42[\"\u{1f600}\"]", None),
        ("7:42[\"o\"]", None),
        // One character that is not doubled is enough.
        ("9:42[\"\u{c3}\u{b6}\u{f6}\"]", None),
    ] {
        let undone = undo_second_utf8(body);
        let packets = match &undone {
            Some(body) => decode_payload_of_bytes(body, 2).unwrap(),
            None => decode_payload(Version::V3, body, 2).unwrap(),
        };
        assert_eq!(undone.is_some(), text.is_some(), "{body}");
        if let Some(text) = text {
            assert_eq!(packets, [Packet::Message(&text[1..])], "{body}");
        }
    }
    assert_eq!(decode_payload_of_bytes("3:4\u{f6}", 1), Ok(vec![Packet::Message("\u{f6}")]));
    assert_eq!(decode_payload_of_bytes("2:4\u{f6}", 1), Err(Malformed::SplitCharacter));
    assert_eq!(decode_payload_of_bytes("4:4\u{f6}", 1), Err(Malformed::Truncated));
}
