//! Who is in one channel, and what its members were told last.
//!
//! What was told is a version: all members that were told the same version know the same. What has changed since is kept
//! until the next version, so that the users of the last one can still be listed, and a user who leaves and comes back in
//! between is not told at all.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use crate::limits::{PRESENCE_CHANGE_MAX, PRESENCE_LARGE_PERIODS, PRESENCE_USERS_AGAIN, PRESENCE_USERS_MAX};
use crate::name::Name;

/// How many are in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Users.
    pub count: usize,
    /// Connections that are no user.
    pub anonymous: usize,
}

/// The users that have come and gone since the version before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Those who are new.
    pub joined: Vec<Name>,
    /// Those who are gone.
    pub left: Vec<Name>,
}

/// What the members of a channel are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number. No two versions of any channel have the same.
    pub version: u64,
    /// The version before.
    pub before: u64,
    /// How many are in the channel.
    pub numbers: Numbers,
    /// Whether its users are too many to be named.
    pub is_large: bool,
    /// What has changed since the version before; `None` if that is more than is told as a change.
    pub change: Option<Change>,
}

/// One channel with presence.
#[derive(Debug)]
pub(super) struct Channel {
    /// Each with the number of its connections.
    users: BTreeMap<Name, usize>,
    anonymous: usize,
    told: Arc<Told>,
    /// The period in which that was told; `None` if nothing was told yet.
    told_in: Option<u64>,
    /// Whether its name waits for the next period.
    is_noted: bool,
    /// Whether it was told at once, to the one who asked, and is to be told to all others.
    is_ahead: bool,
    /// Users that are in the channel and were not by what was told, or the other way round. Empty while the channel is large.
    changed: BTreeMap<Name, Presence>,
}

/// Whether a user was in a channel by what was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Present,
    Absent,
}

impl Channel {
    /// A channel without members.
    pub(super) fn new(version: u64) -> Self {
        let numbers = Numbers::default();
        let told = Told { version, before: version, numbers, is_large: false, change: None };
        Self {
            users: BTreeMap::new(),
            anonymous: 0,
            told: Arc::new(told),
            told_in: None,
            is_noted: false,
            is_ahead: false,
            changed: BTreeMap::new(),
        }
    }

    /// A connection that is these users is in the channel.
    pub(super) fn enter(&mut self, users: &[Name]) {
        if users.is_empty() {
            self.anonymous += 1;
        }
        for user in users {
            let connections = self.users.entry(user.clone()).or_default();
            *connections += 1;
            if *connections == 1 {
                self.note(user, Presence::Absent);
            }
        }
    }

    /// It is not any more.
    pub(super) fn exit(&mut self, users: &[Name]) {
        if users.is_empty() {
            self.anonymous -= 1;
        }
        for user in users {
            let Some(connections) = self.users.get_mut(user) else { continue };
            *connections -= 1;
            if *connections == 0 {
                self.users.remove(user);
                self.note(user, Presence::Present);
            }
        }
    }

    /// Whether nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.anonymous == 0
    }

    /// Whether something has changed that is to be told.
    fn is_changed(&self) -> bool {
        self.told.numbers != self.numbers() || !self.changed.is_empty()
    }

    /// What was told last.
    pub(super) fn told(&self) -> &Arc<Told> {
        &self.told
    }

    /// Whether something is to be told in this period or a later one. If so, its name has to wait for the next period, unless
    /// it does already.
    pub(super) fn has_to_wait(&mut self) -> bool {
        (self.is_changed() || self.is_ahead) && !mem::replace(&mut self.is_noted, true)
    }

    /// Its turn in a period has come: makes a version if there is something to tell, and returns whether members hear of one.
    /// `last` is the last number that was given out.
    pub(super) fn take_turn(&mut self, last: &mut u64, period: u64) -> bool {
        self.is_noted = false;
        if mem::take(&mut self.is_ahead) {
            self.told_in = Some(period);
            return true;
        }
        self.tell(last, period)
    }

    /// Tells the first who asks at once.
    pub(super) fn refresh(&mut self, last: &mut u64, period: u64) {
        self.is_ahead |= self.tell(last, period);
    }

    /// Makes what is true now what is told, if that is something else and may be told in this period. Returns whether it is.
    fn tell(&mut self, last: &mut u64, period: u64) -> bool {
        let periods = if self.told.is_large { PRESENCE_LARGE_PERIODS } else { 1 };
        let may_tell = self.told_in.is_none_or(|told_in| period - told_in >= periods);
        if !may_tell || !self.is_changed() {
            return false;
        }
        *last += 1;
        self.tell_as(*last, period);
        true
    }

    fn tell_as(&mut self, version: u64, period: u64) {
        let (numbers, was_large) = (self.numbers(), self.told.is_large);
        let is_large = match was_large {
            true => numbers.count >= PRESENCE_USERS_AGAIN,
            false => numbers.count > PRESENCE_USERS_MAX,
        };
        let changed = mem::take(&mut self.changed);
        let has_change = !was_large && !is_large && changed.len() <= PRESENCE_CHANGE_MAX;
        let change = has_change.then(|| {
            let mut change = Change::default();
            for (user, was) in changed {
                let list = if was == Presence::Absent { &mut change.joined } else { &mut change.left };
                list.push(user);
            }
            change
        });
        let before = self.told.version;
        self.told = Arc::new(Told { version, before, numbers, is_large, change });
        self.told_in = Some(period);
    }

    /// The users by what was told last, in the order of their bytes; none if the channel was large.
    pub(super) fn users_told(&self) -> Vec<Name> {
        if self.told.is_large {
            return Vec::new();
        }
        let was_told = |user: &Name| self.changed.get(user) != Some(&Presence::Absent);
        let mut users: Vec<_> = self.users.keys().filter(|user| was_told(user)).cloned().collect();
        let gone = self.changed.iter().filter(|(_, was)| **was == Presence::Present);
        users.extend(gone.map(|(user, _)| user.clone()));
        users.sort_unstable();
        users
    }

    fn numbers(&self) -> Numbers {
        Numbers { count: self.users.len(), anonymous: self.anonymous }
    }

    /// A user is not what it `was`. If it was noted before, it is again what was told.
    fn note(&mut self, user: &Name, was: Presence) {
        if !self.told.is_large && self.changed.remove(user).is_none() {
            self.changed.insert(user.clone(), was);
        }
    }
}
