//! What operators do to clients: they end connections, and take connections out of channels.
//!
//! A user may have very many connections. They are dealt with in slices, so that other clients do not wait.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use turted_core::close::{Close, Closing};
use turted_core::name::Name;
use turted_core::registry::ConnectionKey;

use crate::hub::client::{commands, record};
use crate::hub::worker::connection::Client;
use crate::hub::worker::queries::{self, ConnectionWanted};
use crate::hub::worker::sessions::{Effect, Recorded};
use crate::hub::worker::worker::Worker;

/// Connections that are dealt with in one slice: an end costs a system call or two, some 10 us.
const SLICE: usize = 32;
/// How long all clients together are waited for that move to another carrier: a move takes a few round trips. One that is
/// not waited for may come back.
const MOVE_WAIT: Duration = Duration::from_secs(1);
/// Time between two looks whether a client has moved.
const LOOK: Duration = Duration::from_millis(5);

/// Whose connections are meant.
#[derive(Clone, Debug)]
pub(crate) enum Whom {
    User(Name),
    Connection(ConnectionWanted),
}

/// What is done to them.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// They end, and their clients are told why in these words.
    Disconnect(Close, Arc<str>),
    /// They leave this channel.
    Remove(Name),
}

impl Deed {
    /// Whether clients are told not to come back.
    fn is_good_bye(&self) -> bool {
        matches!(self, Self::Disconnect(Close::OperatorEnded, _))
    }
}

/// Does something to the connections of this worker that are meant, and answers how many of them it concerned, once
/// that is recorded; nothing if it cannot be. The operator may have stopped waiting; it is done all the same.
pub(crate) fn perform(worker: &Rc<Worker>, (whom, deed): (Whom, Deed), answer: oneshot::Sender<usize>) {
    let worker = Rc::clone(worker);
    worker.clone().spawn(async move {
        let (concerned, recorded) = do_to_all(&worker, &whom, &deed).await;
        // As a client that leaves: who has the answer relies on it, whatever happens to this node.
        if record::wait_for_all(&worker, recorded).await {
            let _ = answer.send(concerned);
        }
    });
}

async fn do_to_all(worker: &Rc<Worker>, whom: &Whom, deed: &Deed) -> (usize, Vec<Recorded>) {
    let (mut concerned, mut recorded, moved_by) = (0, Vec::new(), Instant::now() + MOVE_WAIT);
    for slice in keys(worker, whom).await.chunks(SLICE) {
        for key in slice {
            let connection = worker.registry.borrow().get(*key).cloned();
            let Some(connection) = connection else { continue };
            while deed.is_good_bye() && connection.session.is_moving(&connection) && Instant::now() < moved_by
            {
                sleep(LOOK).await;
            }
            if let Some(change) = do_to(Client::of(worker, &connection), deed) {
                concerned += 1;
                recorded.extend((!change.is_now()).then_some(change));
            }
        }
        yield_now().await;
    }
    (concerned, recorded)
}

/// The connections of this worker that are meant.
async fn keys(worker: &Rc<Worker>, whom: &Whom) -> Vec<ConnectionKey> {
    match whom {
        Whom::Connection(wanted) => {
            queries::find(worker, wanted).await.iter().map(|found| found.key).collect()
        }
        Whom::User(name) => {
            let registry = worker.registry.borrow();
            let slots = registry.users().slots(name);
            slots.filter_map(|slot| registry.at(slot)).map(|connection| connection.key).collect()
        }
    }
}

/// Returns what is recorded of it; `None` if the connection was not concerned.
fn do_to(client: Client<'_>, deed: &Deed) -> Option<Recorded> {
    match deed {
        Deed::Disconnect(close, reason) => {
            disconnect(client, Closing { close: *close, reason }).then_some(Recorded::NOW)
        }
        Deed::Remove(channel) => remove(client, channel),
    }
}

fn disconnect(client: Client<'_>, closing: Closing<'_>) -> bool {
    if client.connection.is_closed() {
        return false;
    }
    if closing.close == Close::OperatorEnded {
        client.connection.session.dismissed(client);
    }
    client.connection.close_saying(client.worker, closing);
    true
}

/// Takes a client out of a channel, and tells it so. If the connection breaks before that arrives, the client is told when
/// it resumes.
fn remove(client: Client<'_>, channel: &Name) -> Option<Recorded> {
    let Client { worker, connection } = client;
    if connection.is_closed() || worker.registry.borrow().since(connection.key, channel).is_none() {
        return None;
    }
    let left = std::slice::from_ref(channel);
    commands::leave(client, channel);
    let (position, most) = (worker.passed(connection), worker.config.limits.channels_per_connection);
    connection.standing.borrow_mut().forfeit(left, position, most);
    // The client is told at once, the operator when it is recorded.
    let recorded = record::proved(client, Effect::TakesAway, left);
    // Events of the channel that were on their way come before the news.
    client.send_chained();
    connection.session.removed(client, channel);
    Some(recorded)
}
