//! What a node tells others of who is in its channels.
//!
//! Once a second it tells what has changed, as what is true now: so a message may come twice. Each message has a number, so a
//! node that missed one notices, and asks for all: it gets a portion, and asks for the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::channel::Channel;
use crate::limits::PRESENCE_PORTION_BYTES;
use crate::name::Name;

/// Channels and users that are looked at for one portion. Those of other nodes alone are passed over.
const STEPS_MAX: usize = 4_096;
/// Bytes of a channel or a user in a message, beside its name.
const ENTRY_BYTES: usize = 16;

/// What a node tells of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which one.
    pub channel: Name,
    /// How many of its connections in it are no user; `None` if that is not told.
    pub anonymous: Option<u32>,
    /// Users that it has there.
    pub present: Vec<Name>,
    /// Users that it has there no more.
    pub absent: Vec<Name>,
}

impl Group {
    fn new(channel: &Name) -> Self {
        Self { channel: channel.clone(), anonymous: None, present: Vec::new(), absent: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.anonymous.is_none() && self.present.is_empty() && self.absent.is_empty()
    }
}

/// A place in the list of all that a node has: a channel, and how many of its connections there are no user; or a user
/// in it. Users stand behind their channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The channel.
    pub channel: Name,
    /// The user; `None` for those that are none.
    pub user: Option<Name>,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The number of the message. One without groups has that of the message before: it says that nothing has changed.
    pub sequence: u64,
    /// By channels.
    pub groups: Vec<Group>,
}

/// A portion of all that a node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// The number of the last message of changes that it contains.
    pub sequence: u64,
    /// It begins behind this place; `None` at the beginning.
    pub after: Option<Place>,
    /// It ends with this place; `None` at the end.
    pub upto: Option<Place>,
    /// All that is between.
    pub groups: Vec<Group>,
}

/// What has changed in one channel and other nodes have not heard.
#[derive(Debug, Default)]
pub(super) struct Changed {
    anonymous: bool,
    users: BTreeSet<Name>,
}

impl Changed {
    pub(super) fn note_anonymous(&mut self) {
        self.anonymous = true;
    }

    pub(super) fn note_user(&mut self, user: &Name) {
        self.users.insert(user.clone());
    }
}

/// What this node has told, and what it has not told yet.
#[derive(Debug, Default)]
pub(super) struct Share {
    sequence: u64,
    changed: BTreeMap<Name, Changed>,
}

impl Share {
    /// Where changes of a channel are noted.
    pub(super) fn of(&mut self, channel: &Name) -> &mut Changed {
        self.changed.entry(channel.clone()).or_default()
    }

    /// That nothing has changed.
    pub(super) fn beacon(&self) -> Changes {
        Changes { sequence: self.sequence, groups: Vec::new() }
    }

    /// The next message of changes; `None` if there is nothing to tell.
    pub(super) fn take(&mut self, channels: &BTreeMap<Name, Channel>) -> Option<Changes> {
        let (mut groups, mut bytes) = (Vec::new(), 0);
        while bytes < PRESENCE_PORTION_BYTES
            && let Some((name, mut changed)) = self.changed.pop_first()
        {
            if !changed.anonymous && changed.users.is_empty() {
                continue;
            }
            let channel = channels.get(&name);
            let mut group = Group::new(&name);
            bytes += ENTRY_BYTES + name.as_str().len();
            if changed.anonymous {
                group.anonymous = Some(count(channel.map_or(0, Channel::anonymous_here)));
            }
            while bytes < PRESENCE_PORTION_BYTES
                && let Some(user) = changed.users.pop_first()
            {
                bytes += ENTRY_BYTES + user.as_str().len();
                let is_here = channel.is_some_and(|channel| channel.is_here(&user));
                if is_here { group.present.push(user) } else { group.absent.push(user) }
            }
            if !changed.users.is_empty() {
                changed.anonymous = false;
                self.changed.insert(name, changed);
            }
            groups.push(group);
        }
        if groups.is_empty() {
            return None;
        }
        self.sequence += 1;
        Some(Changes { sequence: self.sequence, groups })
    }

    /// The portion of all that is behind a place.
    pub(super) fn portion(&self, channels: &BTreeMap<Name, Channel>, after: Option<Place>) -> Portion {
        let mut filled = Filled::default();
        let from = after.as_ref().map_or(Bound::Unbounded, |place| Bound::Included(&place.channel));
        for (name, channel) in channels.range::<Name, _>((from, Bound::Unbounded)) {
            let begun = after.as_ref().filter(|place| place.channel == *name);
            if !filled.add(name, channel, begun) {
                break;
            }
        }
        let Filled { groups, upto, is_full, .. } = filled;
        Portion { sequence: self.sequence, after, upto: upto.filter(|_| is_full), groups }
    }
}

/// A portion that is filled.
#[derive(Default)]
struct Filled {
    groups: Vec<Group>,
    bytes: usize,
    steps: usize,
    /// The last place that it has passed.
    upto: Option<Place>,
    is_full: bool,
}

impl Filled {
    /// Adds a channel, or what of it is behind a place. Returns whether there is room for more.
    fn add(&mut self, name: &Name, channel: &Channel, begun: Option<&Place>) -> bool {
        let mut group = Group::new(name);
        if begun.is_none() {
            if !self.has_room(name) {
                return false;
            }
            self.upto = Some(Place { channel: name.clone(), user: None });
            let anonymous = count(channel.anonymous_here());
            group.anonymous = (anonymous > 0).then_some(anonymous);
        }
        for (user, is_here) in channel.users_behind(begun.and_then(|place| place.user.as_ref())) {
            if !self.has_room(user) {
                break;
            }
            self.upto = Some(Place { channel: name.clone(), user: Some(user.clone()) });
            if is_here {
                group.present.push(user.clone());
            } else {
                self.bytes -= ENTRY_BYTES + user.as_str().len();
            }
        }
        if !group.is_empty() {
            self.groups.push(group);
        }
        !self.is_full
    }

    /// Takes room for a name.
    fn has_room(&mut self, name: &Name) -> bool {
        self.is_full = self.bytes >= PRESENCE_PORTION_BYTES || self.steps >= STEPS_MAX;
        self.steps += 1;
        self.bytes += ENTRY_BYTES + name.as_str().len();
        !self.is_full
    }
}

fn count(connections: usize) -> u32 {
    u32::try_from(connections).unwrap_or(u32::MAX)
}
