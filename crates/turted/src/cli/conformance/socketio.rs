//! The Socket.IO service: who connects is sent its `auth`, `message` comes back as `message-back`,
//! `message-with-ack` as its ack; binary arguments too.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::sleep;

use super::guests::Guest;
use super::routes::TestService;
use super::{client, engine};
use crate::http::websocket::reader::Step;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::session::Session;
use crate::hub::worker::worker::Worker;
use crate::transport::service::Service;
use crate::transport::socketio::{Event, ROOT};

/// Time between the answer to a CONNECT and the first event. The suite waits for one message after
/// the other, and never sees one that is read together with the one before.
const PAUSE: Duration = Duration::from_millis(20);

/// A client has connected to a namespace.
pub(crate) fn connect(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    namespace: &str,
    data: Option<&RawValue>,
) -> Step {
    if let Some(guest) = guest(connection) {
        return client::connect(worker, connection, (namespace, guest), data);
    }
    let connected = match connection.session.transport() {
        // Version 4 of the Socket.IO protocol says no more than that.
        Transport::SocketIoV3 => format!("40{namespace}"),
        _ => {
            let sid = json!({ "sid": connection.public_id() });
            format!("40{}{sid}", prefix(namespace))
        }
    };
    connection.send_message(worker, &connected);
    let (worker, connection) = (Rc::clone(worker), Rc::clone(connection));
    let (namespace, data) = (namespace.to_owned(), data.map(ToOwned::to_owned));
    Step::Wait(Box::pin(async move {
        sleep(PAUSE).await;
        greet(&worker, &connection, &namespace, data.as_deref());
    }))
}

/// Tells a client what it sent along when it connected.
pub(crate) fn greet(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    namespace: &str,
    data: Option<&RawValue>,
) {
    if guest(connection).is_some() {
        return;
    }
    let auth = data.map_or("{}", RawValue::get);
    connection.send_message(worker, &format!(r#"42{}["auth",{auth}]"#, prefix(namespace)));
}

/// An event with the binary messages that its arguments have placeholders for.
pub(crate) fn event(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    event: &Event<'_>,
    attachments: &[Vec<u8>],
) {
    if let Some(guest) = guest(connection) {
        return client::event(worker, connection, (event, guest), attachments);
    }
    let args = event.args.iter().map(|arg| arg.get().to_owned());
    let (kind, ack, elements): (_, _, Vec<_>) = match (event.name, event.ack) {
        ("message", _) => (2, None, std::iter::once(r#""message-back""#.to_owned()).chain(args).collect()),
        ("message-with-ack", Some(ack)) => (3, Some(ack), args.collect()),
        _ => return,
    };
    // The packets that announce binary messages are numbered three higher, and say how many.
    let kind = match attachments.len() {
        0 => kind.to_string(),
        count => format!("{}{count}-", kind + 3),
    };
    let ack = ack.map(|ack| ack.to_string()).unwrap_or_default();
    let packet = format!("4{kind}{}{ack}[{}]", prefix(event.namespace), elements.join(","));
    let mut frames = vec![Frame::text(&packet, 0)];
    frames.extend(attachments.iter().map(|bytes| engine::frame(connection, bytes)));
    connection.send(worker, &frames);
}

/// The answer to an event that asked for one.
pub(crate) fn acked(worker: &Rc<Worker>, connection: &Rc<Connection>, (id, args): (u64, &[&RawValue])) {
    if guest(connection).is_some() {
        client::acked(worker, connection, (id, args));
    }
}

/// Whether it is a client of the suite of socket.io-client, and which.
fn guest(connection: &Connection) -> Option<Guest> {
    match &connection.session {
        Session::SocketIo(session) => match session.service {
            Service::Test(TestService::SocketIoClient(guest)) => Some(guest),
            _ => None,
        },
        _ => None,
    }
}

/// How a packet names its namespace.
pub(super) fn prefix(namespace: &str) -> String {
    if namespace == ROOT { String::new() } else { format!("{namespace},") }
}
