//! Records that wait for one hook, bounded. Records of clients go first when there are too many: behind the gap all who are
//! online are told anew, so what waits of clients is worth nothing then. No number of them takes the place of a dispatch.

use std::collections::VecDeque;

use turted_core::limits::{HOOK_BYTES_MAX, HOOK_RECORDS_MAX};
use turted_core::shrink::shrink_queue;

use super::record::{Record, Waiting};

/// A record with its number, by which both queues are one order.
type Numbered = (u64, Waiting);

/// Records in their order.
#[derive(Debug, Default)]
pub(super) struct RecordQueue {
    /// Records of clients.
    clients: VecDeque<Numbered>,
    dispatches: VecDeque<Numbered>,
    /// How many were put in.
    numbered: u64,
    bytes: usize,
    /// How many were lost, and were not told yet.
    dropped: u64,
}

impl RecordQueue {
    /// Puts a record in. Returns how many had to go for it: all of clients, then the oldest dispatches.
    pub(super) fn put(&mut self, waiting: Waiting) -> u64 {
        self.bytes += waiting.bytes;
        self.numbered += 1;
        let queue = match waiting.record {
            Record::Dispatch(_) => &mut self.dispatches,
            _ => &mut self.clients,
        };
        queue.push_back((self.numbered, waiting));
        if !self.is_too_full() {
            return 0;
        }
        let mut gone = self.clients.len();
        self.bytes -= self.clients.drain(..).map(|(_, waiting)| waiting.bytes).sum::<usize>();
        shrink_queue(&mut self.clients);
        while self.is_too_full()
            && self.dispatches.len() > 1
            && let Some((_, oldest)) = self.dispatches.pop_front()
        {
            self.bytes -= oldest.bytes;
            gone += 1;
        }
        self.dropped += gone as u64;
        gone as u64
    }

    /// Takes out the first record.
    pub(super) fn take(&mut self) -> Option<Waiting> {
        let number = |queue: &VecDeque<Numbered>| queue.front().map_or(u64::MAX, |(number, _)| *number);
        let queue = match number(&self.clients) < number(&self.dispatches) {
            true => &mut self.clients,
            false => &mut self.dispatches,
        };
        let (_, first) = queue.pop_front()?;
        self.bytes -= first.bytes;
        if queue.is_empty() {
            shrink_queue(queue);
        }
        Some(first)
    }

    /// Notes records that were lost in another way.
    pub(super) fn note_dropped(&mut self, records: u64) {
        self.dropped += records;
    }

    /// How many were lost since this was asked last.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Whether nothing waits, not even the news of what was lost.
    pub(super) fn is_idle(&self) -> bool {
        self.len() == 0 && self.dropped == 0
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len() + self.dispatches.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_too_full(&self) -> bool {
        self.len() > HOOK_RECORDS_MAX || self.bytes > HOOK_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use turted_core::name::Name;

    use super::*;

    fn dispatch(number: usize, bytes: usize) -> Waiting {
        Waiting { bytes, ..Waiting::new(Record::Dispatch(number.to_string().into())) }
    }

    fn user(number: usize) -> Waiting {
        let user = Name::new(&format!("user-{number}")).unwrap();
        Waiting { bytes: 1, ..Waiting::new(Record::UserOnline { user }) }
    }

    fn name(waiting: Option<Waiting>) -> String {
        match waiting.unwrap().record {
            Record::Dispatch(written) => written.to_string(),
            Record::UserOnline { user } => user.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_oldest_dispatches_go_when_there_are_too_many_and_are_counted() {
        let mut queue = RecordQueue::default();
        let gone: u64 = (0..HOOK_RECORDS_MAX).map(|number| queue.put(dispatch(number, 1))).sum();
        assert_eq!((gone, queue.len()), (0, HOOK_RECORDS_MAX));
        assert_eq!(queue.put(dispatch(HOOK_RECORDS_MAX, 1)), 1);
        assert_eq!((queue.len(), queue.take_dropped(), queue.take_dropped()), (HOOK_RECORDS_MAX, 1, 0));
        assert_eq!(name(queue.take()), "1");
    }

    #[test]
    fn the_oldest_go_when_they_have_too_many_bytes_but_the_newest_stays() {
        let mut queue = RecordQueue::default();
        assert_eq!(queue.put(dispatch(0, HOOK_BYTES_MAX)), 0);
        assert_eq!(queue.put(dispatch(1, 1)), 1);
        assert_eq!((queue.len(), queue.bytes()), (1, 1));
        assert_eq!(queue.put(dispatch(2, 2 * HOOK_BYTES_MAX)), 1);
        assert_eq!((name(queue.take()), queue.bytes()), ("2".to_owned(), 0));
        assert!(!queue.is_idle(), "what was lost is still to be told");
        queue.note_dropped(3);
        assert_eq!(queue.take_dropped(), 5);
        assert!(queue.is_idle());
    }

    #[test]
    fn all_records_of_clients_go_before_a_dispatch_does() {
        let mut queue = RecordQueue::default();
        queue.put(dispatch(0, 1));
        let gone: u64 = (2..HOOK_RECORDS_MAX).map(|number| queue.put(user(number))).sum();
        queue.put(dispatch(1, 1));
        assert_eq!((gone, queue.len()), (0, HOOK_RECORDS_MAX));
        assert_eq!(queue.put(user(0)), HOOK_RECORDS_MAX as u64 - 1);
        assert_eq!((queue.len(), queue.bytes()), (2, 2));
        queue.put(user(7));
        queue.put(dispatch(2, 1));
        let left: Vec<_> = (0..4).map(|_| name(queue.take())).collect();
        assert_eq!(left, ["0", "1", "user-7", "2"], "in the order in which they came");
        assert_eq!(queue.take_dropped(), HOOK_RECORDS_MAX as u64 - 1);
    }

    #[test]
    fn a_record_of_a_client_takes_no_place_of_a_dispatch() {
        let mut queue = RecordQueue::default();
        let gone: u64 = (0..HOOK_RECORDS_MAX).map(|number| queue.put(dispatch(number, 1))).sum();
        assert_eq!((gone, queue.put(user(0)), queue.put(user(1))), (0, 1, 1));
        assert_eq!(
            (queue.len(), queue.bytes(), queue.take_dropped()),
            (HOOK_RECORDS_MAX, HOOK_RECORDS_MAX, 2)
        );
        assert_eq!(name(queue.take()), "0");
    }
}
