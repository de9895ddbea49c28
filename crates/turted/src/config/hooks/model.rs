//! Hooks as the rest of the program reads them.

use std::path::PathBuf;
use std::time::Duration;

use crate::auth::HttpUrl;
use turted_core::channel::ChannelPattern;
use turted_core::secret::Secret;

/// Where a backend hears what happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The name in logs and metrics: letters, digits, `-` and `_`.
    pub name: String,
    /// Where records are sent.
    pub url: HttpUrl,
    /// The secrets that batches are signed with, at least one.
    pub secrets: Vec<Secret>,
    /// The events it hears of: names, or the beginnings of names. Default: none.
    pub dispatches: Vec<ChannelPattern>,
    /// The records about clients that it wants. Default: none.
    pub clients: Vec<ClientRecord>,
    /// How long a connection that has ended counts as if it had not. Default: 5 s.
    pub grace: Duration,
    /// The authorities that may vouch for the backend. Default: the system's.
    pub ca: Option<PathBuf>,
    /// The name of this server. Default: host name and port of `listen`.
    pub node: Option<String>,
}

/// The types of records about clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRecord {
    /// The first connection of a user.
    UserOnline,
    /// The last connection of a user is gone.
    UserOffline,
    /// The first connection of a user in a channel.
    Joined,
    /// The last connection of a user in a channel is gone.
    Left,
    /// A connection begins.
    Connected,
    /// A connection has ended.
    Disconnected,
}

impl ClientRecord {
    /// Each with its name.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::UserOnline, "user-online"),
        (Self::UserOffline, "user-offline"),
        (Self::Joined, "joined"),
        (Self::Left, "left"),
        (Self::Connected, "connected"),
        (Self::Disconnected, "disconnected"),
    ];

    /// The type with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, other)| *other == name).map(|(kind, _)| *kind)
    }
}
