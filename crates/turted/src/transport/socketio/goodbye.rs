//! The good-bye to clients whose session an operator has ended. One that is between two polls hears it with its next
//! request, although its session is gone.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use turted_core::wire::socketio::DISCONNECT;

use super::payload::PollingBody;
use super::polling::Polling;
use super::state::id_of;
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::worker::Worker;

/// Clients of one worker that hear it with their next request; the oldest give way. A later one is told that its session
/// is unknown, and comes back.
const CLIENTS_MAX: usize = 1_000;
/// How long it is kept. A client that has its answer asks again at once.
const AGE: Duration = Duration::from_secs(30);

/// What waits for the next requests of clients, the oldest first.
#[derive(Debug, Default)]
struct Goodbyes(RefCell<VecDeque<Goodbye>>);

#[derive(Debug)]
struct Goodbye {
    since: Instant,
    id: SessionId,
    body: PollingBody,
}

/// Says good-bye to a client whose session is about to end.
pub(super) fn say(client: Client<'_>) {
    let outlet = client.connection.outlet();
    let polled = outlet.borrow_mut().requests_mut::<Polling>().map(Polling::say_goodbye);
    let body = match polled {
        None => return client.send_message(DISCONNECT),
        Some(None) => return,
        Some(Some(body)) => body,
    };
    let goodbyes = client.worker.part::<Goodbyes>();
    let mut waiting = goodbyes.0.borrow_mut();
    if waiting.len() >= CLIENTS_MAX {
        waiting.pop_front();
    }
    waiting.push_back(Goodbye { since: Instant::now(), id: id_of(client.connection), body });
}

/// The good-bye to a client whose session is gone, if it has not heard it.
pub(super) fn take(
    worker: &Worker,
    (id, found): (SessionId, &Option<Rc<Connection>>),
) -> Option<PollingBody> {
    if found.is_some() {
        return None;
    }
    let goodbyes = worker.part::<Goodbyes>();
    let mut waiting = goodbyes.0.borrow_mut();
    let young = waiting.partition_point(|goodbye| goodbye.since.elapsed() > AGE);
    waiting.drain(..young);
    let index = waiting.iter().position(|goodbye| goodbye.id == id)?;
    waiting.remove(index).map(|goodbye| goodbye.body)
}
