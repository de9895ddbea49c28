//! What turted says in SockJS: the messages of turted 0.1, or turted.v1 to a client whose first
//! message asks for it. Specified in `docs/protocol-sockjs.md`.

use std::rc::Rc;

use turted_core::auth::IdentRefusal;
use turted_core::close::Close;
use turted_core::reply::Reply;
use turted_core::wire::legacy::{Malformed, Request, UNIDENTIFIED, WELCOME, decode, encode_reply};

use super::mount::Service;
use super::state::{Protocol, SockJsSession};
use crate::hub::client::commands::{self, Outcome, RATE_LIMITED, Refusal};
use crate::hub::delivery::wire::{Language, Wire};
use crate::hub::worker::connection::Connection;
use crate::hub::worker::session::Step;
use crate::hub::worker::worker::Worker;
use crate::transport::v1;

const HELLO_LATE: &str = "hello must be the first message";

/// Commands and events, in the language of the client.
pub(super) static TURTED: Service =
    Service { opened: |worker, connection| connection.admit(worker), receive, expired };

/// Receives one message of a client.
fn receive(worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
    let protocol = &SockJsSession::of(connection).protocol;
    if protocol.get() == Protocol::V1 {
        return v1::receive(worker, connection, text);
    }
    let is_first = protocol.replace(Protocol::Legacy) == Protocol::Undecided;
    if !connection.may_send(worker) {
        refuse(worker, connection, "message-rate", RATE_LIMITED);
        connection.close(worker, Close::RateLimited);
        return Step::Stop;
    }
    match decode(text) {
        Ok(Request::Command(command)) => commands::perform(worker, connection, command, tell),
        Ok(Request::Message) => {
            connection.send_message(worker, WELCOME);
            Step::Continue
        }
        Ok(Request::HelloV1) if is_first => {
            begin_v1(worker, connection);
            Step::Continue
        }
        Ok(Request::HelloV1) => {
            refuse(worker, connection, "command", HELLO_LATE);
            Step::Continue
        }
        Err(malformed) => {
            refuse(worker, connection, rule(malformed), &malformed.to_string());
            Step::Continue
        }
    }
}

/// The rule of a refusal for metrics.
fn rule(malformed: Malformed) -> &'static str {
    match malformed {
        Malformed::NotAnObject => "not-json",
        _ => "command",
    }
}

fn tell(worker: &Rc<Worker>, connection: &Rc<Connection>, outcome: Outcome<'_>) {
    let message = match outcome {
        Ok(reply) => encode_reply(&reply),
        // Clients compare it: whatever the reason is, it stays the same.
        Err(Refusal::Ident(_)) => Some(UNIDENTIFIED.to_owned()),
        Err(refusal) => encode_reply(&Reply::Refused(&refusal.to_string())),
    };
    if let Some(message) = message {
        connection.send_message(worker, &message);
    }
}

fn refuse(worker: &Rc<Worker>, connection: &Rc<Connection>, rule: &'static str, reason: &str) {
    worker.metrics.refused(rule);
    if let Some(message) = encode_reply(&Reply::Refused(reason)) {
        connection.send_message(worker, &message);
    }
}

/// A proof of who the client is has expired: it is told, and stays, without what it had.
fn expired(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    match SockJsSession::of(connection).protocol.get() {
        Protocol::V1 => v1::expired(worker, connection),
        Protocol::Undecided | Protocol::Legacy => {
            tell(worker, connection, Err(Refusal::Ident(IdentRefusal::Expired)));
        }
    }
}

/// From now on everything is turted.v1, both ways.
fn begin_v1(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    let session = SockJsSession::of(connection);
    // What is on its way already speaks the other language, and has to be said before the welcome: the
    // position in that would promise otherwise that it is still to come.
    let chained = worker.take_chained(connection);
    connection.send(worker, &chained);
    session.protocol.set(Protocol::V1);
    connection.set_wire(Wire { language: Language::V1, ..connection.wire() });
    let Some(id) = connection.session_id() else { return };
    connection.recovery_id.set(worker.config.recovery.enabled.then_some(id));
    connection.began_after.set(connection.sent());
    let told = (None, session.mount().options.heartbeat);
    connection.send_message(worker, &v1::welcome(worker, connection, id, told));
}
