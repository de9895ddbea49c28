//! The log: every accepted dispatch, numbered, and kept for a while for clients that lost their connection.
//!
//! It is in memory. It is written under the dispatcher's lock, and read only when a client resumes.
//! Dispatches are indexed only then: a push does not pay for clients that are away.
//!
//! | file | what |
//! |---|---|
//! | `accepted` | one dispatch, with its number |
//! | `index` | which dispatches name a target |
//! | `disk` | the log on disk: what the next start reads |
//! | `clock`, `health` | how long servers have run with the log; whether it is where it is configured to be |

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
mod index;
pub(crate) mod disk;
pub(crate) mod clock;
pub(crate) mod health;

pub use accepted::Accepted;
pub(crate) use accepted::bytes_of;
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
        let (kept, backlogs) = (VecDeque::new(), Arc::clone(backlogs));
        let next = Cursor { epoch, sequence: after + 1 };
        Self { limits, kept, bytes: 0, next, index: Index::new(), indexed: after, backlogs }
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
            self.indexed = cursor.sequence.saturating_sub(1);
        }
        self.keep(cursor, dispatch, accepted_at);
    }

    /// All dispatches that are kept.
    pub(crate) fn kept(&self) -> Vec<Arc<Accepted>> {
        self.kept.iter().map(|entry| Arc::clone(&entry.accepted)).collect()
    }

    /// Numbers a dispatch and keeps it.
    pub(crate) fn append(&mut self, dispatch: Dispatch, now: Instant) -> Arc<Accepted> {
        let accepted = self.keep(self.next, dispatch, now);
        self.next.sequence += 1;
        self.forget_old(now);
        while self.is_over_limit() && self.forget_oldest() {}
        accepted
    }

    fn keep(&mut self, cursor: Cursor, dispatch: Dispatch, accepted_at: Instant) -> Arc<Accepted> {
        let accepted = Arc::new(Accepted::new(cursor, dispatch, accepted_at));
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
        (self.kept.len(), self.bytes)
    }

    /// The number of the last dispatch.
    pub(crate) fn last(&self) -> u64 {
        self.next.sequence - 1
    }

    /// The position that the next dispatch gets.
    pub(crate) fn next(&self) -> Cursor {
        self.next
    }

    /// Whether every dispatch after this number is kept, and the number itself has been reached.
    pub(crate) fn has_all_after(&self, sequence: u64) -> bool {
        sequence <= self.last() && sequence + 1 >= self.first()
    }

    /// The dispatch with this number, if it is kept.
    pub(crate) fn get(&self, sequence: u64) -> Option<&Arc<Accepted>> {
        Some(&self.entry(sequence)?.accepted)
    }

    /// Indexes dispatches up to `last`, in about `steps` steps at most. Returns whether all of them are
    /// indexed.
    pub(crate) fn index(&mut self, last: u64, steps: &mut usize) -> bool {
        while self.indexed < last.min(self.last()) {
            if *steps == 0 {
                return false;
            }
            self.indexed = (self.indexed + 1).max(self.first());
            let Some(place) = self.place(self.indexed) else { continue };
            let Some(entry) = self.kept.get_mut(place) else { continue };
            entry.earlier = self.index.add(&entry.accepted);
            *steps = steps.saturating_sub(1 + entry.earlier.len());
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

    /// The number of the first dispatch that is kept; of the next one, if none is.
    pub(crate) fn first(&self) -> u64 {
        self.kept.front().map_or(self.next.sequence, |entry| entry.accepted.sequence())
    }

    fn place(&self, sequence: u64) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.first())?).ok()
    }

    fn entry(&self, sequence: u64) -> Option<&Entry> {
        self.kept.get(self.place(sequence)?)
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

    /// Returns whether there was a dispatch.
    fn forget_oldest(&mut self) -> bool {
        let Some(Entry { accepted, .. }) = self.kept.pop_front() else { return false };
        self.bytes -= accepted.bytes();
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
mod tests {
    use super::*;
    use turted_core::dispatch::Targets;
    use turted_core::kept::PORTION;
    use turted_core::name::Name;

    fn dispatch() -> Dispatch {
        let payload = serde_json::value::to_raw_value(&1).unwrap();
        Dispatch { event: Name::new("e").unwrap(), payload, targets: Targets::broadcast() }
    }

    /// A log for `dispatches` dispatches and the bytes of `of_bytes` of them.
    fn log(dispatches: usize, of_bytes: usize) -> (Log, Instant) {
        let bytes = of_bytes * bytes_of(&dispatch());
        let limits = LogLimits { dispatches, bytes, age: Duration::from_secs(10) };
        (Log::new(limits, Epoch { epoch: 7, after: 0 }, &Backlogs::new(usize::MAX)), Instant::now())
    }

    fn kept(log: &Log) -> Vec<u64> {
        log.kept.iter().map(|entry| entry.accepted.sequence()).collect()
    }

    #[test]
    fn targets_count_too() {
        let (mut log, now) = log(1_000, 100);
        let user = Name::new("u").unwrap();
        for _ in 0..1_000 {
            let targets = Targets { users: vec![user.clone(); 100], ..Targets::default() };
            log.append(Dispatch { targets, ..dispatch() }, now);
        }
        assert_eq!(log.kept.len(), 1, "19,400 bytes hold one of 11,400");
    }

    #[test]
    fn what_the_log_gives_up_counts_as_long_as_somebody_needs_it() {
        let (mut log, now) = log(1, 10);
        let first = log.append(dispatch(), now);
        assert_eq!(log.backlogs.bytes(), 0, "the log still keeps the dispatch");
        let second = log.append(dispatch(), now);
        assert_eq!(log.backlogs.bytes(), first.bytes());
        drop((first, second));
        assert_eq!(log.backlogs.bytes(), 0);
    }

    #[test]
    fn what_is_kept_can_be_read_again_and_a_gap_is_told() {
        let (mut log, now) = log(3, 1_000);
        assert!(log.has_all_after(0));
        for _ in 0..5 {
            log.append(dispatch(), now);
        }
        assert_eq!(kept(&log), [3, 4, 5]);
        assert_eq!((3..6).map(|number| log.get(number).unwrap().sequence()).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(log.get(2).is_none());
        assert!(log.get(6).is_none());
        assert!(log.get(u64::MAX).is_none());
        assert!((2..=5).all(|number| log.has_all_after(number)));
        assert!(!log.has_all_after(1), "dispatch 2 is no longer kept");
        assert!(!log.has_all_after(6), "dispatch 6 is not accepted yet");
        assert!(!log.has_all_after(u64::MAX));
    }

    #[test]
    fn what_is_too_old_or_too_much_is_evicted() {
        let (mut log, now) = log(1_000, 500);
        log.append(dispatch(), now);
        log.append(dispatch(), now + Duration::from_secs(11));
        assert_eq!(kept(&log), [2]);
        for _ in 0..1_000 {
            log.append(dispatch(), now + Duration::from_secs(11));
        }
        assert!(log.bytes <= log.limits.bytes);
        assert_eq!(log.kept.len(), 500, "as many as the bytes allow");
    }

    #[test]
    fn one_push_evicts_few_that_are_old_and_all_that_are_too_much() {
        let (mut log, now) = log(1_000, 10_000);
        for _ in 0..1_000 {
            log.append(dispatch(), now);
        }
        log.append(dispatch(), now + Duration::from_secs(11));
        assert_eq!(log.kept.len(), 1_001 - PORTION);
        let mut large = dispatch();
        large.payload = serde_json::value::to_raw_value(&"x".repeat(log.limits.bytes - 1_000)).unwrap();
        log.append(large, now + Duration::from_secs(11));
        assert!(log.bytes <= log.limits.bytes, "{} kept", log.kept.len());
        assert!(log.kept.len() <= 5, "{} kept", log.kept.len());
    }

    #[test]
    fn what_is_too_old_goes_in_portions_and_its_memory_with_it() {
        let (mut log, now) = log(10_000, 10_000);
        for number in 0..5_000 {
            let targets = Targets::user(Name::new(&number.to_string()).unwrap());
            log.append(Dispatch { targets, ..dispatch() }, now);
        }
        assert!(log.index(log.last(), &mut 100_000));
        assert!(!log.tidy(now), "nothing is too old");
        let late = now + Duration::from_secs(11);
        assert!(log.tidy(late), "more dispatches are too old");
        assert_eq!(log.size().0, 5_000 - PORTION);
        while log.tidy(late) {}
        assert_eq!((log.size(), log.kept.capacity(), log.index.names()), ((0, 0), 0, 0));
        assert_eq!(log.append(dispatch(), late).sequence(), 5_001, "numbers go on");
    }

    #[test]
    fn the_index_forgets_what_is_no_longer_kept() {
        let (mut log, now) = log(10, 1_000);
        for number in 0..100 {
            let targets = Targets::user(Name::new(&number.to_string()).unwrap());
            log.append(Dispatch { targets, ..dispatch() }, now);
            if number % 7 == 0 {
                assert!(log.index(log.last(), &mut 1_000));
            }
        }
        assert!(log.index(log.last(), &mut 1_000));
        assert_eq!(log.index.names(), 10);
    }
}
