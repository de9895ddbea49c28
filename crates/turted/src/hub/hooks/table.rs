//! Which users are online, and in which channels, as one hook sees it: a connection that has ended counts for a while.
//!
//! A connection whose session may be resumed has not ended for good: while it counts, neither its end nor the beginning of
//! the one on which it is resumed is told.
//!
//! Time is passed in, and what changes goes to a function. Each name is counted by the connections that have it, so a user is
//! gone when the last of them is. What replaces something is counted before the other is taken away: a name that both have
//! is not told.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;
use std::time::Instant;

use turted_core::close::Close;
use turted_core::connection_id::ConnectionId;
use turted_core::limits::{HOOK_CONNECTION_BYTES, HOOK_LOST_BYTES_MAX, HOOK_LOST_MAX, HOOK_NAME_BYTES};
use turted_core::membership::Memberships;
use turted_core::name::Name;
use turted_core::session_key::SessionKey;
use turted_core::shrink::shrink_map;

use super::record::Record;

/// Why a user is gone whose proof has expired.
pub(crate) const EXPIRED: &str = "token expired";
/// Why a user is gone whose connection is another one now.
pub(crate) const OTHER_IDENT: &str = "another IDENT";
/// Why the connection that a client began anew is gone, when it has got back the session that it had before.
const RESUMED: &str = "resumed another session";
/// Why a user is no member of a channel that its client has left.
const LEAVE: &str = "LEAVE";

/// Where it is told what changes.
pub(super) type Tell<'a> = &'a mut dyn FnMut(Record);

/// Who is online.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Connections that are open.
    connections: HashMap<ConnectionId, Held>,
    /// In an order, so that all of them can be told in portions.
    users: BTreeMap<Name, User>,
    /// Connections that have ended, and until when they count.
    lost: BTreeMap<(Instant, ConnectionId), Lost>,
    /// About how many bytes these take. Their names may be in no registry any more.
    lost_bytes: usize,
    /// Those whose session may be resumed.
    sessions: HashMap<SessionKey, (Instant, ConnectionId)>,
}

/// A connection as it is admitted.
#[derive(Clone, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) id: ConnectionId,
    /// Its name for backends: that of its session, if it has one.
    pub(crate) name: Arc<str>,
    /// The session that it has begun or resumed, if it may be resumed.
    pub(crate) session: Option<SessionKey>,
    pub(crate) memberships: &'a Memberships,
}

/// What a connection is.
#[derive(Debug)]
struct Held {
    name: Arc<str>,
    users: Vec<Name>,
    channels: Vec<Name>,
}

/// How many connections a user has, and each of its channels.
#[derive(Debug, Default)]
struct User {
    connections: usize,
    channels: BTreeMap<Name, usize>,
}

#[derive(Debug)]
struct Lost {
    held: Held,
    /// The session that may be resumed; the end of the connection is not told yet.
    session: Option<SessionKey>,
    reason: &'static str,
}

/// How far all who are online have been told: up to this user, and this channel of it. It ends with those that were the last
/// ones when it began: names that are new behind them are told as changes, so they cannot keep it from its end.
#[derive(Debug)]
pub(super) struct Place {
    user: Option<Name>,
    channel: Option<Name>,
    last_user: Option<Name>,
    /// The last channel of `user`.
    last_channel: Option<Name>,
}

impl Held {
    fn new(name: Arc<str>, memberships: &Memberships) -> Self {
        let names = |list: &[(Name, _)]| list.iter().map(|(name, _)| name.clone()).collect();
        Self { name, users: names(&memberships.users), channels: names(&memberships.channels) }
    }

    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let names = self.users.iter().chain(&self.channels);
        names.fold(HOOK_CONNECTION_BYTES, |sum, name| sum + name.as_str().len() + HOOK_NAME_BYTES)
    }
}

impl Table {
    /// A connection is admitted, or has resumed a session. What was kept for that session counts no longer.
    pub(super) fn admit(&mut self, arrival: Arrival<'_>, tell: Tell<'_>) {
        let Arrival { id, name, session, memberships } = arrival;
        let key = session.and_then(|session| self.sessions.get(&session)).copied();
        let resumed = key.and_then(|key| self.take_lost(key));
        let before = self.connections.get(&id).map(|held| Arc::clone(&held.name));
        if before.as_ref() != Some(&name) {
            if let Some(connection) = before {
                tell(Record::Disconnected { connection, reason: RESUMED });
            }
            if resumed.is_none() {
                tell(Record::Connected { connection: Arc::clone(&name) });
            }
        }
        self.put(id, Held::new(name, memberships), OTHER_IDENT, tell);
        if let Some(Lost { held, reason, .. }) = resumed {
            self.discount(&held, reason, tell);
        }
    }

    /// A connection that is open is something else from now on.
    pub(super) fn replace(
        &mut self,
        id: ConnectionId,
        memberships: &Memberships,
        reason: &'static str,
        tell: Tell<'_>,
    ) {
        if let Some(held) = self.connections.get(&id) {
            let held = Held::new(Arc::clone(&held.name), memberships);
            self.put(id, held, reason, tell);
        }
    }

    /// A connection that is open has joined a channel.
    pub(super) fn join(&mut self, id: ConnectionId, channel: &Name, tell: Tell<'_>) {
        let Self { connections, users, .. } = self;
        let Some(held) = connections.get_mut(&id).filter(|held| !held.channels.contains(channel)) else {
            return;
        };
        held.channels.push(channel.clone());
        for name in &held.users {
            if let Some(user) = users.get_mut(name) {
                user.join(name, channel, tell);
            }
        }
    }

    /// A connection that is open has left a channel.
    pub(super) fn leave(&mut self, id: ConnectionId, channel: &Name, tell: Tell<'_>) {
        let Self { connections, users, .. } = self;
        let Some(held) = connections.get_mut(&id) else { return };
        let Some(index) = held.channels.iter().position(|name| name == channel) else { return };
        held.channels.swap_remove(index);
        for name in &held.users {
            if let Some(user) = users.get_mut(name) {
                user.leave(name, channel, LEAVE, tell);
            }
        }
    }

    /// A connection has ended. What it was counts until `until`, unless its proof has expired. If the server stops, nothing is
    /// told any more: what it was counts for ever.
    pub(super) fn close(
        &mut self,
        id: ConnectionId,
        (session, until): (Option<SessionKey>, Instant),
        close: Close,
        tell: Tell<'_>,
    ) {
        let Some(held) = self.connections.remove(&id) else { return };
        shrink_map(&mut self.connections);
        if close == Close::Drain {
            return;
        }
        let (reason, session) = (close.reason(), session.filter(|_| close.is_recoverable()));
        if session.is_none() {
            tell(Record::Disconnected { connection: Arc::clone(&held.name), reason });
        }
        if close == Close::Expired {
            return self.discount(&held, EXPIRED, tell);
        }
        if session.is_none() && held.users.is_empty() {
            return;
        }
        let key = (until, id);
        self.lost_bytes += held.bytes();
        self.lost.insert(key, Lost { held, session, reason });
        if let Some(session) = session {
            self.sessions.insert(session, key);
        }
        self.release_surplus(tell);
    }

    /// Gives up a portion of the connections whose time is over. Returns when the next one is.
    pub(super) fn expire(&mut self, now: Instant, portion: usize, tell: Tell<'_>) -> Option<Instant> {
        for _ in 0..portion {
            let first = self.lost.first_key_value().map(|(key, _)| *key);
            let Some(key) = first.filter(|(until, _)| *until <= now) else { break };
            self.release(key, tell);
        }
        self.next_expiry()
    }

    /// When the first connection that has ended counts no longer.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.lost.first_key_value().map(|((until, _), _)| *until)
    }

    /// Where telling all who are online begins.
    pub(super) fn begin(&self) -> Place {
        let last_user = self.users.last_key_value().map(|(name, _)| name.clone());
        Place { user: None, channel: None, last_user, last_channel: None }
    }

    /// The next record of all that tell who is online, behind `place`, which it moves on.
    pub(super) fn next_of_all(&self, place: &mut Place) -> Option<Record> {
        if let Some(name) = &place.user
            && let Some(user) = self.users.get(name)
            && let Some(channel) = next(&user.channels, place.channel.as_ref(), place.last_channel.as_ref())
        {
            place.channel = Some(channel.clone());
            return Some(Record::Joined { user: name.clone(), channel: channel.clone() });
        }
        let user = next(&self.users, place.user.as_ref(), place.last_user.as_ref())?.clone();
        let last_channel = self.users.get(&user).and_then(|user| user.channels.last_key_value());
        place.last_channel = last_channel.map(|(channel, _)| channel.clone());
        (place.user, place.channel) = (Some(user.clone()), None);
        Some(Record::UserOnline { user })
    }

    fn release_surplus(&mut self, tell: Tell<'_>) {
        while (self.lost.len() > HOOK_LOST_MAX || self.lost_bytes > HOOK_LOST_BYTES_MAX)
            && let Some((key, _)) = self.lost.first_key_value()
        {
            self.release(*key, tell);
        }
    }

    /// Gives up a connection that has ended.
    fn release(&mut self, key: (Instant, ConnectionId), tell: Tell<'_>) {
        let Some(Lost { held, session, reason }) = self.take_lost(key) else { return };
        if session.is_some() {
            tell(Record::Disconnected { connection: Arc::clone(&held.name), reason });
        }
        self.discount(&held, reason, tell);
    }

    fn take_lost(&mut self, key: (Instant, ConnectionId)) -> Option<Lost> {
        let lost = self.lost.remove(&key)?;
        self.lost_bytes -= lost.held.bytes();
        // The session may have been lost once more on another connection.
        if let Some(session) = lost.session.filter(|session| self.sessions.get(session) == Some(&key)) {
            self.sessions.remove(&session);
            shrink_map(&mut self.sessions);
        }
        Some(lost)
    }

    fn put(&mut self, id: ConnectionId, held: Held, reason: &'static str, tell: Tell<'_>) {
        self.count(&held, tell);
        if let Some(before) = self.connections.insert(id, held) {
            self.discount(&before, reason, tell);
        }
    }

    fn count(&mut self, held: &Held, tell: Tell<'_>) {
        for name in &held.users {
            let user = self.users.entry(name.clone()).or_default();
            user.connections += 1;
            if user.connections == 1 {
                tell(Record::UserOnline { user: name.clone() });
            }
            held.channels.iter().for_each(|channel| user.join(name, channel, tell));
        }
    }

    fn discount(&mut self, held: &Held, reason: &'static str, tell: Tell<'_>) {
        for name in &held.users {
            let Some(user) = self.users.get_mut(name) else { continue };
            held.channels.iter().for_each(|channel| user.leave(name, channel, reason, tell));
            user.connections -= 1;
            if user.connections == 0 {
                self.users.remove(name);
                tell(Record::UserOffline { user: name.clone(), reason });
            }
        }
    }
}

impl User {
    fn join(&mut self, name: &Name, channel: &Name, tell: Tell<'_>) {
        let connections = self.channels.entry(channel.clone()).or_default();
        *connections += 1;
        if *connections == 1 {
            tell(Record::Joined { user: name.clone(), channel: channel.clone() });
        }
    }

    fn leave(&mut self, name: &Name, channel: &Name, reason: &'static str, tell: Tell<'_>) {
        let Some(connections) = self.channels.get_mut(channel) else { return };
        *connections -= 1;
        if *connections == 0 {
            self.channels.remove(channel);
            tell(Record::Left { user: name.clone(), channel: channel.clone(), reason });
        }
    }
}

/// The first name behind another one, up to the last one.
fn next<'a, T>(names: &'a BTreeMap<Name, T>, behind: Option<&Name>, last: Option<&Name>) -> Option<&'a Name> {
    let behind = behind.map_or(Unbounded, Excluded);
    names.range::<Name, _>((behind, Included(last?))).next().map(|(name, _)| name)
}

#[cfg(test)]
mod tests;
