//! A value as its source has it, and what it can be read as.

use super::units::parse_size;

/// A value as its source has it.
pub(super) enum Input<'a> {
    /// From a variable or a flag: text, whatever the key's kind.
    Bare(&'a str),
    /// A TOML string.
    Text(&'a str),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Flag(bool),
    /// A TOML array of strings.
    List(Vec<&'a str>),
    /// A TOML table.
    Table(Vec<(&'a str, Input<'a>)>),
    /// Any other TOML value, by the name of its type.
    Other(&'static str),
}

impl<'a> Input<'a> {
    pub(super) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Bare(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn filled(&self) -> Option<&'a str> {
        self.text().filter(|text| !text.is_empty())
    }

    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::Bare(text) => text.parse().ok(),
            Self::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<u32> {
        let number = i32::try_from(self.count()?).ok()?;
        u32::try_from(number).ok().filter(|number| *number >= 1)
    }

    pub(super) fn bytes(&self) -> Option<usize> {
        self.text().map_or_else(|| self.count(), parse_size)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            Self::Bare(text) => text.parse().ok(),
            Self::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A boolean or a text, as text.
    pub(super) fn flag_or_text(&self) -> Option<String> {
        match self {
            Self::Flag(flag) => Some(flag.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    pub(super) fn list(&self) -> Option<Vec<&'a str>> {
        match self {
            Self::Bare("") => Some(Vec::new()),
            Self::Bare(text) => Some(text.split(',').map(str::trim).collect()),
            Self::List(list) => Some(list.clone()),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&[(&'a str, Input<'a>)]> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(super) fn choice<T: Choice>(&self) -> Option<T> {
        let text = self.text()?;
        T::NAMES.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice)
    }

    pub(super) fn choice_in_any_case<T: Choice>(&self) -> Option<T> {
        let text = self.text()?;
        T::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, choice)| *choice)
    }
}

/// A closed set of values, each with the name an operator writes.
pub(super) trait Choice: Copy + PartialEq + 'static {
    const NAMES: &'static [(&'static str, Self)];
}
