//! What the sources said so far: values, where they came from, and what was wrong with them.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::{ConfigError, Origin, Problem};
use super::settings::{Setting, Settings, find};
use super::value::Input;

/// The settings on their way from the sources to a [`Config`](super::Config).
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) settings: Settings,
    pub(super) warnings: Vec<String>,
    origins: BTreeMap<&'static str, Origin>,
    problems: Vec<Problem>,
}

impl Collected {
    /// Reads the value of a key that `origin` has; relative paths start at `base`.
    pub(super) fn set(&mut self, setting: &Setting, origin: Origin, input: &Input<'_>, base: &Path) {
        match setting.field.set(&mut self.settings, input, base) {
            Ok(()) => {
                self.origins.insert(setting.key, origin);
            }
            Err(mismatch) => {
                let found = mismatch.found.map_or_else(String::new, |found| format!(", found {found}"));
                let what = format!("`{}`: expected {}{found}", setting.key, mismatch.expected);
                self.problem(Problem::at(origin, what));
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

    /// Whether a source said something about `key`.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Ends the collection if something was wrong; the problems of a file in its order.
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
