//! The WebSocket echo service.

use crate::hub::delivery::frame::Frame;
use crate::hub::worker::session::Step;
use crate::transport::websocket::Service;

/// Every message comes back.
pub(super) static ECHO: Service = Service {
    speaks_v1: false,
    text: |client, text| {
        client.connection.send(client.worker, &[Frame::text(text, 0)]);
        Step::Continue
    },
    binary: |client, bytes| {
        client.connection.send(client.worker, &[Frame::binary(bytes)]);
        Step::Continue
    },
};
