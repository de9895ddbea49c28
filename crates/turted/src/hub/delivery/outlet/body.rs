//! The way out as the body of a response of HTTP/2: frames wait until hyper takes them, which it does
//! as fast as the client lets it.
//!
//! Two ends share one queue: the connection fills it, the response empties it.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame as BodyFrame};
use tokio::sync::Notify;
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::limits::PROGRESS_BYTES;

use super::ledger::{Ledger, Sent, Waiting};
use super::missed::Missed;
use super::switch::Switch;
use super::waitlist::Waitlist;
use crate::hub::delivery::frame::Frame;
use crate::io::backlogs::Backlogs;
use crate::io::permits::Permit;

/// The connection's end.
#[derive(Debug)]
pub(crate) struct BodyOutlet(Rc<Queue>);

/// The response's end.
#[derive(Debug)]
pub(crate) struct StreamBody {
    queue: Rc<Queue>,
    ledger: Rc<Ledger>,
    /// Given back at the end.
    _permit: Option<Permit>,
}

/// What both share.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: RefCell<Waitlist>,
    /// Bytes of the first frame that were taken already.
    sent: Cell<usize>,
    /// Bytes that were taken in all.
    taken: Cell<usize>,
    state: Cell<BodyState>,
    /// Whether a task waits for the client to take something.
    is_watched: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    progress: Notify,
    dropped: Notify,
    /// Ends the stream, also while hyper does not ask for more.
    switch: Option<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    Open,
    /// Nothing comes behind what waits.
    Finished,
    /// The server has given up the response.
    Aborted,
    /// hyper has dropped the response: nothing is taken any more.
    Dropped,
}

/// Makes hyper reset the stream.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client does not read")]
pub(crate) struct Aborted;

impl Queue {
    /// The queue for a response to the request of the current task.
    pub(crate) fn new(ledger: &Rc<Ledger>) -> Self {
        Self {
            switch: Switch::current(),
            waiting: RefCell::new(Waitlist::new(ledger)),
            sent: Cell::new(0),
            taken: Cell::new(0),
            state: Cell::new(BodyState::Open),
            is_watched: Cell::new(false),
            waker: RefCell::default(),
            progress: Notify::new(),
            dropped: Notify::new(),
        }
    }

    /// Waits until something is taken, or nothing waits any more. Cancel safe.
    pub(crate) async fn progress(&self) {
        self.progress.notified().await;
    }

    /// How many bytes were taken until now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.get()
    }

    /// Waits until the client takes nothing of the response any more. Returns why. Cancel safe.
    pub(crate) async fn ended(&self) -> Close {
        while self.state.get() != BodyState::Dropped {
            self.dropped.notified().await;
        }
        let is_stalled = self.switch.as_ref().is_some_and(Switch::is_stalled);
        if is_stalled { Close::SlowReader } else { Close::TransportLost }
    }

    /// Ends the watch if nothing waits. Returns whether it has ended.
    pub(crate) fn stop_watching(&self) -> bool {
        let is_idle = self.waiting.borrow().is_empty();
        self.is_watched.set(!is_idle);
        is_idle
    }

    fn waiting(&self) -> Waiting {
        match self.state.get() {
            BodyState::Open => self.waiting.borrow().waiting(),
            // The connection is closed: what waits does not count for it any more.
            _ => Waiting::default(),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes the next piece: the rest of a large frame, or as many small ones as fit into it.
    fn take(&self, backlogs: &Arc<Backlogs>) -> Option<Bytes> {
        let waiting = &mut *self.waiting.borrow_mut();
        let first = waiting.ready().front()?;
        let left = first.data().len() - self.sent.get();
        let next = waiting.ready().get(1).map(|frame| frame.data().len());
        let piece = if left > PROGRESS_BYTES || next.is_none_or(|next| left + next > PROGRESS_BYTES) {
            self.take_slice(waiting)?
        } else {
            backlogs.count_answer(self.take_several(waiting))
        };
        self.taken.set(self.taken.get().wrapping_add(piece.len()));
        self.progress.notify_one();
        Some(piece)
    }

    /// A part of a frame, whose bytes are shared.
    fn take_slice(&self, waiting: &mut Waitlist) -> Option<Bytes> {
        let data = waiting.ready().front()?.shared_data();
        let (begin, end) = (self.sent.get(), data.len().min(self.sent.get() + PROGRESS_BYTES));
        if end == data.len() {
            waiting.pop();
            self.sent.set(0);
        } else {
            self.sent.set(end);
        }
        Some(data.slice(begin..end))
    }

    /// Whole frames, and the rest of one before them.
    fn take_several(&self, waiting: &mut Waitlist) -> Vec<u8> {
        let mut piece = Vec::new();
        while let Some(next) = waiting.ready().front()
            && piece.len() + next.data().len() - self.sent.get() <= PROGRESS_BYTES
        {
            piece.extend_from_slice(&next.data()[self.sent.replace(0)..]);
            waiting.pop();
        }
        piece
    }
}

impl BodyOutlet {
    pub(crate) fn new(queue: &Rc<Queue>) -> Self {
        Self(Rc::clone(queue))
    }

    pub(crate) fn queue(&self) -> &Rc<Queue> {
        &self.0
    }

    pub(crate) fn waiting(&self) -> Waiting {
        self.0.waiting()
    }

    /// Bytes of the first frame that waits which are taken already.
    pub(super) fn under_way(&self) -> usize {
        self.0.sent.get()
    }

    /// Since when something has waited; `None` if nothing waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.0.waiting.borrow().since()
    }

    pub(crate) fn send(&self, frames: &[Frame]) -> Sent {
        self.put(|waiting| waiting.add(frames))
    }

    /// Sends what the client missed, as it takes it.
    pub(super) fn replay(&self, missed: Missed) -> Sent {
        self.put(|waiting| {
            waiting.miss(missed);
            Sent::Yes
        })
    }

    /// Sends a frame of the server's own: before all that waits, but behind a frame that is half sent.
    pub(super) fn send_ahead(&self, frame: &Frame) -> Sent {
        self.put(|waiting| {
            waiting.push_ahead(frame, usize::from(self.0.sent.get() > 0));
            Sent::Yes
        })
    }

    fn put(&self, put: impl FnOnce(&mut Waitlist) -> Sent) -> Sent {
        let queue = &self.0;
        if queue.state.get() != BodyState::Open {
            return Sent::Gone;
        }
        let was_empty = queue.waiting.borrow().is_empty();
        let put = put(&mut queue.waiting.borrow_mut());
        queue.wake();
        match put {
            Sent::Yes if !queue.is_watched.replace(true) => Sent::Blocked,
            // All was taken, but the task that watches has not seen it yet.
            Sent::Yes if was_empty => Sent::Kept,
            put => put,
        }
    }

    /// The connection has ended: ends the response, behind a last message where that can arrive.
    pub(crate) fn end(&self, farewell: Option<Vec<u8>>, close: Close) {
        match close {
            // What waits would wait for ever.
            Close::SlowReader | Close::TransportLost => self.abort(),
            _ => {
                let last = farewell.and_then(|last| String::from_utf8(last).ok());
                self.finish(last.map(|last| Frame::chunk(&last, 0)).as_ref());
            }
        }
    }

    /// Ends the response behind what waits and a last message.
    pub(crate) fn finish(&self, last: Option<&Frame>) {
        if self.0.state.get() == BodyState::Open {
            self.0.state.set(BodyState::Finished);
            last.into_iter().for_each(|last| self.0.waiting.borrow_mut().push(last));
            self.0.wake();
        }
    }

    /// Gives up the response and what waits.
    pub(crate) fn abort(&self) {
        if self.0.state.get() == BodyState::Open {
            self.0.state.set(BodyState::Aborted);
            self.0.waiting.borrow_mut().clear();
            self.0.progress.notify_one();
            self.0.wake();
            self.0.switch.iter().for_each(Switch::kill);
        }
    }
}

impl StreamBody {
    pub(crate) fn new(queue: Rc<Queue>, ledger: Rc<Ledger>, permit: Option<Permit>) -> Self {
        Self { queue, ledger, _permit: permit }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Aborted>>> {
        let queue = &self.queue;
        if let Some(piece) = queue.take(&self.ledger.backlogs) {
            self.ledger.metrics.wrote(piece.len());
            let piece = match &queue.switch {
                Some(switch) => switch.track(piece),
                None => piece,
            };
            return Poll::Ready(Some(Ok(BodyFrame::data(piece))));
        }
        match queue.state.get() {
            BodyState::Open => {
                queue.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
            BodyState::Aborted => Poll::Ready(Some(Err(Aborted))),
            BodyState::Finished | BodyState::Dropped => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.queue.state.get() == BodyState::Finished && self.queue.waiting.borrow().is_empty()
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let queue = &self.queue;
        queue.state.set(BodyState::Dropped);
        queue.waiting.borrow_mut().clear();
        queue.progress.notify_one();
        queue.dropped.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(body: &mut StreamBody) -> Poll<Option<Result<String, Aborted>>> {
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        let text = |frame: BodyFrame<Bytes>| String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        polled.map(|next| next.map(|next| next.map(text)))
    }

    fn parts(ledger: &Rc<Ledger>) -> (BodyOutlet, StreamBody) {
        let queue = Rc::new(Queue::new(ledger));
        (BodyOutlet::new(&queue), StreamBody::new(queue, Rc::clone(ledger), None))
    }

    #[test]
    fn what_waits_goes_out_together_and_more_than_may_wait_is_too_much() {
        let ledger = Ledger::of(20, 3);
        let waiting = || (ledger.metrics.outbox_bytes.get(), ledger.backlogs.bytes());
        let (outlet, mut body) = parts(&ledger);
        let frame = |text: &str| Frame::chunk(text, 1);
        assert!(poll(&mut body).is_pending());
        assert_eq!(outlet.send(&[frame("ab")]), Sent::Blocked);
        assert_eq!(outlet.send(&[frame("cd")]), Sent::Yes, "a task watches already");
        assert_eq!(outlet.waiting().frames, 2);
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(text))) if text == "abcd"));
        assert_eq!((outlet.waiting(), waiting()), (Waiting::default(), (0, 0)));
        assert!(outlet.queue().stop_watching());
        assert_eq!(outlet.send(&[frame("0123456789abcdefghijkl")]), Sent::Blocked, "one always fits");
        assert_eq!(outlet.send(&[frame("x")]), Sent::Full);
        outlet.abort();
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(Aborted)))));
        assert_eq!(waiting(), (0, 0));
    }

    #[test]
    fn a_response_that_was_emptied_while_it_is_watched_waits_anew() {
        let ledger = Ledger::of(20, 3);
        let (outlet, mut body) = parts(&ledger);
        assert_eq!(outlet.send(&[Frame::chunk("ab", 1)]), Sent::Blocked);
        assert!(poll(&mut body).is_ready());
        assert!(outlet.since().is_none());
        assert_eq!(outlet.send(&[Frame::chunk("cd", 2)]), Sent::Kept, "relief has to know");
        assert_eq!(outlet.send(&[Frame::chunk("ef", 3)]), Sent::Yes);
    }

    #[test]
    fn a_large_frame_goes_out_in_slices_that_show_how_the_client_takes_them() {
        let ledger = Ledger::of(1 << 20, 100);
        let (outlet, mut body) = parts(&ledger);
        let text = "x".repeat(2 * PROGRESS_BYTES + 5);
        outlet.send(&[Frame::chunk("first", 1), Frame::chunk(&text, 2), Frame::chunk("last", 3)]);
        let mut pieces = Vec::new();
        while let Poll::Ready(Some(Ok(piece))) = poll(&mut body) {
            pieces.push(piece);
        }
        let lengths: Vec<_> = pieces.iter().map(String::len).collect();
        assert_eq!(lengths, [5, PROGRESS_BYTES, PROGRESS_BYTES, 9]);
        assert_eq!(pieces.concat(), format!("first{text}last"));
        assert_eq!(outlet.queue().taken(), text.len() + 9);
    }

    #[test]
    fn a_response_ends_behind_its_last_message_or_when_nobody_takes_it() {
        let ledger = Ledger::of(10, 3);
        let (outlet, mut body) = parts(&ledger);
        assert_eq!(outlet.send(&[Frame::chunk("a", 1)]), Sent::Blocked);
        outlet.finish(Some(&Frame::chunk("b", 0)));
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(text))) if text == "ab"));
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
        drop(body);
        assert_eq!(outlet.send(&[Frame::chunk("c", 2)]), Sent::Gone);
        let (outlet, body) = parts(&ledger);
        assert_eq!(outlet.send(&[Frame::chunk("a", 1)]), Sent::Blocked);
        drop(body);
        assert_eq!((outlet.waiting(), ledger.metrics.outbox_bytes.get()), (Waiting::default(), 0));
    }
}
