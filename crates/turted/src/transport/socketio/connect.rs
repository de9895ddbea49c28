//! A client connects, or comes back: connection state recovery as socket.io-client >= 4.6 carries it.
//!
//! The client shows the private id of its session and the position of the last event it has
//! seen. If both are still known it gets its users and channels back, then what it missed, then
//! what is new. If either is not known it gets a new session and the event `reconnect`, which the
//! TURTED client takes as the sign to identify itself again. It never joins its channels again, so a session that is
//! known passes its users and channels on to the new one.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;
use turted_core::command::Command;
use turted_core::wire::engineio::Version;
use turted_core::wire::socketio::{encode_connect, encode_event};

use super::events::{self, Refused};
use super::service::ROOT;
use super::state::{EngineSession, Newcomer, id_of};
use crate::http::query::Query;
use crate::hub::client::presence;
use crate::hub::client::record;
use crate::hub::client::resume::{self, Restored, ResumeOutcome, Resumption, Seen};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::sessions::Recorded;

/// The packet that tells a client of version 4 of the Socket.IO protocol that it is connected.
const CONNECTED_V3: &str = "40";

/// The event that makes the TURTED client identify itself again.
const RECONNECT: &str = "reconnect";

/// What a client shows that was connected before. A client that puts anything else under these
/// names is a new client.
#[derive(Debug, Default, Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    pid: Option<&'a RawValue>,
    #[serde(borrow)]
    offset: Option<&'a RawValue>,
}

fn read_resumption(data: Option<&RawValue>) -> Option<Resumption> {
    let shown: Shown<'_> = serde_json::from_str(data?.get()).ok()?;
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let id = SessionId::parse(&text(shown.pid?)?);
    let cursor = shown.offset.map(|raw| text(raw).and_then(|text| text.parse().ok()));
    let seen = match cursor {
        None => Seen::Nothing,
        Some(Some(cursor)) => Seen::UpTo(cursor),
        Some(None) => Seen::Unknown(None),
    };
    Some(Resumption { id, seen })
}

/// The packet that tells a client that it is connected before it has asked (version 4 of the
/// Socket.IO protocol).
pub(super) fn unasked(newcomer: &Newcomer) -> Option<&'static str> {
    (newcomer.version == Version::V3 && newcomer.service.speaks_socketio()).then_some(CONNECTED_V3)
}

/// A client of the Socket.IO protocol 4 is connected with its handshake, which may have gone out.
pub(super) fn admit_v3(client: Client<'_>, query: &Query) {
    let session = EngineSession::of(client.connection);
    session.enter(ROOT);
    client.connection.admit_as_opened(client.worker);
    (session.service.connected)(client, query);
}

/// Identifies a client of the Socket.IO protocol 4, if the query of its handshake says who it is.
pub(super) fn identify_by_query(client: Client<'_>, query: &Query) {
    let field = |key: &str| Some((key.to_owned(), query.get(key)?.to_owned()));
    let shown: std::collections::BTreeMap<_, _> =
        ["username", "user", "password", "token"].into_iter().filter_map(field).collect();
    let Ok(data) = to_raw_value(&shown) else { return };
    if let Step::Wait(verification) = identify(client, &data) {
        // The handshake is answered now. What the client sends then waits for the verification.
        let (done, verified) = oneshot::channel();
        EngineSession::of(client.connection).begin_verification(verified);
        client.worker.spawn(async move {
            verification.await;
            // The connection may be gone, and with it what would wait.
            let _ = done.send(());
        });
    }
}

/// A client of the Socket.IO protocol 5 asks to be connected.
pub(crate) fn connect(client: Client<'_>, data: Option<&RawValue>) -> Step {
    let resumption = read_resumption(data).filter(|_| client.worker.config.recovery.enabled);
    let Some(resumption) = resumption else {
        return begin_with(client, data);
    };
    let (worker, connection) = client.owned();
    let data = data.map(ToOwned::to_owned);
    Step::Wait(Box::pin(async move {
        resume_or_begin(Client::of(&worker, &connection), &resumption).await;
        let step = data.map_or(Step::Continue, |data| identify(Client::of(&worker, &connection), &data));
        if let Step::Wait(verification) = step {
            verification.await;
        }
    }))
}

/// Begins a new session as soon as it is recorded, and identifies its client.
fn begin_with(client: Client<'_>, data: Option<&RawValue>) -> Step {
    let recorded = prepare(client);
    if recorded.is_now() {
        begin(client);
        return data.map_or(Step::Continue, |data| identify(client, data));
    }
    let (worker, connection) = client.owned();
    let data = data.map(ToOwned::to_owned);
    Step::Wait(Box::pin(async move {
        if !record::wait(Client::of(&worker, &connection), recorded).await {
            return;
        }
        begin(Client::of(&worker, &connection));
        let step = data.map_or(Step::Continue, |data| identify(Client::of(&worker, &connection), &data));
        if let Step::Wait(verification) = step {
            verification.await;
        }
    }))
}

/// Identifies a client by what it sent along with its handshake, if it names a user there, or
/// shows a token that names one.
fn identify(client: Client<'_>, data: &RawValue) -> Step {
    let by_token = client.worker.shared.gate.names_users();
    match Command::decode("IDENT", &[data]) {
        Ok(Command::Ident(ident)) if ident.user.is_some() || (by_token && ident.token.is_some()) => {
            events::identify(client, &ident)
        }
        // Data without either of them is meant for something else.
        Ok(_) => Step::Continue,
        Err(refusal) => {
            let reason = refusal.to_string();
            events::refuse(client, Refused { rule: "ident", reason: &reason }, None);
            Step::Continue
        }
    }
}

/// Records a new session, if it can be resumed.
fn prepare(client: Client<'_>) -> Recorded {
    if client.worker.config.recovery.enabled {
        client.connection.recovery_id.set(Some(id_of(client.connection)));
    }
    record::begun(client)
}

/// Begins a new session, which is recorded. What is sent before the first packet would stay with the client and come a
/// second time behind its next loss, so that its connection is admitted in the same call.
fn begin(client: Client<'_>) {
    let id = id_of(client.connection);
    let sid = id.public();
    let packet = if client.worker.config.recovery.enabled {
        client.connection.set_wire(Wire::SOCKET_IO_WITH_OFFSET);
        encode_connect(Version::V4, &sid, Some(&id.to_string()))
    } else {
        encode_connect(Version::V4, &sid, None)
    };
    client.connection.admit(client.worker);
    client.send_message(&packet);
}

/// Gives a client its session back, or a new one.
async fn resume_or_begin(client: Client<'_>, resumption: &Resumption) {
    let connected = |restored: Restored| {
        let id = restored.session;
        Frame::text(&encode_connect(Version::V4, &id.public(), Some(&id.to_string())), 0)
    };
    let wire = Wire::SOCKET_IO_WITH_OFFSET;
    let recorded = match resume::resume(client, resumption, wire, connected).await {
        ResumeOutcome::Resumed | ResumeOutcome::Gone => return,
        ResumeOutcome::SessionUnknown => prepare(client),
        ResumeOutcome::Gap(session) => resume::go_on(client, id_of(client.connection), session),
    };
    if record::wait(client, recorded).await {
        begin_anew(client);
    }
}

/// Begins a new session for a client that had one, and tells it that it missed something.
fn begin_anew(client: Client<'_>) {
    begin(client);
    // The client takes the last string of any event for its position. In an event without
    // arguments that would be the name.
    let offset = format!("\"{}\"", events::offset(client));
    client.send_message(&encode_event(RECONNECT, &[&offset]));
    presence::begin(client);
}
