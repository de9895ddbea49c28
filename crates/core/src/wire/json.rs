//! Appends JSON strings and the reasons of deliveries to a packet that is being built. Not a JSON encoder.

use crate::dispatch::{Dispatch, Via};
use crate::name::Name;

/// Appends `text` as a JSON string, quotes included.
///
/// Most names and session ids need no escape and are copied; `serde_json` encodes the others.
pub(crate) fn push_string(out: &mut String, text: &str) {
    if text.bytes().any(needs_escape) {
        out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
        return;
    }
    // The buffer grows once, not separately for the text and each quotation mark.
    out.reserve(text.len() + 2);
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// Appends names as a JSON list.
pub(super) fn push_names(out: &mut String, names: &[Name]) {
    out.push('[');
    for (number, name) in names.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        push_string(out, name.as_str());
    }
    out.push(']');
}

/// Appends a dispatch as an object: `{"event":E,"payload":P,"via":{..}}`, the payload byte for byte.
pub(super) fn push_envelope(out: &mut String, dispatch: &Dispatch, via: Via<'_>) {
    out.push_str(r#"{"event":"#);
    push_string(out, dispatch.event.as_str());
    out.push_str(r#","payload":"#);
    out.push_str(dispatch.payload.get());
    out.push_str(r#","via":"#);
    push_via(out, via);
    out.push('}');
}

/// Appends why a connection receives a dispatch: `{"channel":"news"}`.
pub(super) fn push_via(out: &mut String, via: Via<'_>) {
    let (key, name) = match via {
        Via::User(name) => (r#"{"user":"#, name),
        Via::Channel(name) => (r#"{"channel":"#, name),
        Via::Broadcast => return out.push_str(r#"{"broadcast":true}"#),
    };
    out.push_str(key);
    push_string(out, name.as_str());
    out.push('}');
}

/// About how many bytes [`push_via`] appends.
pub(super) fn via_bytes(via: Via<'_>) -> usize {
    match via {
        Via::User(name) | Via::Channel(name) => name.as_str().len() + 20,
        Via::Broadcast => 20,
    }
}

/// RFC 8259 7: quotation mark, reverse solidus and the control characters below U+0020.
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::push_string;

    proptest! {
        #[test]
        fn a_string_looks_as_serde_json_writes_it(text in any::<String>()) {
            let mut out = String::new();
            push_string(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_string(&text).unwrap());
        }
    }
}
