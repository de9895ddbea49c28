//! Names of users, channels and events: checked once where they enter the server, and a type of their own
//! from there on.

use std::borrow::Borrow;
use std::sync::Arc;

use crate::limits::NAME_BYTES_MAX;

/// The name of a user, a channel or an event: 1 to 255 bytes of UTF-8 without control characters.
///
/// Cheap to clone. Any other string is an ordinary name, `__proto__` and `constructor` included.
///
/// ```
/// use turted_core::name::{Name, NameRefusal};
/// assert_eq!(Name::new("chat").unwrap().as_str(), "chat");
/// assert_eq!(Name::new(""), Err(NameRefusal::Empty));
/// assert_eq!(Name::new("a\nb"), Err(NameRefusal::ControlCharacter));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Validates `text`.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, NameRefusal> {
        if text.is_empty() {
            return Err(NameRefusal::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameRefusal::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(NameRefusal::ControlCharacter);
        }
        Ok(Self(text.into()))
    }

    /// About how many bytes of memory it takes if no other value shares it: its text, and two counters beside
    /// it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + self.0.len()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text has more than [`NAME_BYTES_MAX`] bytes.
    #[error("a name has at most {NAME_BYTES_MAX} bytes")]
    TooLong,
    /// The text has a control character. In some protocols such a character ends a line.
    #[error("a name must not contain control characters")]
    ControlCharacter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_the_most_bytes_and_not_one_more() {
        assert!(Name::new(&"x".repeat(NAME_BYTES_MAX)).is_ok());
        assert_eq!(Name::new(&"x".repeat(NAME_BYTES_MAX + 1)), Err(NameRefusal::TooLong));
    }

    #[test]
    fn control_characters_are_refused_in_every_range() {
        for text in ["a\0", "\r", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(Name::new(text), Err(NameRefusal::ControlCharacter), "{text:?}");
        }
    }

    #[test]
    fn names_of_javascript_internals_are_ordinary() {
        for text in ["__proto__", "constructor", "toString", "hasOwnProperty"] {
            assert_eq!(Name::new(text).unwrap().as_str(), text);
        }
    }
}
