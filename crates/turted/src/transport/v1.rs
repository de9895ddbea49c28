//! Requests in turted.v1 and their replies, whatever carries them. Specified in
//! `docs/protocol-v1.md`.

use std::time::Duration;

use turted_core::auth::{IdentRefusal, Identity};
use turted_core::close::Close;
use turted_core::wire::v1::{
    Action, Error, ErrorCode, Id, KeptId, Request, Resume, Welcome, decode, encode_error, encode_reply,
    encode_resumed,
};

use crate::hub::client::commands::{self, CommandOutcome, CommandRefusal, RATE_LIMITED};
use crate::hub::client::identity::ChannelRefusal;
use crate::hub::client::resume::{self, ResumeOutcome as Resumed, Resumption, Seen};
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;
use crate::hub::worker::session_id::SessionId;

const SESSION_UNKNOWN: &str = "the session is not known any more";
const SESSION_OWN: &str = "this connection is the session already";
const GAP: &str = "some of what was missed is not kept any more";

/// The first message on a connection, which is admitted and may have proved who it is.
pub(crate) fn welcome(
    client: Client<'_>,
    id: SessionId,
    (identity, ping_interval): (Option<&Identity>, Duration),
) -> String {
    let recovery = client.worker.config.recovery.enabled;
    Welcome {
        session: &id.to_string(),
        cursor: recovery.then(|| client.worker.dispatcher.cursor(client.connection.sent())),
        identity,
        ping_interval,
        message_bytes: client.worker.config.limits.message_bytes,
    }
    .to_json()
}

/// Receives one message of a client.
pub(crate) fn receive(client: Client<'_>, text: &str) -> Step {
    if !client.connection.may_send(client.worker) {
        refuse(client, None, &Error::new(ErrorCode::RateLimited, RATE_LIMITED));
        client.close(Close::RateLimited);
        return Step::Stop;
    }
    let Request { id, action } = match decode(text) {
        Ok(request) => request,
        Err(refused) => {
            refuse(client, refused.id, &refused.error);
            return Step::Continue;
        }
    };
    match (action, id) {
        (Action::Command(command), id) => {
            let id = id.map(Id::keep);
            commands::perform(client, command, move |client, outcome| {
                tell(client, id.as_ref().map(KeptId::get), outcome);
            })
        }
        (Action::Resume(resume), Some(id)) => resume_session(client, id, &resume),
        // `decode` refuses it.
        (Action::Resume(_), None) => Step::Continue,
    }
}

fn tell(client: Client<'_>, id: Option<Id<'_>>, outcome: CommandOutcome<'_>) {
    let message = match outcome {
        Ok(reply) => encode_reply(id, &reply),
        Err(refusal) => Some(encode_error(id, &error_of(refusal))),
    };
    if let Some(message) = message {
        client.send_message(&message);
    }
}

/// The refusal of a command in the words of the protocol.
fn error_of(refusal: CommandRefusal) -> Error {
    match refusal {
        CommandRefusal::Ident(refusal) => refusal.into(),
        CommandRefusal::Users(refusal) | CommandRefusal::Channel(ChannelRefusal::Limit(refusal)) => {
            refusal.into()
        }
        CommandRefusal::Channel(ChannelRefusal::Rule(refusal)) => refusal.into(),
    }
}

/// Tells a client that the proof that came with its request does not hold.
pub(crate) fn not_identified(client: Client<'_>, refusal: CommandRefusal) {
    client.send_message(&encode_error(None, &error_of(refusal)));
}

/// Sends a refusal, and counts it under the code of the rule.
fn refuse(client: Client<'_>, id: Option<Id<'_>>, error: &Error) {
    client.worker.metrics.refused(error.code.as_str());
    client.send_message(&encode_error(id, error));
}

/// A proof of who the client is has expired. The client is told; it stays, without what the proof had opened.
pub(crate) fn expired(client: Client<'_>) {
    client.send_message(&encode_error(None, &IdentRefusal::Expired.into()));
}

fn resume_session(client: Client<'_>, id: Id<'_>, resume: &Resume<'_>) -> Step {
    let id = id.keep();
    if !client.worker.config.recovery.enabled {
        let error = Error::new(ErrorCode::SessionUnknown, SESSION_UNKNOWN);
        refuse(client, Some(id.get()), &error);
        return Step::Continue;
    }
    let resumption = Resumption { id: SessionId::parse(&resume.session), seen: Seen::UpTo(resume.cursor) };
    if resumption.id.is_some() && resumption.id == client.connection.recovery_id.get() {
        // Resuming closes the connection that has the session, which is this one.
        let error = Error::new(ErrorCode::SessionOwn, SESSION_OWN);
        refuse(client, Some(id.get()), &error);
        return Step::Continue;
    }
    let (worker, connection) = client.owned();
    Step::Wait(Box::pin(async move {
        let wire = connection.wire();
        let greet = |session: SessionId, replayed| {
            wire.framing.wrap(&encode_resumed(id.get(), &session.to_string(), replayed), 0)
        };
        let error = match resume::resume(Client::of(&worker, &connection), &resumption, wire, greet).await {
            Resumed::Resumed | Resumed::Gone => return,
            Resumed::SessionUnknown => Error::new(ErrorCode::SessionUnknown, SESSION_UNKNOWN),
            Resumed::Gap => Error::new(ErrorCode::Gap, GAP),
        };
        refuse(Client::of(&worker, &connection), Some(id.get()), &error);
    }))
}
