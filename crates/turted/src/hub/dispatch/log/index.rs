//! Which dispatches have a target: an index from the latest one back to the oldest that is kept.

use std::collections::HashMap;

use turted_core::dispatch::Via;
use turted_core::name::Name;
use turted_core::shrink::shrink_map;

use super::Accepted;

/// Where a target is mentioned: the number of a dispatch, and the position of the target among its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) sequence: u64,
    pub(crate) number: u32,
}

impl Mention {
    /// Stands for no mention: the numbers of dispatches begin with 1.
    pub(super) const NONE: Self = Self { sequence: 0, number: 0 };

    pub(super) fn exists(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

/// The latest mention of every target.
#[derive(Debug)]
pub(super) struct Index {
    users: HashMap<Name, Mention>,
    channels: HashMap<Name, Mention>,
    broadcast: Mention,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { users: HashMap::new(), channels: HashMap::new(), broadcast: Mention::NONE }
    }

    pub(super) fn latest(&self, via: Via<'_>) -> Option<Mention> {
        match via {
            Via::User(name) => self.users.get(name).copied(),
            Via::Channel(name) => self.channels.get(name).copied(),
            Via::Broadcast => self.broadcast.exists(),
        }
    }

    /// Makes `accepted` the latest mention of all its targets. Returns for each of them what was the latest
    /// before.
    pub(super) fn add(&mut self, accepted: &Accepted) -> Box<[Mention]> {
        let sequence = accepted.sequence();
        let vias = (0..).zip(accepted.dispatch.targets.vias());
        vias.map(|(number, via)| self.replace(via, Mention { sequence, number })).collect()
    }

    fn replace(&mut self, via: Via<'_>, latest: Mention) -> Mention {
        let earlier = match via {
            Via::User(name) => self.users.insert(name.clone(), latest),
            Via::Channel(name) => self.channels.insert(name.clone(), latest),
            Via::Broadcast => Some(std::mem::replace(&mut self.broadcast, latest)),
        };
        earlier.unwrap_or(Mention::NONE)
    }

    /// Forgets the targets that no dispatch after `accepted`, the oldest one, mentions.
    pub(super) fn remove(&mut self, accepted: &Accepted) {
        for via in accepted.dispatch.targets.vias() {
            if self.latest(via).is_none_or(|latest| latest.sequence != accepted.sequence()) {
                continue;
            }
            match via {
                Via::User(name) => drop(self.users.remove(name)),
                Via::Channel(name) => drop(self.channels.remove(name)),
                Via::Broadcast => self.broadcast = Mention::NONE,
            }
        }
    }

    /// Gives back memory that is not needed.
    pub(super) fn shrink(&mut self) {
        shrink_map(&mut self.users);
        shrink_map(&mut self.channels);
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> usize {
        self.users.len() + self.channels.len()
    }
}
