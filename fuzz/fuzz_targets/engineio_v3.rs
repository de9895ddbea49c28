//! Engine.IO 3: a text payload that is decoded has only one form, so it is encoded to the same bytes; a
//! binary payload keeps its packets. The first byte chooses what the other bytes are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::limits::POLLING_PACKETS_MAX;
use turted_core::wire::engineio::{
    Packet, PayloadEncoder, Version, decode_binary_payload, decode_jsonp_form, decode_payload, encode_binary,
    encode_binary_payload,
};

fuzz_target!(|data: &[u8]| {
    let Some((mode, body)) = data.split_first() else {
        return;
    };
    match mode % 4 {
        0 => check_binary_payload(body),
        1 => check_binary_frame(body),
        2 => check_form(body),
        _ => check_text_payload(body),
    }
});

fn check_text_payload(body: &[u8]) {
    let Ok(body) = std::str::from_utf8(body) else {
        return;
    };
    let Ok(packets) = decode_payload(Version::V3, body, POLLING_PACKETS_MAX) else {
        return;
    };
    assert!((1..=POLLING_PACKETS_MAX).contains(&packets.len()));
    let mut payload = PayloadEncoder::new(Version::V3);
    for packet in &packets {
        payload.push(&packet.encode_text(Version::V3));
    }
    assert_eq!(payload.finish(), body);
}

fn check_binary_payload(body: &[u8]) {
    let Ok(packets) = decode_binary_payload(body, POLLING_PACKETS_MAX) else {
        return;
    };
    assert!((1..=POLLING_PACKETS_MAX).contains(&packets.len()));
    let encoded = encode_binary_payload(&packets);
    assert_eq!(decode_binary_payload(&encoded, POLLING_PACKETS_MAX), Ok(packets));
}

fn check_binary_frame(body: &[u8]) {
    let Ok(Packet::Binary(data)) = Packet::decode_binary(Version::V3, body) else {
        return;
    };
    assert_eq!(encode_binary(Version::V3, &data), body);
}

/// Escapes newlines as a client does before it sends a form (engine.io-client 3, `doWrite`).
fn check_form(body: &[u8]) {
    let _ = decode_jsonp_form(body);
    // A newline behind a backslash is ambiguous on the wire; JSON has none.
    let Ok(text) = std::str::from_utf8(body) else {
        return;
    };
    if text.contains("\\\n") {
        return;
    }
    let escaped = text.replace("\\n", "\\\n").replace('\n', "\\n");
    let mut form = String::from("d=");
    for byte in escaped.bytes() {
        form.push_str(&format!("%{byte:02x}"));
    }
    assert_eq!(decode_jsonp_form(form.as_bytes()).as_deref(), Ok(text));
}
