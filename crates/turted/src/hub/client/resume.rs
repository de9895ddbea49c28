//! A client comes back: its session is taken from where it is kept, or from a connection that is not
//! known to be dead, and it gets all that it missed, or is told that this is not possible.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;
use turted_core::close::Close;
use turted_core::cursor::Cursor;
use turted_core::membership::Since;
use turted_core::registry::ConnectionKey;

use crate::auth::unix_now;
use crate::hub::client::identity;
use crate::hub::client::replay::{self, Returning};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Recovered;
use crate::hub::delivery::outlet::Missed;
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::Client;
use crate::hub::worker::recovery::{Home, LostSession};
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::worker::Worker;

/// How long another worker may take to let go of a session, the wait for room in its mail box included. A
/// worker that still runs answers within its current slice, 500 us. A client that waits for longer than this
/// takes its connection for dead and tries anew.
const LETTING_GO_MAX: Duration = Duration::from_secs(3);

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
    /// It shows something that is no position.
    Unknown,
}

/// What came of resuming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumeOutcome {
    /// The client has its session again, and was sent what it missed.
    Resumed,
    /// The session is not kept any more.
    SessionUnknown,
    /// Something that it missed is not kept any more.
    Gap,
    /// The client is gone again.
    Gone,
}

/// Where the connection of a session is looked for.
#[derive(Clone, Copy, Debug)]
enum ConnectionHint {
    /// At the place the session id names.
    Slot(u32),
    /// At this key.
    Key(ConnectionKey),
}

impl Resumption {
    /// The number of the last dispatch the client has seen, if it can have seen it.
    fn seen(&self, worker: &Worker, lost: &LostSession) -> Option<u64> {
        let cursor = match self.seen {
            Seen::Nothing => return Some(lost.began_after),
            Seen::UpTo(cursor) => cursor,
            Seen::Unknown => return None,
        };
        let sent = lost.began_after..=worker.seen();
        let known = cursor.epoch == worker.dispatcher.epoch() && sent.contains(&cursor.sequence);
        known.then_some(cursor.sequence)
    }
}

/// Gives a client its session back, and all that it missed, encoded for `wire`; before that it is
/// sent what `greet` makes of the session's id and the number of events that follow.
pub(crate) async fn resume(
    client: Client<'_>,
    resumption: &Resumption,
    wire: Wire,
    greet: impl FnOnce(SessionId, usize) -> Frame,
) -> ResumeOutcome {
    let found = match resumption.id {
        Some(id) => reclaim(client.worker, id).await.map(|lost| (id, lost)),
        None => None,
    };
    catch_up(client.worker).await;
    let missed = match &found {
        Some((_, lost)) => missed(client, (resumption, lost, wire)).await,
        None => None,
    };
    // From here on nothing waits: what was missed and what is new must follow on each other.
    let outcome = match (found, missed) {
        (found, _) if client.connection.is_closed() => {
            if let Some((id, lost)) = found {
                // It may come back once more.
                client.worker.shared.recovery.keep(id, lost);
            }
            return ResumeOutcome::Gone;
        }
        (None, _) => ResumeOutcome::SessionUnknown,
        (Some(_), None) => ResumeOutcome::Gap,
        (Some((id, lost)), Some(missed)) => {
            client.connection.set_wire(wire);
            restore(client, id, &lost);
            client.send(&[greet(id, missed.len())]);
            client.connection.replay(client.worker, missed);
            ResumeOutcome::Resumed
        }
    };
    let resumed = outcome == ResumeOutcome::Resumed;
    client.worker.metrics.recovered(if resumed { Recovered::Resumed } else { Recovered::Anew });
    outcome
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
    } else if timeout(LETTING_GO_MAX, ask_to_let_go(worker, owner, (hint, id))).await.is_err() {
        tracing::warn!(worker = owner, "a worker does not let go of a session: its client begins anew");
    }
    recovery.take(id)
}

/// Asks another worker to let go of a session.
async fn ask_to_let_go(worker: &Worker, owner: u8, (hint, id): (ConnectionHint, SessionId)) {
    let (done, superseded) = oneshot::channel();
    let let_go = move |owner: &Rc<Worker>| {
        supersede(owner, hint, id);
        // The other worker may have stopped waiting.
        let _ = done.send(());
    };
    worker.send_mail(owner, Box::new(let_go)).await;
    // Without an answer there is no session to take; the caller finds that out.
    let _ = superseded.await;
}

/// Waits until this worker has resolved every dispatch that another worker may have sent to the client already.
/// Otherwise one could reach it a second time, or reach it by a channel that it joined later.
async fn catch_up(worker: &Worker) {
    let last = worker.dispatcher.last();
    while worker.seen() < last {
        yield_now().await;
    }
}

/// Ends the connection of a session whose client is back, so that it can be recovered.
fn supersede(worker: &Rc<Worker>, hint: ConnectionHint, id: SessionId) {
    let connection = {
        let registry = worker.registry.borrow();
        match hint {
            ConnectionHint::Slot(slot) => registry.at(slot).cloned(),
            ConnectionHint::Key(key) => registry.get(key).cloned(),
        }
    };
    if let Some(connection) = connection.filter(|found| found.recovery_id.get() == Some(id)) {
        connection.close(worker, Close::Superseded);
    }
}

/// What a client missed; `None` if not all of that is known any more.
async fn missed(
    client: Client<'_>,
    (resumption, lost, wire): (&Resumption, &LostSession, Wire),
) -> Option<Missed> {
    let seen = resumption.seen(client.worker, lost)?;
    let returning = Returning { memberships: &lost.memberships, seen, wire };
    let missed = replay::missed(client, returning).await?;
    // What came after the token expired was not for this client any more.
    (!lost.standing.has_expired(unix_now())).then_some(missed)
}

/// What a client missed that names its memberships anew. Its connection has them already, but is not admitted
/// yet. `None` if not all of that is known any more.
///
/// Nothing may wait between this and the admission: what was missed and what is new follow on each
/// other.
pub(crate) async fn missed_since(client: Client<'_>, seen: Seen) -> Option<Missed> {
    catch_up(client.worker).await;
    let memberships = client.worker.registry.borrow().memberships(client.connection.key);
    // The client was a member of all of them when it was sent the position.
    let since = if let Seen::UpTo(cursor) = seen { cursor.sequence } else { 0 };
    let lost = LostSession {
        memberships: memberships.held_since(Since(since)),
        standing: client.connection.standing.borrow().clone(),
        began_after: 0,
    };
    let resumption = Resumption { id: None, seen };
    let missed = match client.worker.config.recovery.enabled {
        true => missed(client, (&resumption, &lost, client.connection.wire())).await,
        false => None,
    };
    if !client.connection.is_closed() {
        client.worker.metrics.recovered(if missed.is_some() { Recovered::Resumed } else { Recovered::Anew });
    }
    missed
}

/// Makes the connection what the session was. What was missed has to be sent in the same go: no
/// dispatch can come between the last one that was missed and the first one that is new.
fn restore(client: Client<'_>, id: SessionId, lost: &LostSession) {
    client.connection.recovery_id.set(Some(id));
    client.worker.registry.borrow_mut().restore(client.connection.key, &lost.memberships);
    client.connection.standing.replace(lost.standing.clone());
    identity::watch_expiry(client);
    client.connection.admit(client.worker);
    client.connection.began_after.set(lost.began_after);
    client.worker.shared.recovery.moved(id, Home { worker: client.worker.index, key: client.connection.key });
}
