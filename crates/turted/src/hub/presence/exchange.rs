//! Nodes of a cluster tell each other who is in their channels: once a second what has changed, beside the log. A message may
//! be lost: then the node that misses it asks for all, a portion at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use turted_core::cluster::head::Author;
use turted_core::cluster::message::Told;
use turted_core::cluster::presence::PresenceTold;
use turted_core::cluster::table::SILENCE;
use turted_core::limits::{PRESENCE_BEACON, PRESENCE_CHANGES_MAX, PRESENCE_PERIOD, PRESENCE_PORTIONS_MAX};
use turted_core::presence::{Copied, Graces, Place, Question, Sight, Vicinity};

use super::Presence;
use crate::hub::cluster::Cluster;

/// A tick that comes so late says that this process stood still: it does not know which nodes are there. With the 5 s between two
/// heartbeats that is below a lease.
const LATE: Duration = PRESENCE_PERIOD.saturating_mul(8);

/// What is between this node and the others.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    is_on: AtomicBool,
    /// Portions that may be sent in this second.
    portions: AtomicUsize,
    /// Of the ticks alone.
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    /// Since when this node follows the log.
    follows: Option<Instant>,
    ticked: Option<Instant>,
    /// When it has told something.
    told: Option<Instant>,
    /// Messages that were sent in this second.
    messages: usize,
}

impl Exchange {
    /// Whether this is a node of a cluster.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    /// A tick has come. Returns whether this node has followed the log for longer than a lease.
    fn tick(&mut self, follows: bool, now: Instant) -> bool {
        let is_late = self.ticked.is_some_and(|before| now.saturating_duration_since(before) > LATE);
        self.ticked = Some(now);
        self.follows = match (follows, self.follows) {
            (true, Some(since)) if !is_late => Some(since),
            (true, _) => Some(now),
            (false, _) => None,
        };
        self.follows.is_some_and(|since| now.saturating_duration_since(since) > SILENCE)
    }
}

impl Presence {
    /// This is a node of a cluster. To be called before anybody connects.
    pub(crate) fn begin_exchange(&self) {
        if !self.is_off() {
            self.table().share();
            self.exchange.is_on.store(true, Ordering::Relaxed);
        }
    }

    /// Tells other nodes a portion of what has changed. Returns whether there may be more to tell in this second.
    pub(crate) fn tell_nodes(&self, cluster: &Cluster, now: Instant) -> bool {
        if !self.exchange.is_on() {
            return false;
        }
        let mut times = self.exchange.times();
        let may_tell = times.messages < PRESENCE_CHANGES_MAX;
        let changes = if may_tell { self.table().changes() } else { None };
        let has_changes = changes.is_some();
        let is_due = times.told.is_none_or(|told| now.saturating_duration_since(told) >= PRESENCE_BEACON);
        let beacon = || is_due.then(|| self.table().beacon()).flatten();
        if let Some(told) = changes.or_else(beacon) {
            cluster.tell(None, Told::Presence(PresenceTold::Changes(told)));
            times.told = Some(now);
            times.messages += 1;
        }
        has_changes
    }

    /// A second begins: looks which nodes are there, and which are silent.
    pub(crate) fn look_around(&self, cluster: &Cluster, now: Instant) {
        if !self.exchange.is_on() {
            return;
        }
        self.exchange.portions.store(PRESENCE_PORTIONS_MAX, Ordering::Relaxed);
        let mut times = self.exchange.times();
        times.messages = 0;
        let is_known = times.tick(cluster.status().follows(), now);
        drop(times);
        self.look(cluster, is_known, now);
    }

    fn look(&self, cluster: &Cluster, is_known: bool, now: Instant) {
        let nodes = cluster.status().nodes();
        let nodes: Vec<_> = nodes
            .iter()
            .filter(|node| node.process != cluster.process())
            .map(|node| Sight { process: node.process, node: node.number, is_draining: node.is_draining })
            .collect();
        let vicinity = Vicinity { nodes: &nodes, gone: &cluster.status().silent(), is_known };
        let graces = Graces { lost: self.grace, left: self.deploy_grace() };
        let questions = self.table().look(&vicinity, graces, now);
        ask(cluster, questions);
    }

    /// Another node tells who is in its channels, or asks.
    pub(crate) fn hear(&self, cluster: &Cluster, from: Author, told: PresenceTold) {
        if !self.exchange.is_on() {
            return;
        }
        let now = Instant::now();
        let questions = match told {
            PresenceTold::Changes(changes) => self.table().hear_changes(from.process, &changes, now),
            PresenceTold::Portion(portion) => self.table().hear_portion(from.process, &portion, now),
            PresenceTold::Wanted(after) => return self.answer(cluster, from, after),
        };
        ask(cluster, questions);
    }

    /// Sends a portion to a node that asks, if there may be one more in this second. The node asks again.
    fn answer(&self, cluster: &Cluster, from: Author, after: Option<Place>) {
        let less = |left: usize| left.checked_sub(1);
        let portions = &self.exchange.portions;
        if portions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
            return;
        }
        let portion = self.table().portion(after);
        if let Some(portion) = portion {
            cluster.tell(Some(from.node), Told::Presence(PresenceTold::Portion(portion)));
        }
    }

    /// How much other nodes have told.
    pub(crate) fn copied(&self) -> Copied {
        self.table().copied()
    }
}

fn ask(cluster: &Cluster, questions: Vec<Question>) {
    for Question { node, after } in questions {
        cluster.tell(Some(node), Told::Presence(PresenceTold::Wanted(after)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_knows_which_others_are_there_when_it_has_followed_for_longer_than_a_lease() {
        let (mut times, began) = (Times::default(), Instant::now());
        let mut tick =
            |seconds: u64, follows: bool| times.tick(follows, began + Duration::from_secs(seconds));
        assert!((0..=15).all(|second| !tick(second, true)));
        assert!(tick(16, true));
        assert!(!tick(17, false), "Redis is away");
        assert!((18..=33).all(|second| !tick(second, true)));
        assert!(tick(34, true));
        assert!(!tick(54, true), "the process stood still");
    }
}
