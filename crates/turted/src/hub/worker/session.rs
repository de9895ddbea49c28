//! The session of a connection: what its transport keeps of it, and does with it. Each transport implements it
//! once, in its `session.rs`.
//!
//! # The contract
//! A transport opens a connection with [`Connection::open`] and hands it a session. From then on the worker
//! calls the session at the moments that all transports have: a message, something that is due, the end. It
//! never calls two methods of one session at once, and a session is never looked at by a delivery. The worker also
//! bounds what waits for a client, and closes a client that does not read.
//!
//! # What the transport has to do
//! No other code does this for it. `server/tests/echo.rs` does all of it in one file.
//! - **Origin.** It refuses a page that `allow_origins` does not name (`http::cors::Page::is_allowed`). Without this
//!   any page connects with what the browser of its reader is allowed.
//! - **Stop.** It refuses a new client while the server stops (`Life::is_draining`).
//! - **Refusals.** It counts each one by its rule (`WorkerMetrics::refused`).
//! - **Log.** It calls [`journal::opened`](super::journal::opened) after [`Connection::open`].
//! - **Admission.** It calls [`Connection::admit`]. Without this a client receives nothing.
//! - **Rate.** It asks [`Connection::may_send`] for each message with data, and closes with
//!   [`Close::RateLimited`]. Pings and pongs of a WebSocket are counted before they reach the session.
//! - **Heartbeat.** It sets the first timer ([`Due::Ping`]), and closes a client that does not answer
//!   ([`Heartbeat`](super::heartbeat::Heartbeat)). Without this the connection of a client that is gone stays open.
//! - **Expiry.** Where its clients prove who they are, it tells them when a proof has expired
//!   ([`Session::expired`]).
//! - **Places.** A session that lives by requests outlives its connections, so it takes a place
//!   (`hub::client::place`).
//!
//! [`Connection::open`]: super::connection::Connection::open
//! [`Connection::admit`]: super::connection::Connection::admit
//! [`Connection::may_send`]: super::connection::Connection::may_send

use std::any::Any;
use std::fmt::Debug;

use futures_core::future::LocalBoxFuture;
#[cfg(doc)]
use turted_core::close::Close;
use turted_core::close::Closing;
use turted_core::name::Name;
use turted_core::wire::websocket::Message;

use super::connection::{Client, Connection};
use super::timers::Due;
use super::worker::Worker;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::Outlet;

/// What the receiver of a message wants next.
pub(crate) enum Step {
    /// The next message.
    Continue,
    /// The next message, but only after this.
    Wait(LocalBoxFuture<'static, ()>),
    /// No more messages.
    Stop,
}

/// What one transport keeps of a connection, and does with it.
pub(crate) trait Session: Any + Debug {
    /// The transport that the connection is counted under.
    fn transport(&self) -> Transport;

    /// Receives a text, a binary message or a pong that came on a WebSocket. Pings and close frames are
    /// answered before, for all transports alike.
    fn receive(&self, client: Client<'_>, message: &Message<'_>) -> Step;

    /// Does what is due.
    fn due(&self, client: Client<'_>, due: Due);

    /// A proof of who the client is has expired, and the connection has lost what it had by it: users, and the
    /// channels `left`.
    fn expired(&self, client: Client<'_>, left: &[Name]);

    /// An operator has taken the connection out of a channel.
    fn removed(&self, client: Client<'_>, channel: &Name);

    /// Whether its client moves to another carrier at this moment, so that what it is told may be lost.
    fn is_moving(&self, _: &Connection) -> bool {
        false
    }

    /// An operator is about to end the session: says so where the end of a connection alone does not keep a client from
    /// coming back.
    fn dismissed(&self, _: Client<'_>) {}

    /// Whether the client goes on where it was when it comes back, although the server keeps no session of it.
    fn shows_position(&self, _: Client<'_>) -> bool {
        false
    }

    /// Such a client may have missed something that the server does not know of. Makes sure that it is told when it comes back,
    /// whatever it was sent since.
    fn forget_position(&self, _: Client<'_>) {}

    /// The connection has ended and left the registry: lets go of what belongs to it, answers the requests of a
    /// session that lives by them, and returns the last bytes for a stream that still takes some, in the form
    /// of its carrier.
    fn end(&self, worker: &Worker, outlet: &mut Outlet, closing: Closing<'_>) -> Option<Vec<u8>>;
}
