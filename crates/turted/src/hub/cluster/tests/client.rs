//! A client that hears everything, and comes back to any node with the position of the last event that it has seen.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use turted_core::cursor::Cursor;
use turted_core::time::UnixTime;

use super::node::Node;
use crate::hub::cluster::marks::Wait;
use crate::hub::dispatch::log::Accepted;
use crate::hub::worker::loss::GAP;

/// How long a client waits at a node that is behind it, until it tries another one.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// About the time of the simulation, by the clock of a server.
const NOW: UnixTime = UnixTime(Duration::from_secs(1_700_000_000));

/// A client.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// Whether it has no session, and nothing but the position of the last event.
    pub(super) is_stream: bool,
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
    /// The process of a node that is behind it, where it waits.
    waits: Option<(u64, Wait)>,
}

/// Something that a client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Event(Cursor, u64),
    /// It was told that something may be missing; it goes on behind this position.
    Gap(Cursor),
}

impl Seen {
    /// Where it was, or behind what it goes on.
    pub(super) fn at(&self) -> Cursor {
        let (Self::Event(at, _) | Self::Gap(at)) = self;
        *at
    }
}

impl Client {
    /// Some have a session, others have none.
    pub(super) fn new(number: usize) -> Self {
        Self { is_stream: number % 2 == 1, ..Self::default() }
    }

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
        self.waits.as_ref().map(|(process, _)| *process)
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
        let read = node.read();
        let is_ahead = (cursor.epoch, cursor.sequence) > (read.epoch, read.sequence);
        // What a session of before a loss has missed is not known, whatever its client has seen since.
        if self.has_gap(node) && !is_ahead {
            return self.miss(place, node);
        }
        let number = node.dispatcher.number(cursor).filter(|_| !is_ahead);
        let reached = number.filter(|number| *number <= node.dispatcher.last());
        let Some(number) = reached else { return self.wait(place, node, (cursor, read)) };
        let kept = node.dispatcher.read_log(|log| log.has_all_after(number).then(|| log.kept()));
        let Some(kept) = kept else { return self.miss(place, node) };
        self.number = number;
        kept.iter().for_each(|accepted| self.take(accepted));
        self.number = node.dispatcher.last();
        self.stays(place, node);
    }

    /// Waits at a node that has read less than it has seen.
    fn wait(&mut self, place: usize, node: &Node, (cursor, read): (Cursor, Cursor)) {
        let begins = || (node.process, Wait::no_longer_than(Instant::now() + WAIT_MAX));
        let mut waits = self.waits.take_if(|(process, _)| *process == node.process).unwrap_or_else(begins);
        match waits.1.end(&node.status, (Some(cursor), read), NOW) {
            None => self.waits = Some(waits),
            Some(Ok(())) => self.miss(place, node),
            // It tries another node.
            Some(Err(_)) => self.waits = None,
        }
    }

    fn has_gap(&self, node: &Node) -> bool {
        let losses = node.dispatcher.losses();
        match self.cursor.filter(|_| self.is_stream) {
            Some(cursor) => node.dispatcher.number(cursor).is_some_and(|number| !losses.were_told(number)),
            None => self.began_after == GAP || !losses.spare(self.began_after),
        }
    }

    /// How it is, for whoever looks at a fault.
    pub(super) fn describe(&self) -> String {
        let gaps = self.seen.iter().filter(|seen| matches!(seen, Seen::Gap(_))).count();
        let Self { seen, at, cursor, number, waits, is_stream, .. } = self;
        let (seen, waits) = (seen.len(), waits.is_some());
        format!(
            "client (stream: {is_stream}) at {at:x?}, number {number}, {cursor:?}, {seen} seen, {gaps} gaps, waits: {waits}"
        )
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
        self.waits = None;
    }
}
