//! The way out of a connection: a stream that takes bytes now, or a polling session that collects
//! them for its next request.
//!
//! A queue exists only while a client does not take its bytes, and it is bounded.
//!
//! | file | what |
//! |---|---|
//! | `waitlist`, `missed` | what waits for one connection: frames, and what it missed while it was away |
//! | `pace` | whether a client takes what waits for it |
//! | `stream`, `polling`, `body` | a socket; polling of Engine.IO; a response of HTTP/2 |
//! | `answer` | whether a client that polls has taken the last answer |

mod answer;
mod body;
mod missed;
mod pace;
mod polling;
mod stream;
pub(crate) mod switch;
mod waitlist;

use std::ops::Add;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::{Carrier, WorkerMetrics};
use crate::io::backlogs::Backlogs;
use crate::io::socket::Socket;
use crate::transport::sockjs::Receiving;

pub(crate) use answer::{LastAnswer, OnItsWay};
pub(crate) use body::{BodyOutlet, Queue, StreamBody};
pub(crate) use missed::{Missed, MissedFrames, RECENT_AGE};
pub(crate) use pace::Pace;
pub(crate) use polling::{Polling, PollingAnswer};
pub(crate) use stream::{Form, Stream};
pub(crate) use waitlist::Waitlist;

/// How much may wait for one connection, and where it is counted: one for all connections of a worker.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) bytes_max: usize,
    pub(crate) frames_max: usize,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) backlogs: Arc<Backlogs>,
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

/// What became of frames that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// They are in the kernel, in a polling answer, or wait behind others.
    Yes,
    /// They wait, the first that do, and somebody will take them: the next request of the client, or whoever
    /// watches its socket.
    Kept,
    /// They wait, and nobody watches the socket yet: somebody must flush it.
    Blocked,
    /// More waits than may.
    Full,
    /// The socket is broken or the connection closed.
    Gone,
}

/// What came of writing what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// `Yes`: nothing waits any more; `Blocked`: more does.
    pub(crate) sent: Sent,
    /// Bytes that were written.
    pub(crate) bytes: usize,
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
    pub(crate) fn send(&mut self, frames: &[Frame], ledger: &Rc<Ledger>) -> Sent {
        match self {
            Self::Stream(stream) => stream.send(frames, ledger),
            Self::Polling(polling) => polling.send(frames),
            Self::Body(body) => body.send(frames),
            Self::SockJs(receiving) => receiving.send(frames, ledger),
            Self::Closed => Sent::Gone,
        }
    }

    /// Sends a heartbeat: before all that waits, since the client may wait for it, but behind what is half
    /// sent.
    pub(crate) fn send_ahead(&mut self, frame: &Frame, ledger: &Rc<Ledger>) -> Sent {
        match self {
            Self::Stream(stream) => stream.send_ahead(frame, ledger),
            Self::Polling(polling) => polling.send_ahead(frame),
            Self::Body(body) => body.send_ahead(frame),
            // Its heartbeats are its own affair.
            Self::SockJs(_) => Sent::Yes,
            Self::Closed => Sent::Gone,
        }
    }

    /// Sends what the client missed, as it takes it.
    pub(crate) fn replay(&mut self, missed: Missed, ledger: &Rc<Ledger>) -> Sent {
        match self {
            Self::Stream(stream) => stream.replay(missed, ledger),
            Self::Polling(polling) => polling.replay(missed),
            Self::Body(body) => body.replay(missed),
            Self::SockJs(receiving) => receiving.replay(missed, ledger),
            Self::Closed => Sent::Gone,
        }
    }

    /// Goes on sending frames, after so many bytes of the first one were written to the socket.
    pub(crate) fn wrote(&mut self, frames: &[Frame], written: usize, ledger: &Rc<Ledger>) -> Sent {
        match self {
            Self::Stream(stream) => stream.wrote(frames, written, ledger),
            no_socket => no_socket.send(frames, ledger),
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
            Self::Polling(polling) => polling.since().is_none(),
            Self::Body(body) => body.waiting().frames == 0,
            Self::SockJs(receiving) => receiving.waiting() == Waiting::default() && !receiving.is_blocked(),
            Self::Closed => true,
        }
    }

    /// Whether the client is taking bytes at the moment, so that it cannot answer a heartbeat yet. Somebody
    /// watches that it goes on.
    pub(crate) fn is_being_taken(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_blocked(),
            Self::Polling(polling) => polling.is_being_taken(),
            Self::Body(body) => body.waiting().frames > 0,
            Self::SockJs(receiving) => receiving.is_blocked(),
            Self::Closed => false,
        }
    }

    /// Since when something has waited for the client; `None` if nothing waits.
    pub(crate) fn since(&self) -> Option<Instant> {
        match self {
            Self::Stream(stream) => stream.since(),
            Self::Polling(polling) => polling.since(),
            Self::Body(body) => body.since(),
            Self::SockJs(receiving) => receiving.since(),
            Self::Closed => None,
        }
    }

    /// What the client has not taken yet.
    pub(crate) fn waiting(&self) -> Waiting {
        match self {
            Self::Stream(stream) => stream.waiting(),
            Self::Body(body) => body.waiting(),
            Self::Polling(polling) => polling.waiting(),
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

    /// Writes what waits for the socket.
    pub(crate) fn flush(&mut self, ledger: &Rc<Ledger>) -> Flushed {
        match self {
            Self::Stream(stream) => stream.flush(ledger),
            Self::SockJs(receiving) => receiving.flush(ledger),
            Self::Polling(_) | Self::Body(_) | Self::Closed => Flushed { sent: Sent::Yes, bytes: 0 },
        }
    }
}
