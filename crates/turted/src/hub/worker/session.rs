//! What a connection speaks above its transport, and the table of what each protocol does at the
//! moments that all of them have: a message, a timer, a proof that expires, the end.

use std::rc::Rc;

use turted_core::close::Close;

use crate::http::websocket::reader::Step;
use crate::hub::delivery::metrics::Transport;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::transport::websocket;
use crate::transport::{socketio, sockjs, sse};

/// The state that only one protocol needs of its connections.
#[derive(Debug)]
pub(crate) enum Session {
    SocketIo(socketio::Session),
    WebSocket(websocket::Session),
    Sse(sse::Session),
    SockJs(sockjs::Session),
}

impl Session {
    /// What it is counted as.
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::SocketIo(session) => session.transport(),
            Self::WebSocket(_) => Transport::WebSocket,
            Self::Sse(_) => Transport::Sse,
            Self::SockJs(_) => Transport::SockJs,
        }
    }

    /// The name of the session on its transport.
    pub(crate) fn id(&self) -> Option<SessionId> {
        match self {
            Self::SocketIo(session) => Some(session.id()),
            Self::WebSocket(session) => session.id(),
            // Its client goes on by the position alone.
            Self::Sse(_) => None,
            Self::SockJs(session) => session.id(),
        }
    }

    /// A text message came on a WebSocket.
    pub(crate) fn text(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
        match self {
            Self::SocketIo(session) => socketio::text(worker, connection, session, text),
            Self::WebSocket(session) => session.text(worker, connection, text),
            Self::Sse(_) => Step::Stop,
            Self::SockJs(session) => sockjs::text(worker, connection, session, text),
        }
    }

    /// A binary message came on a WebSocket.
    pub(crate) fn binary(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, bytes: &[u8]) -> Step {
        match self {
            Self::SocketIo(session) => socketio::binary(worker, connection, session, bytes),
            Self::WebSocket(session) => session.binary(worker, connection, bytes),
            Self::Sse(_) => Step::Stop,
            Self::SockJs(_) => {
                // RFC 6455 7.4.1: data of a type it does not accept.
                connection.close(worker, Close::Violation(1003));
                Step::Stop
            }
        }
    }

    /// The answer to a ping of the WebSocket protocol came.
    pub(crate) fn ponged(&self) {
        match self {
            Self::SocketIo(_) | Self::Sse(_) => {}
            Self::WebSocket(session) => session.ponged(),
            Self::SockJs(session) => session.ponged(),
        }
    }

    /// Something is due.
    pub(crate) fn timer(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, due: Due) {
        match self {
            Self::SocketIo(session) => socketio::timer(worker, connection, session, due),
            Self::WebSocket(session) => websocket::timer(worker, connection, session, due),
            Self::Sse(session) => sse::timer(worker, connection, session, due),
            Self::SockJs(session) => sockjs::timer(worker, connection, session, due),
        }
    }

    /// A proof of who the client is has expired. It is told, and stays, without what it had.
    pub(crate) fn expired(&self, worker: &Rc<Worker>, connection: &Rc<Connection>) {
        match self {
            Self::SocketIo(_) => socketio::expired(worker, connection),
            Self::WebSocket(_) => crate::transport::v1::expired(worker, connection),
            Self::Sse(_) => sse::expired(worker, connection),
            Self::SockJs(session) => session.mount().service.expired(worker, connection),
        }
    }

    /// The connection ends: lets go of what belongs to it.
    pub(crate) fn closing(&self) {
        match self {
            Self::SocketIo(session) => session.closing(),
            Self::WebSocket(_) | Self::SockJs(_) | Self::Sse(_) => {}
        }
    }

    /// The last message on a stream that still takes one, as its carrier has it: a WebSocket frame, or
    /// the data of a last chunk. `None` where it could not arrive or is not owed.
    pub(crate) fn farewell(&self, worker: &Worker, close: Close) -> Option<Vec<u8>> {
        match self {
            Self::SocketIo(_) | Self::WebSocket(_) => crate::http::websocket::run::farewell(close),
            Self::Sse(_) => sse::farewell(worker, close),
            Self::SockJs(session) => session.farewell(close),
        }
    }
}
