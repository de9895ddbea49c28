//! The inbox of a worker: dispatches on their way to it, in log order, bounded in number and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use crate::hub::dispatch::log::Accepted;
use crate::hub::dispatch::order::Size;

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
    sender: mpsc::Sender<Together>,
    limits: InboxLimits,
    waiting: Arc<Waiting>,
}

/// The side of an inbox that its worker takes dispatches out of.
#[derive(Debug)]
pub(crate) struct Deliveries {
    receiver: mpsc::Receiver<Together>,
    /// What came together with the last one.
    rest: vec::IntoIter<Delivery>,
}

/// What is put in at once, so that the worker is woken once.
#[derive(Debug)]
enum Together {
    One(Delivery),
    Many(Vec<Delivery>),
}

/// One dispatch on its way to a worker.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) accepted: Arc<Accepted>,
    /// Where the worker reports how many connections it reached, if the push asked for that.
    pub(crate) reached: Option<mpsc::Sender<usize>>,
    _weight: Weight,
}

/// What was put into an inbox and not taken out.
#[derive(Debug, Default)]
struct Waiting {
    dispatches: AtomicUsize,
    bytes: AtomicUsize,
}

/// A dispatch that counts as long as this lives.
#[derive(Debug)]
struct Weight {
    bytes: usize,
    waiting: Arc<Waiting>,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.waiting.dispatches.fetch_sub(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An inbox: where its owner puts dispatches in, and where the worker takes them out.
pub(crate) fn inbox(limits: InboxLimits) -> (Inbox, Deliveries) {
    let (sender, receiver) = mpsc::channel(limits.dispatches);
    let deliveries = Deliveries { receiver, rest: Vec::new().into_iter() };
    (Inbox { sender, limits, waiting: Arc::default() }, deliveries)
}

impl Inbox {
    pub(crate) fn limits(&self) -> InboxLimits {
        self.limits
    }

    /// Whether a push may be put in, behind what is `queued` for all inboxes. Until the one owner of this side puts more
    /// in, the room can only grow.
    pub(super) fn has_room(&self, push: Size, queued: Size) -> bool {
        let bytes = self.waiting.bytes.load(Ordering::Relaxed) + queued.bytes;
        let fits = bytes == 0 || bytes.saturating_add(push.bytes) <= self.limits.bytes;
        fits && self.waiting() + push.dispatches + queued.dispatches <= self.limits.dispatches
    }

    /// Whether half of the dispatches or of the bytes that may wait do wait, with what is `queued`.
    pub(super) fn is_half_full(&self, queued: Size) -> bool {
        self.waiting() + queued.dispatches > self.limits.dispatches / 2
            || self.waiting.bytes.load(Ordering::Relaxed) + queued.bytes > self.limits.bytes / 2
    }

    /// How many dispatches wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.dispatches.load(Ordering::Relaxed)
    }

    /// Puts dispatches in, for which there is [room](Self::has_room). Beside each is where the worker reports how many
    /// connections it reached, if that is asked for.
    pub(super) fn put<'a>(
        &self,
        dispatches: impl Iterator<Item = (&'a Arc<Accepted>, Option<&'a mpsc::Sender<usize>>)>,
    ) {
        let mut deliveries = dispatches.map(|(accepted, reached)| self.delivery(accepted, reached));
        let Some(first) = deliveries.next() else { return };
        let together = match deliveries.next() {
            None => Together::One(first),
            Some(second) => Together::Many([first, second].into_iter().chain(deliveries).collect()),
        };
        if self.sender.try_send(together).is_err() {
            // Only a worker that ended in a panic closes its inbox; the server then stops.
            tracing::error!("a worker is gone");
        }
    }

    fn delivery(&self, accepted: &Arc<Accepted>, reached: Option<&mpsc::Sender<usize>>) -> Delivery {
        let bytes = accepted.bytes();
        self.waiting.dispatches.fetch_add(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        Delivery {
            accepted: Arc::clone(accepted),
            reached: reached.cloned(),
            _weight: Weight { bytes, waiting: Arc::clone(&self.waiting) },
        }
    }
}

impl Deliveries {
    /// Waits for a dispatch. `None` when the inbox is closed and empty. Cancel safe.
    pub(crate) async fn recv(&mut self) -> Option<Delivery> {
        match self.rest.next() {
            Some(delivery) => Some(delivery),
            None => self.receiver.recv().await.and_then(|together| self.first_of(together)),
        }
    }

    /// Waits for a dispatch on this thread. `None` when the inbox is closed and empty.
    pub(crate) fn blocking_recv(&mut self) -> Option<Delivery> {
        match self.rest.next() {
            Some(delivery) => Some(delivery),
            None => self.receiver.blocking_recv().and_then(|together| self.first_of(together)),
        }
    }

    /// Takes a dispatch if there is one.
    pub(crate) fn try_recv(&mut self) -> Result<Delivery, TryRecvError> {
        match self.rest.next() {
            Some(delivery) => Ok(delivery),
            None => {
                let together = self.receiver.try_recv()?;
                self.first_of(together).ok_or(TryRecvError::Empty)
            }
        }
    }

    /// The first of those that came together, of which there is one.
    fn first_of(&mut self, together: Together) -> Option<Delivery> {
        match together {
            Together::One(delivery) => Some(delivery),
            Together::Many(deliveries) => {
                self.rest = deliveries.into_iter();
                self.rest.next()
            }
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
    use turted_core::epochs::Epoch;
    use turted_core::name::Name;

    #[test]
    fn an_inbox_is_bounded_in_bytes_and_takes_anything_when_it_is_empty() {
        let limits = LogLimits { dispatches: 10, bytes: 1 << 20, age: Duration::from_secs(1) };
        let payload = serde_json::value::to_raw_value(&"x".repeat(1_000)).unwrap();
        let dispatch = Dispatch { event: Name::new("e").unwrap(), payload, targets: Targets::broadcast() };
        let accepted = Log::new(limits, Epoch { epoch: 7, after: 0 }, &Backlogs::new(usize::MAX))
            .append(dispatch, Instant::now());
        let bytes = accepted.bytes();
        let (inbox, mut receiver) = inbox(InboxLimits { dispatches: 10, bytes: 2 * bytes });
        let none = Size::default();
        let has_room = |inbox: &Inbox, dispatches, bytes| inbox.has_room(Size { dispatches, bytes }, none);
        assert!(has_room(&inbox, 1, 100 * bytes), "it is empty");
        assert!(!inbox.has_room(Size { dispatches: 1, bytes: 2 * bytes }, Size { dispatches: 1, bytes: 1 }));
        assert!(!inbox.has_room(Size { dispatches: 6, bytes }, Size { dispatches: 5, bytes }));
        inbox.put([(&accepted, None)].into_iter());
        assert!(has_room(&inbox, 1, bytes));
        assert!(!has_room(&inbox, 1, bytes + 1));
        inbox.put([(&accepted, None)].into_iter());
        assert!(!has_room(&inbox, 1, 1));
        drop(receiver.try_recv().unwrap());
        assert!(has_room(&inbox, 1, bytes));
        drop(receiver);
        assert!(has_room(&inbox, 10, 100 * bytes), "what no worker takes does not count");
    }
}
