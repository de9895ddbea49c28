//! Packets of clients: heartbeats, and the rules of Socket.IO packets. What they ask for is done by
//! the service of the client.

use std::rc::Rc;

use turted_core::close::Close;
use turted_core::wire::engineio::{self, Version};
use turted_core::wire::socketio::{self, Packet, encode_connect_error, is_reserved};

use super::events::{self, Refused};
use super::polling::Polling;
use super::service::{Event, Said};
use super::state::{EngineSession, Incomplete};
use crate::hub::client::commands::RATE_LIMITED;
use crate::hub::delivery::frame::Frame;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::session::Step;
use crate::hub::worker::worker::Worker;

const BINARY: &str = "binary data is not supported";

/// Receives one packet of a client.
pub(super) fn receive(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    packet: &engineio::Packet<'_>,
) -> Step {
    let session = EngineSession::of(connection);
    session.heard();
    if !connection.may_send(worker) {
        events::refuse(worker, connection, Refused { rule: "message-rate", reason: RATE_LIMITED }, None);
        connection.close(worker, Close::RateLimited);
        return Step::Stop;
    }
    match (packet, session.version) {
        (engineio::Packet::Message(text), _) => message(worker, connection, text),
        (engineio::Packet::Binary(bytes), _) => binary(worker, connection, bytes),
        (engineio::Packet::Ping(_), Version::V3) => {
            connection.send_ahead(worker, &Frame::text("3", 0));
            Step::Continue
        }
        (engineio::Packet::Pong(_), Version::V4) => {
            session.ponged();
            Step::Continue
        }
        (engineio::Packet::Close, _) => {
            if let Some(polling) = connection.outlet().borrow_mut().requests_mut::<Polling>() {
                // Its own end is no news to a client: its request ends as with nothing to tell.
                polling.dismiss();
            }
            end(worker, connection, Close::TransportLost)
        }
        (engineio::Packet::Noop, _) => Step::Continue,
        _ => end(worker, connection, Close::Violation(1002)),
    }
}

fn end(worker: &Rc<Worker>, connection: &Rc<Connection>, close: Close) -> Step {
    connection.close(worker, close);
    Step::Stop
}

/// A text message, which holds a Socket.IO packet unless the service has no use for those.
fn message(worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
    if text.len() > worker.config.limits.message_bytes {
        return end(worker, connection, Close::Violation(1009));
    }
    let session = EngineSession::of(connection);
    if !session.service.speaks_socketio() {
        return (session.service.message)(worker, connection, Said::Text(text));
    }
    if session.incomplete.take().is_some() {
        return end(worker, connection, Close::Violation(1002));
    }
    match socketio::decode(text) {
        Ok(packet) => obey(worker, connection, packet, text),
        Err(malformed) => {
            tracing::debug!(connection = %connection.id(worker), %malformed, "malformed packet");
            end(worker, connection, Close::Violation(1002))
        }
    }
}

/// Keeps the rules of namespaces and attachments; the rest is up to the service.
fn obey(worker: &Rc<Worker>, connection: &Rc<Connection>, packet: Packet<'_>, text: &str) -> Step {
    let session = EngineSession::of(connection);
    let is_known = |namespace| session.service.namespaces.contains(&namespace);
    match packet {
        Packet::Connect { namespace, .. } if !is_known(namespace) => {
            let refusal = encode_connect_error(session.version, namespace, "Invalid namespace");
            connection.send_message(worker, &refusal);
            Step::Continue
        }
        Packet::Connect { namespace, data, .. } if !session.is_in(namespace) => {
            session.enter(namespace);
            (session.service.connect)(worker, connection, namespace, data)
        }
        Packet::Disconnect { namespace } if is_known(namespace) => {
            (session.service.disconnect)(worker, connection, namespace)
        }
        Packet::Event { name, .. } if is_reserved(&name) => end(worker, connection, Close::Violation(1002)),
        Packet::Event { namespace, ack, name, args, attachments } if session.is_in(namespace) => {
            let event = Event { namespace, name: &name, args: &args, ack };
            receive_event(worker, connection, &event, (text, attachments))
        }
        // We ask for no acks; what a late one carries concerns nobody.
        Packet::Ack { namespace, id, args, attachments } if is_known(namespace) => {
            announce(session, attachments, None);
            (session.service.acked)(worker, connection, id, &args);
            Step::Continue
        }
        _ => end(worker, connection, Close::Violation(1002)),
    }
}

fn receive_event(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    event: &Event<'_>,
    (text, attachments): (&str, usize),
) -> Step {
    let session = EngineSession::of(connection);
    if attachments == 0 {
        return (session.service.event)(worker, connection, event, &[]);
    }
    announce(session, attachments, session.service.takes_binary.then_some(text));
    if !session.service.takes_binary {
        events::refuse(worker, connection, Refused { rule: "binary", reason: BINARY }, event.ack);
    }
    Step::Continue
}

/// Expects the binary messages of a packet, to be kept with it or, if it was refused, dropped.
fn announce(session: &EngineSession, missing: usize, packet: Option<&str>) {
    let kept = packet.map(|packet| (packet.to_owned(), Vec::new()));
    session.incomplete.set((missing > 0).then(|| Box::new(Incomplete { missing, kept })));
}

/// A binary message: it must belong to a packet that announced it, unless the service takes any.
fn binary(worker: &Rc<Worker>, connection: &Rc<Connection>, bytes: &[u8]) -> Step {
    let session = EngineSession::of(connection);
    if !session.service.speaks_socketio() {
        return (session.service.message)(worker, connection, Said::Binary(bytes));
    }
    let Some(mut incomplete) = session.incomplete.take() else {
        return end(worker, connection, Close::Violation(1003));
    };
    incomplete.missing -= 1;
    if let Some((_, attachments)) = &mut incomplete.kept {
        attachments.push(bytes.to_vec());
    }
    if incomplete.missing > 0 {
        session.incomplete.set(Some(incomplete));
        return Step::Continue;
    }
    if let Some((text, attachments)) = incomplete.kept
        && let Ok(Packet::Event { namespace, ack, name, args, .. }) = socketio::decode(&text)
    {
        let event = Event { namespace, name: &name, args: &args, ack };
        return (session.service.event)(worker, connection, &event, &attachments);
    }
    Step::Continue
}
