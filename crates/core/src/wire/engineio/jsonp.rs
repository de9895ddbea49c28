//! Polling with script elements and forms, for pages that may not use XMLHttpRequest.

use super::Malformed;
use crate::wire::{form, json};

/// A payload as a script that hands it to callback `index`, the value of `j=`.
///
/// The payload is a JavaScript string, in which JSON's U+2028 and U+2029 would end the line
/// (engine.io 3.6.2, `polling-jsonp.js`, `doWrite`).
#[must_use]
pub fn encode_jsonp(index: u32, payload: &str) -> String {
    [&before_script(index), &*escape_for_script(payload), AFTER_SCRIPT].concat()
}

/// What stands in a script before the payload.
#[must_use]
pub fn before_script(index: u32) -> String {
    format!("___eio[{index}](\"")
}

/// What stands in a script behind the payload.
pub const AFTER_SCRIPT: &str = "\");";

/// A part of a payload as it stands in a script, between quotation marks. The parts of a payload can be
/// escaped one by one.
///
/// ```
/// use turted_core::wire::engineio::escape_for_script;
/// assert_eq!(escape_for_script("42[\"\u{2028}\"]"), r#"42[\"\u2028\"]"#);
/// ```
#[must_use]
pub fn escape_for_script(part: &str) -> String {
    let mut string = String::new();
    json::push_string(&mut string, part);
    string.pop();
    string.remove(0);
    if string.contains(['\u{2028}', '\u{2029}']) {
        string = string.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    }
    string
}

/// The payload in the body of a JSONP POST: the form field `d`.
///
/// # Errors
/// The rule that `body` breaks.
pub fn decode_jsonp_form(body: &[u8]) -> Result<String, Malformed> {
    let field = form::field(body, b"d=").ok_or(Malformed::MissingField)?;
    let decoded = form::decode(field).ok_or(Malformed::InvalidEscape)?;
    let text = String::from_utf8(decoded).map_err(|_| Malformed::InvalidText)?;
    Ok(restore_newlines(&text))
}

/// Undoes what the client does to newlines, which browsers change in forms: it sends a newline
/// as `\n` and the two characters `\n` as `\\n` (engine.io 3.6.2, `polling-jsonp.js`, `onData`).
fn restore_newlines(text: &str) -> String {
    let mut restored = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        restored.push_str(&rest[..at]);
        rest = &rest[at..];
        let (original, bytes) = match rest.as_bytes() {
            [b'\\', b'\\', b'n', ..] => ("\\n", 3),
            [b'\\', b'n', ..] => ("\n", 2),
            _ => ("\\", 1),
        };
        restored.push_str(original);
        rest = &rest[bytes..];
    }
    restored.push_str(rest);
    restored
}
