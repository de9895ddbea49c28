//! The way out of a connection: a stream that takes bytes now, or a session that lives by requests and collects
//! them for the next one.
//!
//! A queue exists only while a client does not take its bytes, and it is bounded.
//!
//! | file | what |
//! |---|---|
//! | `ledger` | how much may wait for a connection, and what became of what was sent |
//! | `waitlist`, `missed` | what waits for one connection: frames, and what it missed while it was away |
//! | `feeds` | which connections are being sent something of the past |
//! | `pace` | whether a client takes what waits for it |
//! | `stream` | a socket |
//! | `body`, `switch` | a response of HTTP/2; how its stream ends |
//! | `requests` | what a transport implements whose sessions live by requests |
//! | `answer` | whether a client that polls has taken the last answer |

mod ledger;
mod waitlist;
mod missed;
mod feeds;
mod pace;
mod stream;
mod body;
pub(crate) mod switch;
mod requests;
mod answer;

use std::any::Any;
use std::mem;
use std::rc::Rc;

use tokio::time::Instant;

use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Carrier;
use crate::io::socket::Socket;

pub(crate) use answer::{LastAnswer, OnItsWay};
pub(crate) use body::{BodyOutlet, Queue, StreamBody};
pub(crate) use feeds::Feeds;
pub(crate) use ledger::{Flushed, Ledger, Sent, Waiting};
pub(crate) use missed::{Missed, MissedFrames, RECENT_AGE, Telling};
pub(crate) use pace::Pace;
pub(crate) use requests::{RequestOutlet, RequestState, Sending};
pub(crate) use stream::{Form, Stream};
pub(crate) use waitlist::Waitlist;

/// The way out of a connection.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// A socket that is written to as frames come.
    Stream(Stream),
    /// Frames wait to be taken by a response of HTTP/2.
    Body(BodyOutlet),
    /// Requests take what waits.
    Requests(Box<dyn RequestOutlet>),
    /// The connection has ended.
    Closed,
}

impl Outlet {
    /// The way out of a session that lives by requests, if it is the `T` of one transport.
    pub(crate) fn requests<T: RequestOutlet>(&self) -> Option<&T> {
        let Self::Requests(requests) = self else { return None };
        let requests: &dyn Any = &**requests;
        requests.downcast_ref()
    }

    /// The same, to change it.
    pub(crate) fn requests_mut<T: RequestOutlet>(&mut self) -> Option<&mut T> {
        let Self::Requests(requests) = self else { return None };
        let requests: &mut dyn Any = &mut **requests;
        requests.downcast_mut()
    }

    /// The same, taken out: the outlet is closed then. Any other outlet stays as it is.
    pub(crate) fn take_requests<T: RequestOutlet>(&mut self) -> Option<Box<T>> {
        // Looked at first: an outlet that was taken out by mistake would drop its socket.
        self.requests::<T>()?;
        let Self::Requests(requests) = mem::replace(self, Self::Closed) else { return None };
        let requests: Box<dyn Any> = requests;
        requests.downcast().ok()
    }

    pub(crate) fn send(&mut self, frames: &[Frame], ledger: &Rc<Ledger>) -> Sent {
        match self {
            Self::Stream(stream) => stream.send(frames, ledger),
            Self::Body(body) => body.send(frames),
            Self::Requests(requests) => requests.send(Sending::Frames(frames), ledger),
            Self::Closed => Sent::Gone,
        }
    }

    /// Sends a heartbeat: before all that waits, since the client may wait for it, but behind what is half
    /// sent.
    pub(crate) fn send_ahead(&mut self, frame: &Frame, ledger: &Rc<Ledger>) -> Sent {
        match self {
            Self::Stream(stream) => stream.send_ahead(frame, ledger),
            Self::Body(body) => body.send_ahead(frame),
            Self::Requests(requests) => requests.send(Sending::Ahead(frame), ledger),
            Self::Closed => Sent::Gone,
        }
    }

    /// Sends what the client missed, as it takes it.
    pub(crate) fn replay(&mut self, missed: Missed, ledger: &Rc<Ledger>) -> Sent {
        match self {
            Self::Stream(stream) => stream.replay(missed, ledger),
            Self::Body(body) => body.replay(missed),
            Self::Requests(requests) => requests.send(Sending::Missed(missed), ledger),
            Self::Closed => Sent::Gone,
        }
    }

    /// Goes on sending frames, after `written` bytes of the first one were written to the socket.
    pub(crate) fn wrote(&mut self, frames: &[Frame], written: usize, ledger: &Rc<Ledger>) -> Sent {
        match self {
            Self::Stream(stream) => stream.wrote(frames, written, ledger),
            no_socket => no_socket.send(frames, ledger),
        }
    }

    /// The carrier that reaches the client; `None` once the outlet is closed.
    pub(crate) fn carrier(&self) -> Option<Carrier> {
        match self {
            Self::Stream(stream) => Some(stream.form().carrier()),
            Self::Body(_) => Some(Carrier::Streaming),
            Self::Requests(requests) => Some(requests.carrier()),
            Self::Closed => None,
        }
    }

    /// Whether the client has taken everything, as far as can be known on this side of the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        match self {
            Self::Stream(stream) => !stream.is_blocked(),
            Self::Body(body) => body.waiting().frames == 0,
            Self::Requests(requests) => requests.state().is_flushed,
            Self::Closed => true,
        }
    }

    /// Whether the client is taking bytes at the moment, so that it cannot answer a heartbeat yet. A task
    /// watches that it goes on.
    pub(crate) fn is_being_taken(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_blocked(),
            Self::Body(body) => body.waiting().frames > 0,
            Self::Requests(requests) => requests.state().is_being_taken,
            Self::Closed => false,
        }
    }

    /// Since when something has waited for the client; `None` if nothing waits.
    pub(crate) fn since(&self) -> Option<Instant> {
        match self {
            Self::Stream(stream) => stream.since(),
            Self::Body(body) => body.since(),
            Self::Requests(requests) => requests.state().since,
            Self::Closed => None,
        }
    }

    /// What the client has not taken yet.
    pub(crate) fn waiting(&self) -> Waiting {
        match self {
            Self::Stream(stream) => stream.waiting(),
            Self::Body(body) => body.waiting(),
            Self::Requests(requests) => requests.state().waiting,
            Self::Closed => Waiting::default(),
        }
    }

    /// Bytes of the first frame that waits which the client has taken already.
    pub(crate) fn under_way(&self) -> usize {
        match self {
            Self::Stream(stream) => stream.under_way(),
            Self::Body(body) => body.under_way(),
            Self::Requests(requests) => requests.state().under_way,
            Self::Closed => 0,
        }
    }

    /// Since when no request of the client is there to be answered; `None` if one is, or if the session does
    /// not live by requests.
    pub(crate) fn absent_since(&self) -> Option<Instant> {
        match self {
            Self::Requests(requests) => requests.state().absent_since,
            Self::Stream(_) | Self::Body(_) | Self::Closed => None,
        }
    }

    /// The socket that frames are written to, while there is one.
    pub(crate) fn socket(&self) -> Option<Rc<Socket>> {
        match self {
            Self::Stream(stream) => Some(Rc::clone(&stream.socket)),
            Self::Requests(requests) => requests.state().socket.map(Rc::clone),
            Self::Body(_) | Self::Closed => None,
        }
    }

    /// Writes what waits for the socket.
    pub(crate) fn flush(&mut self, ledger: &Rc<Ledger>) -> Flushed {
        match self {
            Self::Stream(stream) => stream.flush(ledger),
            Self::Requests(requests) => requests.flush(ledger),
            Self::Body(_) | Self::Closed => Flushed { sent: Sent::Yes, bytes: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outlet of one transport or another, by its number.
    #[derive(Debug)]
    struct Numbered<const NUMBER: usize>;

    impl<const NUMBER: usize> RequestOutlet for Numbered<NUMBER> {
        fn send(&mut self, _: Sending<'_>, _: &Rc<Ledger>) -> Sent {
            Sent::Kept
        }

        fn flush(&mut self, _: &Rc<Ledger>) -> Flushed {
            Flushed { sent: Sent::Yes, bytes: 0 }
        }

        fn carrier(&self) -> Carrier {
            Carrier::Polling
        }

        fn state(&self) -> RequestState<'_> {
            RequestState::NOTHING_WAITS
        }
    }

    #[test]
    fn only_the_outlet_that_is_asked_for_is_taken_out() {
        let mut outlet = Outlet::Requests(Box::new(Numbered::<1>));
        assert!(outlet.take_requests::<Numbered<2>>().is_none());
        assert!(outlet.requests::<Numbered<1>>().is_some(), "it is still there");
        assert!(outlet.take_requests::<Numbered<1>>().is_some());
        assert!(matches!(outlet, Outlet::Closed));
        assert!(outlet.take_requests::<Numbered<1>>().is_none());
    }
}
