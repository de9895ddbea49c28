//! The log: every accepted dispatch, numbered, and kept for a while for clients that lost their connection.
//!
//! It is in memory. It is written under the dispatcher's lock, and read only when a client resumes.
//! Dispatches are indexed only then: a push does not pay for clients that are away.
//!
//! | file | what |
//! |---|---|
//! | `accepted` | one dispatch, with its number |
//! | `index` | which dispatches name a target |
//! | `read` | entries that were numbered elsewhere |
//! | `holes` | numbers that no entry has |
//! | `disk` | the log on disk: what the next start reads |
//! | `clock`, `health` | how long servers have run with the log; whether it is where it is configured to be |
//! | `tests` | what is kept and what is given up, also beside a plain model |

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Via};
use turted_core::epochs::Epoch;
use turted_core::kept::forget_portion;
use turted_core::shrink::shrink_queue;

use crate::config::Config;
use crate::io::backlogs::Backlogs;

mod accepted;
mod holes;
mod index;
mod read;
pub(crate) mod disk;
pub(crate) mod clock;
pub(crate) mod health;

pub use accepted::Accepted;
pub(crate) use accepted::bytes_of;
use holes::Holes;
use index::Index;
pub(crate) use index::Mention;

/// How much the log keeps.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// Dispatches.
    pub dispatches: usize,
    /// Bytes of event names, targets and payloads.
    pub bytes: usize,
    /// Age of a dispatch.
    pub age: Duration,
}

impl LogLimits {
    /// What operators configured.
    pub(crate) fn of(config: &Config) -> Self {
        let recovery = &config.recovery;
        Self { dispatches: recovery.log_dispatches, bytes: recovery.log_bytes, age: recovery.max_age }
    }
}

/// The dispatches of the recent past.
#[derive(Debug)]
pub(crate) struct Log {
    limits: LogLimits,
    kept: VecDeque<Entry>,
    bytes: usize,
    /// The position of the next dispatch.
    next: Cursor,
    /// The number of the last entry that is not kept any more.
    gone: u64,
    /// Whether something is lost between the last entry and a next one that does not follow on it.
    has_lost: bool,
    holes: Holes,
    /// How many of the entries are no dispatches.
    fillers: usize,
    index: Index,
    /// The number of the last dispatch that was indexed.
    indexed: u64,
    /// Counts the dispatches that the log has given up and that clients still need.
    backlogs: Arc<Backlogs>,
}

#[derive(Debug)]
struct Entry {
    accepted: Arc<Accepted>,
    /// For each target the mention before this one; empty until the dispatch is indexed.
    earlier: Box<[Mention]>,
}

impl Log {
    /// An empty log at the beginning of an epoch.
    pub(crate) fn new(limits: LogLimits, Epoch { epoch, after }: Epoch, backlogs: &Arc<Backlogs>) -> Self {
        Self {
            limits,
            kept: VecDeque::new(),
            bytes: 0,
            next: Cursor { epoch, sequence: after + 1 },
            gone: after,
            has_lost: false,
            holes: Holes::default(),
            fillers: 0,
            index: Index::new(),
            indexed: after,
            backlogs: Arc::clone(backlogs),
        }
    }

    /// What it keeps at most.
    pub(crate) fn limits(&self) -> LogLimits {
        self.limits
    }

    /// Where what it has given up is counted.
    pub(crate) fn backlogs(&self) -> &Arc<Backlogs> {
        &self.backlogs
    }

    /// Begins an epoch: the next dispatch is the first one of it.
    pub(crate) fn begin(&mut self, Epoch { epoch, .. }: Epoch) {
        self.next.epoch = epoch;
    }

    /// Keeps a dispatch of an earlier life. They come in the order of their numbers, before the first one of this life.
    /// Those before a gap in the numbers are forgotten.
    pub(crate) fn restore(&mut self, cursor: Cursor, dispatch: Dispatch, accepted_at: Instant) {
        if self.kept.back().is_some_and(|last| last.accepted.sequence() + 1 != cursor.sequence) {
            self.kept.clear();
            self.bytes = 0;
        }
        if self.kept.is_empty() {
            self.gone = cursor.sequence.saturating_sub(1);
            self.indexed = self.gone;
        }
        self.keep(Accepted::new(cursor, dispatch, accepted_at));
    }

    /// All dispatches that are kept.
    pub(crate) fn kept(&self) -> Vec<Arc<Accepted>> {
        let accepted = self.kept.iter().map(|entry| &entry.accepted);
        accepted.filter(|accepted| !accepted.is_filler()).map(Arc::clone).collect()
    }

    /// Numbers a dispatch and keeps it.
    pub(crate) fn append(&mut self, dispatch: Dispatch, now: Instant) -> Arc<Accepted> {
        let accepted = self.keep(Accepted::new(self.next, dispatch, now));
        self.next.sequence += 1;
        self.forget_what_is_too_much(now);
        accepted
    }

    fn keep(&mut self, accepted: Accepted) -> Arc<Accepted> {
        let accepted = Arc::new(accepted);
        self.has_lost = false;
        self.bytes += accepted.bytes();
        self.kept.push_back(Entry { accepted: Arc::clone(&accepted), earlier: Box::default() });
        accepted
    }

    /// Gives up a portion of the dispatches that are too old. Returns whether there are more.
    pub(crate) fn tidy(&mut self, now: Instant) -> bool {
        let has_more = self.forget_old(now);
        if !has_more {
            shrink_queue(&mut self.kept);
            self.index.shrink();
        }
        has_more
    }

    /// How many dispatches are kept, and how many bytes they have.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.kept.len() - self.fillers, self.bytes)
    }

    /// The number of the last dispatch.
    pub(crate) fn last(&self) -> u64 {
        self.next.sequence - 1
    }

    /// The position that the next dispatch gets.
    pub(crate) fn next(&self) -> Cursor {
        self.next
    }

    /// The number of the last entry that is not kept any more.
    pub(crate) fn gone(&self) -> u64 {
        self.gone
    }

    /// Whether every dispatch after this number is kept, and the number itself has been reached. Numbers that no entry has
    /// miss nothing.
    pub(crate) fn has_all_after(&self, sequence: u64) -> bool {
        (self.gone..=self.last()).contains(&sequence)
    }

    /// The dispatch with this number, if it is kept.
    pub(crate) fn get(&self, sequence: u64) -> Option<&Arc<Accepted>> {
        Some(&self.entry(sequence)?.accepted).filter(|accepted| !accepted.is_filler())
    }

    /// Indexes dispatches up to `last`, in about `steps` steps at most. Returns whether all of them are
    /// indexed.
    pub(crate) fn index(&mut self, last: u64, steps: &mut usize) -> bool {
        let mut place = self.holes.place_behind(self.first(), self.indexed);
        while let Some(entry) = self.kept.get_mut(place)
            && entry.accepted.sequence() <= last
        {
            if *steps == 0 {
                return false;
            }
            entry.earlier = self.index.add(&entry.accepted);
            *steps = steps.saturating_sub(1 + entry.earlier.len());
            self.indexed = entry.accepted.sequence();
            place += 1;
        }
        true
    }

    /// The latest mention of a target among the dispatches that are indexed.
    pub(crate) fn latest(&self, via: Via<'_>) -> Option<Mention> {
        self.index.latest(via)
    }

    /// The mention of the same target before this one. Its dispatch may no longer be kept.
    pub(crate) fn earlier(&self, mention: Mention) -> Option<Mention> {
        let number = usize::try_from(mention.number).ok()?;
        self.entry(mention.sequence)?.earlier.get(number)?.exists()
    }

    /// The number of the first entry that is kept; of the next one, if none is.
    pub(crate) fn first(&self) -> u64 {
        self.kept.front().map_or(self.next.sequence, |entry| entry.accepted.sequence())
    }

    fn entry(&self, sequence: u64) -> Option<&Entry> {
        self.kept.get(self.holes.place(self.first(), sequence)?)
    }

    fn forget_what_is_too_much(&mut self, now: Instant) {
        self.forget_old(now);
        while self.is_over_limit() && self.forget_oldest() {}
    }

    /// Gives up a portion of the dispatches that are too old. Returns whether there are more. Giving up all
    /// of them after a quiet time would take milliseconds, in which pushes wait for the lock.
    fn forget_old(&mut self, now: Instant) -> bool {
        let age = self.limits.age;
        let is_old = |entry: &Entry| now.duration_since(entry.accepted.accepted_at()) > age;
        forget_portion(self, |log| log.kept.front().is_some_and(is_old), |log| _ = log.forget_oldest())
    }

    /// Gives up a dispatch that stood in the history of a channel.
    pub(crate) fn let_go(&self, accepted: &Arc<Accepted>) {
        accepted.let_go();
        if !accepted.is_held() && accepted.sequence() < self.first() {
            accepted.count_if_needed(&self.backlogs);
        }
    }

    fn is_over_limit(&self) -> bool {
        self.kept.len() > self.limits.dispatches || self.bytes > self.limits.bytes
    }

    /// Returns whether there was an entry.
    fn forget_oldest(&mut self) -> bool {
        let Some(Entry { accepted, .. }) = self.kept.pop_front() else { return false };
        self.bytes -= accepted.bytes();
        self.gone = accepted.sequence();
        self.fillers -= usize::from(accepted.is_filler());
        if !self.holes.is_empty() {
            self.holes.forget_before(self.first());
        }
        if !accepted.is_held() {
            accepted.count_if_needed(&self.backlogs);
        }
        if accepted.sequence() <= self.indexed {
            self.index.remove(&accepted);
        }
        true
    }
}

#[cfg(test)]
mod tests;
