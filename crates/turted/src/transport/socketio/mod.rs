//! The Socket.IO transport: Engine.IO v3 and v4 over polling and WebSocket, socket.io-client 2 to 4.
//!
//! | file | what |
//! |---|---|
//! | `request` | an HTTP request: its query, the rules it must keep, its answer |
//! | `engine` | what a request does to its session, on the worker that owns it |
//! | `stream` | a WebSocket, from the start or by upgrade |
//! | `session` | the state of a session, its heartbeats and its end |
//! | `packets` | packets of clients, and the rules they must keep |
//! | `connect` | a client connects, or comes back |
//! | `events` | events of clients as turted answers them |
//! | `payload` | bodies of polling answers |

mod connect;
mod engine;
mod events;
mod packets;
mod payload;
mod request;
mod session;
mod stream;

use serde_json::value::RawValue;

pub(crate) use connect::{connect, offset};
pub(crate) use engine::receive;
pub(crate) use events::expired;
pub(crate) use payload::{PollingBody, PollingFormat};
pub(crate) use request::{Attempt, EngineRefusal, PostBody, answer};
pub(crate) use session::{CLOSE_PACKET, Session, timer};
pub(crate) use stream::{binary, text};

/// The namespace that every client is connected to, and the only one of turted.
pub(crate) const ROOT: &str = "/";

/// An event that a client sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// JSON texts.
    pub(crate) args: &'a [&'a RawValue],
    /// The id to answer with, if an answer is wanted.
    pub(crate) ack: Option<u64>,
}
