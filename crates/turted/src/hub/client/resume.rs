//! A client comes back: its session is taken from where it is kept, or from a connection that is not
//! known to be dead, and it gets all that it missed, or is told that this is not possible.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use turted_core::close::Close;
use turted_core::cursor::Cursor;
use turted_core::membership::Since;
use turted_core::name::Name;
use turted_core::registry::ConnectionKey;
use turted_core::session_key::SessionKey;

use crate::auth::unix_now;
use crate::hub::client::claim::{self, LOOK_UP_MAX};
use crate::hub::client::identity;
use crate::hub::client::presence;
use crate::hub::client::record;
use crate::hub::client::replay::{self, Returning};
use crate::hub::cluster::job::Unavailable;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Recovered;
use crate::hub::delivery::outlet::Missed;
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::journal;
use crate::hub::worker::recovery::LostSession;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::sessions::Recorded;
use crate::hub::worker::worker::Worker;

/// How long another worker may take to let go of a session, the wait for room in its mail box included. A
/// worker that still runs answers within its current slice, 500 us. A client that waits for longer than this
/// takes its connection for dead and tries anew.
const LETTING_GO_MAX: Duration = Duration::from_secs(3);

/// How often a client asks for a session that another of its connections takes meanwhile. The other one is dead, or there
/// are two clients with one id.
const ATTEMPTS_MAX: usize = 4;

/// What a client that was connected before shows when it comes back.
#[derive(Debug)]
pub(crate) struct Resumption {
    /// Absent if this server made no such id: the server that ran here before made it, say.
    pub(crate) id: Option<SessionId>,
    pub(crate) seen: Seen,
}

/// The last event a client has seen.
#[derive(Debug)]
pub(crate) enum Seen {
    /// It has seen no event since it connected.
    Nothing,
    UpTo(Cursor),
    /// It shows something that is no position. If it was told a loss, that has the position of its node then.
    Unknown(Option<Cursor>),
}

/// What came of resuming.
#[derive(Debug)]
pub(crate) enum ResumeOutcome {
    /// The client has its session again, and was sent what it missed.
    Resumed,
    /// The session is not kept any more.
    SessionUnknown,
    /// Something that it missed is not kept any more. Its protocol lets it [go on](go_on) as what it was, or
    /// [gives it up](give_up).
    Gap(BehindGap),
    /// The client is gone again.
    Gone,
}

/// A session of which events are gone.
#[derive(Debug)]
pub(crate) struct BehindGap {
    /// What it was kept under.
    key: SessionKey,
    lost: LostSession,
    /// What the client has shown.
    shown: SessionKey,
}

/// A lost session, taken from where it was.
#[derive(Debug)]
struct Found {
    /// What it is kept under.
    key: SessionKey,
    lost: LostSession,
    /// The client has shown this id, not the one it had before a gap.
    by_id: Option<SessionId>,
}

/// Where the connection of a session is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum ConnectionHint {
    /// At the place the session id names.
    Slot(u32),
    /// At this key.
    Key(ConnectionKey),
}

impl Resumption {
    /// The number of the last dispatch the client has seen, if it can have seen it.
    fn seen(&self, worker: &Worker, lost: &LostSession) -> Option<u64> {
        let number = match self.seen {
            Seen::Nothing => lost.began_after,
            Seen::UpTo(cursor) => worker.dispatcher.number(cursor)?,
            Seen::Unknown(_) => return None,
        };
        let losses = worker.dispatcher.losses();
        let is_whole = match self.id {
            // What a session of before a loss has missed is not known, whatever its client has seen since.
            Some(_) => losses.spare(lost.began_after),
            None => losses.were_told(number),
        };
        (is_whole && (lost.began_after..=worker.seen()).contains(&number)).then_some(number)
    }
}

/// What a client is told that has its session again.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) session: SessionId,
    /// How many events follow that it missed.
    pub(crate) replayed: usize,
    /// The channels that the session has lost, as far as the client may not know it.
    pub(crate) left: Vec<Name>,
}

/// Gives a client its session back, and all that it missed, encoded for `wire`; before that it is
/// sent what `greet` says.
pub(crate) async fn resume(
    client: Client<'_>,
    resumption: &Resumption,
    wire: Wire,
    greet: impl FnOnce(Restored) -> Frame,
) -> ResumeOutcome {
    // Two lists of the past at once would be encoded as a whole.
    client.worker.feeds.ended(client.connection.key).await;
    let recovery = &client.worker.shared.recovery;
    let (until, mut attempts) = (Instant::now() + LOOK_UP_MAX, 0);
    let (found, missed) = loop {
        let Ok(found) = find(client, resumption, until).await else {
            // It is not unknown: its client tries again.
            client.close(Close::LogSlow);
            return ResumeOutcome::Gone;
        };
        catch_up(client.worker).await;
        let missed = match &found {
            Some(Found { lost, by_id: Some(_), .. }) => missed(client, (resumption, lost, wire)).await,
            _ => None,
        };
        if client.connection.is_closed() {
            return ResumeOutcome::Gone;
        }
        attempts += 1;
        // Until now the session is where it was: a client that is cut meanwhile, and comes once more, finds it there. If
        // it has, and its other connection has the session, this one asks for it again.
        let take = |found: &Found| recovery.take_to(found.key, client.home()).is_some();
        let is_taken = found.as_ref().is_none_or(take);
        if is_taken || attempts == ATTEMPTS_MAX {
            break (found.filter(|_| is_taken), missed);
        }
    };
    // What the connection still waits for belongs to the session that it had until now. Behind the reply it would
    // be a second time what is replayed.
    client.send_chained();
    // From here on nothing waits: what was missed and what is new must follow on each other.
    let outcome = match (found, missed) {
        (found, _) if client.connection.is_closed() => {
            if let Some(Found { key, lost, .. }) = found {
                // It may come back once more.
                recovery.keep(key, lost);
            }
            return ResumeOutcome::Gone;
        }
        (None, _) => ResumeOutcome::SessionUnknown,
        (Some(Found { lost, by_id: Some(id), .. }), Some(missed)) => {
            client.connection.set_wire(wire);
            restore(client, id, &lost);
            let left = lost_channels(client, resumption.seen(client.worker, &lost));
            client.send(&[greet(Restored { session: id, replayed: missed.len(), left })]);
            client.connection.replay(client.worker, missed);
            presence::begin(client);
            ResumeOutcome::Resumed
        }
        (Some(Found { key, lost, .. }), _) => {
            recovery.left(key);
            let shown = resumption.id.map_or(key, SessionId::key);
            ResumeOutcome::Gap(BehindGap { key, lost, shown })
        }
    };
    let resumed = matches!(outcome, ResumeOutcome::Resumed);
    client.worker.metrics.recovered(if resumed { Recovered::Resumed } else { Recovered::Anew });
    outcome
}

/// The lost session, when this node has read all that its client may have seen.
async fn find(
    client: Client<'_>,
    resumption: &Resumption,
    until: Instant,
) -> Result<Option<Found>, Unavailable> {
    let found = match resumption.id {
        Some(id) => reclaim(client.worker, id, until).await?,
        None => None,
    };
    claim::catch_up(client, (&resumption.seen, found.as_ref().map(|found| &found.lost)), until).await?;
    Ok(found)
}

/// The lost session, which a connection that is not known to be dead gives up if need be. It stays among those that are
/// lost.
async fn reclaim(worker: &Rc<Worker>, id: SessionId, until: Instant) -> Result<Option<Found>, Unavailable> {
    let Some(cluster) = worker.shared.cluster.get() else { return Ok(reclaim_here(worker, id).await) };
    let found = |key| {
        let lost = worker.shared.recovery.look(key)?;
        Some(Found { key, lost, by_id: (key == id.key()).then_some(id) })
    };
    Ok(claim::claim(worker, cluster, (id.key(), until)).await?.and_then(found))
}

/// The same where no other node can have it.
async fn reclaim_here(worker: &Rc<Worker>, id: SessionId) -> Option<Found> {
    let (recovery, shown) = (&worker.shared.recovery, id.key());
    let successor = recovery.successor(shown);
    let key = successor.unwrap_or(shown);
    if let Some(lost) = recovery.look(key) {
        return Some(Found { key, lost, by_id: successor.is_none().then_some(id) });
    }
    let (owner, hint) = match (recovery.home(key), successor) {
        (Some(home), _) => (home.worker, ConnectionHint::Key(home.key)),
        (None, None) => (id.worker(), ConnectionHint::Slot(id.slot())),
        (None, Some(_)) => return None,
    };
    let_go(worker, owner, (hint, key)).await;
    let lost = recovery.look(key)?;
    Some(Found { key, lost, by_id: successor.is_none().then_some(id) })
}

/// Ends the connection of this node that has a session, if there is one. In a cluster each of them is known by its key.
pub(super) async fn let_go_here(worker: &Rc<Worker>, key: SessionKey) {
    if let Some(home) = worker.shared.recovery.home(key) {
        let_go(worker, home.worker, (ConnectionHint::Key(home.key), key)).await;
    }
}

async fn let_go(worker: &Rc<Worker>, owner: u8, (hint, key): (ConnectionHint, SessionKey)) {
    if owner == worker.index {
        supersede(worker, hint, key);
    } else if timeout(LETTING_GO_MAX, ask_to_let_go(worker, owner, (hint, key))).await.is_err() {
        tracing::warn!(worker = owner, "a worker does not let go of a session: its client begins anew");
    }
}

/// Asks another worker to let go of a session.
async fn ask_to_let_go(worker: &Worker, owner: u8, (hint, key): (ConnectionHint, SessionKey)) {
    let (done, superseded) = oneshot::channel();
    let let_go = move |owner: &Rc<Worker>| {
        supersede(owner, hint, key);
        // The other worker may have stopped waiting.
        let _ = done.send(());
    };
    worker.send_mail(owner, Box::new(let_go)).await;
    // Without an answer there is no session to take; the caller finds that out.
    let _ = superseded.await;
}

/// Waits until this worker has resolved every dispatch that another worker may have sent to the client already.
/// Otherwise one could reach it a second time, or reach it by a channel that it joined later.
pub(super) async fn catch_up(worker: &Worker) {
    let last = worker.dispatcher.last();
    while worker.seen() < last {
        yield_now().await;
    }
}

/// Ends the connection of a session whose client is back, so that it can be recovered.
pub(super) fn supersede(worker: &Rc<Worker>, hint: ConnectionHint, session: SessionKey) {
    let connection = {
        let registry = worker.registry.borrow();
        match hint {
            ConnectionHint::Slot(slot) => registry.at(slot).cloned(),
            ConnectionHint::Key(key) => registry.get(key).cloned(),
        }
    };
    let is_it = |found: &Rc<Connection>| found.recovery_id.get().map(SessionId::key) == Some(session);
    if let Some(connection) = connection.filter(is_it) {
        connection.close(worker, Close::Superseded);
    }
}

/// What a client missed; `None` if not all of that is known any more.
pub(super) async fn missed(
    client: Client<'_>,
    (resumption, lost, wire): (&Resumption, &LostSession, Wire),
) -> Option<Missed> {
    let seen = resumption.seen(client.worker, lost)?;
    let returning = Returning { memberships: &lost.memberships, seen, wire };
    let missed = replay::missed(client, returning).await?;
    // What came after the token expired was not for this client any more.
    (!lost.standing.has_expired(unix_now())).then_some(missed)
}

/// Makes the connection what the session was, without the channels that it may not have any more. What was
/// missed has to be sent in the same go: no dispatch can come between the last one that was missed and the
/// first one that is new.
fn restore(client: Client<'_>, id: SessionId, lost: &LostSession) {
    let own = client.connection.recovery_id.replace(Some(id));
    if let Some(own) = own.filter(|own| *own != id) {
        // The session that the client began on this connection.
        client.worker.shared.recovery.forget(own.key());
    }
    client.worker.registry.borrow_mut().restore(client.connection.key, &lost.memberships);
    presence::listen_again(client, &lost.presence);
    client.connection.standing.replace(lost.standing.clone());
    identity::leave_forbidden(client, None);
    identity::watch_expiry(client);
    client.connection.admit_back(client.worker);
    journal::resumed(client);
    client.connection.began_after.set(lost.began_after);
    let recovery = &client.worker.shared.recovery;
    recovery.shown(id.key());
    recovery.moved(id.key(), client.home());
    // If all sessions are written anew at the moment, it was perhaps not found where it was.
    client.worker.shared.sessions.note(id.key(), || client.connection.state(client.worker));
}

/// Makes the connection of a new session what its client was before a gap: its users and its channels, without what it
/// may not have any more. They begin anew: what the client missed of them is not sent later either.
///
/// Until the client shows the id of the new session it may come back by the one it had: the answer that tells it may be
/// lost. The caller has to admit the connection when this is recorded, and before it waits for anything else; and then to
/// [tell it](presence::begin) who is in its channels.
pub(crate) fn go_on(
    client: Client<'_>,
    id: SessionId,
    BehindGap { key, lost, shown }: BehindGap,
) -> Recorded {
    client.connection.recovery_id.set(Some(id));
    let since = Since(client.worker.dispatcher.last());
    let memberships = lost.memberships.held_since(since);
    client.worker.registry.borrow_mut().restore(client.connection.key, &memberships);
    presence::listen_again(client, &lost.presence);
    client.connection.standing.replace(lost.standing);
    // What expired meanwhile goes, and with it the channels that it had opened.
    if identity::expire(client).is_none() {
        identity::leave_forbidden(client, None);
    }
    journal::resumed(client);
    // In this order: whatever of it is recorded when the server is killed, the id that the client shows leads to what it
    // was.
    let recorded = record::begun(client);
    client.worker.shared.recovery.succeed(shown, id.key(), client.home());
    match key == shown {
        true => client.worker.shared.recovery.shown(key),
        // The client has not seen it.
        false => client.worker.shared.recovery.forget(key),
    }
    recorded
}

/// Ends a session of which events are gone, whose client is told to begin anew.
pub(crate) fn give_up(client: Client<'_>, BehindGap { key, .. }: &BehindGap) {
    client.worker.shared.recovery.forget(*key);
}

/// The channels that the session has lost, if the client may not know it: what tells it of an expired proof may have
/// gone to a connection that was dead already.
fn lost_channels(client: Client<'_>, seen: Option<u64>) -> Vec<Name> {
    let joined = client.worker.registry.borrow().memberships(client.connection.key).channels;
    let standing = client.connection.standing.borrow();
    let unseen = standing.forfeited_unseen(seen.unwrap_or_default()).iter();
    unseen.filter(|channel| joined.iter().all(|(name, _)| name != *channel)).cloned().collect()
}
