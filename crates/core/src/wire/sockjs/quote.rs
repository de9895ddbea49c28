//! JSON strings that browsers do not damage: beside the escapes that JSON requires, it escapes characters
//! that some browsers change on the way (sockjs-protocol 0.3.3, "JSON Unicode Encoding").

/// Appends `text` as a JSON string, quotes included.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(may_need_escape) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut tail = tail.chars();
        tail.next().into_iter().for_each(|char| push_escaped(out, char));
        rest = tail.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends `text` as a JavaScript string that may stand in a `script` element, where `</script>`
/// and `<!--` have a meaning even in a string (HTML, "Restrictions for contents of script
/// elements").
pub(super) fn push_script_string(out: &mut String, text: &str) {
    let start = out.len();
    push_quoted(out, text);
    if out[start..].contains('<') {
        let escaped = out[start..].replace('<', "\\u003c");
        out.truncate(start);
        out.push_str(&escaped);
    }
}

/// Whether `byte` begins a character that [`push_escaped`] may change: ASCII, or the first byte
/// of U+2000 to U+2FFF or U+F000 to U+FFFF. No such byte stands inside a character.
fn may_need_escape(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\' | 0xE2 | 0xEF)
}

/// The short forms are those of `JSON.stringify`, which the protocol's suite expects.
fn push_escaped(out: &mut String, char: char) {
    match char {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\0'..'\u{20}'
        | '\u{200c}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fff0}'..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
        char => out.push(char),
    }
}
