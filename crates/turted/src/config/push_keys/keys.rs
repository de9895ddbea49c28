//! Every key of an entry of `[[push.keys]]`, once. `docs/configuration.md` has a row for each; a test compares.

use std::path::PathBuf;

use crate::config::error::{Origin, Problem};
use crate::config::push_sources::keys::{Keyed, Origins, SourceKey};
use crate::config::value::Field;
use turted_core::secret::Secret;

/// The list as the file names it.
pub(in crate::config) const KEY: &str = "push.keys";

/// One entry as it was written.
#[derive(Clone, Debug)]
pub(in crate::config) struct PushKeySettings {
    pub(in crate::config) origin: Origin,
    pub(super) origins: Origins,
    /// Whether all that was written can be used.
    pub(super) is_sound: bool,
    pub(super) name: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) events: Vec<String>,
    pub(super) channels: Vec<String>,
    pub(super) users: Option<bool>,
    pub(super) broadcast: Option<bool>,
}

impl Keyed for PushKeySettings {
    fn origins(&mut self) -> &mut Origins {
        &mut self.origins
    }
}

/// What an entry has.
pub(super) const KEYS: [SourceKey<PushKeySettings>; 7] = [
    key("name", Field::OptionalText(|s| &mut s.name)),
    key("password", Field::Secret(|s| &mut s.password)),
    key("password_file", Field::Path(|s| &mut s.password_file)),
    key("events", Field::Texts(|s| &mut s.events)),
    key("channels", Field::Texts(|s| &mut s.channels)),
    key("users", Field::OptionalFlag(|s| &mut s.users)),
    key("broadcast", Field::OptionalFlag(|s| &mut s.broadcast)),
];

const fn key(key: &'static str, field: Field<PushKeySettings>) -> SourceKey<PushKeySettings> {
    SourceKey { key, kinds: &[], field }
}

impl PushKeySettings {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            origins: Origins::new(),
            is_sound: false,
            name: None,
            password: None,
            password_file: None,
            events: Vec::new(),
            channels: Vec::new(),
            users: None,
            broadcast: None,
        }
    }

    pub(super) fn is_given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// A problem where `key` was set, or where the entry begins.
    pub(super) fn problem(&self, key: &str, what: impl Into<String>) -> Problem {
        Problem::at(self.origins.get(key).unwrap_or(&self.origin).clone(), what)
    }

    /// Where the password stands in the configuration file, if it does.
    pub(in crate::config) fn written_password(&self) -> Option<Origin> {
        self.origins.get("password").cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_key_of_an_entry_and_no_other() {
        let docs = include_str!("../../../../../docs/configuration.md");
        let section =
            docs.split("\n## `[[push.keys]]`").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let documented: Vec<_> = rows.map(|(key, _)| key).collect();
        assert_eq!(documented, KEYS.each_ref().map(|key| key.key));
    }
}
