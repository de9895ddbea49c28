//! The loops of one worker, from its start to its end: dispatches, mail, timers.

use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::client::{identity, record};
use super::delivery::fanout::SLICE;
use super::dispatch::inbox::Deliveries;
use super::worker::connection::Client;
use super::worker::sessions::Effect;
use super::worker::timers::Due;
use super::worker::worker::{CLOSING_WAIT, Mail, Worker};
use super::worker::{drain, relief, write};

/// Timers handled before other tasks get their turn.
const TURN: usize = 256;

/// What one worker receives: dispatches, and mail of other workers and of operators.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) inbox: Deliveries,
    pub(crate) mail: mpsc::Receiver<Mail>,
}

/// Runs a worker until the server stops and every client was told.
pub(crate) async fn run(worker: &Rc<Worker>, queues: Queues) {
    worker.metrics.watch_runtime();
    worker.spawn(read_mail(Rc::clone(worker), queues.mail));
    worker.spawn(watch_timers(Rc::clone(worker)));
    worker.spawn(relief::run(Rc::clone(worker)));
    // No task of its own: the runtime polls this one before all tasks, so that a dispatch does not wait for what they do.
    // It costs a look for I/O per wake-up.
    // Ends when the dispatcher stops and the inbox is empty.
    deliver(worker, queues.inbox).await;
    drain::tell_all(worker).await;
    let life = &worker.shared.life;
    life.drained();
    life.ending.cancelled().await;
    finish(worker).await;
}

/// Takes dispatches out of the inbox and writes them to connections, in slices.
async fn deliver(worker: &Rc<Worker>, mut inbox: Deliveries) {
    loop {
        if worker.shared.backlogs.is_full() {
            // What is written now would wait as well.
            relief::relieve(worker).await;
        }
        if worker.fanout.borrow().is_idle() {
            match inbox.recv().await {
                Some(delivery) => worker.accept(&delivery),
                None => return,
            }
        }
        let started = Instant::now();
        while worker.fanout.borrow().has_room()
            && started.elapsed() < SLICE
            && let Ok(delivery) = inbox.try_recv()
        {
            worker.accept(&delivery);
        }
        worker.fanout.borrow_mut().write_slice(&worker.context, |round| write::write(round, worker));
        if !worker.fanout.borrow().is_idle() {
            yield_now().await;
        }
    }
}

/// Does what other workers, and operators, ask.
async fn read_mail(worker: Rc<Worker>, mut mail: mpsc::Receiver<Mail>) {
    while let Some(Some(mail)) = worker.tasks.until_end(mail.recv()).await {
        mail(&worker);
    }
}

async fn watch_timers(worker: Rc<Worker>) {
    while worker.tasks.until_end(worker.timers.wait()).await.is_some() {
        let now = Instant::now();
        for _ in 0..TURN {
            let Some((key, due)) = worker.timers.pop(now) else { break };
            let connection = worker.registry.borrow().get(key).cloned();
            if let Some(connection) = connection {
                call(Client::of(&worker, &connection), due);
            }
        }
        yield_now().await;
    }
}

fn call(client: Client<'_>, due: Due) {
    let session = &client.connection.session;
    if due != Due::Expiry {
        session.due(client, due);
    } else if let Some(left) = identity::expire(client) {
        let recorded = record::proved(client, Effect::TakesAway, &left);
        record::expired(client, recorded, move |client| client.connection.session.expired(client, &left));
    }
}

/// Waits for the tasks that still send last messages to clients.
async fn finish(worker: &Worker) {
    if timeout(CLOSING_WAIT, worker.tasks.finish()).await.is_err() {
        tracing::warn!(worker = worker.index, tasks = worker.tasks.count(), "tasks cut off at the end");
        if cfg!(debug_assertions) {
            assert_clients_hold_up(worker).await;
        }
    }
}

/// Asserts that clients which do not take their good-bye hold the tasks of a worker up. Without a client, there is
/// one that never ends; but on a busy machine it may not have had its turn yet.
async fn assert_clients_hold_up(worker: &Worker) {
    let on_their_own = async {
        while worker.tasks.count() > 0 && worker.shared.sockets() == 0 {
            yield_now().await;
        }
    };
    timeout(CLOSING_WAIT, on_their_own).await.expect("a task ends when no client holds it up");
}
