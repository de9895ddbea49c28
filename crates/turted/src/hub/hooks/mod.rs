//! What hooks hear: who is online, and which events are dispatched. What is made of it for a backend is in `webhook`.
//!
//! Every hook has one small lock of its own: behind it stand who is online and the records that wait. So records of one
//! hook come in the order in which things happened, and one hook does not wait for another. A table per hook costs memory
//! where there are several, but `grace` is a key of each, so they may differ in who is online.
//!
//! A worker takes the lock when a client connects, says who it is, joins, leaves or goes, and only if a hook asks for that;
//! the dispatcher takes it for an event that a hook lists. Nothing waits under it. A delivery touches none of this.
//!
//! | file | what |
//! |---|---|
//! | `hook` | one hook: its lock, who is woken, what it counts |
//! | `heard` | behind the lock: the table, the records that wait, and the telling of all who are online |
//! | `table` | which users are online, in which channels, by which connections |
//! | `queue` | records that wait, bounded |
//! | `record`, `dispatch` | one record; a dispatch as a backend hears of it |

mod hook;
mod heard;
mod table;
mod queue;
mod record;
mod dispatch;

use std::sync::Arc;
use std::time::Instant;

use turted_core::close::Close;
use turted_core::connection_id::ConnectionId;
use turted_core::membership::Memberships;
use turted_core::name::Name;
use turted_core::session_key::SessionKey;

use crate::config::Hook as Settings;
use crate::hub::dispatch::log::Accepted;
pub(crate) use heard::RECORDS_OF_BATCH;
pub(crate) use hook::Hook;
pub(crate) use record::{Record, Waiting};
pub(crate) use table::{Arrival, EXPIRED, OTHER_IDENT};

/// The hooks of a node. Most nodes have none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks(Arc<[Arc<Hook>]>);

impl Hooks {
    pub(crate) fn new(settings: &[Settings]) -> Self {
        Self(settings.iter().map(|settings| Arc::new(Hook::new(settings))).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Hook>> {
        self.0.iter()
    }

    /// Signs with the secrets of this configuration from now on. Returns the names of the hooks whose secrets changed.
    pub(crate) fn replace_secrets(&self, settings: &[Settings]) -> Vec<&str> {
        let has_new = |hook: &&Arc<Hook>| {
            let own = settings.iter().find(|own| own.name == hook.name());
            own.is_some_and(|own| hook.replace_secrets(&own.secrets))
        };
        self.0.iter().filter(has_new).map(|hook| hook.name()).collect()
    }

    /// The names of the hooks that are others in this configuration, or missing in it, or new: they take a restart. Secrets do not.
    pub(crate) fn other_than<'a>(&'a self, settings: &'a [Settings]) -> Vec<&'a str> {
        let is_same = |own: &Settings| {
            let hook = self.0.iter().find(|hook| hook.name() == own.name);
            hook.is_some_and(|hook| {
                Settings { secrets: own.secrets.clone(), ..hook.settings().clone() } == *own
            })
        };
        let is_missing = |hook: &&Arc<Hook>| settings.iter().all(|own| own.name != hook.name());
        let missing = self.0.iter().filter(is_missing).map(|hook| hook.name());
        missing.chain(settings.iter().filter(|own| !is_same(own)).map(|own| &*own.name)).collect()
    }

    /// Whether none of them hears of clients.
    pub(crate) fn hear_no_clients(&self) -> bool {
        self.of_clients().next().is_none()
    }

    /// A connection is admitted, or has resumed a session.
    pub(crate) fn admitted(&self, arrival: &Arrival<'_>) {
        for hook in self.of_clients() {
            hook.change(|heard| heard.admitted(arrival.clone()));
        }
    }

    /// A connection is other users than before, and may have lost channels by that.
    pub(crate) fn became(
        &self,
        id: ConnectionId,
        memberships: impl Fn() -> Memberships,
        reason: &'static str,
    ) {
        for hook in self.of_clients() {
            hook.change(|heard| heard.became(id, &memberships(), reason));
        }
    }

    /// A connection has joined a channel.
    pub(crate) fn joined(&self, id: ConnectionId, channel: &Name) {
        for hook in self.of_clients() {
            hook.change(|heard| heard.joined(id, channel));
        }
    }

    /// A connection has left a channel.
    pub(crate) fn left(&self, id: ConnectionId, channel: &Name) {
        for hook in self.of_clients() {
            hook.change(|heard| heard.left(id, channel));
        }
    }

    /// A connection has ended. If it had a session that may be resumed, `session` names it.
    pub(crate) fn closed(&self, id: ConnectionId, session: Option<SessionKey>, close: Close) {
        for hook in self.of_clients() {
            let until = Instant::now() + hook.grace();
            hook.change(|heard| heard.closed(id, (session, until), close));
        }
    }

    /// Whether one of them hears of dispatches.
    pub(crate) fn hear_dispatches(&self) -> bool {
        self.0.iter().any(|hook| !hook.settings().dispatches.is_empty())
    }

    /// A dispatch was accepted. The order of the log is that of these calls.
    pub(crate) fn dispatched(&self, accepted: &Accepted) {
        let event = &accepted.dispatch.event;
        let mut hearing = self.0.iter().filter(|hook| hook.hears(event)).peekable();
        if hearing.peek().is_some() {
            let written = dispatch::write(accepted);
            hearing.for_each(|hook| hook.change(|heard| heard.dispatched(&written)));
        }
    }

    fn of_clients(&self) -> impl Iterator<Item = &Arc<Hook>> {
        self.0.iter().filter(|hook| hook.has_clients())
    }
}
