//! MessagePack as JSON: what the emitters of Socket.IO publish becomes text that the rest of turted reads.
//!
//! Not an encoder, and no tree of values: the text is written while the bytes are read, so that a message takes no more
//! memory than its text. Specification: msgpack/spec.md of the msgpack project.
//!
//! | file | what |
//! |---|---|
//! | `reader` | one value's head after the other |
//! | `timestamp` | moments of time as JSON has them |

mod reader;
mod timestamp;

use super::json::push_string;
use reader::{Head, Reader};

/// How deep arrays and maps may be nested: what `serde_json` takes. Each level is a call.
pub(crate) const DEPTH_MAX: usize = 128;

/// Why bytes do not become JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// A value ends too early, text is not UTF-8, or a byte has no meaning.
    #[error("byte {0} is no MessagePack")]
    Malformed(usize),
    /// There is something behind the value.
    #[error("the message goes on behind its value, from byte {0}")]
    Trailing(usize),
    /// Bytes that are no text.
    #[error("JSON has no binary data")]
    Binary,
    /// A type of the application.
    #[error("JSON has no extension type {0}")]
    Extension(i8),
    /// A key is neither a string nor an integer.
    #[error("keys are strings or integers")]
    Key,
    /// Arrays and maps are nested too deep.
    #[error("arrays and maps are nested deeper than {DEPTH_MAX}")]
    Depth,
    /// The text is too long.
    #[error("as JSON it is too long")]
    Size,
}

/// The JSON text of one value, at most `bytes_max` long.
///
/// As `JSON.stringify` has it: numbers that JSON does not have become `null`, moments of time become strings.
pub(crate) fn to_json(message: &[u8], bytes_max: usize) -> Result<String, Fault> {
    let mut transcoder = Transcoder { reader: Reader::new(message), text: String::new(), bytes_max };
    transcoder.value(0)?;
    if transcoder.reader.is_ended() { Ok(transcoder.text) } else { Err(transcoder.trailing()) }
}

struct Transcoder<'a> {
    reader: Reader<'a>,
    text: String,
    bytes_max: usize,
}

impl Transcoder<'_> {
    fn trailing(&self) -> Fault {
        Fault::Trailing(self.reader.position())
    }

    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.reader.head()? {
            Head::Nil => self.text.push_str("null"),
            Head::Bool(true) => self.text.push_str("true"),
            Head::Bool(false) => self.text.push_str("false"),
            Head::Unsigned(number) => self.text.push_str(&number.to_string()),
            Head::Signed(number) => self.text.push_str(&number.to_string()),
            Head::Float(number) => self.float(number),
            Head::Text(text) => push_string(&mut self.text, text),
            Head::Binary => return Err(Fault::Binary),
            Head::Extension(timestamp::EXTENSION, data) => self.timestamp(data)?,
            Head::Extension(kind, _) => return Err(Fault::Extension(kind)),
            Head::Array(length) => self.array(length, inside(depth)?)?,
            Head::Map(length) => self.map(length, inside(depth)?)?,
        }
        if self.text.len() > self.bytes_max { Err(Fault::Size) } else { Ok(()) }
    }

    fn float(&mut self, number: f64) {
        match serde_json::Number::from_f64(number) {
            Some(number) => self.text.push_str(&number.to_string()),
            None => self.text.push_str("null"),
        }
    }

    fn timestamp(&mut self, data: &[u8]) -> Result<(), Fault> {
        let malformed = Fault::Malformed(self.reader.position());
        let moment = timestamp::read(data).ok_or(malformed)?;
        match timestamp::text(moment) {
            Some(text) => push_string(&mut self.text, &text),
            None => self.text.push_str("null"),
        }
        Ok(())
    }

    fn array(&mut self, length: u32, depth: usize) -> Result<(), Fault> {
        self.text.push('[');
        // A length that promises too much ends with the bytes: each value takes one at least.
        for position in 0..length {
            self.separate(position);
            self.value(depth)?;
        }
        self.text.push(']');
        Ok(())
    }

    fn map(&mut self, length: u32, depth: usize) -> Result<(), Fault> {
        self.text.push('{');
        for position in 0..length {
            self.separate(position);
            self.key()?;
            self.text.push(':');
            self.value(depth)?;
        }
        self.text.push('}');
        Ok(())
    }

    fn separate(&mut self, position: u32) {
        if position > 0 {
            self.text.push(',');
        }
    }

    /// PHP has arrays with gaps, whose keys are integers.
    fn key(&mut self) -> Result<(), Fault> {
        match self.reader.head()? {
            Head::Text(text) => push_string(&mut self.text, text),
            Head::Unsigned(number) => push_string(&mut self.text, &number.to_string()),
            Head::Signed(number) => push_string(&mut self.text, &number.to_string()),
            _ => return Err(Fault::Key),
        }
        Ok(())
    }
}

fn inside(depth: usize) -> Result<usize, Fault> {
    if depth < DEPTH_MAX { Ok(depth + 1) } else { Err(Fault::Depth) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(message: &[u8]) -> Result<String, Fault> {
        to_json(message, 1_000)
    }

    #[test]
    fn each_format_of_the_specification_becomes_its_json() {
        let cases: &[(&[u8], &str)] = &[
            (&[0xc0], "null"),
            (&[0xc2], "false"),
            (&[0xc3], "true"),
            (&[0x00], "0"),
            (&[0x7f], "127"),
            (&[0xff], "-1"),
            (&[0xe0], "-32"),
            (&[0xcc, 0x80], "128"),
            (&[0xcd, 0x01, 0x00], "256"),
            (&[0xce, 0xff, 0xff, 0xff, 0xff], "4294967295"),
            (&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "18446744073709551615"),
            (&[0xd0, 0x80], "-128"),
            (&[0xd1, 0x80, 0x00], "-32768"),
            (&[0xd2, 0x80, 0x00, 0x00, 0x00], "-2147483648"),
            (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
            (&[0xca, 0x3f, 0x00, 0x00, 0x00], "0.5"),
            (&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], "1.5"),
            (&[0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], "null"),
            (&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], "null"),
            (&[0xa1, b'"'], r#""\"""#),
            (&[0xd9, 1, b'a'], r#""a""#),
            (&[0xda, 0, 1, b'a'], r#""a""#),
            (&[0xdb, 0, 0, 0, 2, 0xc3, 0xa9], "\"\u{e9}\""),
            (&[0x90], "[]"),
            (&[0x92, 0x01, 0xc0], "[1,null]"),
            (&[0xdc, 0, 1, 0x01], "[1]"),
            (&[0xdd, 0, 0, 0, 1, 0x01], "[1]"),
            (&[0x80], "{}"),
            (&[0x82, 0xa1, b'a', 0x01, 0x05, 0x91, 0x02], r#"{"a":1,"5":[2]}"#),
            (&[0xde, 0, 1, 0xff, 0x01], r#"{"-1":1}"#),
            (&[0xdf, 0, 0, 0, 1, 0xa0, 0x01], r#"{"":1}"#),
            (&[0xd6, 0xff, 0, 0, 0, 0], r#""1970-01-01T00:00:00.000Z""#),
        ];
        for (message, expected) in cases {
            assert_eq!(read(message).as_deref(), Ok(*expected), "{message:02x?}");
        }
    }

    #[test]
    fn what_json_does_not_have_is_refused() {
        let cases: &[(&[u8], Fault)] = &[
            (&[], Fault::Malformed(0)),
            (&[0xc1], Fault::Malformed(0)),
            (&[0xcd, 0x01], Fault::Malformed(1)),
            (&[0x92, 0x01], Fault::Malformed(2)),
            (&[0xdd, 0xff, 0xff, 0xff, 0xff, 0x01], Fault::Malformed(6)),
            (&[0xdb, 0xff, 0xff, 0xff, 0xff, b'a'], Fault::Malformed(5)),
            (&[0xa1, 0xff], Fault::Malformed(1)),
            (&[0xa3, 0xed, 0xa0, 0x80], Fault::Malformed(1)),
            (&[0x01, 0x02], Fault::Trailing(1)),
            (&[0xc4, 1, 0], Fault::Binary),
            (&[0xc5, 0, 1, 0], Fault::Binary),
            (&[0xc6, 0, 0, 0, 1, 0], Fault::Binary),
            (&[0xd4, 0x05, 0x00], Fault::Extension(5)),
            (&[0xc7, 0, 0x80], Fault::Extension(-128)),
            (&[0xd4, 0xff, 0x00], Fault::Malformed(3)),
            (&[0x81, 0xc0, 0x01], Fault::Key),
            (&[0x81, 0x90, 0x01], Fault::Key),
        ];
        for (message, expected) in cases {
            assert_eq!(read(message), Err(*expected), "{message:02x?}");
        }
    }

    #[test]
    fn depth_and_text_end_at_their_limits() {
        let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(read(&nested(DEPTH_MAX + 1)), Err(Fault::Depth));
        assert_eq!(read(&nested(1_000_000)), Err(Fault::Depth));
        assert_eq!(to_json(&[0x92, 0xc0, 0xc0], 11).as_deref(), Ok("[null,null]"));
        assert_eq!(to_json(&[0x92, 0xc0, 0xc0], 10), Err(Fault::Size));
    }

    /// As an encoder with the widest formats writes it.
    fn pack(value: &Value, out: &mut Vec<u8>) {
        let text = |text: &str, out: &mut Vec<u8>| {
            out.push(0xdb);
            out.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            out.extend(text.as_bytes());
        };
        match value {
            Value::Null => out.push(0xc0),
            Value::Bool(value) => out.push(0xc2 + u8::from(*value)),
            Value::Number(number) => {
                out.push(0xd3);
                out.extend(number.as_i64().unwrap().to_be_bytes());
            }
            Value::String(value) => text(value, out),
            Value::Array(values) => {
                out.push(0xdd);
                out.extend(u32::try_from(values.len()).unwrap().to_be_bytes());
                values.iter().for_each(|value| pack(value, out));
            }
            Value::Object(members) => {
                out.push(0xdf);
                out.extend(u32::try_from(members.len()).unwrap().to_be_bytes());
                for (key, value) in members {
                    text(key, out);
                    pack(value, out);
                }
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_is_the_same_behind_both_encodings(value in any_value()) {
            let mut packed = Vec::new();
            pack(&value, &mut packed);
            let text = to_json(&packed, usize::MAX).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }

        #[test]
        fn any_bytes_are_refused_or_become_json(message in any::<Vec<u8>>()) {
            if let Ok(text) = to_json(&message, 1_000) {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
            }
        }
    }
}
