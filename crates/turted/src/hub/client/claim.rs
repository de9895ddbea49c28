//! In a cluster a session belongs to one node. A client that comes back to another one has it claimed: the node that has it
//! lets go, if it lives, and then the session is taken, as what it was written last.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use turted_core::cluster::head::{Author, Read};
use turted_core::cluster::message::{Message, Told};
use turted_core::cluster::session::{Kept, KeptSession, decode};
use turted_core::cursor::Cursor;
use turted_core::record::session::SessionState;
use turted_core::session_key::SessionKey;

use super::resume::{self, ConnectionHint, Seen};
use crate::auth::unix_now;
use crate::engine::Changed;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::job::{Unavailable, Wanted};
use crate::hub::cluster::marks::Wait;
use crate::hub::cluster::sessions::name_of;
use crate::hub::cluster::status::NodeSeen;
use crate::hub::worker::connection::Client;
use crate::hub::worker::loss::{self, GAP};
use crate::hub::worker::recovery::LostSession;
use crate::hub::worker::sessions::Found;
use crate::hub::worker::shared::Shared;
use crate::hub::worker::worker::{Peers, Worker};

/// How long a client waits for a session that cannot be looked up. Then its connection is closed, so that it tries again.
pub(super) const LOOK_UP_MAX: Duration = Duration::from_secs(10);
/// How long another node may take to let go of a session. One that is frozen or cut off loses it.
const LETTING_GO_MAX: Duration = Duration::from_secs(2);
/// Time between the first two looks whether this node has read as far, and between later ones.
const LOOK: Duration = Duration::from_millis(5);
const LOOK_MOST: Duration = Duration::from_millis(50);
/// How often a session is claimed before its client has to try again: it is taken by another connection meanwhile, or its
/// client was given another one.
const ATTEMPTS_MAX: usize = 4;

/// What the engine has of a session, which belongs to this node now.
#[derive(Debug)]
enum Claimed {
    Whole(SessionState),
    /// Its client was given this one.
    Succeeded(SessionKey),
    Missing,
}

/// Claims a session, and keeps it among those that are lost. Returns the key under which it is there: that of its successor,
/// if its client was given one; `None` if it is not known any more.
pub(super) async fn claim(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    (shown, until): (SessionKey, Instant),
) -> Result<Option<SessionKey>, Unavailable> {
    let recovery = &worker.shared.recovery;
    let (mut key, mut next) = (shown, recovery.successor(shown));
    for _ in 0..ATTEMPTS_MAX {
        resume::let_go_here(worker, key).await;
        if let Some(written) = cluster.sessions().written(key) {
            // What is written is dropped, so that both outcomes mean the same.
            drop(timeout_at(until, written).await.map_err(|_| Unavailable)?);
        }
        let is_held = match fetch(cluster, key, until).await? {
            Claimed::Whole(state) => recovery.hold(key, state),
            Claimed::Succeeded(successor) => {
                (key, next) = (successor, None);
                continue;
            }
            // What this node has kept of it is as good.
            Claimed::Missing if recovery.look(key).is_some() => true,
            Claimed::Missing => match next.take() {
                Some(successor) => {
                    key = successor;
                    continue;
                }
                None => return Ok(None),
            },
        };
        if is_held {
            return Ok(Some(key));
        }
    }
    Err(Unavailable)
}

/// Takes a session from whoever has it. One that a later version of this program has written stays where it is: while its node
/// lives its client tries again, and comes to a node that reads it. Without that node it begins anew: perhaps nobody reads it.
async fn fetch(cluster: &Cluster, key: SessionKey, until: Instant) -> Result<Claimed, Unavailable> {
    let (name, process) = (name_of(key), cluster.process());
    match ask(cluster, Wanted::Get { name: name.clone() }, until).await? {
        Changed::Missing => return Ok(Claimed::Missing),
        Changed::Value(owner, value) | Changed::Owned(owner, value) => {
            if read(&value).is_err() {
                return node_of(cluster, owner).map_or(Ok(Claimed::Missing), |_| Err(Unavailable));
            }
            if owner != process {
                ask_to_let_go(cluster, key, owner).await;
            }
        }
        _ => {}
    }
    let age = cluster.sessions().age();
    match ask(cluster, Wanted::Take { name, age }, until).await? {
        // It may be another one by now.
        Changed::Value(_, value) | Changed::Owned(_, value) => read(&value),
        Changed::Missing => Ok(Claimed::Missing),
        Changed::Done | Changed::Refused(_) => Err(Unavailable),
    }
}

/// The node of a process, if it lives.
fn node_of(cluster: &Cluster, process: u64) -> Option<NodeSeen> {
    cluster.status().nodes().into_iter().find(|node| node.process == process)
}

/// What the engine has of a session.
fn read(value: &[u8]) -> Result<Claimed, Unavailable> {
    match decode(value) {
        Read::Ours(KeptSession { kept: Kept::Whole(state), .. }) => Ok(Claimed::Whole(state)),
        Read::Ours(KeptSession { kept: Kept::Succeeded(key), .. }) => Ok(Claimed::Succeeded(key)),
        Read::Foreign => Ok(Claimed::Missing),
        Read::Later(_) => Err(Unavailable),
    }
}

async fn ask(cluster: &Cluster, wanted: Wanted, until: Instant) -> Result<Changed, Unavailable> {
    let left = until.saturating_duration_since(Instant::now());
    timeout_at(until, cluster.ask(wanted, left)).await.map_err(|_| Unavailable)?
}

/// Asks the node that has a session to let go of it, if it lives, and waits for that.
async fn ask_to_let_go(cluster: &Cluster, session: SessionKey, owner: u64) {
    let Some(node) = node_of(cluster, owner) else { return };
    let (question, gone) = cluster.sessions().ask();
    let message = Message { from: cluster.author(), told: Told::LetGo { question, session } }.encode();
    let asked = async {
        if cluster.ask(Wanted::Tell { to: Some(node.number), message }, LETTING_GO_MAX).await.is_ok() {
            // Both outcomes mean the same: the session is taken now.
            let _ = gone.await;
        }
    };
    drop(timeout(LETTING_GO_MAX, asked).await);
    cluster.sessions().answered(question);
}

/// Waits until this node has read as far as the node from which a client comes, so that nothing of the session is ahead, or
/// until what is ahead is nowhere, or until the client is gone.
///
/// # Errors
/// This node cannot read the log now: what is ahead of it may be there.
pub(super) async fn catch_up(
    client: Client<'_>,
    (seen, lost): (&Seen, Option<&LostSession>),
    until: Instant,
) -> Result<(), Unavailable> {
    let Client { worker, connection } = client;
    let Some(cluster) = worker.shared.cluster.get() else { return Ok(()) };
    let number = lost.map_or(0, SessionState::highest);
    let position = match seen {
        Seen::UpTo(cursor) => Some(*cursor),
        Seen::Unknown(told) => *told,
        Seen::Nothing => None,
    };
    // A client without a position, which was told a loss say, may come from any node: it hears nothing again.
    let may_be_ahead = || matches!(seen, Seen::Unknown(_)) || is_ahead(worker, position, number);
    let (mut wait, mut pause) = (Wait::no_longer_than(until), LOOK);
    while may_be_ahead() {
        let read = worker.dispatcher.cursor(worker.dispatcher.last());
        if let Some(end) = wait.end(cluster.status(), (position, read), unix_now()) {
            return end;
        }
        sleep(pause).await;
        pause = (2 * pause).min(LOOK_MOST);
        // No task reads its socket meanwhile.
        connection.close_if_gone(worker);
        if connection.is_closed() {
            break;
        }
    }
    Ok(())
}

/// Whether a position belongs to an epoch that this node of a cluster has not read of yet.
pub(crate) fn is_of_later_epoch(worker: &Worker, cursor: Cursor) -> bool {
    let read = || worker.dispatcher.cursor(worker.dispatcher.last());
    worker.shared.cluster.get().is_some() && cursor.epoch > read().epoch
}

fn is_ahead(worker: &Worker, seen: Option<Cursor>, number: u64) -> bool {
    let last = worker.dispatcher.last();
    if number > last && number != GAP {
        return true;
    }
    let read = worker.dispatcher.cursor(last);
    seen.is_some_and(|seen| (seen.epoch, seen.sequence) > (read.epoch, read.sequence))
}

/// From now on the sessions of this node are those of a cluster. To be called before the workers run.
pub(crate) fn begin(shared: &Arc<Shared>, peers: &Peers, (cluster, max_age): (&Cluster, Duration)) {
    let (told, boxes) = (Arc::downgrade(shared), Arc::clone(peers));
    // A session is renewed within `max_age`, and kept for as long behind that.
    cluster.sessions().begin(max_age.saturating_mul(2), move |session| {
        if let Some(shared) = told.upgrade() {
            taken(&shared, &boxes, session);
        }
    });
    shared.sessions.begin_in_cluster(cluster.clone());
    shared.recovery.begin(Found::default(), shared.sessions.clone());
    let boxes = Arc::clone(peers);
    cluster.status().end_all_by(move |ending| loss::end_all(&boxes, ending));
}

/// Hears what other nodes tell about sessions, and about who is in their channels.
pub(crate) fn hear(shared: &Arc<Shared>, peers: &Peers, from: Author, told: Told) {
    let Some(cluster) = shared.cluster.get() else { return };
    match told {
        Told::LetGone { question } => cluster.sessions().answered(question),
        Told::LetGo { question, session } => let_go(shared, peers, (from, question, session)),
        Told::Presence(told) => shared.presence.hear(cluster, from, told),
        Told::Counts(_)
        | Told::Block { .. }
        | Told::Ask { .. }
        | Told::AskHistory { .. }
        | Told::Answer { .. }
        | Told::Watch(_) => {}
    }
}

/// Lets go of a session whose client is at another node, and says so when it is written.
fn let_go(shared: &Shared, peers: &Peers, (from, question, session): (Author, u64, SessionKey)) {
    let worker = shared.recovery.home(session).map_or(0, |home| home.worker);
    let mail = move |worker: &Rc<Worker>| {
        worker.spawn(say_let_gone(Rc::clone(worker), (from, question, session)));
    };
    if let Some(peer) = peers.get(usize::from(worker)) {
        // A worker that takes no mail is not waited for: the other node takes the session after a while.
        let _ = peer.try_send(Box::new(mail));
    }
}

async fn say_let_gone(worker: Rc<Worker>, (from, question, session): (Author, u64, SessionKey)) {
    let Some(cluster) = worker.shared.cluster.get() else { return };
    resume::let_go_here(&worker, session).await;
    if let Some(written) = cluster.sessions().written(session)
        && timeout(LETTING_GO_MAX, written).await.is_err()
    {
        return;
    }
    worker.shared.recovery.gone(session);
    worker.shared.presence.handed_over(session);
    let message = Message { from: cluster.author(), told: Told::LetGone { question } }.encode();
    // Whoever asked waits for a while only.
    drop(cluster.ask(Wanted::Tell { to: Some(from.node), message }, LETTING_GO_MAX).await);
}

/// Another node has taken a session that a connection of this one had: the newer one has it.
pub(crate) fn taken(shared: &Shared, peers: &Peers, session: SessionKey) {
    let Some(home) = shared.recovery.home(session) else {
        shared.presence.handed_over(session);
        return shared.recovery.gone(session);
    };
    let mail = move |worker: &Rc<Worker>| {
        resume::supersede(worker, ConnectionHint::Key(home.key), session);
        worker.shared.presence.handed_over(session);
        worker.shared.recovery.gone(session);
    };
    if let Some(peer) = peers.get(usize::from(home.worker)) {
        // It is found out again when the session is written next.
        let _ = peer.try_send(Box::new(mail));
    }
}
