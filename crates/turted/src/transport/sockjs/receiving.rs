//! The way out of a session that lives by requests. Its receiver is a request that takes one frame or a
//! response that streams for a while. Without a receiver, frames wait for the next one.

use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use turted_core::limits::POLLING_ANSWER_BYTES_MAX;
use turted_core::wire::sockjs::{HEARTBEAT, Transport};

use super::refusal::SockJsRefusal;
use super::response::Response;
use super::taken::Taken;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Carrier;
use crate::hub::delivery::outlet::{
    Flushed, LastAnswer, Ledger, RequestOutlet, RequestState, Sending, Sent, Waiting, Waitlist,
};

/// Carries one frame to the request that waits for it.
pub(super) type Taker = oneshot::Sender<Result<Taken, SockJsRefusal>>;

/// What waits for the next receiver, or the receiver that waits for it.
#[derive(Debug)]
pub(super) struct Receiving {
    /// Frames with messages, in whatever framing was used when they came.
    waiting: Waitlist,
    receiver: Receiver,
    answer: LastAnswer,
    /// The carrier of the last receiver.
    carrier: Carrier,
    /// When the receiver came, left, or was sent a heartbeat.
    since: Instant,
}

#[derive(Debug, Default)]
enum Receiver {
    #[default]
    Nobody,
    Taker(Taker),
    Stream(Response),
}

/// Bytes given to a response at a time: what a socket takes in one go.
const PORTION_BYTES: usize = 64 * 1024;

/// Whether there is a receiver, and since when nothing has changed about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Absent(Instant),
    Attached(Instant),
}

impl Receiving {
    /// A way out without a receiver. The first one will come by `transport`.
    pub(super) fn new(transport: Transport, ledger: &Rc<Ledger>) -> Self {
        let (waiting, carrier) = (Waitlist::new(ledger), carrier(transport));
        Self {
            waiting,
            receiver: Receiver::Nobody,
            answer: LastAnswer::default(),
            carrier,
            since: Instant::now(),
        }
    }

    pub(super) fn presence(&self) -> Presence {
        match self.receiver {
            // The client cannot ask for more before it has read what it asked for.
            Receiver::Nobody if self.answer.is_on_its_way() => Presence::Absent(Instant::now()),
            Receiver::Nobody => {
                Presence::Absent(self.answer.taken_at().map_or(self.since, |at| at.max(self.since)))
            }
            Receiver::Taker(_) | Receiver::Stream(_) => Presence::Attached(self.since),
        }
    }

    /// Whether the request that waited is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(&self.receiver, Receiver::Taker(taker) if taker.is_closed())
    }

    /// Whether there is a receiver.
    pub(super) fn is_occupied(&self) -> bool {
        !matches!(self.receiver, Receiver::Nobody)
    }

    /// Gives frames to the receiver, or keeps them for the next one.
    fn send_frames(&mut self, frames: &[Frame], ledger: &Rc<Ledger>) -> Sent {
        if let Receiver::Stream(response) = &mut self.receiver
            && !response.is_over()
            && self.waiting.is_empty()
        {
            let sent = response.send(frames, ledger);
            self.let_go();
            return sent;
        }
        self.put(ledger, |waiting| waiting.add(frames))
    }

    fn put(&mut self, ledger: &Rc<Ledger>, put: impl FnOnce(&mut Waitlist) -> Sent) -> Sent {
        let was_empty = self.waiting.is_empty();
        if put(&mut self.waiting) == Sent::Full {
            return Sent::Full;
        }
        match self.deliver(ledger) {
            Sent::Yes if was_empty && !self.waiting.is_empty() => Sent::Kept,
            sent => sent,
        }
    }

    /// A request wants the next frame, or a response of HTTP/2 does. There must be no other receiver.
    pub(super) fn take(&mut self, taker: Taker, transport: Transport, ledger: &Rc<Ledger>) -> Sent {
        self.attach(Receiver::Taker(taker), carrier(transport));
        self.deliver(ledger)
    }

    /// A response wants all frames. There must be no other receiver.
    pub(super) fn stream(&mut self, response: Response, ledger: &Rc<Ledger>) -> Sent {
        self.attach(Receiver::Stream(response), Carrier::Streaming);
        self.deliver(ledger)
    }

    fn attach(&mut self, receiver: Receiver, carrier: Carrier) {
        self.receiver = receiver;
        self.carrier = carrier;
        self.since = Instant::now();
    }

    /// Shows that the session is alive.
    pub(super) fn beat(&mut self, ledger: &Rc<Ledger>) -> Sent {
        self.since = Instant::now();
        match std::mem::take(&mut self.receiver) {
            Receiver::Nobody => Sent::Yes,
            Receiver::Taker(taker) => give(taker, Taken::from(HEARTBEAT.to_owned())),
            Receiver::Stream(mut response) => {
                let sent = response.beat(ledger);
                self.receiver = Receiver::Stream(response);
                self.let_go();
                sent
            }
        }
    }

    /// Gives what waits to the receiver, as much as it takes.
    fn deliver(&mut self, ledger: &Rc<Ledger>) -> Sent {
        if self.waiting.is_empty() {
            return Sent::Yes;
        }
        match std::mem::take(&mut self.receiver) {
            Receiver::Nobody => Sent::Yes,
            Receiver::Taker(taker) => self.answer(taker),
            Receiver::Stream(mut response) => {
                let mut sent = Sent::Yes;
                while sent == Sent::Yes && response.takes() && !self.waiting.is_empty() {
                    sent = response.send(&self.waiting.take(PORTION_BYTES), ledger);
                }
                self.receiver = Receiver::Stream(response);
                self.let_go();
                sent
            }
        }
    }

    /// Answers a request with what waits. What does not fit into one answer waits for the next request.
    fn answer(&mut self, taker: Taker) -> Sent {
        self.since = Instant::now();
        let frames = self.waiting.take(POLLING_ANSWER_BYTES_MAX);
        give(taker, Taken::messages(frames, Some(self.answer.give())))
    }

    /// Lets go of a response that is over, once all of it is in the kernel: a client that has read its end
    /// may come back at once.
    fn let_go(&mut self) {
        if matches!(&self.receiver, Receiver::Stream(response) if response.is_over() && !response.is_blocked())
        {
            self.receiver = Receiver::Nobody;
            self.since = Instant::now();
        }
    }

    /// The session has ended: tells its receiver. Returns the frames that no receiver has taken.
    pub(super) fn end(self, close: &str) -> Waitlist {
        match self.receiver {
            Receiver::Nobody => {}
            // The request may be gone; another one will ask.
            Receiver::Taker(taker) => drop(taker.send(Ok(close.to_owned().into()))),
            Receiver::Stream(response) => response.end(close),
        }
        self.waiting
    }
}

impl RequestOutlet for Receiving {
    fn send(&mut self, sending: Sending<'_>, ledger: &Rc<Ledger>) -> Sent {
        match sending {
            Sending::Frames(frames) => self.send_frames(frames, ledger),
            // The session sends heartbeats of its own.
            Sending::Ahead(_) => Sent::Yes,
            Sending::Missed(missed) => self.put(ledger, |waiting| {
                waiting.miss(missed);
                Sent::Yes
            }),
        }
    }

    fn flush(&mut self, ledger: &Rc<Ledger>) -> Flushed {
        let Receiver::Stream(response) = &mut self.receiver else {
            return Flushed { sent: Sent::Yes, bytes: 0 };
        };
        let flushed = response.flush(ledger);
        self.let_go();
        match flushed.sent {
            Sent::Yes => Flushed { sent: self.deliver(ledger), ..flushed },
            _ => flushed,
        }
    }

    fn carrier(&self) -> Carrier {
        self.carrier
    }

    fn state(&self) -> RequestState<'_> {
        let own = (self.waiting.waiting(), self.waiting.since());
        let (waiting, since, is_blocked, socket) = match &self.receiver {
            Receiver::Stream(response) => (
                own.0 + response.waiting(),
                response.since().or(own.1),
                response.is_blocked(),
                Some(response.socket()),
            ),
            Receiver::Nobody | Receiver::Taker(_) => (own.0, own.1, false, None),
        };
        let under_way =
            if let Receiver::Stream(response) = &self.receiver { response.under_way() } else { 0 };
        let absent_since = match self.presence() {
            Presence::Absent(since) => Some(since),
            Presence::Attached(_) => None,
        };
        let is_flushed = waiting == Waiting::default() && !is_blocked;
        RequestState {
            waiting,
            under_way,
            since,
            is_flushed,
            is_being_taken: is_blocked,
            absent_since,
            socket,
        }
    }
}

/// The carrier of a transport that is no WebSocket.
fn carrier(transport: Transport) -> Carrier {
    if transport.is_polling() { Carrier::Polling } else { Carrier::Streaming }
}

fn give(taker: Taker, taken: Taken) -> Sent {
    if taker.send(Ok(taken)).is_err() { Sent::Gone } else { Sent::Yes }
}

#[cfg(test)]
mod tests;
