//! A client that hears everything, and comes back to any node with the position of the last event that it has seen.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use turted_core::cursor::Cursor;

use super::node::Node;
use crate::hub::dispatch::log::Accepted;
use crate::hub::worker::loss::GAP;

/// How long a node waits until it has read what a client has seen elsewhere.
const AHEAD_MAX: Duration = Duration::from_secs(2);
/// Nodes that a client tries until it believes that what it has seen is lost: the first ones may be behind.
const TRIES: u32 = 5;

/// A client.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// What it has seen.
    pub(super) seen: Vec<Seen>,
    /// The place of its node, and the process there; `None` while it has none.
    pub(super) at: Option<(usize, u64)>,
    /// How often the clients of its node had been ended when it came, and how often because of a loss.
    ended: usize,
    losses: u64,
    /// The number behind which its session began.
    began_after: u64,
    /// The position of the last event that it has seen.
    cursor: Option<Cursor>,
    /// The number up to which its node has looked after it.
    number: u64,
    /// A node that is behind it, and since when it waits there.
    waits: Option<(u64, Instant)>,
    /// Nodes at which it has waited for nothing.
    tries: u32,
}

/// Something that a client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Event(Cursor, u64),
    /// It was told that something may be missing; it goes on behind this position.
    Gap(Cursor),
}

impl Client {
    /// Whether its node has told it to come back.
    pub(super) fn has_to_go(&self, node: &Node) -> bool {
        self.ended != node.ended.load(Ordering::Relaxed)
    }

    /// It leaves its node. If that has told it of a loss, its session has a gap, wherever it comes back.
    pub(super) fn leave(&mut self, node: Option<&Node>) {
        if node.is_some_and(|node| node.losses() != self.losses) {
            self.began_after = GAP;
        }
        self.at = None;
    }

    /// The process at which it waits.
    pub(super) fn waits_at(&self) -> Option<u64> {
        self.waits.map(|(process, _)| process)
    }

    /// Takes an entry that its node hands over.
    pub(super) fn take(&mut self, accepted: &Accepted) {
        if accepted.sequence() <= self.number {
            return;
        }
        self.number = accepted.sequence();
        if !accepted.is_filler() {
            let event = serde_json::from_str(accepted.dispatch.payload.get()).unwrap();
            self.seen.push(Seen::Event(accepted.cursor, event));
            self.cursor = Some(accepted.cursor);
        }
    }

    /// Comes to a node. It may have to wait there.
    pub(super) fn come(&mut self, place: usize, node: &Node) {
        let Some(cursor) = self.cursor else { return self.begin(place, node) };
        let read = node.dispatcher.cursor(node.dispatcher.last());
        let is_ahead = (cursor.epoch, cursor.sequence) > (read.epoch, read.sequence);
        // What a session of before a loss has missed is not known, whatever its client has seen since.
        if self.has_gap(node) && !is_ahead {
            return self.miss(place, node);
        }
        let number = node.dispatcher.number(cursor).filter(|_| !is_ahead);
        let reached = number.filter(|number| *number <= node.dispatcher.last());
        let Some(number) = reached else {
            let now = Instant::now();
            let since = self.waits.filter(|(process, _)| *process == node.process);
            let (_, since) = *self.waits.insert(since.unwrap_or((node.process, now)));
            if now - since > AHEAD_MAX {
                self.waits = None;
                self.tries += 1;
            }
            if self.tries == TRIES {
                self.miss(place, node);
            }
            return;
        };
        let kept = node.dispatcher.read_log(|log| log.has_all_after(number).then(|| log.kept()));
        let Some(kept) = kept else { return self.miss(place, node) };
        self.number = number;
        kept.iter().for_each(|accepted| self.take(accepted));
        self.number = node.dispatcher.last();
        self.stays(place, node);
    }

    fn has_gap(&self, node: &Node) -> bool {
        self.began_after == GAP || self.began_after < node.dispatcher.lost_before()
    }

    /// How it is, for whoever looks at a fault.
    pub(super) fn describe(&self) -> String {
        let gaps = self.seen.iter().filter(|seen| matches!(seen, Seen::Gap(_))).count();
        let Self { seen, at, cursor, number, waits, .. } = self;
        let seen = seen.len();
        format!("client at {at:x?}, number {number}, {cursor:?}, {seen} seen, {gaps} gaps, waits: {waits:?}")
    }

    fn miss(&mut self, place: usize, node: &Node) {
        self.begin(place, node);
        self.seen.extend(self.cursor.map(Seen::Gap));
    }

    fn begin(&mut self, place: usize, node: &Node) {
        self.number = node.dispatcher.last();
        self.began_after = self.number;
        self.cursor = Some(node.dispatcher.cursor(self.number));
        self.stays(place, node);
    }

    fn stays(&mut self, place: usize, node: &Node) {
        self.at = Some((place, node.process));
        (self.ended, self.losses) = (node.ended.load(Ordering::Relaxed), node.losses());
        (self.waits, self.tries) = (None, 0);
    }
}
