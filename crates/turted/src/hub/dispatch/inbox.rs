//! The inbox of a worker: dispatches on their way to it, in log order, bounded in number and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::hub::dispatch::log::Accepted;

/// How much may wait in one inbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InboxLimits {
    pub(crate) dispatches: usize,
    /// Bytes of event names, targets and payloads. A push that finds the inbox empty always fits.
    pub(crate) bytes: usize,
}

/// The side of an inbox that dispatches are put into.
#[derive(Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Delivery>,
    bytes_max: usize,
    /// Bytes of what was put in and not taken out.
    bytes: Arc<AtomicUsize>,
}

/// One dispatch on its way to a worker.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) accepted: Arc<Accepted>,
    /// Where the worker reports how many connections it reached, if the push asked for that.
    pub(crate) reached: Option<mpsc::Sender<usize>>,
    _weight: Weight,
}

/// Bytes that count as long as this lives.
#[derive(Debug)]
struct Weight {
    bytes: usize,
    counted: Arc<AtomicUsize>,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.counted.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An inbox: where its owner puts dispatches in, and where the worker takes them out.
pub(crate) fn inbox(limits: InboxLimits) -> (Inbox, mpsc::Receiver<Delivery>) {
    let (sender, receiver) = mpsc::channel(limits.dispatches);
    (Inbox { sender, bytes_max: limits.bytes, bytes: Arc::default() }, receiver)
}

impl Inbox {
    /// Whether so many more dispatches and bytes may be put in. Until the one owner of this side puts more in,
    /// the room can only grow.
    pub(crate) fn has_room(&self, dispatches: usize, bytes: usize) -> bool {
        let waiting = self.bytes.load(Ordering::Relaxed);
        let fits = waiting == 0 || waiting.saturating_add(bytes) <= self.bytes_max;
        fits && self.sender.capacity() >= dispatches
    }

    /// How many dispatches wait.
    pub(crate) fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Puts a dispatch in, for which there is [room](Self::has_room).
    pub(crate) fn put(&self, accepted: &Arc<Accepted>, reached: Option<&mpsc::Sender<usize>>) {
        let bytes = accepted.bytes();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let delivery = Delivery {
            accepted: Arc::clone(accepted),
            reached: reached.cloned(),
            _weight: Weight { bytes, counted: Arc::clone(&self.bytes) },
        };
        if self.sender.try_send(delivery).is_err() {
            // Only a worker that ended in a panic closes its inbox; the server then stops.
            tracing::error!(sequence = accepted.sequence, "a worker is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::hub::dispatch::log::{Log, LogLimits};
    use crate::io::backlogs::Backlogs;
    use turted_core::dispatch::{Dispatch, Targets};
    use turted_core::name::Name;

    #[test]
    fn an_inbox_is_bounded_in_bytes_and_takes_anything_when_it_is_empty() {
        let limits = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
        let payload = serde_json::value::to_raw_value(&"x".repeat(1_000)).unwrap();
        let dispatch = Dispatch { event: Name::new("e").unwrap(), payload, targets: Targets::broadcast() };
        let accepted = Log::new(limits, &Backlogs::new(usize::MAX)).append(dispatch, Instant::now());
        let bytes = accepted.bytes();
        let (inbox, mut receiver) = inbox(InboxLimits { dispatches: 10, bytes: 2 * bytes });
        assert!(inbox.has_room(1, 100 * bytes), "it is empty");
        inbox.put(&accepted, None);
        assert!(inbox.has_room(1, bytes));
        assert!(!inbox.has_room(1, bytes + 1));
        inbox.put(&accepted, None);
        assert!(!inbox.has_room(1, 1));
        drop(receiver.try_recv().unwrap());
        assert!(inbox.has_room(1, bytes));
        drop(receiver);
        assert!(inbox.has_room(10, 100 * bytes), "what no worker takes does not count");
    }
}
