//! What a type of source says of itself to those that read its keys.

use super::keys::SourceSettings;
use super::model::SourceKind;
use crate::config::collect::Collected;
use crate::config::error::Problem;
use turted_core::push::map::PayloadForm;
use turted_core::push::template::Place;

/// A type of source.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Whether this program has it: a cargo feature.
    pub(super) is_built: bool,
    /// What its messages have beside their body.
    pub(super) places: &'static [Place],
    /// What `map.payload` is if it is not set.
    pub(super) payload: PayloadForm,
    /// What the keys mean together. Notes what is wrong with them.
    pub(super) resolve: fn(&mut Collected, &SourceSettings) -> Option<SourceKind>,
}

/// Notes a problem where `key` was set, or where the source begins.
pub(super) fn blame(
    collected: &mut Collected,
    settings: &SourceSettings,
    key: &str,
    what: impl Into<String>,
) {
    let origin = settings.origins.get(key).unwrap_or(&settings.origin);
    collected.problem(Problem::at(origin.clone(), what));
}
