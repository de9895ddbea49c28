//! The way out of a connection: a stream that takes bytes now, or a polling session that collects
//! them for its next request.
//!
//! A queue exists only while a client does not take its bytes, and it is bounded.

mod body;
mod stream;

use std::ops::Add;
use std::rc::Rc;

use tokio::sync::oneshot;

use crate::frame::Frame;
use crate::metrics::{Carrier, WorkerMetrics};
use crate::socket::Socket;
use crate::transport::socketio::{EngineRefusal, PollingBody, PollingFormat};
use crate::transport::sockjs::Receiving;

pub(crate) use body::{BodyOutlet, Queue, StreamBody};
pub(crate) use stream::{Form, Stream};

/// The Engine.IO packet that answers a polling request with nothing.
const NOOP: &str = "6";

/// How much may wait for one connection, and where it is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outbox<'a> {
    pub(crate) bytes_max: usize,
    pub(crate) frames_max: usize,
    pub(crate) metrics: &'a WorkerMetrics,
}

/// What waits for one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

impl Add for Waiting {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { frames: self.frames + other.frames, bytes: self.bytes + other.bytes }
    }
}

impl Outbox<'_> {
    /// One frame alone always fits: it was accepted as a push, and is a little longer than that.
    pub(crate) fn is_exceeded_by(self, waiting: Waiting) -> bool {
        waiting.frames > self.frames_max || (waiting.frames > 1 && waiting.bytes > self.bytes_max)
    }
}

/// What became of frames that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// They are in the kernel, in a polling answer, or wait behind others.
    Yes,
    /// They wait, and nobody watches the socket yet: somebody must flush it.
    Blocked,
    /// More waits than may.
    Full,
    /// The socket is broken or the connection closed.
    Gone,
}

/// The way out of a connection.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// A socket that is written to as frames come.
    Stream(Stream),
    /// Frames wait for the next polling request.
    Polling(Box<Polling>),
    /// Frames wait to be taken by a response of HTTP/2.
    Body(BodyOutlet),
    /// Requests of SockJS, which take one frame each or stream for a while.
    SockJs(Box<Receiving>),
    /// The connection has ended.
    Closed,
}

impl Outlet {
    pub(crate) fn send(&mut self, frames: &[Frame], outbox: Outbox<'_>) -> Sent {
        match self {
            Self::Stream(stream) => stream.send(frames, outbox),
            Self::Polling(polling) => polling.send(frames, outbox),
            Self::Body(body) => body.send(frames, outbox),
            Self::SockJs(receiving) => receiving.send(frames, outbox),
            Self::Closed => Sent::Gone,
        }
    }

    /// Goes on sending frames, after so many bytes of the first one were written to the socket.
    pub(crate) fn wrote(&mut self, frames: &[Frame], written: usize, outbox: Outbox<'_>) -> Sent {
        match self {
            Self::Stream(stream) => stream.wrote(frames, written, outbox),
            no_socket => no_socket.send(frames, outbox),
        }
    }

    /// What the client is reached by; `None` once it is closed.
    pub(crate) fn carrier(&self) -> Option<Carrier> {
        match self {
            Self::Stream(stream) => Some(stream.form().carrier()),
            Self::Polling(_) => Some(Carrier::Polling),
            Self::Body(_) => Some(Carrier::Streaming),
            Self::SockJs(receiving) => Some(receiving.carrier()),
            Self::Closed => None,
        }
    }

    /// Whether the client has taken everything, as far as can be known on this side of the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        match self {
            Self::Stream(stream) => !stream.is_blocked(),
            Self::Polling(polling) => polling.waiting.is_empty(),
            Self::Body(body) => body.waiting().frames == 0,
            Self::SockJs(receiving) => receiving.waiting() == Waiting::default() && !receiving.is_blocked(),
            Self::Closed => true,
        }
    }

    /// What the client has not taken yet.
    pub(crate) fn waiting(&self) -> Waiting {
        match self {
            Self::Stream(stream) => stream.waiting(),
            Self::Body(body) => body.waiting(),
            Self::Polling(polling) => Waiting { frames: polling.waiting.len(), bytes: polling.bytes },
            Self::SockJs(receiving) => receiving.waiting(),
            Self::Closed => Waiting::default(),
        }
    }

    /// The socket that frames are written to, while there is one.
    pub(crate) fn socket(&self) -> Option<Rc<Socket>> {
        match self {
            Self::Stream(stream) => Some(Rc::clone(&stream.socket)),
            Self::SockJs(receiving) => receiving.socket(),
            Self::Polling(_) | Self::Body(_) | Self::Closed => None,
        }
    }

    /// Writes what waits for the socket. `Yes`: nothing waits any more; `Blocked`: it is full again.
    pub(crate) fn flush(&mut self, outbox: Outbox<'_>) -> Sent {
        match self {
            Self::Stream(stream) => stream.flush(outbox.metrics),
            Self::SockJs(receiving) => receiving.flush(outbox),
            Self::Polling(_) | Self::Body(_) | Self::Closed => Sent::Yes,
        }
    }
}

/// The body of a polling answer, or why there is none.
pub(crate) type PollingAnswer = Result<PollingBody, EngineRefusal>;

/// What waits for the next polling request, or the request that waits for it.
#[derive(Debug)]
pub(crate) struct Polling {
    format: PollingFormat,
    waiting: Vec<Frame>,
    bytes: usize,
    request: Option<oneshot::Sender<PollingAnswer>>,
    held: Held,
}

/// Whether frames are held back for a client that is about to move to a stream. Its requests get a
/// NOOP until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    No,
    Yes,
    /// A NOOP was sent a short while ago: the next request waits.
    Paused,
}

impl Polling {
    pub(crate) fn new(format: PollingFormat) -> Self {
        Self { format, waiting: Vec::new(), bytes: 0, request: None, held: Held::No }
    }

    fn send(&mut self, frames: &[Frame], outbox: Outbox<'_>) -> Sent {
        let bytes: usize = frames.iter().map(|frame| frame.bytes().len()).sum();
        outbox.metrics.outbox_bytes.add(bytes);
        self.bytes += bytes;
        self.waiting.extend(frames.iter().cloned());
        if outbox.is_exceeded_by(Waiting { frames: self.waiting.len(), bytes: self.bytes }) {
            return Sent::Full;
        }
        self.answer(outbox.metrics)
    }

    /// Answers the request that waits, if there is one and something to answer.
    fn answer(&mut self, metrics: &WorkerMetrics) -> Sent {
        if self.waiting.is_empty() || self.held != Held::No {
            return Sent::Yes;
        }
        let Some(request) = self.request.take() else { return Sent::Yes };
        if request.is_closed() {
            return Sent::Gone;
        }
        let waiting = self.take(metrics);
        let body = self.format.encode(&waiting);
        if request.send(Ok(body)).is_err() { Sent::Gone } else { Sent::Yes }
    }

    /// Parks a request until there is something to answer.
    ///
    /// # Errors
    /// Gives `request` back if another one waits already.
    pub(crate) fn park(
        &mut self,
        request: oneshot::Sender<PollingAnswer>,
        metrics: &WorkerMetrics,
    ) -> Result<Sent, oneshot::Sender<PollingAnswer>> {
        if self.request.as_ref().is_some_and(|waiting| !waiting.is_closed()) {
            return Err(request);
        }
        self.request = Some(request);
        Ok(self.answer(metrics))
    }

    /// Answers the request that waits, if any, with one packet out of turn.
    pub(crate) fn answer_alone(&mut self, packet: &str) {
        if let Some(request) = self.request.take() {
            // The client may have given up waiting; the packet is of no use to it then.
            let _ = request.send(Ok(self.format.encode_packet(packet)));
        }
    }

    /// The client is about to move: holds frames back. Requests are to be
    /// [sent home](Self::send_home).
    pub(crate) fn hold(&mut self) {
        self.held = Held::Yes;
    }

    /// Answers the request of a client that is about to move, if one waits. If so, the next one waits
    /// until [`end_pause`](Self::end_pause) is called.
    pub(crate) fn send_home(&mut self) -> bool {
        let goes = self.held == Held::Yes && self.request.is_some();
        if goes {
            self.held = Held::Paused;
            self.dismiss();
        }
        goes
    }

    /// Ends the request that waits, if any, with nothing.
    pub(crate) fn dismiss(&mut self) {
        self.answer_alone(NOOP);
    }

    /// The next request may be sent home.
    pub(crate) fn end_pause(&mut self) {
        if self.held == Held::Paused {
            self.held = Held::Yes;
        }
    }

    /// The client did not move after all: its next request gets what waits.
    pub(crate) fn release(&mut self, metrics: &WorkerMetrics) -> Sent {
        self.held = Held::No;
        self.answer(metrics)
    }

    /// Whether the request that waited is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.request.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// The client has moved: everything that waits goes with it.
    pub(crate) fn leave(&mut self, metrics: &WorkerMetrics) -> Vec<Frame> {
        self.dismiss();
        self.take(metrics)
    }

    fn take(&mut self, metrics: &WorkerMetrics) -> Vec<Frame> {
        metrics.outbox_bytes.subtract(self.bytes);
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}
