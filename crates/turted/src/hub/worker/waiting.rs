//! The connections that something waits for, and since when: relief closes first the one that has waited
//! longest.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use turted_core::registry::ConnectionKey;

/// Below this number of entries it is not worth looking for those that are out of date.
const ENTRIES_MIN: usize = 1_024;
/// The connections of one worker that something waits for, in the order in which it began to.
#[derive(Debug, Default)]
pub(crate) struct WaitingConnections(RefCell<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// An entry is out of date once nothing waits any more, or once something else does.
    entries: VecDeque<(Instant, ConnectionKey)>,
    /// The number of entries at which those that are out of date are looked for.
    entries_max: usize,
}

impl WaitingConnections {
    /// Notes that something has waited for a connection since then. Returns whether nothing waited for other
    /// connections.
    pub(crate) fn add(
        &self,
        since: Instant,
        key: ConnectionKey,
        is_current: impl Fn(Instant, ConnectionKey) -> bool,
    ) -> bool {
        let Entries { entries, entries_max } = &mut *self.0.borrow_mut();
        let is_first = entries.is_empty();
        entries.push_back((since, key));
        if entries.len() > ENTRIES_MIN.max(*entries_max) {
            entries.retain(|(since, key)| is_current(*since, *key));
            *entries_max = 2 * entries.len();
            entries.shrink_to(ENTRIES_MIN.max(*entries_max));
        }
        is_first
    }

    /// The connection that something has waited for longest, and since when.
    pub(crate) fn longest<T>(
        &self,
        find: impl Fn(Instant, ConnectionKey) -> Option<T>,
    ) -> Option<(Instant, T)> {
        let entries = &mut self.0.borrow_mut().entries;
        while let Some((since, key)) = entries.front().copied() {
            if let Some(found) = find(since, key) {
                return Some((since, found));
            }
            entries.pop_front();
        }
        None
    }

    /// Takes out what [`longest`](Self::longest) found.
    pub(crate) fn remove_longest(&self) {
        self.0.borrow_mut().entries.pop_front();
    }
}

/// Since when something has waited for connections of each worker, as it told last. This may be too long ago:
/// it is out of date once those connections have taken all.
#[derive(Debug)]
pub(crate) struct Longest {
    start: Instant,
    /// In microseconds from the start, by the index of the worker.
    since: Box<[AtomicU64]>,
}

impl Longest {
    pub(crate) fn new(workers: usize) -> Self {
        Self { start: Instant::now(), since: (0..workers).map(|_| AtomicU64::new(u64::MAX)).collect() }
    }

    /// Tells the other workers; `None` if nothing waits.
    pub(crate) fn tell(&self, worker: u8, since: Option<Instant>) {
        let micros = since.map_or(u64::MAX, |since| {
            u64::try_from(since.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
        });
        self.since[usize::from(worker)].store(micros, Ordering::Relaxed);
    }

    /// Whether nothing has waited longer than what this worker told of.
    pub(crate) fn is_of(&self, worker: u8) -> bool {
        let since = |at: &AtomicU64| at.load(Ordering::Relaxed);
        let own = since(&self.since[usize::from(worker)]);
        self.since.iter().all(|other| own <= since(other))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use turted_core::registry::Registry;

    use super::*;

    #[test]
    fn entries_out_of_date_are_forgotten_and_the_oldest_of_the_others_comes_first() {
        let (waiting, start) = (WaitingConnections::default(), Instant::now());
        let mut registry = Registry::new();
        let keys = [registry.insert(()), registry.insert(())];
        let at = |millis| start + Duration::from_millis(millis);
        for millis in 0..100_000 {
            waiting.add(at(millis), keys[0], |since, _| since >= at(millis));
        }
        assert!(waiting.0.borrow().entries.len() <= ENTRIES_MIN, "the others are out of date");
        waiting.add(at(100_001), keys[1], |_, _| true);
        let longest = || {
            let found = waiting.longest(|since, key| (since >= at(99_999)).then_some(key));
            waiting.remove_longest();
            found.map(|(_, key)| key)
        };
        assert_eq!([longest(), longest(), longest()], [Some(keys[0]), Some(keys[1]), None]);
    }

    #[test]
    fn the_worker_closes_first_whose_connection_has_waited_longest() {
        let longest = Longest::new(3);
        let at = |millis| Some(longest.start + Duration::from_millis(millis));
        longest.tell(0, at(2));
        longest.tell(1, at(1));
        assert_eq!([0, 1, 2].map(|worker| longest.is_of(worker)), [false, true, false]);
        longest.tell(1, None);
        assert_eq!([0, 1, 2].map(|worker| longest.is_of(worker)), [true, false, false]);
    }
}
