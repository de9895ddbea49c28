//! What a client remembers of its connection, so that it can come back to what it missed.

/// Values by name, each with the last one that was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory(Vec<(String, String)>);

/// What a client does about its memory.
#[derive(Debug)]
pub(crate) enum Recall {
    /// It never comes back.
    Nothing,
    /// It remembers what it needs to come back.
    Keeps(Memory),
    /// It has come back with what it remembered, and goes on remembering.
    Back(Memory),
}

impl Recall {
    /// Remembers a value, if the client remembers any.
    pub(crate) fn note(&mut self, name: &str, value: Option<&[u8]>) {
        if let (Self::Keeps(memory) | Self::Back(memory), Some(value)) = (self, value) {
            memory.note(name, value);
        }
    }

    /// What a client that comes back remembers.
    pub(crate) fn back(&self) -> Option<&Memory> {
        match self {
            Self::Back(memory) => Some(memory),
            Self::Nothing | Self::Keeps(_) => None,
        }
    }

    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    pub(crate) fn into_memory(self) -> Memory {
        match self {
            Self::Nothing => Memory::default(),
            Self::Keeps(memory) | Self::Back(memory) => memory,
        }
    }
}

impl Memory {
    /// Remembers a value in place of an earlier one. Values that are no UTF-8 are not remembered.
    pub(crate) fn note(&mut self, name: &str, value: &[u8]) {
        let Ok(value) = str::from_utf8(value) else { return };
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, last)) => {
                last.clear();
                last.push_str(value);
            }
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The last value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A text with each `{name}` replaced by its value.
    pub(crate) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

/// The value behind the last `after` in a text: up to a quote, a comma, a brace, or white space.
pub(crate) fn value_after<'a>(text: &'a [u8], after: &str) -> Option<&'a [u8]> {
    let start = memchr::memmem::rfind(text, after.as_bytes())? + after.len();
    let rest = &text[start..];
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"\",}".contains(byte);
    let value = &rest[..rest.iter().position(is_end).unwrap_or(rest.len())];
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_ends_where_json_and_event_streams_end_it() {
        let value = |text: &'static str, after| {
            value_after(text.as_bytes(), after).map(|v| str::from_utf8(v).unwrap())
        };
        assert_eq!(value(r#"{"offset":1},{"offset":22}"#, r#""offset":"#), Some("22"));
        assert_eq!(value(r#"{"epoch":"xy","a":1}"#, r#""epoch":""#), Some("xy"));
        assert_eq!(value("id: 7-1\ndata: 1", "id: "), Some("7-1"));
        assert_eq!(value("id: 7", "id: "), Some("7"));
        assert_eq!((value("data: 1", "id: "), value("id: \n", "id: ")), (None, None));
    }

    #[test]
    fn a_text_is_filled_with_what_was_remembered_last() {
        let mut memory = Memory::default();
        memory.note("id", b"1");
        memory.note("epoch", b"x");
        memory.note("id", b"2");
        memory.note("id", b"\xFF");
        assert_eq!(memory.fill("{epoch}-{id} {channel}"), "x-2 {channel}");
        assert_eq!((memory.get("id"), memory.get("pid")), (Some("2"), None));
    }
}
