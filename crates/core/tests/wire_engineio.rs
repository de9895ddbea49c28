//! Properties of the Engine.IO wire that hold for any input.

use proptest::collection::vec;
use proptest::prelude::*;
use turted_core::limits::POLLING_PACKETS_MAX;
use turted_core::wire::engineio::{
    Packet, PacketType, PayloadEncoder, Version, decode_binary_payload, decode_jsonp_form, decode_payload,
    encode_binary, encode_binary_payload, encode_jsonp,
};

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V3), Just(Version::V4)]
}

/// A packet of text without the separator of version 4, which JSON escapes, or of bytes.
#[derive(Clone, Debug)]
enum Content {
    Message(String),
    Ping(String),
    Binary(Vec<u8>),
    Upgrade,
}

impl Content {
    fn to_packet(&self) -> Packet<'_> {
        match self {
            Self::Message(text) => Packet::Message(text),
            Self::Ping(text) => Packet::Ping(text),
            Self::Binary(bytes) => Packet::Binary(bytes.into()),
            Self::Upgrade => Packet::Upgrade,
        }
    }
}

fn contents() -> impl Strategy<Value = Vec<Content>> {
    let content = prop_oneof![
        "[^\u{1e}]{0,40}".prop_map(Content::Message),
        "[^\u{1e}]{0,8}".prop_map(Content::Ping),
        vec(any::<u8>(), 0..40).prop_map(Content::Binary),
        Just(Content::Upgrade),
    ];
    vec(content, 1..20)
}

fn encode(version: Version, packets: &[Packet<'_>]) -> String {
    let mut payload = PayloadEncoder::new(version);
    for packet in packets {
        payload.push(&packet.encode_text(version));
    }
    payload.finish()
}

#[test]
fn every_packet_type_has_its_digit() {
    for digit in '0'..='6' {
        assert_eq!(PacketType::from_digit(digit).map(PacketType::digit), Some(digit));
    }
    assert_eq!(PacketType::from_digit('7'), None);
}

proptest! {
    #[test]
    fn a_payload_keeps_its_packets(version in version(), contents in contents()) {
        let packets: Vec<_> = contents.iter().map(Content::to_packet).collect();
        let body = encode(version, &packets);
        prop_assert_eq!(decode_payload(version, &body, POLLING_PACKETS_MAX), Ok(packets));
    }

    #[test]
    fn a_binary_payload_keeps_its_packets(contents in contents()) {
        let packets: Vec<_> = contents.iter().map(Content::to_packet).collect();
        let body = encode_binary_payload(&packets);
        prop_assert_eq!(decode_binary_payload(&body, POLLING_PACKETS_MAX), Ok(packets));
    }

    #[test]
    fn a_binary_frame_keeps_its_bytes(version in version(), bytes in vec(any::<u8>(), 0..40)) {
        let frame = encode_binary(version, &bytes);
        prop_assert_eq!(Packet::decode_binary(version, &frame), Ok(Packet::Binary(bytes.into())));
    }

    #[test]
    fn a_payload_that_is_decoded_has_one_form(
        version in version(),
        body in "([0-9]{1,2}:|\u{1e}|[0-7b]|é|😀|AQID|=){0,12}",
    ) {
        if let Ok(packets) = decode_payload(version, &body, POLLING_PACKETS_MAX) {
            prop_assert_eq!(encode(version, &packets), body);
        }
    }

    #[test]
    fn any_text_is_decoded_or_refused(version in version(), body in any::<String>()) {
        let _ = Packet::decode_text(version, &body);
        if let Ok(packets) = decode_payload(version, &body, POLLING_PACKETS_MAX) {
            prop_assert!((1..=POLLING_PACKETS_MAX).contains(&packets.len()));
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(version in version(), body in vec(any::<u8>(), 0..200)) {
        let _ = Packet::decode_binary(version, &body);
        let _ = decode_jsonp_form(&body);
        if let Ok(packets) = decode_binary_payload(&body, POLLING_PACKETS_MAX) {
            prop_assert!((1..=POLLING_PACKETS_MAX).contains(&packets.len()));
        }
    }

    #[test]
    fn a_jsonp_answer_is_one_line_with_the_payload(index in any::<u32>(), text in any::<String>()) {
        let script = encode_jsonp(index, &text);
        let ends_a_line = script.contains(['\u{2028}', '\u{2029}', '\n', '\r']);
        prop_assert!(!ends_a_line);
        let head = format!("___eio[{index}](");
        let literal = script.strip_prefix(&head).unwrap().strip_suffix(");").unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(literal).unwrap(), text);
    }

    // A newline behind a backslash is ambiguous on the wire, and JSON has none.
    #[test]
    fn a_jsonp_form_keeps_its_payload(text in "([^\n\\\\]|\\\\n|\\\\\"|[^\n\\\\]\n){0,40}") {
        prop_assume!(!text.contains("\\\n"));
        // engine.io-client 3, `polling-jsonp.js`, `doWrite`
        let escaped = text.replace("\\n", "\\\n").replace('\n', "\\n");
        let form: String = escaped.bytes().map(|byte| format!("%{byte:02X}")).collect();
        prop_assert_eq!(decode_jsonp_form(format!("x=1&d={form}&y").as_bytes()), Ok(text));
    }
}
