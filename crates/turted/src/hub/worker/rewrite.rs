//! Writes all sessions anew: each worker notes those of its connections, one worker after the other, then those are noted
//! whose clients are away.
//!
//! A session that moves meanwhile is not missed. One that is lost is found among those that are away, which are looked at
//! last; one that is resumed is noted by its new connection.

use std::rc::Rc;

use tokio::task::yield_now;

use super::sessions::Sessions;
use super::worker::{Mail, Peers, Worker};

/// Sessions noted before other tasks of a worker have a turn: some 200 us.
const PORTION: u32 = 64;

/// Lets the thread that writes sessions ask for all of them.
pub(crate) fn answer(sessions: &Sessions, peers: &Peers) {
    let first = peers.first().cloned();
    sessions.ask_by(move || first.as_ref().is_some_and(|first| first.try_send(mail()).is_ok()));
}

/// Asks a worker to note its sessions.
fn mail() -> Mail {
    Box::new(|worker: &Rc<Worker>| worker.spawn(note_all(Rc::clone(worker))))
}

/// Notes all sessions of this worker, and lets the next one go on.
async fn note_all(worker: Rc<Worker>) {
    let mut slots = 0..worker.registry.borrow().places();
    while !slots.is_empty() {
        slots.by_ref().take(PORTION as usize).for_each(|slot| note(&worker, slot));
        yield_now().await;
    }
    let next = worker.index.saturating_add(1);
    if usize::from(next) < worker.peers.len() {
        return worker.send_mail(next, mail()).await;
    }
    let mut place = None;
    while worker.shared.recovery.note_behind(&mut place, PORTION as usize) {
        yield_now().await;
    }
    worker.shared.sessions.noted_all();
}

fn note(worker: &Worker, slot: u32) {
    let connection = worker.registry.borrow().at(slot).cloned();
    if let Some(connection) = connection
        && let Some(id) = connection.recovery_id.get()
    {
        worker.shared.sessions.note(id.key(), || connection.state(worker));
    }
}
