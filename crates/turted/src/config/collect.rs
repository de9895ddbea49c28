//! What the sources said so far: values, where they came from, and what was wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Origin, Problem};
use super::hooks::keys::HookSettings;
use super::input::Input;
use super::push_keys::keys::PushKeySettings;
use super::push_sources::keys::SourceSettings;
use super::settings::{Setting, Settings, find};

/// The settings on their way from the sources to a [`Config`](super::Config).
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) settings: Settings,
    /// `[[sources]]`, which only a file can hold.
    pub(super) sources: Vec<SourceSettings>,
    /// `[[push.keys]]`, which only a file can hold.
    pub(super) push_keys: Vec<PushKeySettings>,
    /// `[[hooks]]`, which only a file can hold.
    pub(super) hooks: Vec<HookSettings>,
    /// Where systemd lets the server keep files.
    pub(super) state_directory: Option<PathBuf>,
    pub(super) warnings: Vec<String>,
    origins: BTreeMap<&'static str, Origin>,
    /// Keys whose value follows from that of another key, and where that one came from.
    inferred: BTreeMap<&'static str, Origin>,
    /// Keys whose value is wrong. Problems that would follow from them are not reported as well.
    broken: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl Collected {
    /// Reads the value that `origin` gives for a key; relative paths start at `base`.
    pub(super) fn set(&mut self, setting: &Setting, origin: Origin, input: &Input<'_>, base: &Path) {
        match setting.field.set(&mut self.settings, input, base) {
            Ok(()) => {
                self.origins.insert(setting.key, origin);
            }
            Err(mismatch) => {
                self.broken.insert(setting.key);
                self.problem(Problem::at(origin, format!("`{}`: {mismatch}", setting.key)));
            }
        }
    }

    /// Reads the text of a variable or a flag; relative paths start at the working directory.
    pub(super) fn set_bare(&mut self, key: &str, origin: Origin, text: &str) {
        let setting = find(key).expect("variables and flags are derived from the table of keys");
        self.set(setting, origin, &Input::Bare(text), Path::new(""));
    }

    /// Where the value of `key` came from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Notes that the value of `key` follows from what `origin` says.
    pub(super) fn infer(&mut self, key: &'static str, origin: Origin) {
        self.inferred.insert(key, origin);
    }

    /// Where the value of `key` came from, or what it follows from.
    pub(super) fn source(&self, key: &str) -> Origin {
        self.origins.get(key).or_else(|| self.inferred.get(key)).cloned().unwrap_or(Origin::Default)
    }

    /// Whether a source said something wrong about one of `keys`, or about a key of a section that is among them.
    pub(super) fn is_broken(&self, keys: &[&str]) -> bool {
        let is = |broken: &&str, key: &&str| {
            broken == key || broken.strip_prefix(*key).is_some_and(|rest| rest.starts_with('.'))
        };
        self.broken.iter().any(|broken| keys.iter().any(|key| is(broken, key)))
    }

    /// Whether a source said something about `key` that can be used.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Notes a problem at the first of `keys` that a source has set. If the value of one of them is wrong nothing
    /// is noted: the problem may follow from that.
    pub(super) fn blame(&mut self, keys: &[&str], what: String) {
        if self.is_broken(keys) {
            return;
        }
        let origins = keys.iter().map(|key| self.origin(key));
        let origin = origins.into_iter().find(|origin| *origin != Origin::Default);
        self.problem(Problem { origin, what });
    }

    /// Ends the collection if something was wrong; the problems of a file come in the order of the file.
    pub(super) fn refuse_problems(&mut self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| match &problem.origin {
            Some(Origin::File { line, column, .. }) => (1, *line, *column),
            Some(origin) => (origin.rank(), 0, 0),
            None => (u8::MAX, 0, 0),
        });
        Err(ConfigError { problems })
    }
}
