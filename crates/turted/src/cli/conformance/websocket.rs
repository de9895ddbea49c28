//! The WebSocket echo service.

use crate::hub::delivery::frame::Frame;
use crate::hub::worker::session::Step;
use crate::transport::websocket::Service;

/// Every message comes back.
pub(super) static ECHO: Service = Service {
    speaks_v1: false,
    text: |worker, connection, text| {
        connection.send(worker, &[Frame::text(text, 0)]);
        Step::Continue
    },
    binary: |worker, connection, bytes| {
        connection.send(worker, &[Frame::binary(bytes)]);
        Step::Continue
    },
};
