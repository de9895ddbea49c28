//! Takes frames for a client from the worker that owns its session: one for a poll, one after the
//! other for a response of HTTP/2, which has no socket that could be handed over.

use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use turted_core::wire::sockjs::Transport;

use super::owner::{self, Operation, SessionPlace, SessionRequest};
use super::refusal::SockJsRefusal;
use super::taken::Taken;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::{BodyOutlet, Pace, Queue};
use crate::hub::worker::worker::Worker;

/// Waits for the next frame of a session. Cancel safe: the session ends then, because its client is gone.
pub(super) async fn take(
    worker: &Rc<Worker>,
    place: &SessionPlace,
    transport: Transport,
) -> Result<Taken, SockJsRefusal> {
    let (taker, taken) = oneshot::channel();
    let mut guard = AbortGuard { worker, place: Some(place) };
    let operation = Operation::Take(transport, taker);
    owner::deliver(worker, SessionRequest { place: place.clone(), operation }).await;
    let frame = taken.await;
    guard.place = None;
    // A worker that does not answer has ended.
    frame.unwrap_or(Err(SockJsRefusal::Stopping))
}

/// Fills a response of HTTP/2 until it has grown too long, or the session or its client is gone.
pub(super) async fn run(
    worker: &Rc<Worker>,
    place: &SessionPlace,
    queue: &Rc<Queue>,
    (transport, prelude): (Transport, String),
) {
    let body = BodyOutlet::new(queue);
    body.send(&[Frame::chunk(&prelude, 0)]);
    let mut left = place.mount.options.response_bytes;
    while left > 0 {
        let frame = tokio::select! {
            _ = queue.ended() => return,
            frame = take(worker, place, transport) => frame,
        };
        let taken = match frame {
            Ok(taken) => taken,
            // The status was sent already, so a refusal can only be the end of the body.
            Err(refusal) => {
                worker.metrics.refused(refusal.row().rule);
                body.send(&[Frame::chunk(&refusal.row().text, 0)]);
                break;
            }
        };
        // Shared with other sessions, because a client that does not read must not cost a copy.
        let frames = taken.framed(transport);
        let bytes = frames.iter().map(|frame| frame.data().len()).sum();
        left = if taken.is_last() { 0 } else { left.saturating_sub(bytes) };
        body.send(&frames);
        if !is_drained(worker, &body).await {
            return body.abort();
        }
        // Until here, `taken` has told the session that its client cannot ask for more.
        drop(taken);
    }
    body.finish(None);
}

/// Waits until the client has taken everything; `false` if it stopped taking.
async fn is_drained(worker: &Worker, body: &BodyOutlet) -> bool {
    let (mut pace, queue) = (Pace::new(worker.config.limits.outbox_stall, Instant::now()), body.queue());
    while body.waiting().frames > 0 {
        let taken = queue.taken();
        if timeout_at(pace.deadline(), queue.progress()).await.is_err() {
            return false;
        }
        pace.took(queue.taken().wrapping_sub(taken), Instant::now());
    }
    true
}

/// Tells the owner of a session that a request was given up before it was answered.
struct AbortGuard<'a> {
    worker: &'a Rc<Worker>,
    place: Option<&'a SessionPlace>,
}

impl Drop for AbortGuard<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let request = SessionRequest { place: place.clone(), operation: Operation::TakeAborted };
        if owner::owner(self.worker, place) == self.worker.index {
            return owner::receive(self.worker, request);
        }
        // `drop` cannot wait for room in a mail box, a task can.
        self.worker.spawn(owner::deliver(self.worker, request));
    }
}
