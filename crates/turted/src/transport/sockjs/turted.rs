//! What turted says in SockJS: the messages of turted 0.1, or turted.v1 to a client whose first
//! message asks for it. Specified in `docs/protocol-sockjs.md`.

use turted_core::auth::IdentRefusal;
use turted_core::close::Close;
use turted_core::name::Name;
use turted_core::reply::Reply;
use turted_core::wire::legacy::{Malformed, Request, UNIDENTIFIED, WELCOME, decode, encode_reply};

use super::mount::Service;
use super::state::{Protocol, SockJsSession};
use crate::hub::client::commands::{self, CommandOutcome, CommandRefusal, RATE_LIMITED};
use crate::hub::client::record;
use crate::hub::delivery::wire::{Language, Wire};
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;
use crate::transport::v1;

const HELLO_LATE: &str = "hello must be the first message";

/// Commands and events, in the language of the client.
pub(super) static TURTED: Service =
    Service { opened: |client| client.connection.admit_as_opened(client.worker), receive, expired, removed };

/// Receives one message of a client.
fn receive(client: Client<'_>, text: &str) -> Step {
    let protocol = &SockJsSession::of(client.connection).protocol;
    if protocol.get() == Protocol::V1 {
        return v1::receive(client, text);
    }
    let is_first = protocol.replace(Protocol::Legacy) == Protocol::Undecided;
    if !client.connection.may_send(client.worker) {
        refuse(client, "message-rate", RATE_LIMITED);
        client.close(Close::RateLimited);
        return Step::Stop;
    }
    match decode(text) {
        Ok(Request::Command(command)) => commands::perform(client, command, tell),
        Ok(Request::Message) => {
            client.send_message(WELCOME);
            Step::Continue
        }
        Ok(Request::HelloV1) if is_first => begin_v1(client),
        Ok(Request::HelloV1) => {
            refuse(client, "command", HELLO_LATE);
            Step::Continue
        }
        Err(malformed) => {
            refuse(client, rule(malformed), &malformed.to_string());
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

fn tell(client: Client<'_>, outcome: CommandOutcome<'_>) {
    let message = match outcome {
        Ok(reply) => encode_reply(&reply),
        // Clients compare this text, so it is the same for every reason.
        Err(CommandRefusal::Ident(_)) => Some(UNIDENTIFIED.to_owned()),
        Err(refusal) => encode_reply(&Reply::Refused(&refusal.to_string())),
    };
    if let Some(message) = message {
        client.send_message(&message);
    }
}

fn refuse(client: Client<'_>, rule: &'static str, reason: &str) {
    client.worker.metrics.refused(rule);
    if let Some(message) = encode_reply(&Reply::Refused(reason)) {
        client.send_message(&message);
    }
}

/// A proof of who the client is has expired. The client is told; it stays, without what the proof had opened.
fn expired(client: Client<'_>, left: &[Name]) {
    match SockJsSession::of(client.connection).protocol.get() {
        Protocol::V1 => v1::expired(client, left),
        Protocol::Undecided | Protocol::Legacy => {
            tell(client, Err(CommandRefusal::Ident(IdentRefusal::Expired)));
        }
    }
}

/// An operator has taken the client out of a channel. The messages of turted 0.1 have no word for it.
fn removed(client: Client<'_>, channel: &Name) {
    if SockJsSession::of(client.connection).protocol.get() == Protocol::V1 {
        v1::removed(client, channel);
    }
}

/// Records the session of a client of turted.v1, and welcomes the client.
fn begin_v1(client: Client<'_>) -> Step {
    if client.worker.config.recovery.enabled {
        client.connection.recovery_id.set(client.connection.session_id());
    }
    let recorded = record::begun(client);
    record::then(client, recorded, welcome)
}

/// From now on everything is turted.v1, both ways.
fn welcome(client: Client<'_>) {
    let session = SockJsSession::of(client.connection);
    // Frames that are on their way are in the other language already. They have to go out before the
    // welcome, whose position would otherwise promise that they are still to come.
    client.send_chained();
    session.protocol.set(Protocol::V1);
    client.connection.set_wire(Wire { language: Language::V1, ..client.connection.wire() });
    let Some(id) = client.connection.session_id() else { return };
    client.connection.began_after.set(client.worker.passed(client.connection));
    let told = (None, session.mount().options.heartbeat);
    client.send_message(&v1::welcome(client, id, told));
}
