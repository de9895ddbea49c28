//! How many connections, users and channels there are, and which: for operators, not for dispatches.

use super::Registry;
use crate::membership::Groups;

impl<T> Registry<T> {
    /// Connections in this shard.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections
    }

    /// Places of connections, some of them empty. The connections stand at `0..places()`.
    #[must_use]
    pub fn places(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// Users with at least one connection in this shard.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Channels with at least one connection in this shard.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// The users of this shard.
    pub fn users(&self) -> &Groups {
        &self.users
    }

    /// The channels of this shard.
    pub fn channels(&self) -> &Groups {
        &self.channels
    }

    /// How many places for connections there are, some of them empty.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }
}
