//! What answers the clients of this transport: a table with a function for each of their steps. The transport knows
//! packets and sessions, but not what is said in them. A service knows neither packets nor sessions, and answers by
//! [`Connection::send_message`].

use serde_json::value::RawValue;

use super::payload::Content;
use crate::http::query::Query;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;

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

/// A message of a client that speaks Engine.IO alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// What is done at each step of a client.
#[derive(Debug)]
pub(crate) struct Service {
    /// The namespaces that a client may connect to, at most eight. Clients of a service without any do not speak
    /// Socket.IO.
    pub(crate) namespaces: &'static [&'static str],
    /// What its packets hold.
    pub(crate) content: Content,
    /// Whether events may have binary arguments.
    pub(crate) takes_binary: bool,
    /// The handshake is done. The query is that of the handshake.
    pub(crate) opened: fn(Client<'_>, &Query),
    /// A client is connected to [`ROOT`] without having asked, as in version 4 of the Socket.IO protocol.
    pub(crate) connected: fn(Client<'_>, &Query),
    /// A client asks to be connected to a namespace, and sends this along.
    pub(crate) connect: fn(Client<'_>, &str, Option<&RawValue>) -> Step,
    /// A client leaves a namespace.
    pub(crate) disconnect: fn(Client<'_>, &str) -> Step,
    /// An event came, with the binary messages that its arguments have placeholders for.
    pub(crate) event: fn(Client<'_>, &Event<'_>, &[Vec<u8>]) -> Step,
    /// The answer to an event that asked for one came.
    pub(crate) acked: fn(Client<'_>, u64, &[&RawValue]),
    /// A message of Engine.IO came, to a service without namespaces.
    pub(crate) message: fn(Client<'_>, Said<'_>) -> Step,
}

impl Service {
    /// Whether its clients speak Socket.IO on Engine.IO, and have to connect to a namespace.
    pub(super) fn speaks_socketio(&self) -> bool {
        !self.namespaces.is_empty()
    }
}

/// For a service that does nothing when a client has its handshake, or is connected.
pub(crate) fn say_nothing(_: Client<'_>, _: &Query) {}

/// For a service that asks for no answer to its events.
pub(crate) fn ignore_ack(_: Client<'_>, _: u64, _: &[&RawValue]) {}

/// For a service that has namespaces, and so gets no messages of Engine.IO.
pub(crate) fn ignore_message(_: Client<'_>, _: Said<'_>) -> Step {
    Step::Continue
}
