//! One event on its way: what happened, which connections it concerns, and why a connection receives it.

use serde_json::value::RawValue;

use crate::name::Name;

/// One event and its targets, as a backend pushed it.
///
/// The payload is opaque: any JSON text, forwarded byte for byte.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The name clients listen for, `MESSAGE:NEW` say.
    pub event: Name,
    /// The payload as it was pushed.
    pub payload: Box<RawValue>,
    /// The connections it concerns.
    pub targets: Targets,
}

/// Two dispatches are the same if their payloads are, byte for byte.
impl PartialEq for Dispatch {
    fn eq(&self, other: &Self) -> bool {
        self.event == other.event
            && self.targets == other.targets
            && self.payload.get() == other.payload.get()
    }
}

impl Eq for Dispatch {}

impl Dispatch {
    /// Bytes of the event and its payload, once for each target: connections of different targets do not
    /// share frames, because a frame says why it is received.
    #[must_use]
    pub fn expansion_bytes(&self) -> usize {
        let Targets { users, channels, broadcast } = &self.targets;
        let targets = users.len() + channels.len() + usize::from(*broadcast);
        (self.event.as_str().len() + self.payload.get().len()).saturating_mul(targets)
    }

    /// The sum of [`expansion_bytes`](Self::expansion_bytes) over `dispatches`.
    #[must_use]
    pub fn expansion_of(dispatches: &[Self]) -> usize {
        dispatches.iter().map(Self::expansion_bytes).fold(0, usize::saturating_add)
    }
}

/// Which connections a dispatch concerns: those of its users and channels, or all of them.
///
/// A connection that matches several times receives the event once, for the first target that
/// matches in the order users, channels, broadcast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Every connection of these users.
    pub users: Vec<Name>,
    /// Every connection that has joined one of these channels.
    pub channels: Vec<Name>,
    /// Every connection.
    pub broadcast: bool,
}

impl Targets {
    /// All connections of one user.
    #[must_use]
    pub fn user(name: Name) -> Self {
        Self { users: vec![name], ..Self::default() }
    }

    /// All connections in one channel.
    #[must_use]
    pub fn channel(name: Name) -> Self {
        Self { channels: vec![name], ..Self::default() }
    }

    /// Every connection.
    #[must_use]
    pub fn broadcast() -> Self {
        Self { broadcast: true, ..Self::default() }
    }

    /// The reasons to receive this dispatch, in the order in which they count.
    pub fn vias(&self) -> impl Iterator<Item = Via<'_>> {
        let users = self.users.iter().map(Via::User);
        let channels = self.channels.iter().map(Via::Channel);
        users.chain(channels).chain(self.broadcast.then_some(Via::Broadcast))
    }
}

/// Why a connection receives a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via<'a> {
    /// It is identified as this user.
    User(&'a Name),
    /// It has joined this channel.
    Channel(&'a Name),
    /// Everyone receives it.
    Broadcast,
}
