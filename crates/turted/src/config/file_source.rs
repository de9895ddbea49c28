//! A file that is being read: where things stand in it, and its values.

use std::path::Path;

use toml::de::DeValue;

use super::error::Origin;
use super::input::Input;

/// A file that is being read.
pub(super) struct FileSource<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl FileSource<'_> {
    /// Where relative paths start.
    pub(super) fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The place of a byte, counted as editors count.
    pub(super) fn origin(&self, start: usize) -> Origin {
        let before = self.text.get(..start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Origin::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

pub(super) fn input<'a>(value: &'a DeValue<'_>) -> Input<'a> {
    match value {
        DeValue::String(text) => Input::Text(text),
        DeValue::Boolean(flag) => Input::Flag(*flag),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Input::Other("integer"), Input::Integer),
        DeValue::Array(array) => array
            .iter()
            .map(|item| item.get_ref().as_str())
            .collect::<Option<Vec<_>>>()
            .map_or(Input::Other("array"), Input::List),
        DeValue::Table(table) => Input::Table(
            table.iter().map(|(key, value)| (key.get_ref().as_ref(), input(value.get_ref()))).collect(),
        ),
        other => Input::Other(other.type_str()),
    }
}
