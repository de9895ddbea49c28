//! Requests in turted.v1 and their replies, whatever carries them. Specified in
//! `docs/protocol-v1.md`.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;
use turted_core::close::Close;
use turted_core::name::Name;
use turted_core::reply::{Identified, Reply};
use turted_core::wire::v1::{
    Action, AskedChannel, Error, ErrorCode, Id, JoinEach, Joined, KeptId, Request, Resume, Resumed, Welcome,
    decode, encode_error, encode_expired, encode_joined, encode_left, encode_pong, encode_reply,
    encode_resumed,
};

use crate::hub::client::commands::{self, CommandOutcome, CommandRefusal, RATE_LIMITED};
use crate::hub::client::identity::{self, ChannelRefusal};
use crate::hub::client::presence;
use crate::hub::client::record;
use crate::hub::client::resume::{self, Restored, ResumeOutcome, Resumption, Seen};
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::session::Step;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::sessions::Recorded;

/// Bytes that may wait for a client while it joins channels that it may not join: less than the refusals of one list.
const REFUSALS_BYTES_MAX: usize = 16 * 1024;
/// Time between two looks whether a client has taken what waits for it: short beside the time that takes.
const LOOK: Duration = Duration::from_millis(50);

const SESSION_UNKNOWN: &str = "the session is not known any more";
const SESSION_OWN: &str = "this connection is the session already";
const GAP: &str = "some of what was missed is not kept any more";

/// The first message on a connection, which is admitted and may have proved who it is.
pub(crate) fn welcome(
    client: Client<'_>,
    id: SessionId,
    (identified, ping_interval): (Option<&Identified>, Duration),
) -> String {
    Welcome {
        session: &id.to_string(),
        connection: &client.connection.public_id().unwrap_or_default(),
        cursor: client.position(),
        identified,
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
        (Action::JoinEach(asked), id) => join_each(client, id, asked),
        // `decode` refuses it.
        (Action::Resume(_), None) => Step::Continue,
    }
}

fn tell(client: Client<'_>, id: Option<Id<'_>>, outcome: CommandOutcome<'_>) {
    let message = match outcome {
        Ok(Reply::Pong(_)) => encode_pong(id, client.position()),
        Ok(reply) => encode_reply(id, &reply),
        Err(refusal) => Some(encode_error(id, &error_of(refusal))),
    };
    if let Some(message) = message {
        client.send_message(&message);
    }
}

/// Joins channels, each for itself.
fn join_each(client: Client<'_>, id: Option<Id<'_>>, JoinEach { channels, presence }: JoinEach<'_>) -> Step {
    let mut names = Vec::new();
    let join_one = if presence { commands::join_and_listen } else { commands::join };
    let join = |AskedChannel { json, name }| {
        let outcome = match name {
            Ok(name) => join_one(client, &name).map(|()| names.push(name)).map_err(error_of),
            Err(error) => {
                client.worker.metrics.refused(error.code.as_str());
                Err(error)
            }
        };
        (json, outcome)
    };
    let channels: Vec<Joined<'_>> = channels.into_iter().map(join).collect();
    let recorded = match names.is_empty() {
        true => Recorded::NOW,
        false if presence => commands::recorded_present(client, &names),
        false => record::joined(client, &names),
    };
    let message = encode_joined(id, &channels);
    let (has_refused, (_, connection)) =
        (channels.iter().any(|(_, outcome)| outcome.is_err()), client.owned());
    let told = record::then(client, recorded, move |client| {
        if let Some(message) = message {
            client.send_message(&message);
        }
        presence::begin(client);
    });
    Step::Wait(Box::pin(async move {
        if let Step::Wait(told) = told {
            told.await;
        }
        // 128 channels and a thousand grants take a millisecond, and one read can bring a hundred lists: others have a
        // turn in between.
        yield_now().await;
        // Refusals are up to fifty times as long as what asks for them: a client that does not take them may not
        // ask for more.
        while has_refused && is_behind(&connection) {
            sleep(LOOK).await;
        }
    }))
}

/// Whether a client has not taken what waits for it, and is still connected.
fn is_behind(connection: &Connection) -> bool {
    connection.outlet().borrow().waiting().bytes > REFUSALS_BYTES_MAX
}

/// The refusal of a command in the words of the protocol.
fn error_of(refusal: CommandRefusal) -> Error {
    match refusal {
        CommandRefusal::Ident(refusal) => refusal.into(),
        CommandRefusal::Users(refusal) | CommandRefusal::Channel(ChannelRefusal::Limit(refusal)) => {
            refusal.into()
        }
        CommandRefusal::Channel(ChannelRefusal::Rule(refusal)) => refusal.into(),
        CommandRefusal::Presence(refusal) => refusal.into(),
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
pub(crate) fn expired(client: Client<'_>, left: &[Name]) {
    client.send_message(&encode_expired(left));
}

/// An operator has taken the client out of a channel, of which the client is told.
pub(crate) fn removed(client: Client<'_>, channel: &Name) {
    client.send_message(&encode_left(std::slice::from_ref(channel)));
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
        let (wire, client) = (connection.wire(), Client::of(&worker, &connection));
        let greet = |restored| wire.framing.wrap(&resumed(client, id.get(), &restored), 0);
        let error = match resume::resume(client, &resumption, wire, greet).await {
            ResumeOutcome::Resumed | ResumeOutcome::Gone => return,
            ResumeOutcome::SessionUnknown => Error::new(ErrorCode::SessionUnknown, SESSION_UNKNOWN),
            ResumeOutcome::Gap(session) => {
                resume::give_up(client, &session);
                Error::new(ErrorCode::Gap, GAP)
            }
        };
        refuse(client, Some(id.get()), &error);
    }))
}

/// The reply to a client that has its session again, and is what it was.
fn resumed(client: Client<'_>, id: Id<'_>, restored: &Restored) -> String {
    let users = client.worker.registry.borrow().memberships(client.connection.key).users;
    let expires = client.connection.standing.borrow().expires();
    let resumed = Resumed {
        session: &restored.session.to_string(),
        replayed: restored.replayed,
        connection: &client.connection.public_id().unwrap_or_default(),
        username: users.first().map(|(user, _)| user),
        expires_in: identity::time_left(expires),
        left: &restored.left,
    };
    encode_resumed(id, &resumed)
}
