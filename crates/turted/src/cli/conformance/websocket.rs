//! The WebSocket echo service.

use std::rc::Rc;

use crate::http::websocket::reader::Step;
use crate::hub::delivery::frame::Frame;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::worker::Worker;

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
