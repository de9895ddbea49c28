//! The WebSocket echo service.

use std::rc::Rc;

use crate::connection::Connection;
use crate::frame::Frame;
use crate::transport::websocket::Step;
use crate::worker::Worker;

/// A text message comes back.
pub(crate) fn text(worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
    connection.send(worker, &[Frame::text(text, 0)]);
    Step::Continue
}

/// A binary message comes back.
pub(crate) fn binary(worker: &Rc<Worker>, connection: &Rc<Connection>, bytes: &[u8]) -> Step {
    connection.send(worker, &[Frame::binary(bytes)]);
    Step::Continue
}
