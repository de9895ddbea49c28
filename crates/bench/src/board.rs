//! What the threads of a run share: which dispatches are outstanding, and how many connections receive them.
//!
//! It is made of atomics and one semaphore, used once per delivery and dispatch; there is no lock.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

use super::plan::{OUTSTANDING_MAX, Spread};
use super::stamp::Stamp;

/// Places for outstanding dispatches. A dispatch that is never delivered keeps its place until this many
/// later ones were pushed; then it counts as lost.
const PLACES: usize = 16 * OUTSTANDING_MAX;

/// The state of one run.
#[derive(Debug)]
pub(crate) struct Board {
    started: Instant,
    /// The outstanding dispatches, by their number.
    places: Box<[Place]>,
    /// Connections in each group.
    members: Box<[AtomicU32]>,
    /// A permit for each dispatch that may still be pushed.
    pub(crate) permits: Semaphore,
    lost: AtomicU64,
    pub(crate) counts: Counts,
    /// Notified when a connection is ready, has failed or has ended.
    pub(crate) changed: Notify,
}

/// One dispatch that is outstanding.
#[derive(Debug, Default)]
struct Place {
    /// Deliveries that are still missing.
    missing: AtomicU32,
    /// When it was due, in nanoseconds since the run began.
    due_nanos: AtomicU64,
}

/// How many connections have come how far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) ready: AtomicUsize,
    pub(crate) failed: AtomicUsize,
    pub(crate) ended: AtomicUsize,
    /// Connections that were lost on purpose.
    pub(crate) away: AtomicUsize,
}

impl Board {
    pub(crate) fn new(spread: Spread, outstanding: usize) -> Self {
        Self {
            started: Instant::now(),
            places: (0..PLACES).map(|_| Place::default()).collect(),
            members: (0..spread.groups()).map(|_| AtomicU32::new(0)).collect(),
            permits: Semaphore::new(outstanding),
            lost: AtomicU64::new(0),
            counts: Counts::default(),
            changed: Notify::new(),
        }
    }

    /// The time since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A connection of this group has become ready.
    pub(crate) fn join(&self, group: usize) {
        self.members[group].fetch_add(1, Ordering::Relaxed);
        self.counts.ready.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// A connection of this group has ended before the run began.
    pub(crate) fn leave(&self, group: usize) {
        self.members[group].fetch_sub(1, Ordering::Relaxed);
        self.counts.ended.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// A connection that receives nothing has been opened.
    pub(crate) fn pass(&self) {
        self.counts.ready.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// A connection was lost on purpose. Its client is still told what its group is told.
    pub(crate) fn lose(&self) {
        self.counts.away.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// A connection did not become ready.
    pub(crate) fn fail(&self) {
        self.counts.failed.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// Expects a dispatch at every connection of a group. The pusher calls this before it pushes the
    /// dispatch.
    pub(crate) fn expect(&self, Stamp(number): Stamp, group: usize, due: Duration) {
        let members = self.members[group].load(Ordering::Relaxed);
        let place = self.place(number);
        place.due_nanos.store(u64::try_from(due.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let never_came = place.missing.swap(members, Ordering::AcqRel);
        self.lost.fetch_add(u64::from(never_came), Ordering::Relaxed);
        if members == 0 {
            self.permits.add_permits(1);
        }
    }

    /// The server refused a dispatch: no connection receives it.
    pub(crate) fn forget(&self, Stamp(number): Stamp) {
        if self.place(number).missing.swap(0, Ordering::AcqRel) > 0 {
            self.permits.add_permits(1);
        }
    }

    /// A connection received a dispatch. Returns how long after its due time.
    pub(crate) fn received(&self, Stamp(number): Stamp) -> Duration {
        let place = self.place(number);
        let one_less = |missing: u32| missing.checked_sub(1);
        if place.missing.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less) == Ok(1) {
            self.permits.add_permits(1);
        }
        let due = Duration::from_nanos(place.due_nanos.load(Ordering::Relaxed));
        self.now().saturating_sub(due)
    }

    /// Deliveries that did not arrive.
    pub(crate) fn lost(&self) -> u64 {
        let missing = |place: &Place| u64::from(place.missing.load(Ordering::Acquire));
        self.places.iter().map(missing).sum::<u64>() + self.lost.load(Ordering::Relaxed)
    }

    /// Deliveries of the dispatches below this number that have not arrived.
    pub(crate) fn missing(&self, numbers: u32) -> u64 {
        (0..numbers).map(|number| u64::from(self.place(number).missing.load(Ordering::Acquire))).sum()
    }

    /// Expects nothing any more. What was missing is not counted as lost.
    pub(crate) fn settle(&self) {
        self.places.iter().for_each(|place| place.missing.store(0, Ordering::Release));
    }

    /// Whether every dispatch arrived at every connection of its group.
    pub(crate) fn is_settled(&self) -> bool {
        self.places.iter().all(|place| place.missing.load(Ordering::Acquire) == 0)
    }

    fn place(&self, number: u32) -> &Place {
        &self.places[number as usize % PLACES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_comes_back_with_the_last_delivery_and_only_once() {
        let board = Board::new(Spread::Channels(2), 0);
        board.join(1);
        board.join(1);
        board.expect(Stamp(3), 1, Duration::ZERO);
        board.received(Stamp(3));
        assert_eq!((board.permits.available_permits(), board.lost()), (0, 1));
        board.received(Stamp(3));
        board.received(Stamp(3));
        assert_eq!((board.permits.available_permits(), board.lost(), board.is_settled()), (1, 0, true));
    }

    #[test]
    fn a_delivery_is_as_late_as_it_was_due_before() {
        let board = Board::new(Spread::Broadcast, 0);
        board.join(0);
        board.expect(Stamp(5), 0, board.now() + Duration::from_secs(60));
        assert_eq!(board.received(Stamp(5)), Duration::ZERO);
        board.expect(Stamp(6), 0, Duration::ZERO);
        let (before, late) = (board.now(), board.received(Stamp(6)));
        assert!(late >= before, "{late:?}");
    }

    #[test]
    fn a_dispatch_to_nobody_and_a_refused_one_give_leave_back() {
        let board = Board::new(Spread::Channels(2), 0);
        board.expect(Stamp(0), 0, Duration::ZERO);
        board.join(0);
        board.expect(Stamp(1), 0, Duration::ZERO);
        board.forget(Stamp(1));
        assert_eq!((board.permits.available_permits(), board.lost()), (2, 0));
    }

    #[test]
    fn what_is_missing_below_a_number_can_be_forgotten() {
        let board = Board::new(Spread::Channels(2), 0);
        board.join(0);
        board.join(0);
        for number in [0, 2, 4] {
            board.expect(Stamp(number), 0, Duration::ZERO);
        }
        board.received(Stamp(2));
        assert_eq!((board.missing(3), board.missing(5), board.is_settled()), (3, 5, false));
        board.settle();
        assert_eq!((board.missing(5), board.lost(), board.is_settled()), (0, 0, true));
    }

    #[test]
    fn a_place_that_is_needed_again_counts_what_never_came() {
        let board = Board::new(Spread::Broadcast, 0);
        board.join(0);
        board.expect(Stamp(0), 0, Duration::ZERO);
        board.expect(Stamp(u32::try_from(PLACES).unwrap()), 0, Duration::ZERO);
        assert_eq!(board.lost(), 2);
    }
}
