//! `type = "tail"`: lines that are appended to files.

use std::path::{Component, Path};

use super::keys::SourceSettings;
use super::kind::{Kind, blame};
use super::model::{SourceKind, TailSource};
use crate::config::collect::Collected;
use turted_core::push::map::PayloadForm;

/// Patterns of one source.
const PATHS_MAX: usize = 100;

pub(super) const KIND: Kind = Kind {
    name: "tail",
    is_built: cfg!(feature = "tail"),
    places: TailSource::PLACES,
    payload: PayloadForm::Text,
    resolve,
};

fn resolve(collected: &mut Collected, settings: &SourceSettings) -> Option<SourceKind> {
    let (mut sound, most) = (true, collected.settings.config.limits.push_body_bytes);
    let mut wrong = |key, what: String| {
        blame(collected, settings, key, what);
        sound = false;
    };
    match settings.paths.len() {
        0 => wrong("paths", "a source of type \"tail\" needs `paths`".into()),
        1..=PATHS_MAX => {}
        _ => wrong("paths", format!("`sources.paths`: a source has at most {PATHS_MAX} patterns")),
    }
    if let Some(path) = settings.paths.iter().find(|path| is_recursive(path)) {
        let what =
            format!("`sources.paths`: `**` in {} is not supported; list each directory", path.display());
        wrong("paths", what);
    }
    if settings.state_dir.is_none() {
        let what = "a source of type \"tail\" needs `state_dir`, a directory in which it remembers how far it has read";
        wrong("state_dir", what.into());
    }
    if settings.line_bytes > most {
        let what = format!(
            "`sources.line_bytes` = {} is above `limits.push_body_bytes` = {most}: a line is one push",
            settings.line_bytes
        );
        wrong("line_bytes", what);
    }
    if !sound {
        return None;
    }
    Some(SourceKind::Tail(TailSource {
        paths: settings.paths.clone(),
        from: settings.from,
        state_dir: settings.state_dir.clone()?,
        line_bytes: settings.line_bytes,
    }))
}

fn is_recursive(path: &Path) -> bool {
    path.components().any(|part| part == Component::Normal("**".as_ref()))
}
