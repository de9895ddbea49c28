//! Which connections count in which channels: those that are open, and for a while those that were lost.
//!
//! Time is passed in. It goes in periods of a second: within one, members of a channel are told of one version at most. A
//! channel of which a client asks before it was told in a period is told at once, so that a client that joins a quiet
//! channel hears of itself; the other members hear that version when the next period begins.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::PresenceRules;
use super::channel::{Channel, Told};
use super::channels::Channels;
use super::others::Others;
use super::share::Share;
use crate::connection_id::ConnectionId;
use crate::limits::{
    PRESENCE_CONNECTION_BYTES, PRESENCE_LOST_BYTES_MAX, PRESENCE_LOST_MAX, PRESENCE_NAME_BYTES,
};
use crate::membership::Memberships;
use crate::name::Name;
use crate::session_key::SessionKey;
use crate::shrink::shrink_map;

/// Who is in the channels with presence, as one node knows it.
///
/// ```
/// use turted_core::channel::ChannelPattern;
/// use turted_core::connection_id::ConnectionId;
/// use turted_core::presence::{PresenceRules, Table};
/// use turted_core::name::Name;
/// let (chat, adam) = (Name::new("chat").unwrap(), Name::new("adam").unwrap());
/// let rules = PresenceRules::new([(ChannelPattern::parse("chat").unwrap(), true)]);
/// let mut table = Table::new(rules);
/// let id: ConnectionId = "0-1-0".parse().unwrap();
/// table.join(id, &[adam.clone()], &chat);
/// table.refresh(&chat);
/// assert_eq!(table.users_told(&chat), [adam]);
/// ```
#[derive(Debug)]
pub struct Table {
    pub(super) rules: PresenceRules,
    /// Connections that are open and in a channel with presence.
    connections: HashMap<ConnectionId, Held>,
    pub(super) channels: Channels,
    /// Connections that were lost, and until when they count. The number tells two of one moment apart.
    lost: BTreeMap<LostKey, Lost>,
    /// About how many bytes these take. Their names may be in no registry any more.
    lost_bytes: usize,
    /// Those whose session may be resumed.
    sessions: HashMap<SessionKey, LostKey>,
    /// What other nodes hear of it, if there may be any.
    pub(super) share: Option<Share>,
    /// What they tell.
    pub(super) others: Others,
}

type LostKey = (Instant, u64);

/// A connection that is admitted, or has resumed a session.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Which one.
    pub id: ConnectionId,
    /// Its session, if it may be resumed.
    pub session: Option<SessionKey>,
    /// What it is and has joined.
    pub memberships: &'a Memberships,
}

/// What a connection is. It is in one channel with presence at least.
#[derive(Debug)]
struct Held {
    users: Vec<Name>,
    channels: Vec<Name>,
}

#[derive(Debug)]
struct Lost {
    held: Held,
    session: Option<SessionKey>,
}

impl Held {
    /// What counts of memberships.
    fn new(memberships: &Memberships, rules: &PresenceRules) -> Self {
        let names = |list: &[(Name, _)]| list.iter().map(|(name, _)| name.clone()).collect();
        let mut channels: Vec<Name> = names(&memberships.channels);
        channels.retain(|channel| rules.allow(channel));
        let users = if channels.is_empty() { Vec::new() } else { names(&memberships.users) };
        Self { users, channels }
    }

    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let names = self.users.iter().chain(&self.channels);
        names.fold(PRESENCE_CONNECTION_BYTES, |sum, name| sum + name.as_str().len() + PRESENCE_NAME_BYTES)
    }
}

impl Table {
    /// A table in which nobody is. Channels without presence by `rules` do not count.
    #[must_use]
    pub fn new(rules: PresenceRules) -> Self {
        Self {
            rules,
            connections: HashMap::new(),
            channels: Channels::default(),
            lost: BTreeMap::new(),
            lost_bytes: 0,
            sessions: HashMap::new(),
            share: None,
            others: Others::default(),
        }
    }

    /// A connection is admitted, or has resumed a session. What was kept for that session counts no longer.
    pub fn admit(&mut self, Arrival { id, session, memberships }: Arrival<'_>) {
        let key = session.and_then(|session| self.sessions.get(&session)).copied();
        let resumed = key.and_then(|key| self.take_lost(key));
        self.replace(id, memberships);
        if let Some(lost) = resumed {
            self.discount(&lost.held);
        }
    }

    /// A connection that is open is this from now on.
    pub fn replace(&mut self, id: ConnectionId, memberships: &Memberships) {
        let held = Held::new(memberships, &self.rules);
        // Before the other is taken away: a user that both have does not leave.
        self.count(&held);
        let before = match held.channels.is_empty() {
            true => self.connections.remove(&id),
            false => self.connections.insert(id, held),
        };
        if let Some(before) = before {
            self.discount(&before);
        }
    }

    /// A connection that is open, and is these users, has joined a channel.
    pub fn join(&mut self, id: ConnectionId, users: &[Name], channel: &Name) {
        if !self.rules.allow(channel) {
            return;
        }
        let new = || Held { users: users.to_vec(), channels: Vec::new() };
        let held = self.connections.entry(id).or_insert_with(new);
        if held.channels.contains(channel) {
            return;
        }
        held.channels.push(channel.clone());
        let users = held.users.clone();
        self.enter(channel, &users);
    }

    /// A connection that is open has left a channel.
    pub fn leave(&mut self, id: ConnectionId, channel: &Name) {
        let Some(held) = self.connections.get_mut(&id) else { return };
        let Some(index) = held.channels.iter().position(|name| name == channel) else { return };
        held.channels.swap_remove(index);
        let users = held.users.clone();
        if held.channels.is_empty() {
            self.connections.remove(&id);
        }
        self.exit(channel, &users);
    }

    /// A connection has ended. Its users count `until` then; at once if that is `None`. A connection that is no user does
    /// not count any more.
    pub fn close(&mut self, id: ConnectionId, session: Option<SessionKey>, until: Option<Instant>) {
        let Some(held) = self.connections.remove(&id) else { return };
        shrink_map(&mut self.connections);
        match until.filter(|_| !held.users.is_empty()) {
            Some(until) => self.keep(Lost { held, session }, until),
            None => self.discount(&held),
        }
    }

    /// A session was found whose client may come back: its users count `until` then.
    pub fn found(&mut self, session: SessionKey, memberships: &Memberships, until: Instant) {
        let held = Held::new(memberships, &self.rules);
        if !held.users.is_empty() {
            self.count(&held);
            self.keep(Lost { held, session: Some(session) }, until);
        }
    }

    /// Sessions have ended whose clients were away: what was kept for them counts no longer.
    pub fn end(&mut self, sessions: &[SessionKey]) {
        for session in sessions {
            if let Some(key) = self.sessions.get(session) {
                self.release(*key);
            }
        }
    }

    /// The client of a session is at another node, which has not said so yet: what is kept for the session counts `until`
    /// then.
    pub fn hand_over(&mut self, session: SessionKey, until: Instant) {
        let key = self.sessions.get(&session).copied();
        if let Some(lost) = key.and_then(|key| self.take_lost(key)) {
            self.keep(lost, until);
        }
    }

    /// Gives up a portion of the lost connections whose time is over. Returns whether there may be more.
    pub fn expire(&mut self, now: Instant, portion: usize) -> bool {
        for _ in 0..portion {
            let first = self.lost.first_key_value().map(|(key, _)| *key);
            let Some(key) = first.filter(|(until, _)| *until <= now) else { return false };
            self.release(key);
        }
        true
    }

    /// Begins the next period.
    pub fn begin_period(&mut self) {
        self.channels.begin_period();
    }

    /// Tells of a portion of the channels that have changed, and adds those to `told` whose members are to hear of it. Returns
    /// whether there are more.
    pub fn tell(&mut self, portion: usize, told: &mut Vec<Name>) -> bool {
        self.channels.tell(portion, told)
    }

    /// Tells of a channel at once, if nothing was told of it in this period.
    pub fn refresh(&mut self, name: &Name) {
        self.channels.refresh(name);
    }

    /// What was told of a channel last; `None` if nobody is in it.
    #[must_use]
    pub fn told(&self, channel: &Name) -> Option<&Arc<Told>> {
        self.channels.get(channel).map(Channel::told)
    }

    /// The users of a channel by what was told last, in the order of their bytes.
    #[must_use]
    pub fn users_told(&self, channel: &Name) -> Vec<Name> {
        self.channels.get(channel).map(Channel::users_told).unwrap_or_default()
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.all().len()
    }

    /// How many connections are open and in a channel with presence.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How many connections count that were lost.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.lost.len()
    }

    /// Whether nobody counts, and nothing is kept of anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.channels.all().is_empty() && self.lost.is_empty()
    }

    fn count(&mut self, held: &Held) {
        for channel in &held.channels {
            self.enter(channel, &held.users);
        }
    }

    fn discount(&mut self, held: &Held) {
        for channel in &held.channels {
            self.exit(channel, &held.users);
        }
    }

    fn enter(&mut self, channel: &Name, users: &[Name]) {
        let changed = self.share.as_mut().map(|share| share.of(channel));
        self.channels.change(channel, |channel| channel.enter(users, changed));
    }

    fn exit(&mut self, channel: &Name, users: &[Name]) {
        let changed = self.share.as_mut().map(|share| share.of(channel));
        self.channels.change(channel, |channel| channel.exit(users, changed));
    }

    fn keep(&mut self, lost: Lost, until: Instant) {
        let key = (until, self.channels.next_number());
        self.lost_bytes += lost.held.bytes();
        if let Some(session) = lost.session {
            self.sessions.insert(session, key);
        }
        self.lost.insert(key, lost);
        while (self.lost.len() > PRESENCE_LOST_MAX || self.lost_bytes > PRESENCE_LOST_BYTES_MAX)
            && let Some((key, _)) = self.lost.first_key_value()
        {
            self.release(*key);
        }
    }

    fn release(&mut self, key: LostKey) {
        if let Some(lost) = self.take_lost(key) {
            self.discount(&lost.held);
        }
    }

    fn take_lost(&mut self, key: LostKey) -> Option<Lost> {
        let lost = self.lost.remove(&key)?;
        self.lost_bytes -= lost.held.bytes();
        // The session may have been lost once more on another connection.
        if let Some(session) = lost.session.filter(|session| self.sessions.get(session) == Some(&key)) {
            self.sessions.remove(&session);
            shrink_map(&mut self.sessions);
        }
        Some(lost)
    }
}

#[cfg(test)]
mod tests;
