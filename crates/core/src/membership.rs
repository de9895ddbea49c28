//! The book-keeping under the registry: which connection belongs to which user or channel, and since when.

use std::collections::HashMap;
use std::ops::Range;

use crate::name::Name;

/// The sequence number of the last dispatch before the membership began. The connection does not receive that
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Since(pub u64);

impl Since {
    /// Before the first dispatch.
    pub const START: Self = Self(0);
}

/// Why a membership is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipRefusal {
    /// The connection has joined as many channels as it may.
    #[error("a connection may join at most {0} channels (limits.channels_per_connection)")]
    TooManyChannels(usize),
    /// The connection is as many users as it may be under [`IdentMode::Add`](crate::registry::IdentMode::Add).
    #[error("a connection may be at most {0} users (limits.users_per_connection)")]
    TooManyUsers(usize),
}

/// The users and channels of one connection, kept while the client is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    /// The users it is identified as.
    pub users: Vec<(Name, Since)>,
    /// The channels it has joined.
    pub channels: Vec<(Name, Since)>,
}

impl Memberships {
    /// The same memberships, all of them since another dispatch.
    #[must_use]
    pub fn held_since(mut self, since: Since) -> Self {
        self.users.iter_mut().chain(&mut self.channels).for_each(|(_, held)| *held = since);
        self
    }

    /// About how many bytes of memory they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let held = self.users.iter().chain(&self.channels);
        held.map(|(name, since)| name.bytes() + size_of_val(since)).sum()
    }
}

/// A membership as the connection stores it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) group: u32,
    /// Where the connection stands in [`Group::members`], so that leaving needs no search.
    pub(crate) position: u32,
    pub(crate) since: Since,
}

/// A membership as the group stores it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) slot: u32,
}

/// The connections of one user or one channel.
#[derive(Debug)]
pub(crate) struct Group {
    name: Name,
    pub(crate) members: Vec<Member>,
}

impl Group {
    pub(crate) fn add(&mut self, member: Member) -> u32 {
        self.members.push(member);
        u32::try_from(self.members.len() - 1).expect("fewer members than slots")
    }
}

/// All users or all channels of a shard. A group exists while it has members.
///
/// ```
/// use turted_core::{membership::Since, name::Name, registry::Registry};
/// let mut registry = Registry::new();
/// let (key, chat) = (registry.insert(()), Name::new("chat").unwrap());
/// registry.join(key, &chat, Since::START).unwrap();
/// let channels = registry.channels();
/// assert_eq!((channels.len(), channels.size(&chat)), (1, 1));
/// assert_eq!(channels.at(0..channels.places()).collect::<Vec<_>>(), [(&chat, 1)]);
/// ```
#[derive(Debug, Default)]
pub struct Groups {
    by_name: HashMap<Name, u32>,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
}

impl Groups {
    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many connections belong to `name`.
    #[must_use]
    pub fn size(&self, name: &Name) -> usize {
        self.get(name).map_or(0, |(_, group)| group.members.len())
    }

    /// The places of the connections that belong to `name`.
    pub fn slots(&self, name: &Name) -> impl Iterator<Item = u32> {
        self.get(name).into_iter().flat_map(|(_, group)| group.members.iter().map(|member| member.slot))
    }

    /// The groups in `places`, each with its number of connections. A group keeps its place, so a caller that
    /// looks at all places, a few at a time, sees every group that existed the whole time.
    pub fn at(&self, places: Range<usize>) -> impl Iterator<Item = (&Name, usize)> {
        let end = places.end.min(self.groups.len());
        let groups = self.groups[places.start.min(end)..end].iter().flatten();
        groups.map(|group| (&group.name, group.members.len()))
    }

    /// How many places there are, some of them empty.
    #[must_use]
    pub fn places(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn find(&self, name: &Name) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn get(&self, name: &Name) -> Option<(u32, &Group)> {
        let id = self.find(name)?;
        Some((id, self.groups[id as usize].as_ref()?))
    }

    pub(crate) fn find_or_add(&mut self, name: &Name) -> u32 {
        if let Some(id) = self.find(name) {
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            u32::try_from(self.groups.len() - 1).expect("fewer groups than memberships")
        });
        self.groups[id as usize] = Some(Group { name: name.clone(), members: Vec::new() });
        self.by_name.insert(name.clone(), id);
        id
    }

    pub(crate) fn group_mut(&mut self, id: u32) -> &mut Group {
        self.groups[id as usize].as_mut().expect("a membership keeps its group alive")
    }

    pub(crate) fn remove(&mut self, id: u32) {
        if let Some(group) = self.groups[id as usize].take() {
            self.by_name.remove(&group.name);
            self.free.push(id);
        }
    }

    pub(crate) fn named(&self, memberships: &[Membership]) -> Vec<(Name, Since)> {
        let name = |id: u32| self.groups[id as usize].as_ref().map(|group| group.name.clone());
        memberships.iter().filter_map(|held| Some((name(held.group)?, held.since))).collect()
    }
}
