//! What becomes of sessions when the log of a cluster may have lost events, or when this node cannot serve them any longer: all
//! that it has of them is written again, then their connections are ended as at a drain, so that their clients come back. After
//! a loss they are told of a gap, and keep their users and channels.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use turted_core::close::{Close, Closing};
use turted_core::limits::CLOSES_PER_SECOND;
use turted_core::record::session::SessionState;
use turted_core::registry::ConnectionKey;

use super::connection::{Client, Connection};
use super::worker::{Mail, Peers, Worker};
use crate::hub::cluster::status::Ending;

/// Stands where a session names the last dispatch before it began, if its client has missed something that nobody knows of:
/// whatever position the client shows, it is told of a gap.
pub(crate) const GAP: u64 = u64::MAX;

/// Sessions that are dealt with before other tasks of a worker have a turn.
const PORTION: usize = 64;
/// How long clients are not told because their sessions cannot be written: an engine that lost something is there.
const WRITING_MAX: Duration = Duration::from_secs(10);
/// Time between two looks which connections are next.
const BEAT: Duration = Duration::from_millis(10);
/// Time between two portions of sessions whose age is renewed.
const RENEWAL_BEAT: Duration = Duration::from_secs(1);

/// What clients are told.
fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::Lost => "the log may have lost events",
        Ending::Elsewhere => "the session goes on at another server",
    }
}

/// Asks all workers to write their sessions, and to end the connections that can recover.
pub(crate) fn end_all(peers: &Peers, ending: Ending) {
    for peer in peers.iter() {
        let mail: Mail =
            Box::new(move |worker: &Rc<Worker>| worker.spawn(end_all_of(Rc::clone(worker), ending)));
        if let Err(refused) = peer.try_send(mail) {
            // It is asked by the cluster thread, which must not wait.
            drop(refused);
            tracing::error!("a worker takes no mail: its clients are not told of a loss");
        }
    }
}

async fn end_all_of(worker: Rc<Worker>, ending: Ending) {
    let connections: Vec<_> = worker.registry.borrow().iter().map(|connection| connection.key).collect();
    let mut written = Vec::new();
    for portion in connections.chunks(PORTION) {
        for key in portion {
            written.extend(note(&worker, *key, ending));
        }
        yield_now().await;
    }
    if worker.index == 0 {
        let mut place = None;
        while worker.shared.recovery.note_behind(&mut place, PORTION) {
            yield_now().await;
        }
    }
    let all = async {
        for written in written {
            // What is written is dropped.
            drop(written.await);
        }
    };
    drop(timeout(WRITING_MAX, all).await);
    close_all(&worker, &connections, ending).await;
}

/// Writes the session of a connection, after a loss as one with a gap. Returns what comes when it is written.
fn note(worker: &Worker, key: ConnectionKey, ending: Ending) -> Option<oneshot::Receiver<()>> {
    let connection = worker.registry.borrow().get(key).cloned()?;
    let session = connection.recovery_id.get()?.key();
    worker.sessions.note(session, || match ending {
        Ending::Lost => SessionState { began_after: GAP, ..connection.state(worker) },
        Ending::Elsewhere => connection.state(worker),
    });
    worker.shared.cluster.get()?.sessions().written(session)
}

/// Ends connections that can recover, not all at once.
async fn close_all(worker: &Rc<Worker>, connections: &[ConnectionKey], ending: Ending) {
    let pace = (CLOSES_PER_SECOND / worker.config.workers / 100).max(1);
    for portion in connections.chunks(pace) {
        for key in portion {
            let connection = worker.registry.borrow().get(*key).cloned();
            connection.into_iter().for_each(|connection| close(worker, &connection, ending));
        }
        // A drain ends the others as well, but says nothing of a gap.
        if !worker.shared.life.is_draining() {
            sleep(BEAT).await;
        }
    }
}

fn close(worker: &Rc<Worker>, connection: &Rc<Connection>, ending: Ending) {
    let client = Client::of(worker, connection);
    let has_session = connection.recovery_id.get().is_some();
    if !has_session && !connection.session.shows_position(client) {
        return;
    }
    match ending {
        Ending::Lost if has_session => connection.began_after.set(GAP),
        Ending::Lost => connection.session.forget_position(client),
        Ending::Elsewhere => {}
    }
    connection.close_saying(worker, Closing { close: Close::Drain, reason: reason(ending) });
}

/// Writes the sessions of this worker from time to time, for ever: the engine keeps each for a while from its last write on.
pub(crate) async fn renew(worker: Rc<Worker>) {
    let period = worker.config.recovery.max_age.max(RENEWAL_BEAT);
    let mut next = 0_u32;
    let mut began = Instant::now();
    loop {
        sleep(RENEWAL_BEAT).await;
        let places = worker.registry.borrow().places();
        let share = began.elapsed().as_secs_f64() / period.as_secs_f64();
        let due = ((f64::from(places) * share) as u32).min(places);
        for slot in next..due {
            renew_one(&worker, slot);
            if slot % PORTION as u32 == 0 {
                yield_now().await;
            }
        }
        next = next.max(due);
        if share >= 1.0 {
            (next, began) = (0, Instant::now());
        }
    }
}

fn renew_one(worker: &Worker, slot: u32) {
    let connection = worker.registry.borrow().at(slot).cloned();
    if let Some(connection) = connection
        && let Some(id) = connection.recovery_id.get()
    {
        worker.sessions.note(id.key(), || connection.state(worker));
    }
}
