//! Packets of clients: heartbeats, and the rules of Socket.IO packets. What they ask for is done by
//! the service of the client.

use turted_core::close::Close;
use turted_core::wire::engineio::{self, Version};
use turted_core::wire::socketio::{self, Packet, encode_connect_error, is_reserved};

use super::events::{self, Refused};
use super::polling::Polling;
use super::service::{Event, Said};
use super::state::{EngineSession, Incomplete};
use crate::hub::client::commands::RATE_LIMITED;
use crate::hub::delivery::frame::Frame;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;

const BINARY: &str = "binary data is not supported";

/// Receives one packet of a client.
pub(super) fn receive(client: Client<'_>, packet: &engineio::Packet<'_>) -> Step {
    let session = EngineSession::of(client.connection);
    session.heard();
    if !client.connection.may_send(client.worker) {
        events::refuse(client, Refused { rule: "message-rate", reason: RATE_LIMITED }, None);
        client.close(Close::RateLimited);
        return Step::Stop;
    }
    match (packet, session.version) {
        (engineio::Packet::Message(text), _) => message(client, text),
        (engineio::Packet::Binary(bytes), _) => binary(client, bytes),
        (engineio::Packet::Ping(_), Version::V3) => {
            client.connection.send_ahead(client.worker, &Frame::text("3", 0));
            Step::Continue
        }
        (engineio::Packet::Pong(_), Version::V4) => {
            session.ponged();
            Step::Continue
        }
        (engineio::Packet::Close, _) => {
            client.connection.send_gathered(client.worker);
            if let Some(polling) = client.connection.outlet().borrow_mut().requests_mut::<Polling>() {
                // The client knows that the session ends, so its request is answered with nothing.
                polling.dismiss();
            }
            end(client, Close::TransportLost)
        }
        (engineio::Packet::Noop, _) => Step::Continue,
        _ => end(client, Close::Violation(1002)),
    }
}

fn end(client: Client<'_>, close: Close) -> Step {
    client.close(close);
    Step::Stop
}

/// A text message, which holds a Socket.IO packet unless the service has no use for those.
fn message(client: Client<'_>, text: &str) -> Step {
    if text.len() > client.worker.config.limits.message_bytes {
        return end(client, Close::Violation(1009));
    }
    let session = EngineSession::of(client.connection);
    if !session.service.speaks_socketio() {
        return (session.service.message)(client, Said::Text(text));
    }
    if session.incomplete.take().is_some() {
        return end(client, Close::Violation(1002));
    }
    match socketio::decode(text) {
        Ok(packet) => obey(client, packet, text),
        Err(malformed) => {
            tracing::debug!(connection = %client.connection.told_id(client.worker), %malformed, "malformed packet");
            end(client, Close::Violation(1002))
        }
    }
}

/// Checks the rules of namespaces and attachments; the rest is up to the service.
fn obey(client: Client<'_>, packet: Packet<'_>, text: &str) -> Step {
    let session = EngineSession::of(client.connection);
    let is_known = |namespace| session.service.namespaces.contains(&namespace);
    match packet {
        Packet::Connect { namespace, .. } if !is_known(namespace) => {
            let refusal = encode_connect_error(session.version, namespace, "Invalid namespace");
            client.send_message(&refusal);
            Step::Continue
        }
        Packet::Connect { namespace, data, .. } if !session.is_in(namespace) => {
            session.enter(namespace);
            (session.service.connect)(client, namespace, data)
        }
        Packet::Disconnect { namespace } if is_known(namespace) => {
            (session.service.disconnect)(client, namespace)
        }
        Packet::Event { name, .. } if is_reserved(&name) => end(client, Close::Violation(1002)),
        Packet::Event { namespace, ack, name, args, attachments } if session.is_in(namespace) => {
            let event = Event { namespace, name: &name, args: &args, ack };
            receive_event(client, &event, (text, attachments))
        }
        // turted asks for no acks. What an ack announces is dropped.
        Packet::Ack { namespace, id, args, attachments } if is_known(namespace) => {
            announce(session, attachments, None);
            (session.service.acked)(client, id, &args);
            Step::Continue
        }
        _ => end(client, Close::Violation(1002)),
    }
}

fn receive_event(client: Client<'_>, event: &Event<'_>, (text, attachments): (&str, usize)) -> Step {
    let session = EngineSession::of(client.connection);
    if attachments == 0 {
        return (session.service.event)(client, event, &[]);
    }
    announce(session, attachments, session.service.takes_binary.then_some(text));
    if !session.service.takes_binary {
        events::refuse(client, Refused { rule: "binary", reason: BINARY }, event.ack);
    }
    Step::Continue
}

/// Expects the binary messages of a packet. They are kept with the packet, or dropped if it was refused.
fn announce(session: &EngineSession, missing: usize, packet: Option<&str>) {
    let kept = packet.map(|packet| (packet.to_owned(), Vec::new()));
    session.incomplete.set((missing > 0).then(|| Box::new(Incomplete { missing, kept })));
}

/// A binary message: it must belong to a packet that announced it, unless the service takes any.
fn binary(client: Client<'_>, bytes: &[u8]) -> Step {
    let session = EngineSession::of(client.connection);
    if !session.service.speaks_socketio() {
        return (session.service.message)(client, Said::Binary(bytes));
    }
    let Some(mut incomplete) = session.incomplete.take() else {
        return end(client, Close::Violation(1003));
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
        return (session.service.event)(client, &event, &attachments);
    }
    Step::Continue
}

#[cfg(test)]
mod tests;
