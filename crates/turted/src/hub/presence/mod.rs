//! Who is in the channels with presence, and when users were last connected.
//!
//! Workers share nothing on the way of an event. They tell this one table when a client of theirs joins or leaves a channel
//! with presence, is another user, ends or comes back, and only then take its lock: for one change, and never across an
//! await. A delivery does not look here. Without a channel that has presence the table is not asked at all.
//!
//! What members are told goes the other way round: a tick each second makes a version of each channel that has changed, and
//! each worker fetches it for its own clients. A worker that is late fetches a later version; a client that has missed one is
//! told all. So nothing is queued, and nothing can be lost.
//!
//! In a cluster the table holds what other nodes have told beside the connections of this one, and the same tick tells them
//! what has changed here.
//!
//! | file | what |
//! |---|---|
//! | `budget` | how much may be sent within a second |
//! | `last_seen` | when users were last connected |
//! | `exchange` | nodes of a cluster tell each other who is in their channels |
//! | `online` | which users are online, for a backend that asks |

mod budget;
mod exchange;
mod last_seen;
pub(crate) mod online;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use turted_core::close::Close;
use turted_core::connection_id::ConnectionId;
use turted_core::limits::{PRESENCE_DEPLOY_GRACE, PRESENCE_HANDOVER};
use turted_core::membership::Memberships;
use turted_core::name::Name;
use turted_core::presence::{Arrival, PresenceRefusal, PresenceRules, Table, Told};
use turted_core::session_key::SessionKey;

use self::budget::Budget;
use self::exchange::Exchange;
use self::last_seen::LastSeen;
use crate::config;
use crate::io::life::Life;

/// Channels that are dealt with under one hold of the lock, some 100 us.
const PORTION: usize = 256;
/// Lost connections that are given up under one hold of the lock: each may have been in 128 channels.
const LOST_PORTION: usize = 16;

/// Users of a node that is gone that are given up under one hold of the lock.
const GONE_PORTION: usize = 512;

/// Presence on a node.
#[derive(Debug)]
pub(crate) struct Presence {
    rules: PresenceRules,
    grace: Duration,
    /// Nothing else is locked under it.
    table: Mutex<Table>,
    /// How much may be sent in this second.
    pub(crate) budget: Budget,
    pub(crate) last_seen: LastSeen,
    exchange: Exchange,
}

/// What a client is told that has to be told all.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) told: Arc<Told>,
    /// The users, unless they are too many; `None` if this version is known already.
    pub(crate) users: Option<Vec<Name>>,
}

impl Presence {
    pub(crate) fn new(settings: &config::Presence) -> Self {
        Self {
            rules: settings.channels.clone(),
            grace: settings.grace,
            table: Mutex::new(Table::new(settings.channels.clone())),
            budget: Budget::default(),
            last_seen: LastSeen::default(),
            exchange: Exchange::default(),
        }
    }

    /// Whether no channel has presence.
    pub(crate) fn is_off(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether members of a channel may hear who is in it.
    ///
    /// # Errors
    /// Its rule does not say so.
    pub(crate) fn check(&self, channel: &Name) -> Result<(), PresenceRefusal> {
        self.rules.allow(channel).then_some(()).ok_or(PresenceRefusal::NotAllowed)
    }

    /// A connection is admitted, or has resumed a session.
    pub(crate) fn admitted(
        &self,
        id: ConnectionId,
        session: Option<SessionKey>,
        memberships: impl FnOnce() -> Memberships,
    ) {
        if !self.is_off() {
            let memberships = memberships();
            self.table().admit(Arrival { id, session, memberships: &memberships });
        }
    }

    /// A connection is other users than before, or has lost channels.
    pub(crate) fn became(&self, id: ConnectionId, memberships: impl FnOnce() -> Memberships) {
        if !self.is_off() {
            let memberships = memberships();
            self.table().replace(id, &memberships);
        }
    }

    /// A connection that is these `users` has joined a channel.
    pub(crate) fn joined(&self, id: ConnectionId, channel: &Name, users: impl FnOnce() -> Vec<Name>) {
        if self.rules.allow(channel) {
            let users = users();
            self.table().join(id, &users, channel);
        }
    }

    /// A connection has left a channel.
    pub(crate) fn left(&self, id: ConnectionId, channel: &Name) {
        if self.rules.allow(channel) {
            self.table().leave(id, channel);
        }
    }

    /// A connection has ended. If it had a session that may be resumed, `session` names it.
    pub(crate) fn closed(&self, id: ConnectionId, session: Option<SessionKey>, close: Close, life: &Life) {
        if self.is_off() {
            return;
        }
        let grace = match close {
            Close::Expired | Close::OperatorEnded => None,
            // The client is here already, or at another node, which says so at once.
            Close::Superseded if self.exchange.is_on() => Some(PRESENCE_HANDOVER),
            _ if life.is_draining() => Some(self.deploy_grace()),
            _ => Some(self.grace),
        };
        let until = grace.map(|grace| Instant::now() + grace);
        self.table().close(id, session.filter(|_| close.is_recoverable()), until);
    }

    /// Another node has the session from now on.
    pub(crate) fn handed_over(&self, session: SessionKey) {
        if self.exchange.is_on() {
            self.table().hand_over(session, Instant::now() + PRESENCE_HANDOVER);
        }
    }

    /// Sessions were ended whose clients were away.
    pub(crate) fn ended(&self, sessions: &[SessionKey]) {
        if !self.is_off() && !sessions.is_empty() {
            self.table().end(sessions);
        }
    }

    /// A start has found a session whose client may come back.
    pub(crate) fn found(&self, session: SessionKey, memberships: &Memberships) {
        if !self.is_off() {
            let until = Instant::now() + self.deploy_grace();
            self.table().found(session, memberships, until);
        }
    }

    /// Gives up a portion of the lost connections, or of what a node has told, whose grace is over. Returns whether there may
    /// be more.
    pub(crate) fn expire(&self, now: Instant) -> bool {
        let mut table = self.table();
        table.expire(now, LOST_PORTION) || table.forget_gone(now, GONE_PORTION)
    }

    /// Begins the next second.
    pub(crate) fn begin_period(&self) {
        self.budget.refill();
        self.table().begin_period();
    }

    /// Makes a version of a portion of the channels that have changed, and adds those that clients are to hear of. Returns
    /// whether there are more.
    pub(crate) fn tell(&self, told: &mut Vec<Name>) -> bool {
        self.table().tell(PORTION, told)
    }

    /// The last version of a channel; `None` if nobody is in it.
    pub(crate) fn told(&self, channel: &Name) -> Option<Arc<Told>> {
        self.table().told(channel).cloned()
    }

    /// All that a client is told of a channel, of which a version may be `known`; `None` if nobody is in it. A channel that
    /// was quiet for a second is told as it is now.
    pub(crate) fn whole(&self, channel: &Name, known: Option<u64>) -> Option<Whole> {
        let mut table = self.table();
        table.refresh(channel);
        let told = table.told(channel).cloned()?;
        let users = (known != Some(told.version)).then(|| table.users_told(channel));
        Some(Whole { told, users })
    }

    /// How many channels with presence have members, and how many lost connections count.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let table = self.table();
        (table.channels(), table.lost())
    }

    /// How many open connections are in a channel with presence.
    pub(crate) fn connections(&self) -> usize {
        self.table().connections()
    }

    /// How long users count whose clients were told that the server stops, or come back to one that was started anew.
    fn deploy_grace(&self) -> Duration {
        self.grace.max(PRESENCE_DEPLOY_GRACE)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
