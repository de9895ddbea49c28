//! The Engine.IO services: echo, and that of the suite of engine.io-client, which greets and knows some words.

use std::rc::Rc;

use serde_json::json;
use turted_core::wire::engineio::{Version, encode_binary};

use super::guests;
use super::routes::TestService;
use crate::http::websocket::reader::Step;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::worker::Worker;

/// What the suite of engine.io-client wants to receive in binary, and a text with letters of two bytes.
const BYTES: &[u8] = &[0, 1, 2, 3, 4];
const LETTERS: &str = "пойду спать всем спокойной ночи";

/// A client of the suite of engine.io-client is greeted.
pub(super) fn greet(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    connection.send_message(worker, "4hi");
}

/// A text message comes back, unless its service knows it as a question.
pub(crate) fn text(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    service: TestService,
    text: &str,
) -> Step {
    match (service, text) {
        (TestService::EngineClient, "give binary") => return binary(worker, connection, BYTES),
        (TestService::EngineClient, "give utf8") => {
            connection.send_message(worker, &format!("4{LETTERS}"));
        }
        (TestService::EngineClient, "sendHeaders") => {
            let cookies = connection.session.id().and_then(|id| guests::cookies(&id.to_string()));
            let headers = cookies.map_or_else(|| json!({}), |cookies| json!({ "cookie": cookies }));
            connection.send_message(worker, &format!("4{headers}"));
        }
        _ => connection.send_message(worker, &format!("4{text}")),
    }
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
