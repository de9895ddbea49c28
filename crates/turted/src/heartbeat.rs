//! Heartbeats that the server sends and the client answers: what Engine.IO 4 and the WebSocket
//! protocol have in common.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use turted_core::close::Close;

use crate::connection::Connection;
use crate::frame::Frame;
use crate::timers::Due;
use crate::worker::Worker;

/// How often, and how long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rhythm {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// The heartbeats of one connection.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    /// When the one that is not answered yet was sent.
    pinged: Cell<Option<Instant>>,
}

impl Heartbeat {
    /// The client answered.
    pub(crate) fn answered(&self) {
        self.pinged.set(None);
    }

    /// It is time to send the next one, unless the last one is not answered yet.
    pub(crate) fn send(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, rhythm: Rhythm, ping: Frame) {
        // Counted from when it was due, or the rhythm would slow down by each delay.
        let due = worker.timers.due_at(Instant::now());
        worker.timers.add(due + rhythm.interval, connection.key, Due::Ping);
        if self.pinged.get().is_none() {
            self.pinged.set(Some(due));
            worker.timers.add(due + rhythm.timeout, connection.key, Due::Pong);
            connection.send(worker, &[ping]);
        }
    }

    /// The answer must have come by now.
    pub(crate) fn check(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, rhythm: Rhythm) {
        if self.pinged.get().is_some_and(|sent| sent.elapsed() >= rhythm.timeout) {
            connection.close(worker, Close::PingTimeout);
        }
    }
}
