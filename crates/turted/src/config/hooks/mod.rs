//! `[[hooks]]`: where backends hear what happens, a list that only a file can hold.
//!
//! | file | what |
//! |---|---|
//! | `model` | hooks as the rest of the program reads them |
//! | `keys` | every key once |
//! | `check` | what the keys mean together |

mod check;
pub(super) mod keys;
pub(super) mod model;

use std::fmt::Write as _;

use toml::Spanned;
use toml::de::DeValue;

use super::collect::Collected;
use super::error::Problem;
use super::file_source::FileSource;
use super::push_sources::{Section, show_keys, table};
use keys::HookSettings;
use turted_core::limits::HOOKS_MAX;

/// Reads the value of `hooks`.
pub(super) fn read(source: &FileSource<'_>, collected: &mut Collected, value: &Spanned<DeValue<'_>>) {
    let list = value.get_ref().as_array();
    let tables: Option<Vec<_>> =
        list.and_then(|list| list.iter().map(|item| Some((item.span().start, table(item)?))).collect());
    let Some(tables) = tables else {
        let what = "`hooks` is a list: write [[hooks]] and the keys of one hook below";
        return collected.problem(Problem::at(source.origin(value.span().start), what));
    };
    for (start, table) in tables {
        let mut settings = HookSettings::new(source.origin(start));
        let section = Section { source, name: "hooks", keys: keys::KEYS.iter().collect() };
        if section.read(collected, table.iter(), &mut settings) {
            collected.hooks.push(settings);
        }
    }
}

/// Makes the hooks of what was read.
pub(super) fn resolve(collected: &mut Collected) {
    let all = std::mem::take(&mut collected.hooks);
    if let Some(first) = all.get(HOOKS_MAX) {
        let what = format!("a server has at most {HOOKS_MAX} hooks");
        collected.problem(Problem::at(first.origin.clone(), what));
    }
    for (index, settings) in all.iter().enumerate() {
        if let Some(hook) = check::resolve(collected, settings, &all[..index]) {
            collected.settings.config.hooks.push(hook);
        }
    }
    collected.hooks = all;
}

/// The hooks as TOML.
pub(super) fn show(text: &mut String, hooks: &mut [HookSettings]) {
    for settings in hooks {
        let _infallible = writeln!(text, "\n{:<40} # from {}", "[[hooks]]", settings.origin);
        show_keys(text, &keys::KEYS.iter().collect::<Vec<_>>(), settings);
    }
}
