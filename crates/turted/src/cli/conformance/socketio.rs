//! The Socket.IO service: a client that connects is sent its `auth`, `message` comes back as `message-back`,
//! `message-with-ack` as its ack; binary arguments too.

use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::engine;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;
use crate::transport::socketio::{
    Content, EngineSession, Event, ROOT, Service, ignore_ack, ignore_message, say_nothing,
};

/// Time between the answer to a CONNECT and the first event. The suite waits for one message after
/// the other, and misses a message that is read together with the previous one.
const PAUSE: Duration = Duration::from_millis(20);

/// Every event comes back.
pub(super) static ECHO: Service = Service {
    namespaces: &["/", "/custom"],
    content: Content::Any,
    takes_binary: true,
    opened: say_nothing,
    connected: |client, _| greet(client, ROOT, None),
    connect,
    disconnect: leave,
    event,
    acked: ignore_ack,
    message: ignore_message,
};

/// A client leaves a namespace. Its connection stays.
pub(super) fn leave(client: Client<'_>, namespace: &str) -> Step {
    if let Some(session) = client.connection.session::<EngineSession>() {
        session.leave(namespace);
    }
    Step::Continue
}

/// A client has connected to a namespace.
fn connect(client: Client<'_>, namespace: &str, data: Option<&RawValue>) -> Step {
    let connected = match client.connection.session.transport() {
        // In version 4 of the Socket.IO protocol the packet holds nothing else.
        Transport::SocketIoV3 => format!("40{namespace}"),
        _ => {
            let sid = json!({ "sid": client.connection.public_id() });
            format!("40{}{sid}", prefix(namespace))
        }
    };
    client.send_message(&connected);
    let (worker, connection) = client.owned();
    let (namespace, data) = (namespace.to_owned(), data.map(ToOwned::to_owned));
    Step::Wait(Box::pin(async move {
        sleep(PAUSE).await;
        greet(Client::of(&worker, &connection), &namespace, data.as_deref());
    }))
}

/// Tells a client what it sent along when it connected.
fn greet(client: Client<'_>, namespace: &str, data: Option<&RawValue>) {
    let auth = data.map_or("{}", RawValue::get);
    client.send_message(&format!(r#"42{}["auth",{auth}]"#, prefix(namespace)));
}

/// An event with the binary messages that its arguments have placeholders for.
fn event(client: Client<'_>, event: &Event<'_>, attachments: &[Vec<u8>]) -> Step {
    let args = event.args.iter().map(|arg| arg.get().to_owned());
    let (kind, ack, elements): (_, _, Vec<_>) = match (event.name, event.ack) {
        ("message", _) => (2, None, std::iter::once(r#""message-back""#.to_owned()).chain(args).collect()),
        ("message-with-ack", Some(ack)) => (3, Some(ack), args.collect()),
        _ => return Step::Continue,
    };
    // The packets that announce binary messages are numbered three higher, and say how many.
    let kind = match attachments.len() {
        0 => kind.to_string(),
        count => format!("{}{count}-", kind + 3),
    };
    let ack = ack.map(|ack| ack.to_string()).unwrap_or_default();
    let packet = format!("4{kind}{}{ack}[{}]", prefix(event.namespace), elements.join(","));
    let mut frames = vec![Frame::text(&packet, 0)];
    frames.extend(attachments.iter().map(|bytes| engine::frame(client.connection, bytes)));
    client.send(&frames);
    Step::Continue
}

/// How a packet names its namespace.
pub(super) fn prefix(namespace: &str) -> String {
    if namespace == ROOT { String::new() } else { format!("{namespace},") }
}
