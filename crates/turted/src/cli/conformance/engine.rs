//! The Engine.IO services: echo, and one for the suite of engine.io-client, which greets and answers some messages.

use serde_json::json;
use turted_core::wire::engineio::{Version, encode_binary};

use super::guests;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::session::Step;
use crate::transport::socketio::{Content, Said, Service, ignore_ack, say_nothing};

/// What the suite of engine.io-client wants to receive in binary, and a text with letters of two bytes.
const BYTES: &[u8] = &[0, 1, 2, 3, 4];
const LETTERS: &str = "пойду спать всем спокойной ночи";

/// Every message comes back.
pub(super) static ECHO: Service = Service {
    namespaces: &[],
    content: Content::Any,
    takes_binary: true,
    opened: say_nothing,
    connected: say_nothing,
    connect: |_, _, _| Step::Continue,
    disconnect: |_, _| Step::Continue,
    event: |_, _, _| Step::Continue,
    acked: ignore_ack,
    message: echo,
};

/// What the suite of engine.io-client expects.
pub(super) static CLIENT: Service =
    Service { opened: |client, _| client.send_message("4hi"), message: answer, ..ECHO };

fn echo(client: Client<'_>, said: Said<'_>) -> Step {
    match said {
        Said::Text(text) => client.send_message(&format!("4{text}")),
        Said::Binary(bytes) => client.send(&[frame(client.connection, bytes)]),
    }
    Step::Continue
}

/// Answers a question, or echoes.
fn answer(client: Client<'_>, said: Said<'_>) -> Step {
    match said {
        Said::Text("give binary") => client.send(&[frame(client.connection, BYTES)]),
        Said::Text("give utf8") => client.send_message(&format!("4{LETTERS}")),
        Said::Text("sendHeaders") => {
            let cookies = guests::cookies(client.connection);
            let headers = cookies.map_or_else(|| json!({}), |cookies| json!({ "cookie": cookies }));
            client.send_message(&format!("4{headers}"));
        }
        said => return echo(client, said),
    }
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
