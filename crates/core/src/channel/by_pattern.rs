//! What rules say of a channel, looked up by its name.

use std::collections::HashMap;
use std::sync::Arc;

use super::ChannelPattern;
use crate::name::Name;

/// A value for each pattern. The longest pattern that matches a channel decides; of equal length a name comes before a
/// prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByPattern<T> {
    names: HashMap<Name, T>,
    /// The longest first.
    prefixes: Vec<(Arc<str>, T)>,
}

impl<T> Default for ByPattern<T> {
    fn default() -> Self {
        Self { names: HashMap::new(), prefixes: Vec::new() }
    }
}

impl<T: Copy> ByPattern<T> {
    /// Of several values for one pattern the last counts.
    pub(crate) fn new(values: impl IntoIterator<Item = (ChannelPattern, T)>) -> Self {
        let (mut names, mut prefixes) = (HashMap::new(), HashMap::new());
        for (pattern, value) in values {
            match pattern {
                ChannelPattern::Name(name) => names.insert(name, value),
                ChannelPattern::Prefix(prefix) => prefixes.insert(prefix, value),
            };
        }
        let mut prefixes: Vec<_> = prefixes.into_iter().collect();
        prefixes.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Self { names, prefixes }
    }

    pub(crate) fn get(&self, channel: &Name) -> Option<T> {
        let prefix = || self.prefixes.iter().find(|(prefix, _)| channel.as_str().starts_with(&**prefix));
        self.names.get(channel).copied().or_else(|| prefix().map(|(_, value)| *value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.prefixes.is_empty()
    }

    /// Names first, and long prefixes before short ones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChannelPattern, T)> {
        let mut names: Vec<_> = self.names.iter().map(|(name, value)| (name.clone(), *value)).collect();
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        let names = names.into_iter().map(|(name, value)| (ChannelPattern::Name(name), value));
        let prefixes = self.prefixes.iter().cloned();
        names.chain(prefixes.map(|(prefix, value)| (ChannelPattern::Prefix(prefix), value)))
    }
}
