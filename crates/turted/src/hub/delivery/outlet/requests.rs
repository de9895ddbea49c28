//! The way out of a session that lives by requests: what a transport implements for it.
//!
//! A request takes what waits, or waits for it; a response may stream for a while. Which request takes what,
//! and when, is up to the transport. How much may wait, and for how long, is the same for all transports.

use std::any::Any;
use std::fmt::Debug;
use std::rc::Rc;

use tokio::time::Instant;

use super::ledger::{Flushed, Ledger, Sent, Waiting};
use super::missed::Missed;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Carrier;
use crate::io::socket::Socket;

/// What is sent to a client.
#[derive(Debug)]
pub(crate) enum Sending<'a> {
    /// Frames, behind all that waits.
    Frames(&'a [Frame]),
    /// A frame of the server's own, before all that waits.
    Ahead(&'a Frame),
    /// What it missed, behind all that waits.
    Missed(Missed),
}

/// What is known of such a session.
#[derive(Debug)]
pub(crate) struct RequestState<'a> {
    /// What the client has not taken yet.
    pub(crate) waiting: Waiting,
    /// Bytes of the first frame that waits which the client has taken already.
    pub(crate) under_way: usize,
    /// Since when something has waited; `None` if nothing waits.
    pub(crate) since: Option<Instant>,
    /// Whether the client has taken everything, as far as can be known on this side of the kernel.
    pub(crate) is_flushed: bool,
    /// Whether the client is taking bytes at the moment, and cannot ask for more before it has them.
    pub(crate) is_being_taken: bool,
    /// Since when no request is there to be answered; `None` where that is not known, or one is there.
    pub(crate) absent_since: Option<Instant>,
    /// The socket of a response that streams.
    pub(crate) socket: Option<&'a Rc<Socket>>,
}

#[cfg(test)]
impl RequestState<'_> {
    /// That of a client which has taken everything.
    pub(crate) const NOTHING_WAITS: Self = Self {
        waiting: Waiting { frames: 0, bytes: 0 },
        under_way: 0,
        since: None,
        is_flushed: true,
        is_being_taken: false,
        absent_since: None,
        socket: None,
    };
}

/// The way out of a session that lives by requests.
pub(crate) trait RequestOutlet: Any + Debug {
    /// Gives something to the request that waits, or keeps it for the next.
    fn send(&mut self, sending: Sending<'_>, ledger: &Rc<Ledger>) -> Sent;

    /// Writes what waits for the socket of a response that streams.
    fn flush(&mut self, ledger: &Rc<Ledger>) -> Flushed;

    /// The carrier of the last request.
    fn carrier(&self) -> Carrier;

    /// What else is known of it.
    fn state(&self) -> RequestState<'_>;
}
