//! Whether this node has read all that stood in the log at a moment: it has once it reads back an entry of its own that it has
//! made since. That it follows the log says less: it may be cut off, and not know it yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::io::seldom::Seldom;

/// Time between two heartbeats that are appended for those who wait. Anyone can make up a position that is waited for.
const HEARTBEAT_PAUSE: Duration = Duration::from_millis(250);

/// A moment, by the entries that this node has made until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

/// The tags of this node's entries: how many it has made, and up to which it has read them back.
#[derive(Debug)]
pub(crate) struct Marks {
    made: AtomicU64,
    read_back: AtomicU64,
    heartbeats: Seldom,
}

impl Marks {
    /// Tags count from a random number on, so that two processes with one number do not mistake each other's entries for their
    /// own.
    pub(super) fn new() -> Self {
        Self::from(getrandom::u64().unwrap_or_default())
    }

    fn from(first: u64) -> Self {
        let [made, read_back] = [(); 2].map(|()| AtomicU64::new(first));
        Self { made, read_back, heartbeats: Seldom::every(HEARTBEAT_PAUSE) }
    }

    /// The tag of an entry that is made now.
    pub(super) fn make(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// The entry with this tag is read, and everything before it is handed over.
    pub(super) fn reads_back(&self, tag: u64) {
        self.read_back.store(tag, Ordering::Release);
    }

    /// This moment.
    pub(crate) fn now(&self) -> Mark {
        Mark(self.made.load(Ordering::Relaxed))
    }

    /// Whether everything was read that stood in the log at that moment.
    pub(crate) fn has_read_up_to(&self, Mark(made): Mark) -> bool {
        // Tags wrap.
        self.read_back.load(Ordering::Acquire).wrapping_sub(made).cast_signed() > 0
    }

    /// Whether a heartbeat may be appended now for somebody who waits.
    pub(super) fn is_heartbeat_due(&self, now: Instant) -> bool {
        self.heartbeats.tell(now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_in_the_log_is_read_once_a_later_entry_of_this_node_is() {
        for first in [0, u64::MAX - 1, u64::MAX / 2] {
            let marks = Marks::from(first);
            let began = marks.now();
            assert!(!marks.has_read_up_to(began), "it has read nothing yet");
            let earlier = marks.make();
            let mark = marks.now();
            marks.reads_back(earlier);
            assert!(marks.has_read_up_to(began));
            assert!(!marks.has_read_up_to(mark), "it was made before");
            let later = marks.make();
            assert!(!marks.has_read_up_to(mark), "it is on its way");
            marks.reads_back(later);
            assert!(marks.has_read_up_to(mark));
        }
    }

    #[test]
    fn those_who_wait_make_few_heartbeats() {
        let (marks, now) = (Marks::from(0), Instant::now());
        let due = (0..10_000).filter(|millis| marks.is_heartbeat_due(now + Duration::from_millis(*millis)));
        assert_eq!(due.count(), 40);
    }
}
