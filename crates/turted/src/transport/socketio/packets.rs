//! Packets of clients: heartbeats, Socket.IO packets, and the commands in them.

use std::rc::Rc;

use serde_json::value::RawValue;
use turted_core::auth::IdentRefusal;
use turted_core::close::Close;
use turted_core::command::{Command, Ident};
use turted_core::reply::Reply;
use turted_core::wire::engineio::{self, Version};
use turted_core::wire::socketio::{self, encode_ack, encode_connect_error, encode_event, is_reserved};

use super::connect;
use super::session::Session;
use crate::commands::{self, Outcome};
use crate::connection::Connection;
use crate::frame::Frame;
use crate::transport::websocket::Step;
use crate::wire::Wire;
use crate::worker::Worker;

/// What tells a client of version 4 of the Socket.IO protocol that it is connected.
pub(super) const CONNECTED_V3: &str = "40";
/// The only namespace there is.
const ROOT: &str = "/";

const RATE_LIMITED: &str = "too many messages (limits.message_rate, limits.message_burst)";
const BINARY: &str = "binary data is not supported";

/// Receives one packet of a client.
pub(super) fn receive(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    packet: &engineio::Packet<'_>,
) -> Step {
    let session = Session::of(connection);
    session.heard();
    if !connection.may_send(worker) {
        refuse(worker, connection, Refused { rule: "message-rate", reason: RATE_LIMITED }, None);
        connection.close(worker, Close::RateLimited);
        return Step::Stop;
    }
    match (packet, session.version) {
        (engineio::Packet::Message(text), _) => message(worker, connection, text),
        (engineio::Packet::Binary(_), _) => attachment(worker, connection),
        (engineio::Packet::Ping(_), Version::V3) => {
            connection.send_message(worker, "3");
            Step::Continue
        }
        (engineio::Packet::Pong(_), Version::V4) => {
            session.ponged();
            Step::Continue
        }
        (engineio::Packet::Close, _) => end(worker, connection, Close::TransportLost),
        (engineio::Packet::Noop, _) => Step::Continue,
        _ => end(worker, connection, Close::Violation(1002)),
    }
}

fn end(worker: &Rc<Worker>, connection: &Rc<Connection>, close: Close) -> Step {
    connection.close(worker, close);
    Step::Stop
}

/// A binary message: it must belong to a packet that announced it, and was refused then.
fn attachment(worker: &Rc<Worker>, connection: &Rc<Connection>) -> Step {
    let attachments = &Session::of(connection).attachments;
    match attachments.get().checked_sub(1) {
        Some(left) => {
            attachments.set(left);
            Step::Continue
        }
        None => end(worker, connection, Close::Violation(1003)),
    }
}

fn message(worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
    let session = Session::of(connection);
    if session.attachments.get() > 0 || text.len() > worker.config.limits.message_bytes {
        let code = if session.attachments.get() > 0 { 1002 } else { 1009 };
        return end(worker, connection, Close::Violation(code));
    }
    let packet = match socketio::decode(text) {
        Ok(packet) => packet,
        Err(malformed) => {
            tracing::debug!(key = ?connection.key, %malformed, "malformed packet");
            return end(worker, connection, Close::Violation(1002));
        }
    };
    match packet {
        socketio::Packet::Connect { namespace: ROOT, data, .. } if !session.connected.get() => {
            connect::connect(worker, connection, data)
        }
        socketio::Packet::Connect { namespace, .. } if namespace != ROOT => {
            let refusal = encode_connect_error(session.version, namespace, "Invalid namespace");
            connection.send_message(worker, &refusal);
            Step::Continue
        }
        socketio::Packet::Disconnect { namespace: ROOT } => end(worker, connection, Close::ByClient),
        socketio::Packet::Event { namespace: ROOT, ack, name, args, attachments }
            if session.connected.get() =>
        {
            if is_reserved(&name) {
                return end(worker, connection, Close::Violation(1002));
            }
            if attachments > 0 {
                session.attachments.set(u8::try_from(attachments).unwrap_or(u8::MAX));
                refuse(worker, connection, Refused { rule: "binary", reason: BINARY }, ack);
                Step::Continue
            } else {
                command(worker, connection, (&name, &args), ack)
            }
        }
        // We ask for no acks; what a late one carries concerns nobody.
        socketio::Packet::Ack { namespace: ROOT, attachments, .. } => {
            session.attachments.set(u8::try_from(attachments).unwrap_or(u8::MAX));
            Step::Continue
        }
        _ => end(worker, connection, Close::Violation(1002)),
    }
}

/// Does what a client asks and answers: a reply as the node server sent it, and an ack if one is
/// wanted.
fn command(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    (name, args): (&str, &[&RawValue]),
    ack: Option<u64>,
) -> Step {
    match Command::decode(name, args) {
        Ok(command) => commands::perform(worker, connection, command, move |worker, connection, outcome| {
            send_outcome(worker, connection, outcome, ack);
        }),
        Err(refusal) => {
            let reason = refusal.to_string();
            refuse(worker, connection, Refused { rule: "command", reason: &reason }, ack);
            Step::Continue
        }
    }
}

/// Verifies who the client is by what came with its handshake, and makes it so.
pub(super) fn identify(worker: &Rc<Worker>, connection: &Rc<Connection>, ident: &Ident<'_>) -> Step {
    commands::identify(worker, connection, ident, |worker, connection, outcome| {
        send_outcome(worker, connection, outcome, None);
    })
}

fn send_outcome(worker: &Rc<Worker>, connection: &Rc<Connection>, outcome: Outcome<'_>, ack: Option<u64>) {
    match outcome {
        Ok(reply) => send_reply(worker, connection, &reply, ack),
        Err(refusal) => send_reply(worker, connection, &Reply::Refused(&refusal.to_string()), ack),
    }
}

/// A proof of who the client is has expired: it is told, and stays, without what it had.
pub(crate) fn expired(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    send_reply(worker, connection, &Reply::Refused(&IdentRefusal::Expired.to_string()), None);
}

/// Why something is refused: the rule for the operator's metrics, the reason for the client.
pub(super) struct Refused<'a> {
    pub(super) rule: &'static str,
    pub(super) reason: &'a str,
}

/// Says no, and counts it.
pub(super) fn refuse(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    refused: Refused<'_>,
    ack: Option<u64>,
) {
    worker.metrics.refused(refused.rule);
    send_reply(worker, connection, &Reply::Refused(refused.reason), ack);
}

/// Sends a reply, and the ack if one is wanted, in one write.
pub(super) fn send_reply(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    reply: &Reply<'_>,
    ack: Option<u64>,
) {
    let argument = reply.argument();
    let offset = connect::offset(worker, connection);
    // A client that resumes takes a string at the end of any event for its position. So where the
    // reply ends in a string, the real position has to follow.
    let hides_offset = connection.wire() == Wire::SOCKET_IO_WITH_OFFSET && argument.starts_with('"');
    let packet = if hides_offset {
        encode_event(reply.event(), &[&argument, &format!("\"{offset}\"")])
    } else {
        encode_event(reply.event(), &[&argument])
    };
    let mut frames = vec![Frame::text(&packet, 0)];
    frames.extend(ack.map(|id| Frame::text(&encode_ack(id, &reply.ack()), 0)));
    connection.send(worker, &frames);
}
