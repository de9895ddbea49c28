//! The loops of one worker, from its start to its end: dispatches, mail, timers.

use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::client::{identity, presence, record};
use super::delivery::fanout::SLICE;
use super::dispatch::inbox::Deliveries;
use super::worker::connection::Client;
use super::worker::sessions::Effect;
use super::worker::timers::Due;
use super::worker::worker::{CLOSING_WAIT, Mail, Worker};
use super::worker::{drain, loss, relief, write};

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
    worker.tasks.spawn_until_end(presence::run(Rc::clone(worker)));
    if worker.shared.cluster.get().is_some() {
        worker.tasks.spawn_until_end(loss::renew(Rc::clone(worker)));
    }
    if worker.index == 0 {
        worker.tasks.spawn_until_end(presence::tick(Rc::clone(worker)));
    }
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
        resolve(worker, &mut inbox);
        worker.fanout.borrow_mut().write_slice(&worker.context, |round| write::write(round, worker));
        if !worker.fanout.borrow().is_idle() {
            give_way(|| resolve(worker, &mut inbox)).await;
        }
    }
}

/// Resolves what is in the inbox, as far as there is room and time.
fn resolve(worker: &Worker, inbox: &mut Deliveries) {
    let started = Instant::now();
    while worker.fanout.borrow().has_room()
        && started.elapsed() < SLICE
        && let Ok(delivery) = inbox.try_recv()
    {
        worker.accept(&delivery);
    }
}

/// Gives way to the tasks that are ready, and then to those that the next look for I/O wakes. After that look the
/// runtime polls this task first: one yield would make a client that has sent something wait for two slices.
/// `between` is called in the middle, so that a dispatch is resolved as soon as without the second yield.
async fn give_way(between: impl FnOnce()) {
    yield_now().await;
    between();
    yield_now().await;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::runtime::{Builder, LocalOptions};
    use tokio::task::spawn_local;

    use super::*;

    #[test]
    fn what_a_client_has_sent_is_read_before_the_next_slice_is_written() {
        // As `server::node` makes it: what is tested is in which order it polls.
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let (mut near, far) = UnixStream::pair().unwrap();
            let reads = Rc::new(Cell::new(0));
            let counted = Rc::clone(&reads);
            spawn_local(async move {
                while near.read_u8().await.is_ok() {
                    counted.set(counted.get() + 1);
                }
            });
            // It waits for its first byte.
            give_way(|| ()).await;
            for slice in 1..=100 {
                assert_eq!(far.try_write(b"x").unwrap(), 1);
                let mut is_resolved = false;
                give_way(|| is_resolved = true).await;
                assert_eq!((reads.get(), is_resolved), (slice, true));
            }
        });
    }
}
