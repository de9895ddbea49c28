//! What became of a dispatch, as far as a worker knows it now: of the connections that its targets mean, which were members
//! when it was dispatched, and whether it was sent to them.
//!
//! The log holds targets, not recipients. A connection that has ended, or has left a channel since, is not found.

use std::collections::HashSet;
use std::mem;

use tokio::task::yield_now;
use turted_core::connection_id::ConnectionId;
use turted_core::dispatch::{Targets, Via};
use turted_core::membership::Memberships;
use turted_core::name::Name;
use turted_core::registry::Registry;

use crate::hub::dispatch::log::Accepted;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::queries::LIST_MAX;
use crate::hub::worker::worker::Worker;

/// Targets, or connections, looked at in one slice: below 100 us.
const SLICE: usize = 128;
/// Connections of one target that are looked at: most of them are concerned, so that these fill the list.
const LOOKED_AT_MAX: usize = 2 * LIST_MAX;

/// Why a dispatch concerns somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TracedVia {
    User(Name),
    Channel(Name),
    Broadcast,
}

/// What is known of a dispatch and a connection that it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceState {
    /// It was sent.
    Sent,
    /// It waits to be sent.
    Waiting,
    /// Something waits to be sent: it, or what came behind it.
    SentOrWaiting,
    /// It was dispatched before the connection began, or became what the targets name.
    JoinedLater,
}

/// A connection that a dispatch concerns.
#[derive(Clone, Debug)]
pub(crate) struct TracedConnection {
    pub(crate) id: ConnectionId,
    pub(crate) public_id: Option<String>,
    pub(crate) users: Vec<Name>,
    pub(crate) via: TracedVia,
    pub(crate) state: TraceState,
}

/// The targets of a dispatch, to be compared with many memberships.
#[derive(Debug)]
pub(crate) struct Concerned<'a> {
    sequence: u64,
    users: HashSet<&'a Name>,
    channels: HashSet<&'a Name>,
    broadcast: bool,
}

impl<'a> Concerned<'a> {
    pub(crate) fn of(accepted: &'a Accepted) -> Self {
        let Targets { users, channels, broadcast } = &accepted.dispatch.targets;
        let (users, channels) = (users.iter().collect(), channels.iter().collect());
        Self { sequence: accepted.sequence(), users, channels, broadcast: *broadcast }
    }

    /// Why the dispatch concerns somebody with these memberships, and whether it did when it was dispatched. The session
    /// began after the dispatch with the number `began_after`.
    pub(crate) fn why(&self, memberships: &Memberships, began_after: u64) -> Option<(TracedVia, bool)> {
        let users = memberships.users.iter().filter(|(name, _)| self.users.contains(name));
        let channels = memberships.channels.iter().filter(|(name, _)| self.channels.contains(name));
        let users = users.map(|(name, since)| (TracedVia::User(name.clone()), since.0));
        let channels = channels.map(|(name, since)| (TracedVia::Channel(name.clone()), since.0));
        let everyone = self.broadcast.then_some((TracedVia::Broadcast, began_after));
        let vias = users.chain(channels).chain(everyone).map(|(via, since)| (via, since < self.sequence));
        vias.reduce(|first, next| if next.1 && !first.1 { next } else { first })
    }
}

/// The connections of a worker that a dispatch concerns.
#[derive(Debug, Default)]
pub(crate) struct TracedConnections {
    /// The first of them, about as many as a list has.
    pub(crate) first: Vec<TracedConnection>,
    /// Whether there may be others.
    pub(crate) more: bool,
}

/// Looks at the connections of a worker, in slices.
pub(crate) async fn connections(worker: &Worker, accepted: &Accepted) -> TracedConnections {
    let concerned = Concerned::of(accepted);
    let (mut traced, mut looked_at) = (TracedConnections::default(), HashSet::new());
    let vias: Vec<_> = accepted.dispatch.targets.vias().collect();
    let (mut slots, mut collected) = (Vec::new(), 0);
    for (number, via) in vias.iter().enumerate() {
        let (all, of_via) = slots_of(&worker.registry.borrow(), via);
        traced.more |= all > of_via.len();
        collected += 1 + of_via.len();
        slots.extend(of_via.into_iter().filter(|slot| looked_at.insert(*slot)));
        if collected < SLICE && number + 1 < vias.len() {
            continue;
        }
        collected = 0;
        for slots in mem::take(&mut slots).chunks(SLICE) {
            let found: Vec<_> = {
                let registry = worker.registry.borrow();
                slots.iter().filter_map(|slot| registry.at(*slot).cloned()).collect()
            };
            let traces = found.iter().filter_map(|connection| trace(worker, connection, &concerned));
            traced.first.extend(traces);
            if traced.first.len() > LIST_MAX {
                traced.more = true;
                return traced;
            }
            yield_now().await;
        }
        yield_now().await;
    }
    traced
}

/// How many connections one reason to receive a dispatch concerns, and the slots of the first of them.
fn slots_of<T>(registry: &Registry<T>, via: &Via<'_>) -> (usize, Vec<u32>) {
    match via {
        Via::User(name) => {
            let users = registry.users();
            (users.size(name), users.slots(name).take(LOOKED_AT_MAX).collect())
        }
        Via::Channel(name) => {
            let channels = registry.channels();
            (channels.size(name), channels.slots(name).take(LOOKED_AT_MAX).collect())
        }
        Via::Broadcast => {
            let all = registry.slot_count();
            (all, (0..all.min(LOOKED_AT_MAX)).filter_map(|slot| slot.try_into().ok()).collect())
        }
    }
}

fn trace(worker: &Worker, connection: &Connection, concerned: &Concerned<'_>) -> Option<TracedConnection> {
    let memberships = worker.registry.borrow().memberships(connection.key);
    let (via, was_member) = concerned.why(&memberships, connection.began_after.get())?;
    let state = match was_member {
        false => TraceState::JoinedLater,
        true if worker.passed(connection) < concerned.sequence => TraceState::Waiting,
        true if connection.outlet().borrow().waiting().frames > 0 => TraceState::SentOrWaiting,
        true => TraceState::Sent,
    };
    Some(TracedConnection {
        id: connection.id(worker),
        public_id: connection.public_id(),
        users: memberships.users.into_iter().map(|(name, _)| name).collect(),
        via,
        state,
    })
}

#[cfg(test)]
mod tests {
    use turted_core::membership::Since;

    use super::*;

    #[test]
    fn a_membership_that_was_there_before_counts_more_than_one_that_came_later() {
        let name = |text: &str| Name::new(text).unwrap();
        let (adam, chat) = (name("adam"), name("chat"));
        let concerned = Concerned {
            sequence: 10,
            users: HashSet::from([&adam]),
            channels: HashSet::from([&chat]),
            broadcast: false,
        };
        let why = |user: u64, channel: u64| {
            let users = vec![(adam.clone(), Since(user))];
            let channels = vec![(name("other"), Since(1)), (chat.clone(), Since(channel))];
            concerned.why(&Memberships { users, channels }, 1)
        };
        let (user, channel) = (TracedVia::User(adam.clone()), TracedVia::Channel(chat.clone()));
        assert_eq!(why(9, 9), Some((user.clone(), true)));
        assert_eq!(why(10, 9), Some((channel, true)), "he was in the channel");
        assert_eq!(why(10, 10), Some((user, false)));
        assert_eq!(concerned.why(&Memberships { users: Vec::new(), channels: Vec::new() }, 1), None);
        let everyone = Concerned { broadcast: true, ..concerned };
        let nothing = Memberships { users: Vec::new(), channels: Vec::new() };
        assert_eq!(everyone.why(&nothing, 9), Some((TracedVia::Broadcast, true)));
        assert_eq!(everyone.why(&nothing, 10), Some((TracedVia::Broadcast, false)));
    }
}
