//! The way out of a session that lives by requests: a request that takes one frame, a response that
//! streams for a while, or nobody, and what waits for the next.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use turted_core::wire::sockjs::{HEARTBEAT, Transport, merge_messages, unframe};

use super::request::Refusal;
use super::response::Response;
use crate::frame::Frame;
use crate::metrics::{Carrier, WorkerMetrics};
use crate::outlet::{Outbox, Sent, Waiting};
use crate::socket::Socket;

/// Where the frame goes that a request waits for.
pub(crate) type Taker = oneshot::Sender<Result<String, Refusal>>;

/// What waits for the next receiver, or the receiver that waits for it.
#[derive(Debug)]
pub(crate) struct Receiving {
    /// Frames with messages, in whatever framing was used when they came.
    waiting: Vec<Frame>,
    bytes: usize,
    receiver: Receiver,
    /// What the last receiver came by.
    carrier: Carrier,
    /// When the receiver came, left, or heard a heartbeat.
    since: Instant,
}

#[derive(Debug, Default)]
enum Receiver {
    #[default]
    Nobody,
    Taker(Taker),
    Stream(Response),
}

/// Whether somebody receives, and since when nothing has changed about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Absent(Instant),
    Attached(Instant),
}

impl Receiving {
    /// Nobody receives yet; the first who will comes by `transport`.
    pub(super) fn new(transport: Transport) -> Self {
        let carrier = carrier(transport);
        Self { waiting: Vec::new(), bytes: 0, receiver: Receiver::Nobody, carrier, since: Instant::now() }
    }

    pub(super) fn state(&self) -> State {
        match self.receiver {
            Receiver::Nobody => State::Absent(self.since),
            Receiver::Taker(_) | Receiver::Stream(_) => State::Attached(self.since),
        }
    }

    /// What clients are reached by.
    pub(crate) fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// What the client has not taken yet.
    pub(crate) fn waiting(&self) -> Waiting {
        let own = Waiting { frames: self.waiting.len(), bytes: self.bytes };
        match &self.receiver {
            Receiver::Stream(response) => own + response.waiting(),
            Receiver::Nobody | Receiver::Taker(_) => own,
        }
    }

    /// Whether frames wait for a socket.
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(&self.receiver, Receiver::Stream(response) if response.is_blocked())
    }

    /// The socket of a response that streams.
    pub(crate) fn socket(&self) -> Option<Rc<Socket>> {
        match &self.receiver {
            Receiver::Stream(response) => Some(response.socket()),
            Receiver::Nobody | Receiver::Taker(_) => None,
        }
    }

    /// Whether the request that waited is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(&self.receiver, Receiver::Taker(taker) if taker.is_closed())
    }

    /// Whether nobody receives since so short a time that the client is about to ask for the next frame.
    pub(crate) fn is_between_requests(&self, longest: Duration) -> bool {
        matches!(self.state(), State::Absent(since) if since.elapsed() < longest)
    }

    /// Whether somebody receives.
    pub(super) fn is_occupied(&self) -> bool {
        !matches!(self.receiver, Receiver::Nobody)
    }

    /// Gives frames to the receiver, or keeps them for the next.
    pub(crate) fn send(&mut self, frames: &[Frame], outbox: Outbox<'_>) -> Sent {
        if let Receiver::Stream(response) = &mut self.receiver
            && !response.is_over()
            && self.waiting.is_empty()
        {
            let sent = response.send(frames, outbox);
            self.let_go();
            return sent;
        }
        let bytes: usize = frames.iter().map(|frame| frame.data().len()).sum();
        outbox.metrics.outbox_bytes.add(bytes);
        self.bytes += bytes;
        self.waiting.extend(frames.iter().cloned());
        if outbox.is_exceeded_by(self.waiting()) {
            return Sent::Full;
        }
        self.deliver(outbox)
    }

    /// A request wants the next frame. Nobody else may be receiving.
    pub(super) fn take(&mut self, taker: Taker, outbox: Outbox<'_>) -> Sent {
        self.attach(Receiver::Taker(taker), Carrier::Polling);
        self.deliver(outbox)
    }

    /// A response wants all frames. Nobody else may be receiving.
    pub(super) fn stream(&mut self, response: Response, outbox: Outbox<'_>) -> Sent {
        self.attach(Receiver::Stream(response), Carrier::Streaming);
        self.deliver(outbox)
    }

    fn attach(&mut self, receiver: Receiver, carrier: Carrier) {
        self.receiver = receiver;
        self.carrier = carrier;
        self.since = Instant::now();
    }

    /// Shows that the session is alive.
    pub(super) fn beat(&mut self, outbox: Outbox<'_>) -> Sent {
        self.since = Instant::now();
        match std::mem::take(&mut self.receiver) {
            Receiver::Nobody => Sent::Yes,
            Receiver::Taker(taker) => give(taker, HEARTBEAT.to_owned()),
            Receiver::Stream(mut response) => {
                let sent = response.beat(outbox);
                self.receiver = Receiver::Stream(response);
                self.let_go();
                sent
            }
        }
    }

    /// Writes what waits for the socket.
    pub(crate) fn flush(&mut self, outbox: Outbox<'_>) -> Sent {
        let Receiver::Stream(response) = &mut self.receiver else { return Sent::Yes };
        let sent = response.flush(outbox.metrics);
        self.let_go();
        sent
    }

    /// Gives what waits to the receiver, if there is one that takes it.
    fn deliver(&mut self, outbox: Outbox<'_>) -> Sent {
        let can_take = match &self.receiver {
            Receiver::Nobody => false,
            Receiver::Taker(_) => !self.waiting.is_empty(),
            Receiver::Stream(response) => !response.is_over(),
        };
        if !can_take {
            return Sent::Yes;
        }
        let frames = self.take_waiting(outbox.metrics);
        match std::mem::take(&mut self.receiver) {
            Receiver::Nobody => Sent::Yes,
            Receiver::Taker(taker) => {
                self.since = Instant::now();
                give(taker, merge(&frames))
            }
            Receiver::Stream(mut response) => {
                let sent = response.send(&frames, outbox);
                self.receiver = Receiver::Stream(response);
                self.let_go();
                sent
            }
        }
    }

    fn take_waiting(&mut self, metrics: &WorkerMetrics) -> Vec<Frame> {
        metrics.outbox_bytes.subtract(self.bytes);
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Lets go of a response that is over, once all of it is in the kernel: whoever has read its end
    /// may come back at once.
    fn let_go(&mut self) {
        if matches!(&self.receiver, Receiver::Stream(response) if response.is_over() && !response.is_blocked())
        {
            self.receiver = Receiver::Nobody;
            self.since = Instant::now();
        }
    }

    /// The session has ended: tells its receiver. Gives what nobody has taken, in one frame.
    pub(super) fn end(self, close: &str) -> Option<String> {
        match self.receiver {
            Receiver::Nobody => {}
            // It may be gone; another will ask.
            Receiver::Taker(taker) => drop(taker.send(Ok(close.to_owned()))),
            Receiver::Stream(response) => response.end(close),
        }
        (!self.waiting.is_empty()).then(|| merge(&self.waiting))
    }
}

/// What carries a transport that is no WebSocket.
fn carrier(transport: Transport) -> Carrier {
    if transport.is_polling() { Carrier::Polling } else { Carrier::Streaming }
}

fn give(taker: Taker, frame: String) -> Sent {
    if taker.send(Ok(frame)).is_err() { Sent::Gone } else { Sent::Yes }
}

/// One frame with the messages of several.
fn merge(frames: &[Frame]) -> String {
    let frames: Vec<Cow<'_, str>> = frames.iter().filter_map(|frame| unframe(frame.message())).collect();
    merge_messages(frames.iter().map(AsRef::as_ref))
}
