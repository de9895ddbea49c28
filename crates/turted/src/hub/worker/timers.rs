//! What is due when: heartbeats and deadlines of all connections of one worker in one heap.
//!
//! The first one after a while is on time; those that follow within [`PAUSE`] are dealt with
//! together, so that an idle server with many connections wakes up seldom.
//!
//! No single entry is taken out early. An entry whose connection is gone, or has sent something since, is
//! dropped when it comes up; that is cheaper than a timer per connection. Entries of connections that are gone
//! are dropped together once they may be the majority. Otherwise a client that opens and ends sessions in a
//! loop would keep the entries of the last 45 s.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use turted_core::registry::ConnectionKey;

/// How long the worker is left alone once nothing more is due: a wake-up is four system calls, and
/// 10,000 connections have a heartbeat every 2.5 ms. All times that clients see are a hundred times
/// longer.
const PAUSE: Duration = Duration::from_millis(10);
/// By how much a deadline may run ahead of what happened: timers are called up to a pause and 2 ms
/// late, because the runtime waits in whole milliseconds.
const LATENESS_MAX: Duration = Duration::from_millis(15);

/// Below this number of entries it is not worth looking for those of connections that are gone: 640 kB.
const ENTRIES_MIN: usize = 16 * 1024;
/// The factor by which the heap grows between two such looks. For each entry that was added since, a look then
/// visits at most two.
const GROWTH: usize = 2;

/// What is due for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// It must have sent its first packet.
    Connect,
    /// It is time to send a heartbeat.
    Ping,
    /// The answer to the heartbeat must have come.
    Pong,
    /// It must have sent a heartbeat of its own, or asked for what waits.
    Silence,
    /// A polling request that waits during an upgrade may be answered.
    Noop,
    /// The upgrade that began must have ended.
    Upgrade,
    /// A proof of who it is may have expired.
    Expiry,
}

type Entry = (Instant, ConnectionKey, Due);

/// The deadlines of one worker.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: RefCell<BinaryHeap<Reverse<Entry>>>,
    /// No entry is dealt with before.
    pause: Cell<Option<Instant>>,
    sooner: Notify,
    /// When the entry that was taken out last was due.
    last_due: Cell<Option<Instant>>,
    /// Entries that were left by the last look for those of connections that are gone.
    left: Cell<usize>,
}

impl Timers {
    /// Makes `due` come up for `key` at `at`.
    pub(crate) fn add(&self, at: Instant, key: ConnectionKey, due: Due) {
        let mut heap = self.heap.borrow_mut();
        let is_first = heap.peek().is_none_or(|Reverse((first, ..))| at < *first);
        heap.push(Reverse((at, key, due)));
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// Drops the entries of connections that are gone, if the heap has grown to [`GROWTH`] times what the
    /// last look left.
    pub(crate) fn forget_closed(&self, is_open: impl Fn(ConnectionKey) -> bool) {
        let mut heap = self.heap.borrow_mut();
        if heap.len() >= ENTRIES_MIN.max(GROWTH * self.left.get()) {
            heap.retain(|Reverse((_, key, _))| is_open(*key));
            self.left.set(heap.len());
        }
    }

    /// Waits until something is due. Cancel safe: nothing is taken out.
    pub(crate) async fn wait(&self) {
        loop {
            match self.next() {
                None => self.sooner.notified().await,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => return,
                    () = self.sooner.notified() => {}
                },
            }
        }
    }

    /// When to look next.
    fn next(&self) -> Option<Instant> {
        let first = self.heap.borrow().peek().map(|Reverse((at, ..))| *at)?;
        Some(self.pause.get().map_or(first, |end| end.max(first)))
    }

    /// When the entry that is handled now was due, or a little later if it waited long: that is no fault of its
    /// client.
    pub(crate) fn due_at(&self, now: Instant) -> Instant {
        let earliest = now.checked_sub(LATENESS_MAX).unwrap_or(now);
        self.last_due.get().map_or(now, |due| due.clamp(earliest, now))
    }

    /// Takes out what is due at `now`.
    pub(crate) fn pop(&self, now: Instant) -> Option<(ConnectionKey, Due)> {
        let mut heap = self.heap.borrow_mut();
        if heap.peek().is_none_or(|Reverse((at, ..))| *at > now) {
            self.pause.set(Some(now + PAUSE));
            return None;
        }
        let Reverse((at, key, due)) = heap.pop()?;
        self.last_due.set(Some(at));
        self.left.set(self.left.get().min(heap.len()));
        if heap.len() * 4 < heap.capacity() && heap.capacity() > 1024 {
            heap.shrink_to_fit();
        }
        Some((key, due))
    }
}

#[cfg(test)]
mod tests {
    use turted_core::registry::Registry;

    use super::*;

    #[test]
    fn what_is_due_within_a_pause_is_due_together_and_none_of_it_early() {
        let (timers, key) = (Timers::default(), Registry::new().insert(()));
        let start = Instant::now();
        for millis in [100, 101, 109, 111, 500] {
            timers.add(start + Duration::from_millis(millis), key, Due::Ping);
        }
        let mut turns = Vec::new();
        while let Some(now) = timers.next() {
            let due = std::iter::from_fn(|| timers.pop(now)).count();
            turns.push(((now - start).as_millis(), due));
        }
        assert_eq!(turns, [(100, 1), (110, 2), (120, 1), (500, 1)]);
    }

    #[test]
    fn a_deadline_is_counted_from_when_its_turn_was_but_not_from_long_ago() {
        let (timers, start) = (Timers::default(), Instant::now());
        assert_eq!(timers.due_at(start), start, "nothing was due yet");
        let key = Registry::new().insert(());
        let second = Duration::from_secs(1);
        for (late, counted_late) in [(0, 0), (2, 0), (15, 0), (16, 1), (10_000, 9_985)] {
            timers.add(start + second, key, Due::Ping);
            let now = start + second + Duration::from_millis(late);
            assert_eq!(timers.pop(now), Some((key, Due::Ping)));
            let expected = start + second + Duration::from_millis(counted_late);
            assert_eq!(timers.due_at(now), expected, "{late} ms late");
        }
    }

    #[test]
    fn entries_of_connections_that_are_gone_are_never_most_of_all() {
        let (timers, mut registry) = (Timers::default(), Registry::new());
        let start = Instant::now();
        let open: Vec<_> = (0..10_000).map(|_| registry.insert(())).collect();
        open.iter().for_each(|key| timers.add(start, *key, Due::Ping));
        for number in 0..200_000_u64 {
            let key = registry.insert(());
            timers.forget_closed(|key| registry.get(key).is_some());
            timers.add(start + Duration::from_millis(number), key, Due::Ping);
            registry.remove(key);
            assert!(timers.heap.borrow().len() <= GROWTH * open.len() + 1);
        }
        let due: Vec<_> = std::iter::from_fn(|| timers.pop(start)).collect();
        assert!(open.iter().all(|key| due.contains(&(*key, Due::Ping))), "those of open ones stay");
    }
}
