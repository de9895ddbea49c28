//! Every key of `[[hooks]]`, once. `docs/configuration.md` has a row for each; a test compares.

use std::path::PathBuf;
use std::time::Duration;

use crate::auth::HttpUrl;
use crate::config::error::Origin;
use crate::config::push_sources::keys::{Keyed, Origins, SourceKey};
use crate::config::value::Field;
use turted_core::limits::HOOK_GRACE;

/// The keys of one hook as they were written.
#[derive(Clone, Debug)]
pub(in crate::config) struct HookSettings {
    pub(super) origin: Origin,
    pub(super) origins: Origins,
    pub(super) name: Option<String>,
    pub(super) url: Option<HttpUrl>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) dispatches: Vec<String>,
    pub(super) clients: Vec<String>,
    pub(super) grace: Duration,
    pub(super) ca: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) node: Option<String>,
}

/// In the order in which they are shown.
pub(super) const KEYS: &[SourceKey<HookSettings>] = &[
    key("name", Field::OptionalText(|s| &mut s.name)),
    key("url", Field::HttpUrl(|s| &mut s.url)),
    key("secret_file", Field::Path(|s| &mut s.secret_file)),
    key("dispatches", Field::Texts(|s| &mut s.dispatches)),
    key("clients", Field::Texts(|s| &mut s.clients)),
    key("grace", Field::Delay(|s| &mut s.grace)),
    key("ca", Field::Path(|s| &mut s.ca)),
    key("insecure", Field::Flag(|s| &mut s.insecure)),
    key("node", Field::OptionalText(|s| &mut s.node)),
];

const fn key(key: &'static str, field: Field<HookSettings>) -> SourceKey<HookSettings> {
    SourceKey { key, kinds: &[], field }
}

impl HookSettings {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            origins: Origins::new(),
            name: None,
            url: None,
            secret_file: None,
            dispatches: Vec::new(),
            clients: Vec::new(),
            grace: HOOK_GRACE,
            ca: None,
            insecure: false,
            node: None,
        }
    }
}

impl Keyed for HookSettings {
    fn origins(&mut self) -> &mut Origins {
        &mut self.origins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_every_key_of_a_hook() {
        let docs = include_str!("../../../../../docs/configuration.md");
        let section = docs.split("\n## `[[hooks]]`\n").nth(1).and_then(|rest| rest.split("\n## ").next());
        let rows = section
            .expect("a section")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let keys: Vec<_> = KEYS.iter().map(|key| key.key).collect();
        assert_eq!(rows.collect::<Vec<_>>(), keys);
    }
}
