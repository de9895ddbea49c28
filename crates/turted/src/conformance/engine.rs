//! The Engine.IO echo service.

use std::rc::Rc;

use turted_core::wire::engineio::{Version, encode_binary};

use crate::connection::Connection;
use crate::frame::Frame;
use crate::metrics::Transport;
use crate::transport::websocket::Step;
use crate::worker::Worker;

/// A text message comes back.
pub(crate) fn text(worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
    connection.send_message(worker, &format!("4{text}"));
    Step::Continue
}

/// A binary message comes back.
pub(crate) fn binary(worker: &Rc<Worker>, connection: &Rc<Connection>, bytes: &[u8]) -> Step {
    connection.send(worker, &[frame(connection, bytes)]);
    Step::Continue
}

/// Bytes as the client's version of Engine.IO carries them.
pub(super) fn frame(connection: &Connection, bytes: &[u8]) -> Frame {
    let version = match connection.session.transport() {
        Transport::SocketIoV3 => Version::V3,
        _ => Version::V4,
    };
    Frame::binary(&encode_binary(version, bytes))
}
