//! What waits for clients, all of it together: frames that sockets did not take, answers that clients do not
//! read, dispatches that only clients with much to catch up on still need.
//!
//! Bytes count once, however many clients they wait for, and only while they wait: a delivery whose
//! socket takes it at once is counted nowhere. When the bound is reached each worker closes the
//! connections that have waited longest (see [`Ledger`](crate::hub::delivery::outlet::Ledger)); until there is room
//! again clients that come back begin anew, and pushes are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

/// The sum of all backlogs of a node, and its bound.
#[derive(Debug)]
pub(crate) struct Backlogs {
    bytes: AtomicUsize,
    limit: usize,
    /// Told whenever the bound is exceeded.
    exceeded: Notify,
}

impl Backlogs {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), limit, exceeded: Notify::new() })
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many may wait.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether more bytes wait than may.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes() > self.limit
    }

    /// Counts bytes that wait from now on, until what is returned is dropped.
    pub(crate) fn count(self: &Arc<Self>, bytes: usize) -> Counted {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > self.limit {
            self.exceeded.notify_waiters();
        }
        Counted { backlogs: Arc::clone(self), bytes }
    }

    /// Bytes of an answer, counted until they are taken.
    pub(crate) fn count_answer(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        let counted = self.count(bytes.capacity());
        Bytes::from_owner(Held { bytes, _held: counted })
    }

    /// Waits until more bytes wait than may. Cancel safe.
    pub(crate) async fn exceeded(&self) {
        let mut told = std::pin::pin!(self.exceeded.notified());
        // Enabled before the look: otherwise a notification that comes in between is missed.
        told.as_mut().enable();
        if !self.is_full() {
            told.await;
        }
    }
}

/// Bytes that wait until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    backlogs: Arc<Backlogs>,
    bytes: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.backlogs.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes, and what lives as long as they do.
#[derive(Debug)]
pub(crate) struct Held<T, H> {
    pub(crate) bytes: T,
    pub(crate) _held: H,
}

impl<T: AsRef<[u8]>, H> AsRef<[u8]> for Held<T, H> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn bytes_count_while_they_are_held_and_the_bound_is_told() {
        let backlogs = Backlogs::new(100);
        let first = backlogs.count(100);
        assert!(!backlogs.is_full(), "the bound itself may wait");
        let waiting = async { timeout(Duration::from_secs(10), backlogs.exceeded()).await };
        let exceeding = async { backlogs.count(1) };
        let (told, second) = tokio::join!(waiting, exceeding);
        assert!(told.is_ok());
        assert!(backlogs.is_full());
        drop(first);
        assert!(!backlogs.is_full());
        drop(second);
        assert_eq!(backlogs.bytes(), 0);
    }

    #[test]
    fn an_answer_counts_until_its_last_part_is_taken() {
        let backlogs = Backlogs::new(100);
        let mut answer = backlogs.count_answer(vec![0; 40]);
        let first = answer.split_to(10);
        drop(answer);
        assert_eq!(backlogs.bytes(), 40, "it is one piece of memory");
        drop(first);
        assert_eq!(backlogs.bytes(), 0);
    }
}
