//! Requests in turted.v1 and their replies, whatever carries them. Specified in
//! `docs/protocol-v1.md`.

use std::rc::Rc;
use std::time::Duration;

use turted_core::auth::{IdentRefusal, Identity};
use turted_core::close::Close;
use turted_core::wire::v1::{
    Action, Error, ErrorCode, Id, KeptId, Request, Resume, Welcome, decode, encode_error, encode_reply,
    encode_resumed,
};

use crate::hub::client::commands::{self, Outcome, RATE_LIMITED, Refusal};
use crate::hub::client::identity::ChannelRefusal;
use crate::hub::client::resume::{self, Outcome as Resumed, Resumption, Seen};
use crate::hub::worker::connection::Connection;
use crate::hub::worker::session::Step;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::worker::Worker;

const SESSION_UNKNOWN: &str = "the session is not known any more";
const SESSION_OWN: &str = "this connection is the session already";
const GAP: &str = "some of what was missed is not kept any more";

/// The first message on a connection, which is admitted and may have proved who it is.
pub(crate) fn welcome(
    worker: &Worker,
    connection: &Connection,
    id: SessionId,
    (identity, ping_interval): (Option<&Identity>, Duration),
) -> String {
    let recovery = worker.config.recovery.enabled;
    Welcome {
        session: &id.to_string(),
        cursor: recovery.then(|| worker.dispatcher.cursor(connection.sent())),
        identity,
        ping_interval,
        message_bytes: worker.config.limits.message_bytes,
    }
    .to_json()
}

/// Receives one message of a client.
pub(crate) fn receive(worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
    if !connection.may_send(worker) {
        refuse(worker, connection, None, &Error::new(ErrorCode::RateLimited, RATE_LIMITED));
        connection.close(worker, Close::RateLimited);
        return Step::Stop;
    }
    let Request { id, action } = match decode(text) {
        Ok(request) => request,
        Err(refused) => {
            refuse(worker, connection, refused.id, &refused.error);
            return Step::Continue;
        }
    };
    match (action, id) {
        (Action::Command(command), id) => {
            let id = id.map(Id::keep);
            commands::perform(worker, connection, command, move |worker, connection, outcome| {
                tell(worker, connection, id.as_ref().map(KeptId::get), outcome);
            })
        }
        (Action::Resume(resume), Some(id)) => resume_session(worker, connection, id, &resume),
        // `decode` refuses it.
        (Action::Resume(_), None) => Step::Continue,
    }
}

fn tell(worker: &Rc<Worker>, connection: &Rc<Connection>, id: Option<Id<'_>>, outcome: Outcome<'_>) {
    let message = match outcome {
        Ok(reply) => encode_reply(id, &reply),
        Err(refusal) => Some(encode_error(id, &error_of(refusal))),
    };
    if let Some(message) = message {
        connection.send_message(worker, &message);
    }
}

/// The refusal of a command in the words of the protocol.
fn error_of(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Ident(refusal) => refusal.into(),
        Refusal::Users(refusal) | Refusal::Channel(ChannelRefusal::Limit(refusal)) => refusal.into(),
        Refusal::Channel(ChannelRefusal::Rule(refusal)) => refusal.into(),
    }
}

/// Tells a client that the proof that came with its request does not hold.
pub(crate) fn not_identified(worker: &Rc<Worker>, connection: &Rc<Connection>, refusal: Refusal) {
    connection.send_message(worker, &encode_error(None, &error_of(refusal)));
}

/// Says no, and counts it under the code of the rule.
fn refuse(worker: &Rc<Worker>, connection: &Rc<Connection>, id: Option<Id<'_>>, error: &Error) {
    worker.metrics.refused(error.code.as_str());
    connection.send_message(worker, &encode_error(id, error));
}

/// A proof of who the client is has expired: it is told, and stays, without what it had.
pub(crate) fn expired(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    connection.send_message(worker, &encode_error(None, &IdentRefusal::Expired.into()));
}

fn resume_session(worker: &Rc<Worker>, connection: &Rc<Connection>, id: Id<'_>, resume: &Resume<'_>) -> Step {
    let id = id.keep();
    if !worker.config.recovery.enabled {
        let error = Error::new(ErrorCode::SessionUnknown, SESSION_UNKNOWN);
        refuse(worker, connection, Some(id.get()), &error);
        return Step::Continue;
    }
    let resumption = Resumption { id: SessionId::parse(&resume.session), seen: Seen::UpTo(resume.cursor) };
    if resumption.id.is_some() && resumption.id == connection.recovery_id.get() {
        // Taken over, it would be cut off.
        let error = Error::new(ErrorCode::SessionOwn, SESSION_OWN);
        refuse(worker, connection, Some(id.get()), &error);
        return Step::Continue;
    }
    let (worker, connection) = (Rc::clone(worker), Rc::clone(connection));
    Step::Wait(Box::pin(async move {
        let wire = connection.wire();
        let greet = |session: SessionId, replayed| {
            wire.framing.wrap(&encode_resumed(id.get(), &session.to_string(), replayed), 0)
        };
        let error = match resume::resume(&worker, &connection, &resumption, wire, greet).await {
            Resumed::Resumed | Resumed::Gone => return,
            Resumed::SessionUnknown => Error::new(ErrorCode::SessionUnknown, SESSION_UNKNOWN),
            Resumed::Gap => Error::new(ErrorCode::Gap, GAP),
        };
        refuse(&worker, &connection, Some(id.get()), &error);
    }))
}
