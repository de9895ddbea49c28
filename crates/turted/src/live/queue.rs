//! The records that wait for one watcher, bounded: what has no room is dropped, and the watcher is told how much it was.

use std::collections::VecDeque;
use std::sync::Arc;

use turted_core::limits::{WATCHER_BYTES_MAX, WATCHER_RECORDS_MAX};
use turted_core::shrink::shrink_queue;

use super::record;

/// Records in their order, as they are written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Arc<str>>,
    bytes: usize,
    /// How many were dropped behind the last one that waits.
    dropped: u64,
}

impl Queue {
    /// Puts a record in, if there is room.
    pub(super) fn put(&mut self, record: Arc<str>) {
        let has_room =
            self.waiting.len() < WATCHER_RECORDS_MAX && self.bytes + record.len() <= WATCHER_BYTES_MAX;
        if !has_room {
            self.dropped += 1;
            return;
        }
        self.note_dropped();
        self.bytes += record.len();
        self.waiting.push_back(record);
    }

    /// Takes out the first records, of about so many bytes, but one at least.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<Arc<str>> {
        let (mut taken, mut taken_bytes) = (Vec::new(), 0);
        while taken_bytes < bytes {
            if self.waiting.is_empty() {
                self.note_dropped();
            }
            let Some(record) = self.waiting.pop_front() else { break };
            taken_bytes += record.len();
            taken.push(record);
        }
        self.bytes -= taken_bytes;
        if self.waiting.is_empty() {
            shrink_queue(&mut self.waiting);
        }
        taken
    }

    /// Tells what was dropped, in its place among the others.
    fn note_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let record = record::dropped(dropped);
            self.bytes += record.len();
            self.waiting.push_back(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(queue: &mut Queue, records: usize, bytes: usize) {
        (0..records).for_each(|_| queue.put("x".repeat(bytes).into()));
    }

    fn take_all(queue: &mut Queue) -> Vec<Arc<str>> {
        queue.take(usize::MAX)
    }

    #[test]
    fn a_thousand_records_wait_and_what_is_dropped_is_told_in_its_place() {
        let mut queue = Queue::default();
        put(&mut queue, WATCHER_RECORDS_MAX, 1);
        assert_eq!(queue.dropped, 0);
        put(&mut queue, 3, 1);
        assert_eq!(queue.take(1).len(), 1);
        put(&mut queue, 1, 2);
        let rest = take_all(&mut queue);
        assert_eq!(rest.len(), WATCHER_RECORDS_MAX - 1 + 2);
        assert_eq!(&*rest[WATCHER_RECORDS_MAX - 1], r#"{"type":"dropped","dropped":3}"#);
        assert_eq!(&*rest[WATCHER_RECORDS_MAX], "xx");
        assert_eq!((queue.bytes, queue.dropped), (0, 0));
    }

    #[test]
    fn a_mebibyte_waits_and_what_was_dropped_at_the_end_is_told_when_all_was_taken() {
        let mut queue = Queue::default();
        put(&mut queue, 2, WATCHER_BYTES_MAX / 2);
        put(&mut queue, 2, 1);
        assert_eq!((queue.bytes, queue.dropped), (WATCHER_BYTES_MAX, 2));
        let all = take_all(&mut queue);
        assert_eq!((all.len(), &*all[2]), (3, r#"{"type":"dropped","dropped":2}"#));
        assert!(take_all(&mut queue).is_empty(), "it is told once");
        assert_eq!(queue.bytes, 0);
    }
}
