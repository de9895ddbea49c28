//! The history of channels: which of them keep their last events for those who join later, and those events.
//!
//! The log of all dispatches, which clients that come back read, is not this: it is kept for minutes, for all channels
//! alike.

mod channel;
mod store;

use std::time::Duration;

use crate::channel::{ByPattern, ChannelPattern};
use crate::cursor::Cursor;
use crate::name::Name;

pub use channel::{Edge, Kept, Range};
pub use store::{History, HistoryLimits};

/// How much history a channel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// How many of its last events are kept; 0 for none.
    pub events: usize,
    /// How long they are kept.
    pub age: Duration,
}

/// How much history each channel has. A channel without a rule has none.
///
/// ```
/// use std::time::Duration;
/// use turted_core::{channel::ChannelPattern, history::{Depth, HistoryRules}, name::Name};
/// let depth = |events| Depth { events, age: Duration::from_secs(3_600) };
/// let rules = HistoryRules::new([
///     (ChannelPattern::parse("news.*").unwrap(), depth(50)),
///     (ChannelPattern::parse("news.secret").unwrap(), depth(0)),
/// ]);
/// let events = |channel: &str| rules.of(&Name::new(channel).unwrap()).map(|depth| depth.events);
/// assert_eq!((events("news.sport"), events("news.secret"), events("chat")), (Some(50), None, None));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryRules(ByPattern<Depth>);

impl HistoryRules {
    /// As with [`ChannelRules`](crate::channel::ChannelRules), the longest rule that matches a channel decides. So a rule
    /// without history counts too.
    pub fn new(rules: impl IntoIterator<Item = (ChannelPattern, Depth)>) -> Self {
        let rules = ByPattern::new(rules);
        let has_history = rules.iter().any(|(_, depth)| depth.events > 0);
        Self(if has_history { rules } else { ByPattern::default() })
    }

    /// How much history `channel` has; `None` if it has none.
    #[must_use]
    pub fn of(&self, channel: &Name) -> Option<Depth> {
        self.0.get(channel).filter(|depth| depth.events > 0)
    }

    /// The rules, names first and long prefixes before short ones.
    pub fn iter(&self) -> impl Iterator<Item = (ChannelPattern, Depth)> {
        self.0.iter()
    }

    /// A number that is another one where the rules are others, but for one case in four thousand million.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        let rule = |(pattern, Depth { events, age }): (ChannelPattern, Depth)| {
            let pattern = pattern.to_string();
            format!("{}:{pattern}:{events}:{}\n", pattern.len(), age.as_nanos())
        };
        crc32fast::hash(self.0.iter().map(rule).collect::<String>().as_bytes())
    }

    /// Whether no channel has history.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a client asks for that joins a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// At most so many of its last events.
    pub newest: usize,
    /// Only what came after this position.
    pub since: Option<Cursor>,
}

/// What a client is told that has joined a channel and asked for its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// How many events follow.
    pub replayed: usize,
    /// Whether these are all that it asked for, as far as the channel keeps history.
    pub complete: bool,
}
