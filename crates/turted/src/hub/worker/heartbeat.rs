//! Heartbeats that the server sends and the client answers: what Engine.IO 4 and the WebSocket
//! protocol have in common.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;
use turted_core::close::Close;

use crate::hub::delivery::frame::Frame;
use crate::hub::worker::connection::Client;
use crate::hub::worker::timers::Due;

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
    /// Whether the client has to take other frames first, so that it sees the heartbeat later.
    is_delayed: Cell<bool>,
}

impl Heartbeat {
    /// The client answered.
    pub(crate) fn answered(&self) {
        self.pinged.set(None);
    }

    /// It is time to send the next one, unless the last one is not answered yet.
    pub(crate) fn send(&self, client: Client<'_>, rhythm: Rhythm, ping: Frame) {
        // Counted from when the heartbeat was due: otherwise each delay would slow down the rhythm.
        let due = client.worker.timers.due_at(Instant::now());
        client.worker.timers.add(due + rhythm.interval, client.connection.key, Due::Ping);
        if self.pinged.get().is_none() {
            self.pinged.set(Some(due));
            client.worker.timers.add(due + rhythm.timeout, client.connection.key, Due::Pong);
            client.connection.send_ahead(client.worker, &ping);
            self.is_delayed.set(client.connection.outlet().borrow().is_being_taken());
        }
    }

    /// Whether the time for the answer is over.
    pub(crate) fn is_due(&self, rhythm: Rhythm) -> bool {
        self.pinged.get().is_some_and(|asked| asked.elapsed() >= rhythm.timeout)
    }

    /// The answer must have come by now, unless the client still takes what was sent before the heartbeat.
    pub(crate) fn check(&self, client: Client<'_>, rhythm: Rhythm) {
        let Some(asked) = self.pinged.get() else { return };
        let is_being_taken = client.connection.outlet().borrow().is_being_taken();
        if self.is_delayed.replace(is_being_taken) || is_being_taken {
            // The client has as much time as if the heartbeat was sent now.
            let now = Instant::now();
            self.pinged.set(Some(now));
            client.worker.timers.add(now + rhythm.timeout, client.connection.key, Due::Pong);
        } else if asked.elapsed() >= rhythm.timeout {
            client.close(Close::PingTimeout);
        }
    }
}
