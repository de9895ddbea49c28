//! A first look at JSON text: which type it has, and the members of an object, unparsed.
//!
//! No function here recurses into a value, whatever its depth: `serde_json` skips over unparsed values
//! without using the stack. Only the syntax of values is checked: numbers out of range and lone surrogates
//! pass through in values that are not read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonKind {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

impl JsonKind {
    /// The type of `raw`, by its first byte; the syntax has been checked before.
    pub(crate) fn of(raw: &RawValue) -> Self {
        match raw.get().as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Bool,
            Some(b'"') => Self::Text,
            Some(b'[') => Self::Array,
            Some(b'{') => Self::Object,
            _ => Self::Number,
        }
    }
}

/// The text of a JSON string; `None` for other types and for lone surrogates, which no text contains.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
}

/// The digits of a JSON integer as they were written; `None` for other values and for `-0`, because readers
/// disagree on its decimal text.
pub(crate) fn integer(raw: &RawValue) -> Option<&str> {
    let written = raw.get();
    let digits = written.strip_prefix('-').unwrap_or(written);
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (whole && written != "-0").then_some(written)
}

/// Whether arrays and objects of `json` are nested deeper than `depth_max`.
pub(crate) fn is_deeper_than(json: &str, depth_max: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > depth_max {
            return true;
        }
    }
    false
}

/// Where a value stands in its array or object.
#[derive(Clone, Copy)]
pub(crate) enum Key<'a> {
    /// The position in an array.
    Position(usize),
    /// The name in an object, a JSON string.
    Member(&'a RawValue),
}

/// Passes the values of the array or object `json` to `visit`, unparsed, in their order.
///
/// # Errors
/// `json` is neither an array nor an object, or its syntax is wrong.
pub(crate) fn each<'a>(
    json: &'a str,
    visit: impl FnMut(Key<'a>, &'a RawValue),
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_any(Each(visit))?;
    deserializer.end()
}

struct Each<F>(F);

impl<'a, F: FnMut(Key<'a>, &'a RawValue)> Visitor<'a> for Each<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut array: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(value) = array.next_element()? {
            (self.0)(Key::Position(position), value);
            position += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut object: A) -> Result<(), A::Error> {
        while let Some((name, value)) = object.next_entry()? {
            (self.0)(Key::Member(name), value);
        }
        Ok(())
    }
}

/// The members of an object that have one of `N` names.
pub(crate) struct Members<'a, const N: usize> {
    /// Their values in the order of the names asked for; the first, if there are several.
    pub(crate) values: [Option<&'a RawValue>; N],
    /// The first of the names asked for that the object has more than once.
    pub(crate) duplicate: Option<&'static str>,
    /// The first name in the object that was not asked for, a JSON string.
    pub(crate) unknown: Option<&'a RawValue>,
}

impl<'a, const N: usize> Members<'a, N> {
    /// Looks for `names` in `json`; `None` if it is no object or its syntax is wrong.
    pub(crate) fn read(json: &'a str, names: [&'static str; N]) -> Option<Self> {
        if !json.starts_with('{') {
            return None;
        }
        let mut members = Self { values: [None; N], duplicate: None, unknown: None };
        each(json, |key, value| members.note(&names, key, value)).ok()?;
        Some(members)
    }

    fn note(&mut self, names: &[&'static str; N], key: Key<'a>, value: &'a RawValue) {
        let Key::Member(key) = key else { return };
        let name = text(key);
        match names.iter().position(|known| Some(*known) == name.as_deref()) {
            None => self.unknown = self.unknown.or(Some(key)),
            Some(at) if self.values[at].is_some() => self.duplicate = self.duplicate.or(Some(names[at])),
            Some(at) => self.values[at] = Some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_text_is_unescaped_and_a_lone_surrogate_is_none() {
        assert_eq!(text(raw(r#""a""#)).as_deref(), Some("a"));
        assert_eq!(text(raw(r#""\u00e9\/\n""#)).as_deref(), Some("\u{e9}/\n"));
        for json in [r#""\ud800""#, "1", "null", "[]", r#"["a"]"#] {
            assert_eq!(text(raw(json)), None, "{json}");
        }
    }

    #[test]
    fn an_integer_keeps_its_digits() {
        for json in ["0", "7", "-12", "123456789012345678901234567890"] {
            assert_eq!(integer(raw(json)), Some(json));
        }
        for json in ["-0", "1.0", "1e3", "true", r#""1""#, "null"] {
            assert_eq!(integer(raw(json)), None, "{json}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        for (json, depth) in
            [("1", 0), ("[]", 1), (r#"[{"a":[]}]"#, 3), (r#"["[[[[\"[["]"#, 1), ("[[],[],[]]", 2)]
        {
            assert!(!is_deeper_than(json, depth), "{json}");
            assert!(depth == 0 || is_deeper_than(json, depth - 1), "{json}");
        }
    }

    #[test]
    fn the_first_of_several_members_is_kept_and_the_rest_reported() {
        let members = Members::read(r#"{"a":1,"\u0061":2,"c":3,"\ud800":4}"#, ["a", "b"]).unwrap();
        assert_eq!(members.values[0].map(RawValue::get), Some("1"));
        assert!(members.values[1].is_none());
        assert_eq!(members.duplicate, Some("a"));
        assert_eq!(members.unknown.map(RawValue::get), Some(r#""c""#));
    }

    #[test]
    fn control_characters_in_names_are_no_json() {
        assert!(Members::read("{\"a\nb\":1}", ["a"]).is_none());
    }

    #[test]
    fn only_an_object_has_members() {
        for json in ["[]", r#"["a"]"#, "null", "1", r#""a""#, "", "{", "{}}"] {
            assert!(Members::read(json, ["a"]).is_none(), "{json}");
        }
    }
}
