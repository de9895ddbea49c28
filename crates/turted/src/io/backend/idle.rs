//! Connections that are kept alive between two questions; all workers share them.

use std::sync::{Mutex, PoisonError};

use super::Sender;

pub(super) struct Idle {
    /// Locked to take or return one, never while waiting.
    senders: Mutex<Vec<Sender>>,
    most: usize,
}

impl Idle {
    pub(super) fn new(most: usize) -> Self {
        Self { senders: Mutex::default(), most }
    }

    /// The connection that was used last, if it is still open.
    pub(super) fn take(&self) -> Option<Sender> {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| senders.pop()).find(Sender::is_ready)
    }

    pub(super) fn put(&self, sender: Sender) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| !sender.is_closed());
        if senders.len() < self.most {
            senders.push(sender);
        }
    }
}
