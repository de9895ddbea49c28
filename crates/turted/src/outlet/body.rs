//! The way out as the body of a response of HTTP/2: frames wait until hyper takes them, which it does
//! as fast as the client lets it.
//!
//! Two ends share one queue: the connection fills it, the response empties it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame as BodyFrame};
use tokio::sync::Notify;

use super::{Outbox, Sent, Waiting};
use crate::frame::Frame;
use crate::metrics::WorkerMetrics;
use crate::shared::Permit;

/// Bytes that go to hyper in one piece, unless one frame alone is larger: a frame of HTTP/2 as large
/// as every client takes it (RFC 9113 4.2).
const PIECE_BYTES: usize = 16 * 1024;

/// The connection's end.
#[derive(Debug)]
pub(crate) struct BodyOutlet(Rc<Queue>);

/// The response's end.
#[derive(Debug)]
pub(crate) struct StreamBody {
    queue: Rc<Queue>,
    metrics: Arc<WorkerMetrics>,
    /// Given back at the end.
    _permit: Option<Permit>,
}

/// What both share.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    frames: RefCell<VecDeque<Frame>>,
    bytes: Cell<usize>,
    state: Cell<State>,
    /// Whether somebody waits for the client to take something.
    is_watched: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    taken: Notify,
    dropped: Notify,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Nothing comes behind what waits.
    Finished,
    /// The response is of no use any more.
    Aborted,
    /// Nobody takes anything any more.
    Dropped,
}

/// Makes hyper reset the stream.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client does not read")]
pub(crate) struct Aborted;

impl Queue {
    /// Waits until something is taken, or nothing waits any more. Cancel safe.
    pub(crate) async fn progress(&self) {
        self.taken.notified().await;
    }

    /// Waits until the client has no use for the response any more. Cancel safe.
    pub(crate) async fn ended(&self) {
        while self.state.get() != State::Dropped {
            self.dropped.notified().await;
        }
    }

    /// Nobody watches any more; whether there is nothing to watch.
    pub(crate) fn stop_watching(&self) -> bool {
        let is_idle = self.frames.borrow().is_empty();
        self.is_watched.set(!is_idle);
        is_idle
    }

    fn waiting(&self) -> Waiting {
        match self.state.get() {
            State::Open => Waiting { frames: self.frames.borrow().len(), bytes: self.bytes.get() },
            // The connection is closed: it is not its business any more.
            _ => Waiting::default(),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn add(&self, frames: &[Frame]) -> usize {
        let bytes = frames.iter().map(|frame| frame.data().len()).sum();
        self.bytes.set(self.bytes.get() + bytes);
        self.frames.borrow_mut().extend(frames.iter().cloned());
        self.wake();
        bytes
    }

    /// Takes what fits into one piece.
    fn take(&self) -> Option<Vec<u8>> {
        let mut frames = self.frames.borrow_mut();
        let mut piece = frames.pop_front()?.data().to_vec();
        while let Some(next) = frames.front()
            && piece.len() + next.data().len() <= PIECE_BYTES
        {
            piece.extend_from_slice(next.data());
            frames.pop_front();
        }
        self.bytes.set(self.bytes.get() - piece.len());
        self.taken.notify_one();
        Some(piece)
    }
}

impl BodyOutlet {
    pub(crate) fn new(queue: &Rc<Queue>) -> Self {
        Self(Rc::clone(queue))
    }

    pub(crate) fn queue(&self) -> &Rc<Queue> {
        &self.0
    }

    pub(super) fn waiting(&self) -> Waiting {
        self.0.waiting()
    }

    pub(super) fn send(&self, frames: &[Frame], outbox: Outbox<'_>) -> Sent {
        let queue = &self.0;
        if queue.state.get() != State::Open {
            return Sent::Gone;
        }
        outbox.metrics.outbox_bytes.add(queue.add(frames));
        if outbox.is_exceeded_by(queue.waiting()) {
            return Sent::Full;
        }
        if queue.is_watched.replace(true) { Sent::Yes } else { Sent::Blocked }
    }

    /// Ends the response behind what waits and a last message.
    pub(crate) fn finish(&self, last: Option<Frame>) {
        if self.0.state.get() == State::Open {
            self.0.state.set(State::Finished);
            self.0.add(last.as_slice());
        }
    }

    /// Gives up the response and what waits.
    pub(crate) fn abort(&self) {
        if self.0.state.get() == State::Open {
            self.0.state.set(State::Aborted);
            self.0.frames.borrow_mut().clear();
            self.0.taken.notify_one();
            self.0.wake();
        }
    }
}

impl StreamBody {
    pub(crate) fn new(queue: Rc<Queue>, metrics: Arc<WorkerMetrics>, permit: Option<Permit>) -> Self {
        Self { queue, metrics, _permit: permit }
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
        let is_counted = queue.state.get() == State::Open;
        if let Some(piece) = queue.take() {
            self.metrics.wrote(piece.len());
            if is_counted {
                self.metrics.outbox_bytes.subtract(piece.len());
            }
            return Poll::Ready(Some(Ok(BodyFrame::data(piece.into()))));
        }
        match queue.state.get() {
            State::Open => {
                queue.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
            State::Aborted => Poll::Ready(Some(Err(Aborted))),
            State::Finished | State::Dropped => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.queue.state.get() == State::Finished && self.queue.frames.borrow().is_empty()
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let queue = &self.queue;
        if queue.state.replace(State::Dropped) == State::Open {
            self.metrics.outbox_bytes.subtract(queue.bytes.replace(0));
        }
        queue.frames.borrow_mut().clear();
        queue.taken.notify_one();
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

    #[test]
    fn what_waits_goes_out_together_and_more_than_may_wait_is_too_much() {
        let metrics = Arc::new(WorkerMetrics::default());
        let queue = Rc::new(Queue::default());
        let outlet = BodyOutlet::new(&queue);
        let mut body = StreamBody::new(Rc::clone(&queue), Arc::clone(&metrics), None);
        let outbox = Outbox { bytes_max: 10, frames_max: 3, metrics: &metrics };
        let frame = |text: &str| Frame::chunk(text, 1);
        assert!(poll(&mut body).is_pending());
        assert_eq!(outlet.send(&[frame("ab")], outbox), Sent::Blocked);
        assert_eq!(outlet.send(&[frame("cd")], outbox), Sent::Yes, "somebody watches already");
        assert_eq!((outlet.waiting(), metrics.outbox_bytes.get()), (Waiting { frames: 2, bytes: 4 }, 4));
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(text))) if text == "abcd"));
        assert_eq!((outlet.waiting(), metrics.outbox_bytes.get()), (Waiting::default(), 0));
        assert!(queue.stop_watching());
        assert_eq!(outlet.send(&[frame("0123456789ab")], outbox), Sent::Blocked, "one always fits");
        assert_eq!(outlet.send(&[frame("x")], outbox), Sent::Full);
        outlet.abort();
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(Aborted)))));
    }

    #[test]
    fn a_response_ends_behind_its_last_message_or_when_nobody_takes_it() {
        let metrics = Arc::new(WorkerMetrics::default());
        let outbox = Outbox { bytes_max: 10, frames_max: 3, metrics: &metrics };
        let queue = Rc::new(Queue::default());
        let mut body = StreamBody::new(Rc::clone(&queue), Arc::clone(&metrics), None);
        let outlet = BodyOutlet::new(&queue);
        assert_eq!(outlet.send(&[Frame::chunk("a", 1)], outbox), Sent::Blocked);
        // As the connection does when it closes.
        metrics.outbox_bytes.subtract(outlet.waiting().bytes);
        outlet.finish(Some(Frame::chunk("b", 0)));
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(text))) if text == "ab"));
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
        drop(body);
        assert_eq!(
            (outlet.send(&[Frame::chunk("c", 2)], outbox), metrics.outbox_bytes.get()),
            (Sent::Gone, 0)
        );
        let queue = Rc::new(Queue::default());
        let outlet = BodyOutlet::new(&queue);
        let body = StreamBody::new(queue, Arc::clone(&metrics), None);
        assert_eq!(outlet.send(&[Frame::chunk("a", 1)], outbox), Sent::Blocked);
        drop(body);
        assert_eq!((outlet.waiting(), metrics.outbox_bytes.get()), (Waiting::default(), 0));
    }
}
