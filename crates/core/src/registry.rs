//! One shard of the registry: its connections, the users they are and the channels they joined.
//!
//! It decides who receives a dispatch and does nothing else: it does not know what a connection is (`T`) and
//! how bytes reach it. A shard belongs to one worker, so it needs no lock.
//!
//! `registry/held` has what a connection is and has joined, `registry/count` tells operators how many connections, users
//! and channels there are.

mod count;
mod held;

use crate::dispatch::{Targets, Via};
use crate::limits::{CHANNELS_PER_CONNECTION_MAX, USERS_PER_CONNECTION_MAX};
use crate::membership::{Groups, Membership, Since};
use crate::name::Name;

pub use crate::membership::MembershipRefusal;

/// Identifies one connection as long as the server runs. Keys are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionKey {
    slot: u32,
    generation: u32,
}

impl ConnectionKey {
    /// The place of the connection in its shard. Places are reused, keys are not.
    #[must_use]
    pub fn slot(self) -> u32 {
        self.slot
    }

    /// How many connections had this place before.
    #[must_use]
    pub fn generation(self) -> u32 {
        self.generation
    }
}

/// What a second IDENT on one connection does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentMode {
    /// It replaces the first: a connection is one user.
    #[default]
    Replace,
    /// It adds a user, as in the node server, up to [`MembershipLimits::users`].
    Add,
}

/// How many users one connection may be, and how many channels it may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembershipLimits {
    /// Channels it may have joined.
    pub channels: usize,
    /// Users it may be at once under [`IdentMode::Add`].
    pub users: usize,
}

impl Default for MembershipLimits {
    fn default() -> Self {
        Self { channels: CHANNELS_PER_CONNECTION_MAX, users: USERS_PER_CONNECTION_MAX }
    }
}

/// One shard of the registry.
///
/// ```
/// use turted_core::{dispatch::{Targets, Via}, membership::Since, name::Name, registry::Registry};
/// let mut registry = Registry::new();
/// let key = registry.insert("connection 1");
/// registry.admit(key, Since::START);
/// let chat = Name::new("chat").unwrap();
/// registry.join(key, &chat, Since::START).unwrap();
/// let mut reached = Vec::new();
/// registry.resolve(1, &Targets::channel(chat.clone()), |value, _, via| reached.push((*value, via == Via::Channel(&chat))));
/// assert_eq!(reached, [("connection 1", true)]);
/// ```
#[derive(Debug)]
pub struct Registry<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    connections: usize,
    users: Groups,
    channels: Groups,
    limits: MembershipLimits,
    /// The number of the current dispatch, by which connections that it has reached are marked.
    round: u64,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    entry: Option<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    reached_in: u64,
    /// The last number of which it has to be asked whether the connection receives it: it, a user or a channel may be
    /// newer. Of later ones nothing is asked. The highest there is until the connection is admitted.
    recent: u64,
    admitted_after: u64,
    users: Vec<Membership>,
    channels: Vec<Membership>,
}

#[derive(Clone, Copy)]
enum MemberKind {
    Users,
    Channels,
}

/// Receives nothing.
const NOT_ADMITTED: u64 = u64::MAX;

impl<T> Entry<T> {
    /// Whether it receives a dispatch with this number as what it is.
    fn receives(&mut self, number: u64, group: Option<(MemberKind, u32)>) -> bool {
        number > self.recent || self.is_older(number, group)
    }

    /// Whether it was admitted, and what it is has begun, before the dispatch with this number. Only asked where it is not
    /// long since.
    #[cold]
    fn is_older(&mut self, number: u64, group: Option<(MemberKind, u32)>) -> bool {
        let mut held_before = |(kind, group)| {
            let mut held = self.memberships(kind).iter();
            held.any(|membership| membership.group == group && membership.since.0 < number)
        };
        group.is_none_or(&mut held_before) && self.admitted_after < number
    }

    fn memberships(&mut self, kind: MemberKind) -> &mut Vec<Membership> {
        match kind {
            MemberKind::Users => &mut self.users,
            MemberKind::Channels => &mut self.channels,
        }
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Registry<T> {
    /// An empty shard with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(MembershipLimits::default())
    }

    /// An empty shard with these limits.
    #[must_use]
    pub fn with_limits(limits: MembershipLimits) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            connections: 0,
            users: Groups::default(),
            channels: Groups::default(),
            limits,
            round: 0,
        }
    }

    /// Adds a connection. It can be found by its key, but receives nothing before it is admitted.
    ///
    /// # Panics
    /// After 2^32 connections at once.
    pub fn insert(&mut self, value: T) -> ConnectionKey {
        self.insert_with(|_| value)
    }

    /// As [`insert`](Self::insert), for a connection that carries its own key.
    ///
    /// # Panics
    /// After 2^32 connections at once.
    pub fn insert_with(&mut self, value: impl FnOnce(ConnectionKey) -> T) -> ConnectionKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, entry: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 descriptors exist")
        });
        let place = &mut self.slots[slot as usize];
        let key = ConnectionKey { slot, generation: place.generation };
        let value = value(key);
        let (recent, admitted_after) = (NOT_ADMITTED, NOT_ADMITTED);
        let (users, channels) = (Vec::new(), Vec::new());
        let entry = Entry { value, reached_in: 0, recent, admitted_after, users, channels };
        place.entry = Some(entry);
        self.connections += 1;
        key
    }

    /// Admits `key`: the connection receives dispatches, those after this number.
    pub fn admit(&mut self, key: ConnectionKey, after: Since) {
        let Some(entry) = self.entry_mut(key) else { return };
        let held = entry.users.iter().chain(&entry.channels).map(|held| held.since);
        entry.recent = held.fold(after, Since::max).0;
        entry.admitted_after = after.0;
    }

    /// Whether the connection is admitted.
    #[must_use]
    pub fn is_admitted(&self, key: ConnectionKey) -> bool {
        self.entry(key).is_some_and(|entry| entry.admitted_after != NOT_ADMITTED)
    }

    /// The connection behind `key`, unless it is gone.
    #[must_use]
    pub fn get(&self, key: ConnectionKey) -> Option<&T> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The connection that has this place now.
    #[must_use]
    pub fn at(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.entry.as_ref().map(|entry| &entry.value)
    }

    /// Every connection, admitted or not.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| Some(&slot.entry.as_ref()?.value))
    }

    /// Takes a connection out of everything it was in.
    pub fn remove(&mut self, key: ConnectionKey) -> Option<T> {
        self.entry_mut(key)?;
        self.clear(key, MemberKind::Users);
        self.clear(key, MemberKind::Channels);
        let place = &mut self.slots[key.slot as usize];
        let entry = place.entry.take()?;
        self.connections -= 1;
        // A slot whose generations are used up is never used again.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(key.slot);
        }
        Some(entry.value)
    }

    /// Calls `receive` once for each connection that the dispatch with this number and these `targets` reaches, with the
    /// reason and its index in [`Targets::vias`]. A connection that was admitted later is not reached, and one that became
    /// a user or joined a channel later is not reached by that.
    pub fn resolve<'d>(
        &mut self,
        sequence: u64,
        targets: &'d Targets,
        mut receive: impl FnMut(&T, usize, Via<'d>),
    ) {
        self.round += 1;
        let Self { slots, users, channels, round, .. } = self;
        let mut reach =
            |slot: &mut Slot<T>, group: Option<(MemberKind, u32)>, (number, via): (usize, Via<'d>)| {
                if let Some(entry) = slot.entry.as_mut().filter(|entry| entry.reached_in != *round)
                    && entry.receives(sequence, group)
                {
                    entry.reached_in = *round;
                    receive(&entry.value, number, via);
                }
            };
        for (number, via) in targets.vias().enumerate() {
            let (kind, groups, name) = match via {
                Via::User(name) => (MemberKind::Users, &*users, name),
                Via::Channel(name) => (MemberKind::Channels, &*channels, name),
                Via::Broadcast => {
                    slots.iter_mut().for_each(|slot| reach(slot, None, (number, via)));
                    continue;
                }
            };
            let Some((id, group)) = groups.get(name) else { continue };
            for member in &group.members {
                reach(&mut slots[member.slot as usize], Some((kind, id)), (number, via));
            }
        }
    }

    /// Whether the dispatch that was resolved last reached a connection of `user`.
    #[must_use]
    pub fn has_just_reached(&self, user: &Name) -> bool {
        let entry = |slot: u32| self.slots[slot as usize].entry.as_ref();
        self.users.slots(user).filter_map(entry).any(|entry| entry.reached_in == self.round)
    }

    fn entry(&self, key: ConnectionKey) -> Option<&Entry<T>> {
        let place = self.slots.get(key.slot as usize)?;
        place.entry.as_ref().filter(|_| place.generation == key.generation)
    }

    fn entry_mut(&mut self, key: ConnectionKey) -> Option<&mut Entry<T>> {
        let place = self.slots.get_mut(key.slot as usize)?;
        place.entry.as_mut().filter(|_| place.generation == key.generation)
    }
}
