//! Event streams (HTML, "Server-sent events") at `/sse`, and in the form of TURTED for reactphp.
//! Specified in `docs/protocol-sse.md`.
//!
//! | file | what |
//! |---|---|
//! | `request` | a request: what it asks for, the rules it must keep, its answer |
//! | `parameters` | its parameters, and those that are meant to be one of them |
//! | `stream` | a stream from its head on, and a client that comes back |
//!
//! A client says everything in its request. Nothing of a stream outlives it: the position that the
//! client carries and its next request are all that is needed to go on.

mod parameters;
mod request;
mod stream;

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::cursor::Cursor;
use turted_core::wire::sse::{encode_heartbeat, encode_ping, encode_retry};

use crate::hub::delivery::fanout::Recipient;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;

pub(crate) use request::{answer, no_place};

/// Whose form a stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Our own: signs of life are comments.
    Turted,
    /// TURTED for reactphp: signs of life are events.
    ReactPhp,
}

/// What a connection of this transport needs beside the others.
#[derive(Debug)]
pub(crate) struct Session {
    style: Style,
}

/// Something is due for a connection.
pub(crate) fn timer(worker: &Rc<Worker>, connection: &Rc<Connection>, session: &Session, due: Due) {
    if due != Due::Ping {
        return;
    }
    // Counted from when it was due, or each delay would add up.
    watch(worker, connection, worker.timers.due_at(Instant::now()));
    if connection.outlet().borrow().is_being_taken() {
        // What it is taking shows that the server lives.
        return;
    }
    let position = position(worker, connection);
    let sign = match session.style {
        Style::Turted => encode_heartbeat(position),
        Style::ReactPhp => encode_ping(position),
    };
    connection.send_message(worker, &sign);
}

/// Has the next sign of life sent.
fn watch(worker: &Worker, connection: &Connection, from: Instant) {
    worker.timers.add(from + worker.config.sse.heartbeat, connection.key, Due::Ping);
}

/// Where a client is that has been sent everything, so that it does not resume from the last event
/// of a quiet channel, which the log may have forgotten meanwhile.
fn position(worker: &Worker, connection: &Connection) -> Option<Cursor> {
    let all_sent = connection.chain().get().is_empty();
    (all_sent && worker.config.recovery.enabled).then(|| worker.dispatcher.cursor(worker.seen()))
}

/// A proof of who the client is has expired. There is no way to prove it anew on a stream: it ends,
/// and the next request says whether the client may still read.
pub(crate) fn expired(worker: &Worker, connection: &Connection) {
    connection.close(worker, Close::Expired);
}

/// The last field of a stream: clients of a server that stops come back at different times.
pub(crate) fn farewell(worker: &Worker, close: Close) -> Option<Vec<u8>> {
    (close == Close::Drain).then(|| come_back(worker.config.sse.retry).into_bytes())
}

/// Tells a client to come back after `retry`, or up to twice as long.
fn come_back(retry: Duration) -> String {
    // Without random numbers all come at once, which is no reason to end badly.
    let share = getrandom::u32().unwrap_or(0);
    encode_retry(retry + retry.mul_f64(f64::from(share) / f64::from(u32::MAX)))
}
