//! How much may be sent about presence within a second, by all workers together.

use std::sync::atomic::{AtomicUsize, Ordering};

use turted_core::limits::{PRESENCE_BYTES_MAX, PRESENCE_DELIVERIES_MAX};

/// What is left of this second.
#[derive(Debug)]
pub(crate) struct Budget {
    deliveries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            deliveries: AtomicUsize::new(PRESENCE_DELIVERIES_MAX),
            bytes: AtomicUsize::new(PRESENCE_BYTES_MAX),
        }
    }
}

impl Budget {
    /// The next second begins.
    pub(super) fn refill(&self) {
        self.deliveries.store(PRESENCE_DELIVERIES_MAX, Ordering::Relaxed);
        self.bytes.store(PRESENCE_BYTES_MAX, Ordering::Relaxed);
    }

    /// Takes leave to send one message of so many bytes. Returns whether there is one in this second. The last message may be
    /// longer than what is left.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(1);
        let has_bytes = self.bytes.load(Ordering::Relaxed) > 0;
        let is_granted =
            has_bytes && self.deliveries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if is_granted {
            let less = |left: usize| Some(left.saturating_sub(bytes));
            // It cannot fail: the function always has a value.
            let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        is_granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_messages_and_so_many_bytes() {
        let budget = Budget::default();
        let granted = || (0..2 * PRESENCE_DELIVERIES_MAX).filter(|_| budget.take(1)).count();
        assert_eq!(granted(), PRESENCE_DELIVERIES_MAX);
        budget.refill();
        let bytes = PRESENCE_BYTES_MAX / 4 + 1;
        assert_eq!((0..10).filter(|_| budget.take(bytes)).count(), 4);
        budget.refill();
        assert_eq!(granted(), PRESENCE_DELIVERIES_MAX);
    }
}
