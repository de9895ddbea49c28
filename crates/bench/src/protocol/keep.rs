//! What a client remembers of what it hears, as the command line has it: `NAME=TEXT`.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// One value: its name, and the text that stands before it in a message. The last one that was heard counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    pub(crate) name: String,
    pub(crate) after: String,
}

impl Keep {
    /// A value of a preset.
    pub(super) fn of(name: &str, after: &str) -> Self {
        Self { name: name.to_owned(), after: after.to_owned() }
    }

    /// How the value is named where it is put in.
    pub(super) fn placeholder(&self) -> String {
        format!("{{{}}}", self.name)
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, after) = text.split_once('=').ok_or("expected NAME=TEXT")?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_name || ["channel", "payload", "payload_string", "password"].contains(&name) {
            return Err(
                "expected a name of small letters that stands for nothing else, such as id".to_owned()
            );
        }
        if after.is_empty() {
            return Err("expected the text before the value behind the =".to_owned());
        }
        Ok(Self { name: name.to_owned(), after: after.to_owned() })
    }
}

impl Display for Keep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.after)
    }
}
