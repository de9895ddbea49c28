//! The way out of an Engine.IO session that polls: frames wait for its next request, or the request
//! waits for them.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;
use turted_core::limits::POLLING_ANSWER_BYTES_MAX;
use turted_core::wire::socketio::DISCONNECT;

use super::payload::{PollingBody, PollingFormat};
use super::refusal::EngineRefusal;
use crate::hub::delivery::metrics::Carrier;
use crate::hub::delivery::outlet::{
    Flushed, LastAnswer, Ledger, RequestOutlet, RequestState, Sending, Sent, Waitlist,
};
use crate::io::backlogs::Backlogs;

/// The Engine.IO packet that answers a polling request with nothing.
const NOOP: &str = "6";

/// The Engine.IO packet that ends a session.
const CLOSE: &str = "1";

/// The body of a polling answer, or why there is none.
pub(super) type PollingAnswer = Result<PollingBody, EngineRefusal>;

/// What waits for the next polling request, or the request that waits for it.
#[derive(Debug)]
pub(super) struct Polling {
    format: PollingFormat,
    waiting: Waitlist,
    backlogs: Arc<Backlogs>,
    request: Option<oneshot::Sender<PollingAnswer>>,
    answer: LastAnswer,
    held: Hold,
}

/// Whether frames are held back for a client that is about to move to a stream. Its requests get a
/// NOOP until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    No,
    Yes,
    /// A NOOP was sent a short while ago: the next request waits.
    Paused,
}

impl RequestOutlet for Polling {
    fn send(&mut self, sending: Sending<'_>, _: &Rc<Ledger>) -> Sent {
        self.put(|waiting| match sending {
            Sending::Frames(frames) => waiting.add(frames),
            Sending::Ahead(frame) => {
                waiting.push_ahead(frame, 0);
                Sent::Yes
            }
            Sending::Missed(missed) => {
                waiting.miss(missed);
                Sent::Yes
            }
        })
    }

    fn flush(&mut self, _: &Rc<Ledger>) -> Flushed {
        Flushed { sent: Sent::Yes, bytes: 0 }
    }

    fn carrier(&self) -> Carrier {
        Carrier::Polling
    }

    fn state(&self) -> RequestState<'_> {
        RequestState {
            waiting: self.waiting.waiting(),
            // An answer has whole packets, which do not wait any more.
            under_way: 0,
            since: self.waiting.since(),
            is_flushed: self.waiting.is_empty(),
            // The client cannot ask for more before it has the last answer.
            is_being_taken: self.answer.is_on_its_way(),
            absent_since: None,
            socket: None,
        }
    }
}

impl Polling {
    pub(super) fn new(format: PollingFormat, ledger: &Rc<Ledger>) -> Self {
        let (waiting, backlogs) = (Waitlist::new(ledger), Arc::clone(&ledger.backlogs));
        Self { format, waiting, backlogs, request: None, answer: LastAnswer::default(), held: Hold::No }
    }

    fn put(&mut self, put: impl FnOnce(&mut Waitlist) -> Sent) -> Sent {
        let was_empty = self.waiting.is_empty();
        if put(&mut self.waiting) == Sent::Full {
            return Sent::Full;
        }
        match self.answer() {
            Sent::Yes if was_empty && !self.waiting.is_empty() => Sent::Kept,
            sent => sent,
        }
    }

    /// Answers the request that waits, if there is one and something to answer. What does not fit into
    /// one answer waits for the next request.
    fn answer(&mut self) -> Sent {
        if self.waiting.is_empty() || self.held != Hold::No {
            return Sent::Yes;
        }
        let Some(request) = self.request.take() else { return Sent::Yes };
        if request.is_closed() {
            return Sent::Gone;
        }
        let frames = self.waiting.take(POLLING_ANSWER_BYTES_MAX);
        let body = self.format.encode(&frames, &self.backlogs).holding(self.answer.give());
        if request.send(Ok(body)).is_err() { Sent::Gone } else { Sent::Yes }
    }

    /// Parks a request until there is something to answer.
    ///
    /// # Errors
    /// Gives `request` back if another one waits already.
    pub(super) fn park(
        &mut self,
        request: oneshot::Sender<PollingAnswer>,
    ) -> Result<Sent, oneshot::Sender<PollingAnswer>> {
        if self.request.as_ref().is_some_and(|waiting| !waiting.is_closed()) {
            return Err(request);
        }
        self.request = Some(request);
        Ok(self.answer())
    }

    /// Answers the request that waits, if any, with one packet out of turn.
    fn answer_alone(&mut self, packet: &str) {
        if let Some(request) = self.request.take() {
            // The client may have given up waiting; the packet is of no use to it then.
            let _ = request.send(Ok(self.format.encode_packet(packet)));
        }
    }

    /// The client is about to move: holds frames back. Its requests are answered by
    /// [`send_home`](Self::send_home) from now on.
    pub(super) fn hold(&mut self) {
        self.held = Hold::Yes;
    }

    /// Answers the request of a client that is about to move with nothing, if one waits. If so, the next
    /// request waits until [`end_pause`](Self::end_pause) is called.
    pub(super) fn send_home(&mut self) -> bool {
        let goes = self.held == Hold::Yes && self.request.is_some();
        if goes {
            self.held = Hold::Paused;
            self.dismiss();
        }
        goes
    }

    /// Ends the request that waits, if any, with nothing.
    pub(super) fn dismiss(&mut self) {
        self.answer_alone(NOOP);
    }

    /// The next request may be answered by [`send_home`](Self::send_home) again.
    pub(super) fn end_pause(&mut self) {
        if self.held == Hold::Paused {
            self.held = Hold::Yes;
        }
    }

    /// The client did not move after all: its next request gets what waits.
    pub(super) fn release(&mut self) -> Sent {
        self.held = Hold::No;
        self.answer()
    }

    /// Whether the request that waited is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.request.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Says good-bye to the request that waits. If there is none, returns the answer to the next one. It stands alone:
    /// socket.io-client 4 would take an end of the session behind it for a lost connection.
    pub(super) fn say_goodbye(&mut self) -> Option<PollingBody> {
        let waits = self.request.as_ref().is_some_and(|request| !request.is_closed());
        self.answer_alone(DISCONNECT);
        (!waits).then(|| self.format.encode_packet(DISCONNECT))
    }

    /// The session has ended: tells the request that waits, if any.
    pub(super) fn end(&mut self) {
        self.answer_alone(CLOSE);
    }

    /// The client has moved: everything that waits goes with it.
    pub(super) fn leave(&mut self, ledger: &Rc<Ledger>) -> Waitlist {
        self.dismiss();
        std::mem::replace(&mut self.waiting, Waitlist::new(ledger))
    }
}

#[cfg(test)]
mod tests;
