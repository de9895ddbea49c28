//! Who is in one channel, and what its members were told last.
//!
//! What was told is a version: all members that were told the same version know the same. What has changed since is kept
//! until the next version, so that the users of the last one can still be listed, and a user who leaves and comes back in
//! between is not told at all.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use super::share::Changed;
use crate::limits::{PRESENCE_CHANGE_MAX, PRESENCE_LARGE_PERIODS, PRESENCE_USERS_AGAIN, PRESENCE_USERS_MAX};
use crate::name::Name;

/// How many are in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Users.
    pub count: usize,
    /// Connections that are no user.
    pub anonymous: usize,
    /// Other nodes that could not add theirs.
    pub silent: usize,
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

/// The second in which something is told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    /// Its number.
    pub(super) period: u64,
    /// The last number that was given out, to a version or to a lost connection.
    pub(super) last: u64,
    /// Other nodes of which is not known who is there.
    pub(super) silent: usize,
}

/// One channel with presence.
#[derive(Debug)]
pub(super) struct Channel {
    /// Each with what holds it there.
    users: BTreeMap<Name, Holders>,
    /// Connections of this node that are no user.
    anonymous: usize,
    /// The same of other nodes.
    anonymous_elsewhere: usize,
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

/// What holds a user in a channel.
#[derive(Clone, Copy, Debug, Default)]
struct Holders {
    /// Connections of this node.
    own: usize,
    /// Other nodes.
    nodes: usize,
}

impl Holders {
    fn are_none(self) -> bool {
        self.own == 0 && self.nodes == 0
    }
}

/// Whether a user was in a channel by what was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Present,
    Absent,
}

impl Channel {
    /// A channel without members.
    pub(super) fn new(moment: &Moment) -> Self {
        let (version, numbers) = (moment.last, Numbers { silent: moment.silent, ..Numbers::default() });
        let told = Told { version, before: version, numbers, is_large: false, change: None };
        Self {
            users: BTreeMap::new(),
            anonymous: 0,
            anonymous_elsewhere: 0,
            told: Arc::new(told),
            told_in: None,
            is_noted: false,
            is_ahead: false,
            changed: BTreeMap::new(),
        }
    }

    /// A connection that is these users is in the channel. What other nodes have to hear of that is noted as `changed`.
    pub(super) fn enter(&mut self, users: &[Name], changed: Option<&mut Changed>) {
        if users.is_empty() {
            self.anonymous += 1;
        }
        self.change_here(users, |holders| holders.own += 1, changed);
    }

    /// It is not any more.
    pub(super) fn exit(&mut self, users: &[Name], changed: Option<&mut Changed>) {
        if users.is_empty() {
            self.anonymous -= 1;
        }
        self.change_here(users, |holders| holders.own = holders.own.saturating_sub(1), changed);
    }

    fn change_here(&mut self, users: &[Name], change: fn(&mut Holders), mut changed: Option<&mut Changed>) {
        if users.is_empty()
            && let Some(changed) = &mut changed
        {
            changed.note_anonymous();
        }
        for user in users {
            let (before, now) = self.hold(user, change);
            if (before.own == 0) != (now.own == 0)
                && let Some(changed) = &mut changed
            {
                changed.note_user(user);
            }
        }
    }

    /// Another node has this user in the channel.
    pub(super) fn enter_elsewhere(&mut self, user: &Name) {
        self.hold(user, |holders| holders.nodes += 1);
    }

    /// It has it there no more.
    pub(super) fn exit_elsewhere(&mut self, user: &Name) {
        self.hold(user, |holders| holders.nodes = holders.nodes.saturating_sub(1));
    }

    /// A node that told of `before` connections that are no user tells of so many `now`.
    pub(super) fn count_elsewhere(&mut self, before: u32, now: u32) {
        self.anonymous_elsewhere -= before as usize;
        self.anonymous_elsewhere += now as usize;
    }

    /// The users behind `after`, in the order of their bytes, and whether they are there by connections of this node.
    pub(super) fn users_behind(&self, after: Option<&Name>) -> impl Iterator<Item = (&Name, bool)> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let users = self.users.range::<Name, _>((behind, Bound::Unbounded));
        users.map(|(user, holders)| (user, holders.own > 0))
    }

    /// Whether a user is there by connections of this node.
    pub(super) fn is_here(&self, user: &Name) -> bool {
        self.users.get(user).is_some_and(|holders| holders.own > 0)
    }

    /// Connections of this node that are no user.
    pub(super) fn anonymous_here(&self) -> usize {
        self.anonymous
    }

    /// Changes what holds a user there, and returns what did before and what does now.
    fn hold(&mut self, user: &Name, change: impl FnOnce(&mut Holders)) -> (Holders, Holders) {
        let holders = self.users.entry(user.clone()).or_default();
        let before = *holders;
        change(holders);
        let now = *holders;
        if now.are_none() {
            self.users.remove(user);
        }
        match (before.are_none(), now.are_none()) {
            (true, false) => self.note(user, Presence::Absent),
            (false, true) => self.note(user, Presence::Present),
            _ => {}
        }
        (before, now)
    }

    /// Whether nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.anonymous == 0 && self.anonymous_elsewhere == 0
    }

    /// Whether something has changed that is to be told.
    fn is_changed(&self, silent: usize) -> bool {
        self.told.numbers != self.numbers(silent) || !self.changed.is_empty()
    }

    /// What was told last.
    pub(super) fn told(&self) -> &Arc<Told> {
        &self.told
    }

    /// Whether something is to be told in this period or a later one. If so, its name has to wait for the next period, unless
    /// it does already. So many nodes are `silent`.
    pub(super) fn has_to_wait(&mut self, silent: usize) -> bool {
        (self.is_changed(silent) || self.is_ahead) && !mem::replace(&mut self.is_noted, true)
    }

    /// Its turn in a period has come: makes a version if there is something to tell, and returns whether members hear of one.
    pub(super) fn take_turn(&mut self, moment: &mut Moment) -> bool {
        self.is_noted = false;
        if mem::take(&mut self.is_ahead) {
            self.told_in = Some(moment.period);
            return true;
        }
        self.tell(moment)
    }

    /// Tells the first who asks at once.
    pub(super) fn refresh(&mut self, moment: &mut Moment) {
        self.is_ahead |= self.tell(moment);
    }

    /// Makes what is true now what is told, if that is something else and may be told in this period. Returns whether it is.
    fn tell(&mut self, moment: &mut Moment) -> bool {
        let periods = if self.told.is_large { PRESENCE_LARGE_PERIODS } else { 1 };
        let may_tell = self.told_in.is_none_or(|told_in| moment.period - told_in >= periods);
        if !may_tell || !self.is_changed(moment.silent) {
            return false;
        }
        moment.last += 1;
        self.tell_now(moment);
        true
    }

    fn tell_now(&mut self, moment: &Moment) {
        let (numbers, was_large) = (self.numbers(moment.silent), self.told.is_large);
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
        self.told = Arc::new(Told { version: moment.last, before, numbers, is_large, change });
        self.told_in = Some(moment.period);
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

    fn numbers(&self, silent: usize) -> Numbers {
        Numbers { count: self.users.len(), anonymous: self.anonymous + self.anonymous_elsewhere, silent }
    }

    /// A user is not what it `was`. If it was noted before, it is again what was told.
    fn note(&mut self, user: &Name, was: Presence) {
        if !self.told.is_large && self.changed.remove(user).is_none() {
            self.changed.insert(user.clone(), was);
        }
    }
}
