//! Where a body is no JSON, and what was expected there, for people who search for the mistake. The text
//! repeats nothing of the pushed data.

use serde_json::value::RawValue;

/// The magic number of gzip (RFC 1952 2.3.1).
const GZIP: &[u8] = &[0x1F, 0x8B];
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What is wrong with a body that is no JSON.
pub(super) fn describe(body: &[u8]) -> String {
    if body.starts_with(GZIP) {
        return "the body is compressed with gzip: send it as it is".into();
    }
    if is_utf16(body) {
        return "the body is UTF-16: JSON is sent in UTF-8 (RFC 8259 8.1)".into();
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let (line, column) = place(&body[..error.valid_up_to()]);
            return format!("line {line}, column {column}: a byte that is no UTF-8 (RFC 8259 8.1)");
        }
    };
    if text.starts_with(BYTE_ORDER_MARK) {
        return "line 1, column 1: a byte order mark, with which JSON does not begin (RFC 8259 8.1)".into();
    }
    if text.trim_ascii().is_empty() {
        return "the body is empty: expected an object or an array".into();
    }
    match serde_json::from_str::<&RawValue>(text) {
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let said = error.to_string();
            let what = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
            format!("line {line}, column {column}: {what}")
        }
        // `null` is JSON, but it is no push.
        Ok(_) => {
            let (line, column) = place(&body[..body.len() - text.trim_ascii_start().len()]);
            format!("line {line}, column {column}: expected an object or an array")
        }
    }
}

/// Whether a text is UTF-16: it begins with a byte order mark, or one of its first two bytes is 0, which text
/// in UTF-8 never has.
fn is_utf16(body: &[u8]) -> bool {
    matches!(body, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 1..=0xFF, ..] | [1..=0xFF, 0, ..])
}

/// The line and column behind these bytes, both counted from 1. Columns count bytes, as in the errors of
/// serde_json.
fn place(before: &[u8]) -> (usize, usize) {
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_fault_is_told_and_what_was_expected_there() {
        for (body, expected) in [
            (&b""[..], "the body is empty: expected an object or an array"),
            (b" \n", "the body is empty: expected an object or an array"),
            (b"x", "line 1, column 1: expected value"),
            (b"{\"event\":\"E\"", "line 1, column 12: EOF while parsing an object"),
            (b"{\"event\":\"E\",}", "line 1, column 14: key must be a string"),
            (b"{\n  \"event\": \"E\"\n  \"payload\": 1}", "line 3, column 3: expected `,` or `}`"),
            (b"{'event':'E'}", "line 1, column 2: key must be a string"),
            (b"{\"event\":\"E\"}{}", "line 1, column 14: trailing characters"),
            (b"\n null ", "line 2, column 2: expected an object or an array"),
            (b"{\n\"a\":\"\xE9\"}", "line 2, column 6: a byte that is no UTF-8 (RFC 8259 8.1)"),
            (
                b"\xEF\xBB\xBF{}",
                "line 1, column 1: a byte order mark, with which JSON does not begin (RFC 8259 8.1)",
            ),
            (b"\xFF\xFE{\0}\0", "the body is UTF-16: JSON is sent in UTF-8 (RFC 8259 8.1)"),
            (b"\xFE\xFF\0{\0}", "the body is UTF-16: JSON is sent in UTF-8 (RFC 8259 8.1)"),
            (b"{\0}\0", "the body is UTF-16: JSON is sent in UTF-8 (RFC 8259 8.1)"),
            (b"\0{\0}", "the body is UTF-16: JSON is sent in UTF-8 (RFC 8259 8.1)"),
            (b"\x1F\x8B\x08\0", "the body is compressed with gzip: send it as it is"),
        ] {
            assert_eq!(describe(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }
}
