//! What a stream does at the moments that all transports have: something that is due, the end.

use std::time::Duration;

use tokio::time::Instant;
use turted_core::close::{Close, Closing};
use turted_core::name::Name;
use turted_core::wire::sse::{encode_heartbeat, encode_left, encode_loss, encode_ping, encode_retry};
use turted_core::wire::websocket::Message;

use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::{Session, Step};
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;

/// The form of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// That of turted: heartbeats are comments.
    Turted,
    /// That of TURTED for reactphp: heartbeats are events.
    ReactPhp,
}

/// What this transport keeps of a connection.
#[derive(Debug)]
pub(super) struct SseSession {
    pub(super) style: Style,
}

impl Session for SseSession {
    fn transport(&self) -> Transport {
        Transport::Sse
    }

    fn receive(&self, _: Client<'_>, _: &Message<'_>) -> Step {
        // A client sends nothing on a stream.
        Step::Stop
    }

    fn due(&self, client: Client<'_>, due: Due) {
        match due {
            Due::Ping => self.beat(client),
            Due::Connect | Due::Pong | Due::Silence | Due::Noop | Due::Upgrade | Due::Expiry => {}
        }
    }

    fn expired(&self, client: Client<'_>, _: &[Name]) {
        // There is no way to prove anew on a stream who the client is: it ends, and the next request says
        // whether the client may still read.
        client.close(Close::Expired);
    }

    fn removed(&self, client: Client<'_>, channel: &Name) {
        // Pages of TURTED for reactphp have no event for it.
        if self.style == Style::Turted {
            client.send_message(&encode_left(std::slice::from_ref(channel)));
        }
    }

    fn shows_position(&self, client: Client<'_>) -> bool {
        client.position().is_some()
    }

    fn forget_position(&self, client: Client<'_>) {
        // The client shows it when it comes back, and is told of a gap by a node that has read as far.
        client.send_message(&encode_loss(client.position()));
    }

    fn end(&self, worker: &Worker, _: &mut Outlet, Closing { close, .. }: Closing<'_>) -> Option<Vec<u8>> {
        // Clients of a server that stops come back at different times.
        (close == Close::Drain).then(|| come_back(worker.config.sse.retry).into_bytes())
    }
}

impl SseSession {
    /// Sends a heartbeat.
    fn beat(&self, client: Client<'_>) {
        // Counted from when it was due, or each delay would add up.
        watch(client, client.worker.timers.due_at(Instant::now()));
        if client.connection.outlet().borrow().is_being_taken() {
            // The client is taking other bytes, which show that the server is alive.
            return;
        }
        // Without its position the client would resume from the last event of a quiet channel, which the log may
        // have forgotten meanwhile.
        let position = client.position();
        let heartbeat = match self.style {
            Style::Turted => encode_heartbeat(position),
            Style::ReactPhp => encode_ping(position),
        };
        client.send_message(&heartbeat);
    }
}

/// Sets the timer for the next heartbeat.
pub(super) fn watch(client: Client<'_>, from: Instant) {
    client.worker.timers.add(from + client.worker.config.sse.heartbeat, client.connection.key, Due::Ping);
}

/// Tells a client to come back after `retry`, or up to twice as long.
pub(super) fn come_back(retry: Duration) -> String {
    // Without random numbers all clients come back at once, which is better than a panic.
    let share = getrandom::u32().unwrap_or(0);
    encode_retry(retry + retry.mul_f64(f64::from(share) / f64::from(u32::MAX)))
}

#[cfg(test)]
mod tests;
