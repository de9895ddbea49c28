//! `turted.toml`: every key with its line and column.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::channels;
use super::collect::Collected;
use super::error::Problem;
use super::file_source::{FileSource, input};
use super::hooks;
use super::push_keys;
use super::push_sources;
use super::settings::{SETTINGS, find};
use super::sources::ConfigFile;
use super::suggest::{nearest_key, nearest_section};

/// Bytes of a configuration file: a thousand times a full one.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Reads the file into `collected`.
///
/// # Errors
/// The file cannot be read or is no TOML; then none of its keys counts.
pub(super) fn read(collected: &mut Collected, file: &ConfigFile) -> Result<(), Problem> {
    let (path, text) = match file {
        ConfigFile::IfPresent(path) => match read_text(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            text => (path, text),
        },
        ConfigFile::Named(path) => (path, read_text(path)),
    };
    let text = text.map_err(|error| Problem::general(format!("cannot read {}: {error}", path.display())))?;
    let source = FileSource { path, text: &text };
    let table = DeTable::parse(&text).map_err(|error| {
        // The error's `Display` quotes the line, which may hold a secret.
        let start = error.span().map_or(0, |span| span.start);
        Problem::at(source.origin(start), format!("not valid TOML: {}", error.message()))
    })?;
    source.read_top(collected, table.get_ref());
    Ok(())
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

impl FileSource<'_> {
    fn read_top(&self, collected: &mut Collected, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let origin = self.origin(key.span().start);
            match value.get_ref() {
                _ if name == "channels" => channels::read(self, collected, value),
                _ if name == "sources" => push_sources::read(self, collected, value),
                _ if name == "hooks" => hooks::read(self, collected, value),
                DeValue::Table(section) if is_section(name) => self.read_section(collected, name, section),
                _ if is_section(name) => {
                    let what = format!("`{name}` is a section: write [{name}] and its keys below");
                    collected.problem(Problem::at(origin, what));
                }
                DeValue::Table(_) if find(name).is_none() => {
                    let what = format!("unknown section [{name}]{}", nearest_section(name));
                    collected.problem(Problem::at(origin, what));
                }
                DeValue::Array(list) if find(name).is_none() && has_tables(list) => {
                    let what = format!("unknown section [[{name}]]{}", nearest_section(name));
                    collected.problem(Problem::at(origin, what));
                }
                _ => self.read_key(collected, name, (key.span().start, value)),
            }
        }
    }

    fn read_section(&self, collected: &mut Collected, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let full = format!("{section}.{}", key.get_ref());
            if full == "push.keys" {
                push_keys::read(self, collected, value);
                continue;
            }
            self.read_key(collected, &full, (key.span().start, value));
        }
    }

    fn read_key(&self, collected: &mut Collected, key: &str, entry: (usize, &Spanned<DeValue<'_>>)) {
        let (key_start, value) = entry;
        let Some(setting) = find(key) else {
            let what = format!("unknown key `{key}`{}", nearest_key(key));
            return collected.problem(Problem::at(self.origin(key_start), what));
        };
        collected.set(setting, self.origin(value.span().start), &input(value.get_ref()), self.base());
    }
}

fn has_tables(list: &DeArray<'_>) -> bool {
    list.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_)))
}

fn is_section(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.parts().0 == name && !name.is_empty())
}
