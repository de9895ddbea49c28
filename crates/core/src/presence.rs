//! Presence: which users are in a channel, as its members are told.
//!
//! | file | what |
//! |---|---|
//! | `presence/table` | which connections count in which channels, and for how long when they are lost |
//! | `presence/channels`, `presence/channel` | the channels that are to be told; who is in one of them, and what its members were told last |
//! | `presence/share` | what a node tells others of who is in its channels |
//! | `presence/copy` | what one other node has told |
//! | `presence/others` | what other nodes have told, and which of them are silent |
//! | `presence/message` | what they are told, as JSON |

mod channel;
mod channels;
mod copy;
mod message;
mod others;
mod share;
mod table;

use crate::channel::{ByPattern, ChannelPattern};
use crate::name::Name;

pub use channel::{Change, Numbers, Told};
pub use message::{encode_change, encode_numbers, encode_users};
pub use others::{Copied, Graces, Question, Sight, Vicinity};
pub use share::{Changes, Group, Place, Portion};
pub use table::{Arrival, Table};

/// Which channels have presence. A channel without a rule has none.
///
/// ```
/// use turted_core::{channel::ChannelPattern, name::Name, presence::PresenceRules};
/// let rules = PresenceRules::new([
///     (ChannelPattern::parse("room.*").unwrap(), true),
///     (ChannelPattern::parse("room.secret").unwrap(), false),
/// ]);
/// let has = |channel: &str| rules.allow(&Name::new(channel).unwrap());
/// assert_eq!((has("room.7"), has("room.secret"), has("chat")), (true, false, false));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresenceRules(ByPattern<bool>);

impl PresenceRules {
    /// As with [`ChannelRules`](crate::channel::ChannelRules), the longest rule that matches a channel decides. So a rule
    /// without presence counts too.
    pub fn new(rules: impl IntoIterator<Item = (ChannelPattern, bool)>) -> Self {
        let rules = ByPattern::new(rules);
        let has_presence = rules.iter().any(|(_, presence)| presence);
        Self(if has_presence { rules } else { ByPattern::default() })
    }

    /// Whether `channel` has presence.
    #[must_use]
    pub fn allow(&self, channel: &Name) -> bool {
        self.0.get(channel).unwrap_or(false)
    }

    /// The rules, names first and long prefixes before short ones.
    pub fn iter(&self) -> impl Iterator<Item = (ChannelPattern, bool)> {
        self.0.iter()
    }

    /// Whether no channel has presence.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a client is not told who is present. The texts go to the client and are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresenceRefusal {
    /// The rule of the channel does not say that it has presence.
    #[error("the channel has no presence (`presence` of `[[channels]]`)")]
    NotAllowed,
    /// The client has not joined the channel.
    #[error("only members of a channel may ask who is present")]
    NotMember,
    /// The client has asked within the last second.
    #[error("a connection may ask once a second who is present")]
    TooOften,
}
