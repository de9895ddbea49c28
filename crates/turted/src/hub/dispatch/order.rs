//! The one order of all dispatches: the log, and everything that is filled together with it.
//!
//! It stands behind the lock of the dispatcher, so every inbox has the order of the log.

use std::ops::{AddAssign, RangeInclusive, SubAssign};
use std::sync::Arc;
use std::time::Instant;
use std::{fmt, mem};

use tokio::sync::mpsc;
use turted_core::dispatch::Dispatch;
use turted_core::name::Name;

use crate::hub::dispatch::history::History;
use crate::hub::dispatch::history::deletion::Deletion;
use crate::hub::dispatch::inbox::Inbox;
use crate::hub::dispatch::log::{self, Accepted, Log};
use crate::hub::dispatch::queue::Queue;
use crate::hub::dispatch::receipt::{Counting, Positions};
use crate::hub::dispatch::source::Source;
use crate::live::{Live, Origin};

/// The log, the inboxes of all workers, and that of the functions that listen.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) log: Log,
    /// Where deletions of history are recorded, if the log is not in memory.
    pub(super) deletions: Option<mpsc::Sender<Deletion>>,
    /// The last events of channels, if a channel has history.
    pub(super) history: Option<History>,
    pub(super) inboxes: Vec<Inbox>,
    /// What functions of an embedding program hear, if there is one.
    pub(super) handlers: Option<Inbox>,
    /// What hears each dispatch under the lock, if anything does.
    pub(super) hearing: Option<Hearing>,
    /// Where those who watch hear of each dispatch.
    pub(super) live: Live,
    pub(super) stopped: bool,
    /// Whether what is handed over is kept alone, because the workers do not run yet.
    pub(super) is_restoring: bool,
    /// Whether other nodes count what a dispatch reaches, too.
    pub(super) has_nodes: bool,
    /// What waits for the log writer; `None` if the log is in memory.
    pub(super) queue: Option<Queue>,
    /// How many dispatches were accepted, by source.
    pub(super) accepted: [u64; Source::ALL.len()],
}

/// Hears each dispatch when it is handed over, in the order of the log. It must not wait.
pub(super) struct Hearing(pub(super) Box<Hear>);

type Hear = dyn Fn(&Arc<Accepted>) + Send;

impl fmt::Debug for Hearing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hearing").finish_non_exhaustive()
    }
}

/// The dispatches of one push: all of them are handed over, or none.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) dispatches: Vec<Dispatch>,
    /// The place of its source among [those that are counted](Source::ALL).
    pub(super) source: Option<usize>,
    /// The name that this node must hold in the engine of its cluster, or nothing is appended.
    pub(super) holds: Option<Arc<str>>,
    /// What those who watch are told of where it comes from, if somebody did when it was submitted.
    pub(super) origin: Option<Arc<Origin>>,
    /// Where workers report how many connections each dispatch reached; empty if the push did not ask.
    pub(super) reached: Vec<Counting>,
    /// Where it is reported that all handlers have returned, if the push asked for that.
    pub(super) handled: Option<mpsc::Sender<usize>>,
}

/// A dispatch that is numbered, on its way into the inboxes.
pub(super) struct Entry {
    pub(super) accepted: Arc<Accepted>,
    /// Where workers report how many connections it reached, if its push asked for that.
    pub(super) reached: Option<mpsc::Sender<usize>>,
    /// Where it is reported that all handlers have returned, if it is the last of a push that asked for that.
    pub(super) handled: Option<mpsc::Sender<usize>>,
    /// Whether this node accepted it: handlers and hooks hear of no others.
    pub(super) is_own: bool,
}

/// How much a push is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) dispatches: usize,
    /// As they count in the log and in inboxes.
    pub(super) bytes: usize,
}

impl Size {
    pub(super) fn of(dispatches: &[Dispatch]) -> Self {
        Self { dispatches: dispatches.len(), bytes: dispatches.iter().map(log::bytes_of).sum() }
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.dispatches += other.dispatches;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Size {
    fn sub_assign(&mut self, other: Self) {
        self.dispatches -= other.dispatches;
        self.bytes -= other.bytes;
    }
}

impl Order {
    pub(super) fn new(log: Log, inboxes: Vec<Inbox>, live: Live) -> Self {
        let accepted = Default::default();
        Self {
            log,
            deletions: None,
            history: None,
            inboxes,
            handlers: None,
            hearing: None,
            live,
            stopped: false,
            is_restoring: false,
            has_nodes: false,
            queue: None,
            accepted,
        }
    }

    /// Whether every inbox has room for a push, behind those that wait for the log writer. Inboxes are filled only under
    /// the lock, so room that is seen stays.
    pub(super) fn has_room(&self, push: Size) -> bool {
        let queued = self.queued();
        self.all_inboxes().all(|inbox| inbox.has_room(push, queued))
    }

    /// Whether an inbox is so full that a source has to wait.
    pub(super) fn is_half_full(&self) -> bool {
        let queued = self.queued();
        self.all_inboxes().any(|inbox| inbox.is_half_full(queued))
    }

    /// How many dispatches wait for the worker that has most of them waiting.
    pub(super) fn waiting(&self) -> usize {
        let inboxes = self.inboxes.iter().map(Inbox::waiting).max();
        inboxes.unwrap_or(0) + self.queued().dispatches
    }

    /// The log writer sleeps from now on, if it has nothing to do.
    pub(super) fn lets_writer_sleep(&mut self) -> bool {
        !self.stopped && self.queue_mut().sleep()
    }

    /// What waits for the log writer, which asks.
    pub(super) fn queue_mut(&mut self) -> &mut Queue {
        self.queue.as_mut().expect("a log writer has a queue")
    }

    fn queued(&self) -> Size {
        self.queue.as_ref().map_or(Size::default(), Queue::size)
    }

    /// Numbers a push for which there is [room](Self::has_room), keeps it and hands it over.
    pub(super) fn hand_over(&mut self, push: Push, now: Instant) -> Positions {
        let mut entries = Vec::with_capacity(push.dispatches.len());
        let positions = self.number(push, now, &mut entries);
        self.put(&entries);
        positions
    }

    /// The same with pushes that come together: each worker is woken once for all of them.
    pub(super) fn hand_over_all<T>(
        &mut self,
        pushes: impl Iterator<Item = (T, Push)>,
        now: Instant,
    ) -> Vec<(T, Positions)> {
        let mut entries = Vec::new();
        let positions = pushes.map(|(of, push)| (of, self.number(push, now, &mut entries))).collect();
        self.put(&entries);
        positions
    }

    /// Numbers a push and keeps it.
    fn number(&mut self, push: Push, now: Instant, entries: &mut Vec<Entry>) -> Positions {
        let positions = Positions::new(self.log.next(), push.dispatches.len());
        if let Some(source) = push.source {
            self.accepted[source] += push.dispatches.len() as u64;
        }
        let mut reached = push.reached.into_iter();
        let Self { log, history, live, inboxes, .. } = self;
        entries.extend(push.dispatches.into_iter().map(|dispatch| {
            let accepted = log.append(dispatch, now);
            if let Some(history) = history {
                history.add(&accepted, log, now);
            }
            if let Some(origin) = &push.origin {
                live.pushed(accepted.cursor, &accepted.dispatch, origin, inboxes.len());
            }
            let reached = reached.next().map(|counting| counting.counts);
            Entry { accepted, reached, handled: None, is_own: true }
        }));
        if let Some(last) = entries.last_mut().filter(|_| !positions.is_empty()) {
            last.handled = push.handled;
        }
        positions
    }

    /// Puts what is numbered into all inboxes. What is no dispatch goes to workers alone: with its number they know how far
    /// they are.
    pub(super) fn put(&self, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        for inbox in &self.inboxes {
            inbox.put(entries.iter().map(|entry| (&entry.accepted, entry.reached.as_ref())));
        }
        if let Some(handlers) = &self.handlers {
            let heard = heard_of(entries);
            handlers.put(heard.map(|entry| (&entry.accepted, entry.handled.as_ref())));
        }
        if let Some(Hearing(hear)) = &self.hearing {
            heard_of(entries).for_each(|entry| hear(&entry.accepted));
        }
    }

    /// Forgets what the log keeps, because something of it may be lost. History keeps its events, but not all of them may
    /// be there.
    pub(super) fn forget_all(&mut self, now: Instant) {
        self.log.forget_all();
        if let Some(history) = &mut self.history {
            history.mark_lost(&self.log, now);
        }
    }

    /// Deletes the events of the history of `channel` with numbers within a range, and returns how many there were.
    pub(super) fn delete_history(&mut self, channel: &Name, numbers: RangeInclusive<u64>) -> usize {
        self.history.as_mut().map_or(0, |history| history.delete(channel, numbers, &self.log))
    }

    /// Hands nothing over from now on. Workers and handlers end when their inboxes are empty.
    pub(super) fn close(&mut self) {
        self.stopped = true;
        drop((mem::take(&mut self.inboxes), self.handlers.take(), self.deletions.take()));
    }

    /// Whether nothing is handed over any more.
    pub(super) fn is_closed(&self) -> bool {
        self.stopped && self.inboxes.is_empty()
    }

    pub(super) fn all_inboxes(&self) -> impl Iterator<Item = &Inbox> {
        self.inboxes.iter().chain(&self.handlers)
    }
}

/// The entries that handlers and hooks hear of: dispatches that this node has accepted.
fn heard_of(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.is_own && !entry.accepted.is_filler())
}

#[cfg(test)]
mod tests;
