//! What one node has told of who is in its channels.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::PresenceRules;
use super::channels::Channels;
use super::share::{Group, Place, Portion};
use crate::limits::{PRESENCE_CONNECTION_BYTES, PRESENCE_NAME_BYTES};
use crate::name::Name;

/// The users of one node, by channels.
#[derive(Debug, Default)]
pub(super) struct NodeCopy {
    channels: BTreeMap<Name, Part>,
    users: usize,
    bytes: usize,
}

/// What it has in one channel.
#[derive(Debug, Default)]
struct Part {
    anonymous: u32,
    users: BTreeSet<Name>,
}

/// Where what a node tells counts, and how much of it may be kept.
pub(super) struct Room<'a> {
    pub(super) channels: &'a mut Channels,
    pub(super) rules: &'a PresenceRules,
    /// Bytes that are left.
    pub(super) bytes: usize,
    /// Names that were left out.
    pub(super) left_out: u64,
}

impl Room<'_> {
    /// Takes so many bytes. Returns whether they are there.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        match left {
            Some(left) => self.bytes = left,
            None => self.left_out += 1,
        }
        left.is_some()
    }
}

impl NodeCopy {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Users in channels.
    pub(super) fn users(&self) -> usize {
        self.users
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Adds what the node tells of channels. Those without presence here do not count.
    pub(super) fn change(&mut self, groups: &[Group], room: &mut Room<'_>) {
        let rules = room.rules;
        for group in groups.iter().filter(|group| rules.allow(&group.channel)) {
            // Those who come first, so that the channel is not empty in between.
            group.present.iter().for_each(|user| self.enter(&group.channel, user, room));
            if let Some(anonymous) = group.anonymous {
                self.count(&group.channel, anonymous, room);
            }
            group.absent.iter().for_each(|user| self.exit(&group.channel, user, room.channels));
        }
    }

    /// Makes it between two places what a portion says.
    pub(super) fn replace(&mut self, portion: &Portion, room: &mut Room<'_>) {
        self.change(&portion.groups, room);
        for (channel, group) in self.stale(portion) {
            group.into_iter().for_each(|place| match place {
                Some(user) => self.exit(&channel, &user, room.channels),
                None => self.count(&channel, 0, room),
            });
        }
    }

    /// What stands between the places of a portion that has it not, by channels: users, and `None` for connections that are
    /// no user.
    fn stale(&self, portion: &Portion) -> Vec<(Name, Vec<Option<Name>>)> {
        let told: BTreeMap<&Name, (bool, BTreeSet<&Name>)> = portion.groups.iter().fold(
            BTreeMap::new(),
            |mut told: BTreeMap<_, (bool, BTreeSet<_>)>, group| {
                let (is_counted, users) = told.entry(&group.channel).or_default();
                *is_counted |= group.anonymous.is_some();
                users.extend(&group.present);
                told
            },
        );
        let (after, upto) = (portion.after.as_ref(), portion.upto.as_ref());
        let from = after.map_or(Bound::Unbounded, |place| Bound::Included(&place.channel));
        let to = upto.map_or(Bound::Unbounded, |place| Bound::Included(&place.channel));
        if after.zip(upto).is_some_and(|(after, upto)| after.channel > upto.channel) {
            return Vec::new();
        }
        let mut stale = Vec::new();
        for (channel, part) in self.channels.range::<Name, _>((from, to)) {
            let begun = after.filter(|place| place.channel == *channel);
            let ended = upto.filter(|place| place.channel == *channel);
            let is_told = |user: &Name| told.get(channel).is_some_and(|(_, users)| users.contains(user));
            let mut places: Vec<_> = part
                .users
                .iter()
                .filter(|user| is_between(user, begun, ended) && !is_told(user))
                .map(|user| Some(user.clone()))
                .collect();
            let is_counted = told.get(channel).is_some_and(|(is_counted, _)| *is_counted);
            if begun.is_none() && part.anonymous > 0 && !is_counted {
                places.push(None);
            }
            if !places.is_empty() {
                stale.push((channel.clone(), places));
            }
        }
        stale
    }

    /// Gives up a portion of it.
    pub(super) fn forget(&mut self, channels: &mut Channels, portion: usize) {
        for _ in 0..portion {
            let Some((channel, part)) = self.channels.first_key_value() else { return };
            let channel = channel.clone();
            match part.users.first().cloned() {
                Some(user) => self.exit(&channel, &user, channels),
                None => self.set_anonymous(&channel, 0, channels),
            }
        }
    }

    fn enter(&mut self, channel: &Name, user: &Name, room: &mut Room<'_>) {
        let is_known = self.channels.get(channel).is_some_and(|part| part.users.contains(user));
        if is_known || !self.open(channel, room) || !room.take(bytes_of(user)) {
            return self.tidy(channel);
        }
        let Some(part) = self.channels.get_mut(channel) else { return };
        part.users.insert(user.clone());
        (self.users, self.bytes) = (self.users + 1, self.bytes + bytes_of(user));
        room.channels.change(channel, |channel| channel.enter_elsewhere(user));
    }

    fn exit(&mut self, channel: &Name, user: &Name, channels: &mut Channels) {
        let Some(part) = self.channels.get_mut(channel) else { return };
        if part.users.remove(user) {
            (self.users, self.bytes) = (self.users - 1, self.bytes - bytes_of(user));
            channels.change(channel, |channel| channel.exit_elsewhere(user));
            self.tidy(channel);
        }
    }

    fn count(&mut self, channel: &Name, anonymous: u32, room: &mut Room<'_>) {
        if anonymous == 0 || self.open(channel, room) {
            self.set_anonymous(channel, anonymous, room.channels);
        }
    }

    fn set_anonymous(&mut self, channel: &Name, anonymous: u32, channels: &mut Channels) {
        let Some(part) = self.channels.get_mut(channel) else { return };
        let before = std::mem::replace(&mut part.anonymous, anonymous);
        if before != anonymous {
            channels.change(channel, |channel| channel.count_elsewhere(before, anonymous));
        }
        self.tidy(channel);
    }

    /// Makes a place for a channel, if there is none. Returns whether there is one.
    fn open(&mut self, channel: &Name, room: &mut Room<'_>) -> bool {
        if self.channels.contains_key(channel) {
            return true;
        }
        let bytes = PRESENCE_CONNECTION_BYTES + bytes_of(channel);
        if !room.take(bytes) {
            return false;
        }
        self.bytes += bytes;
        self.channels.insert(channel.clone(), Part::default());
        true
    }

    /// Gives up a channel in which nobody is.
    fn tidy(&mut self, channel: &Name) {
        let is_empty = |part: &Part| part.users.is_empty() && part.anonymous == 0;
        if self.channels.get(channel).is_some_and(is_empty) {
            self.channels.remove(channel);
            self.bytes -= PRESENCE_CONNECTION_BYTES + bytes_of(channel);
        }
    }
}

/// Whether a user stands behind one place, and not behind the other, which are in its channel if they are given.
fn is_between(user: &Name, begun: Option<&Place>, ended: Option<&Place>) -> bool {
    let is_behind = begun.and_then(|place| place.user.as_ref()).is_none_or(|after| user > after);
    let is_before = ended.is_none_or(|place| place.user.as_ref().is_some_and(|upto| user <= upto));
    is_behind && is_before
}

fn bytes_of(name: &Name) -> usize {
    PRESENCE_NAME_BYTES + name.as_str().len()
}
