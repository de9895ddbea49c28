//! Engine.IO 4: a payload that is decoded has only one form, so it is encoded to the same bytes. A JSONP
//! answer contains it as a JavaScript string.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::limits::POLLING_PACKETS_MAX;
use turted_core::wire::engineio::{
    Packet, PayloadEncoder, Version, decode_payload, encode_binary, encode_jsonp,
};

fuzz_target!(|data: &[u8]| {
    let packet = Packet::decode_binary(Version::V4, data);
    let Ok(Packet::Binary(bytes)) = &packet else { panic!("every binary frame is a packet") };
    assert_eq!(encode_binary(Version::V4, bytes), data);
    let Ok(body) = std::str::from_utf8(data) else {
        return;
    };
    check_jsonp(body);
    let Ok(packets) = decode_payload(Version::V4, body, POLLING_PACKETS_MAX) else {
        return;
    };
    assert!((1..=POLLING_PACKETS_MAX).contains(&packets.len()));
    let mut payload = PayloadEncoder::new(Version::V4);
    for packet in &packets {
        payload.push(&packet.encode_text(Version::V4));
    }
    assert_eq!(payload.finish().as_bytes(), data);
});

fn check_jsonp(body: &str) {
    let script = encode_jsonp(3, body);
    assert!(!script.contains(['\u{2028}', '\u{2029}', '\n', '\r']));
    let literal = script.strip_prefix("___eio[3](").and_then(|rest| rest.strip_suffix(");"));
    let text: String = serde_json::from_str(literal.expect("a call")).expect("a string");
    assert_eq!(text, body);
}
