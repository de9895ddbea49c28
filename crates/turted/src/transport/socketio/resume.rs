//! A client connects, or comes back: connection state recovery as socket.io-client >= 4.6 carries it.
//!
//! The client shows the private id of its session and the position of the last event it has
//! seen. If both are still known it gets its users and channels back, then what it missed, then
//! what is new: all of it, or a new session. A client that shows an id nobody knows is sent the
//! event `reconnect`, which the TURTED client takes as the sign to identify itself again.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use turted_core::close::Close;
use turted_core::command::Command;
use turted_core::wire::engineio::Version;
use turted_core::wire::socketio::{encode_connect, encode_event};

use super::packets::{self, Refused};
use super::request::Query;
use crate::authenticator::unix_now;
use crate::connection::Connection;
use crate::frame::Frame;
use crate::identity;
use crate::log::{Accepted, Position};
use crate::mail::{ConnectionHint, Mail};
use crate::metrics::Recovered;
use crate::outlet::Waiting;
use crate::recovery::{Home, LostSession};
use crate::session_id::SessionId;
use crate::transport::websocket::Step;
use crate::wire::Wire;
use crate::worker::Worker;

/// The event that makes the TURTED client identify itself again.
const RECONNECT: &str = "reconnect";

/// Bytes that go out before what was missed: the frame that connects the client, and a heartbeat.
const CONNECT_BYTES_MAX: usize = 128;

/// What a client shows that was connected before. Anything else a client may put under these
/// names makes it a new client.
#[derive(Debug, Default, Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    pid: Option<&'a RawValue>,
    #[serde(borrow)]
    offset: Option<&'a RawValue>,
}

/// What a client shows, understood.
#[derive(Debug)]
struct Resumption {
    /// Absent if it is none of ours: of the server that ran here before, say.
    id: Option<SessionId>,
    seen: Seen,
}

/// The last event a client has seen.
#[derive(Debug)]
enum Seen {
    /// None since it connected.
    Nothing,
    UpTo(Position),
    /// It shows something that is no position.
    Unknown,
}

impl Resumption {
    fn read(data: Option<&RawValue>) -> Option<Self> {
        let shown: Shown<'_> = serde_json::from_str(data?.get()).ok()?;
        let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
        let id = SessionId::parse(&text(shown.pid?)?);
        let position = shown.offset.map(|raw| text(raw).and_then(|text| text.parse().ok()));
        let seen = match position {
            None => Seen::Nothing,
            Some(Some(position)) => Seen::UpTo(position),
            Some(None) => Seen::Unknown,
        };
        Some(Self { id, seen })
    }

    /// The number of the last dispatch the client has seen, if it can have seen it.
    fn seen(&self, worker: &Worker, lost: &LostSession) -> Option<u64> {
        let position = match self.seen {
            Seen::Nothing => return Some(lost.began_after),
            Seen::UpTo(position) => position,
            Seen::Unknown => return None,
        };
        let sent = lost.began_after..=worker.seen();
        let known = position.epoch == worker.dispatcher.epoch() && sent.contains(&position.sequence);
        known.then_some(position.sequence)
    }
}

/// The position up to which a connection has been sent everything.
pub(super) fn offset(worker: &Worker, connection: &Connection) -> Position {
    worker.dispatcher.position(connection.sent())
}

/// A client of the Socket.IO protocol 4 is connected with its handshake. Its query may say who it is.
pub(super) fn admit_v3(worker: &Rc<Worker>, connection: &Rc<Connection>, query: &Query) {
    admit(worker, connection);
    let field = |key: &str| Some((key.to_owned(), query.get(key)?.to_owned()));
    let shown: std::collections::BTreeMap<_, _> =
        ["username", "user", "password", "token"].into_iter().filter_map(field).collect();
    let Ok(data) = to_raw_value(&shown) else { return };
    if let Step::Wait(verification) = identify(worker, connection, &data) {
        // The handshake is answered now; what the client sends then waits.
        let (done, verified) = oneshot::channel();
        connection.session.begin_verification(verified);
        worker.spawn(async move {
            verification.await;
            // Nobody waits yet, or ever.
            let _ = done.send(());
        });
    }
}

/// A client of the Socket.IO protocol 5 asks to be connected.
pub(super) fn connect(worker: &Rc<Worker>, connection: &Rc<Connection>, data: Option<&RawValue>) -> Step {
    if connection.session.version == Version::V3 {
        connection.close(worker, Close::Violation(1002));
        return Step::Stop;
    }
    connection.session.connected.set(true);
    let resumption = Resumption::read(data).filter(|_| worker.config.recovery.enabled);
    let Some(resumption) = resumption else {
        begin(worker, connection);
        return data.map_or(Step::Continue, |data| identify(worker, connection, data));
    };
    let (worker, connection) = (Rc::clone(worker), Rc::clone(connection));
    let data = data.map(ToOwned::to_owned);
    Step::Wait(Box::pin(async move {
        resume(&worker, &connection, &resumption).await;
        let step = data.map_or(Step::Continue, |data| identify(&worker, &connection, &data));
        if let Step::Wait(verification) = step {
            verification.await;
        }
    }))
}

/// Identifies a client by what it sent along with its handshake, if it names a user there, or
/// shows a token that names one.
fn identify(worker: &Rc<Worker>, connection: &Rc<Connection>, data: &RawValue) -> Step {
    let by_token = worker.shared.gate.names_users();
    match Command::decode("IDENT", &[data]) {
        Ok(Command::Ident(ident)) if ident.user.is_some() || (by_token && ident.token.is_some()) => {
            packets::identify(worker, connection, &ident, None)
        }
        // Without either it is meant for something else.
        Ok(_) => Step::Continue,
        Err(refusal) => {
            let reason = refusal.to_string();
            packets::refuse(worker, connection, Refused { rule: "ident", reason: &reason }, None);
            Step::Continue
        }
    }
}

/// From now on the connection receives what concerns it.
fn admit(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    connection.session.connected.set(true);
    connection.session.began_after.set(worker.seen());
    connection.set_sent(worker.seen());
    worker.registry.borrow_mut().admit(connection.key);
}

/// Begins a new session.
fn begin(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    let id = connection.session.id();
    let sid = id.public();
    let packet = if worker.config.recovery.enabled {
        connection.session.recovery_id.set(Some(id));
        connection.set_wire(Wire::SocketIoWithOffset);
        encode_connect(Version::V4, &sid, Some(&id.to_string()))
    } else {
        encode_connect(Version::V4, &sid, None)
    };
    admit(worker, connection);
    connection.send_packet(worker, &packet);
}

/// Gives a client its session back, or a new one.
async fn resume(worker: &Rc<Worker>, connection: &Rc<Connection>, resumption: &Resumption) {
    let found = match resumption.id {
        Some(id) => reclaim(worker, id).await.map(|lost| (id, lost)),
        None => None,
    };
    catch_up(worker).await;
    if connection.is_closed() {
        // The client is gone again; it may come back once more.
        if let Some((id, lost)) = found {
            worker.shared.recovery.keep(id, lost);
        }
        return;
    }
    let missed = found.as_ref().and_then(|(_, lost)| missed(worker, resumption, lost));
    match found.zip(missed) {
        Some(((id, lost), missed)) => {
            worker.metrics.recovered(Recovered::Resumed);
            restore(worker, connection, id, &lost, &missed);
        }
        None => {
            worker.metrics.recovered(Recovered::Anew);
            begin(worker, connection);
            // The client takes the last string of any event for its position, the name of an event
            // without arguments too.
            let offset = format!("\"{}\"", offset(worker, connection));
            connection.send_packet(worker, &encode_event(RECONNECT, &[&offset]));
        }
    }
}

/// The lost session, taken from a connection that is not known to be dead if need be.
async fn reclaim(worker: &Rc<Worker>, id: SessionId) -> Option<LostSession> {
    let recovery = &worker.shared.recovery;
    if let Some(lost) = recovery.take(id) {
        return Some(lost);
    }
    let (owner, hint) = match recovery.home(id) {
        Some(home) => (home.worker, ConnectionHint::Key(home.key)),
        None => (id.worker(), ConnectionHint::Slot(id.slot())),
    };
    if owner == worker.index {
        supersede(worker, hint, id);
    } else {
        let (done, superseded) = oneshot::channel();
        worker.send_mail(owner, Mail::Supersede(hint, id, done)).await;
        // Without an answer there is nothing to take, which the next line finds out.
        let _ = superseded.await;
    }
    recovery.take(id)
}

/// Waits until this worker has resolved whatever another one may have sent already. It could come
/// a second time otherwise, or to a channel that was joined after it.
async fn catch_up(worker: &Worker) {
    let last = worker.dispatcher.last();
    while worker.seen() < last {
        yield_now().await;
    }
}

/// Ends the connection of a session whose client is back, so that it can be recovered.
pub(crate) fn supersede(worker: &Rc<Worker>, hint: ConnectionHint, id: SessionId) {
    let connection = {
        let registry = worker.registry.borrow();
        match hint {
            ConnectionHint::Slot(slot) => registry.at(slot).cloned(),
            ConnectionHint::Key(key) => registry.get(key).cloned(),
        }
    };
    if let Some(connection) = connection.filter(|found| found.session.recovery_id.get() == Some(id)) {
        connection.close(worker, Close::Superseded);
    }
}

/// What a client missed: every dispatch for it between its position and what this worker has
/// resolved. `None` if that cannot be told in full any more.
fn missed(worker: &Worker, resumption: &Resumption, lost: &LostSession) -> Option<Vec<Frame>> {
    // What came after the token expired was not for this client any more.
    if lost.standing.has_expired(unix_now()) {
        return None;
    }
    let seen = resumption.seen(worker, lost)?;
    let dispatches = worker.dispatcher.between(seen, worker.seen())?;
    let frame = |accepted: &std::sync::Arc<Accepted>| {
        let (_, via) = lost.memberships.via(&accepted.dispatch.targets, accepted.sequence)?;
        Some(Wire::SocketIoWithOffset.encode(accepted, via, worker.context()))
    };
    let (most, outbox) = (worker.config.recovery.replay, worker.outbox());
    let (mut frames, mut bytes) = (Vec::new(), CONNECT_BYTES_MAX);
    for frame in dispatches.iter().filter_map(frame) {
        bytes += frame.bytes().len();
        frames.push(frame);
        // What the outbox cannot hold would end the connection, and bring the client back for the
        // same again and again.
        if frames.len() > most || outbox.is_exceeded_by(Waiting { frames: frames.len() + 1, bytes }) {
            return None;
        }
    }
    Some(frames)
}

/// Gives the connection everything the session had, and what it missed, in one go: no dispatch can
/// come between the last one that was missed and the first one that is new.
fn restore(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    id: SessionId,
    lost: &LostSession,
    missed: &[Frame],
) {
    connection.session.recovery_id.set(Some(id));
    connection.set_wire(Wire::SocketIoWithOffset);
    worker.registry.borrow_mut().restore(connection.key, &lost.memberships);
    connection.standing.replace(lost.standing.clone());
    identity::watch_expiry(worker, connection);
    admit(worker, connection);
    connection.session.began_after.set(lost.began_after);
    worker.shared.recovery.moved(id, Home { worker: worker.index, key: connection.key });
    let packet = encode_connect(Version::V4, &id.public(), Some(&id.to_string()));
    let mut frames = vec![Frame::text(&packet, 0)];
    frames.extend_from_slice(missed);
    connection.send(worker, &frames);
}
