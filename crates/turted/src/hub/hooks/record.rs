//! One record: something that happened and that a hook tells its backend. `docs/hooks.md` has their shapes.

use std::sync::Arc;
use std::time::SystemTime;

use turted_core::name::Name;

use crate::config::ClientRecord;

/// What a record takes in memory beside its names: its fields, and its place in the queue.
const RECORD_BYTES: usize = 176;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// The server has started: of all who were online before, none is.
    Started,
    /// So many records were lost.
    Gap {
        dropped: u64,
    },
    /// All who are online were told since the last start or gap.
    Synced,
    /// The server has stopped: nothing comes any more from this life.
    Stopped,
    /// Another node is gone without a word: of all who were online there, none is.
    NodeGone {
        node: Arc<str>,
    },
    /// An operator tries the hook.
    Test,
    UserOnline {
        user: Name,
    },
    UserOffline {
        user: Name,
        reason: &'static str,
    },
    Joined {
        user: Name,
        channel: Name,
    },
    Left {
        user: Name,
        channel: Name,
        reason: &'static str,
    },
    Connected {
        connection: Arc<str>,
    },
    Disconnected {
        connection: Arc<str>,
        reason: &'static str,
    },
    /// A dispatch as it is told: JSON.
    Dispatch(Arc<str>),
}

impl Record {
    /// The key of the configuration that asks for it; `None` if it comes unasked.
    pub(crate) fn asked_by(&self) -> Option<ClientRecord> {
        Some(match self {
            Self::UserOnline { .. } => ClientRecord::UserOnline,
            Self::UserOffline { .. } => ClientRecord::UserOffline,
            Self::Joined { .. } => ClientRecord::Joined,
            Self::Left { .. } => ClientRecord::Left,
            Self::Connected { .. } => ClientRecord::Connected,
            Self::Disconnected { .. } => ClientRecord::Disconnected,
            Self::Started
            | Self::Gap { .. }
            | Self::Synced
            | Self::Stopped
            | Self::NodeGone { .. }
            | Self::Test
            | Self::Dispatch(_) => {
                return None;
            }
        })
    }

    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let names = match self {
            Self::UserOnline { user } | Self::UserOffline { user, .. } => user.bytes(),
            Self::Joined { user, channel } | Self::Left { user, channel, .. } => {
                user.bytes() + channel.bytes()
            }
            Self::Connected { connection } | Self::Disconnected { connection, .. } => connection.len(),
            Self::Dispatch(written) => written.len(),
            Self::NodeGone { node } => node.len(),
            _ => 0,
        };
        RECORD_BYTES + names
    }
}

/// A record that waits to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) at: SystemTime,
    pub(crate) record: Record,
    pub(crate) bytes: usize,
    /// Whether it tells who is online, one after the other. Told again it would be the same.
    pub(super) is_of_all: bool,
}

impl Waiting {
    /// Something that happens now.
    pub(crate) fn new(record: Record) -> Self {
        Self { at: SystemTime::now(), bytes: record.bytes(), record, is_of_all: false }
    }

    /// One of the records that tell who is online, one after the other, or their end.
    pub(super) fn of_all(record: Record) -> Self {
        Self { is_of_all: true, ..Self::new(record) }
    }

    /// Whether a backend that refuses it misses something that a gap makes up for. What tells who is online would come again
    /// behind the gap, and be refused again.
    pub(crate) fn is_missed(&self) -> bool {
        !self.is_of_all && !matches!(self.record, Record::Stopped)
    }

    /// Whether all who are online are told behind it.
    pub(crate) fn begins_anew(&self) -> bool {
        matches!(self.record, Record::Started | Record::Gap { .. })
    }
}
