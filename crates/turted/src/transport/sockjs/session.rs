//! What a session does at the moments that all transports have: a message, something that is due, the end.

use tokio::time::Instant;
use turted_core::close::{Close, Closing};
use turted_core::name::Name;
use turted_core::wire::sockjs::{HEARTBEAT, Malformed, decode_websocket, encode_close};
use turted_core::wire::websocket::{Message, Opcode, encode_frame};

use super::keyed::{Ended, KeyedSessions};
use super::receiving::{Presence, Receiving};
use super::state::{Requests, SessionKind, SockJsSession, message_limits, receive_all};
use crate::http::websocket::run::farewell;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::worker::connection::Client;
use crate::hub::worker::heartbeat::Rhythm;
use crate::hub::worker::session::{Session, Step};
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;

/// Tells a client that its session ended with its connection (sockjs-protocol 0.3.3,
/// `test_abort_xhr_polling`).
const INTERRUPTED: (u16, &str) = (1002, "Connection interrupted");

impl Session for SockJsSession {
    fn transport(&self) -> Transport {
        Transport::SockJs
    }

    fn receive(&self, client: Client<'_>, message: &Message<'_>) -> Step {
        match message {
            Message::Text(text) => self.receive_text(client, text),
            Message::Binary(_) => {
                // RFC 6455 7.4.1: data of a type it does not accept.
                client.close(Close::Violation(1003));
                Step::Stop
            }
            _ => {
                if let SessionKind::Framed(heartbeat) | SessionKind::Raw(heartbeat) = &self.kind {
                    heartbeat.answered();
                }
                Step::Continue
            }
        }
    }

    fn due(&self, client: Client<'_>, due: Due) {
        let interval = self.mount.options.heartbeat;
        let rhythm = Rhythm { interval, timeout: client.worker.config.websocket.ping_timeout };
        match (&self.kind, due) {
            (SessionKind::Framed(heartbeat), Due::Ping) => {
                // The frame is for the client; only the ping beside it is answered.
                client.connection.send_ahead(client.worker, &Frame::text(HEARTBEAT, 0));
                heartbeat.send(client, rhythm, Frame::ping());
            }
            (SessionKind::Raw(heartbeat), Due::Ping) => heartbeat.send(client, rhythm, Frame::ping()),
            (SessionKind::Framed(heartbeat) | SessionKind::Raw(heartbeat), Due::Pong) => {
                heartbeat.check(client, rhythm);
            }
            (SessionKind::Requests(_), Due::Silence) => look_after(client, self),
            _ => {}
        }
    }

    fn expired(&self, client: Client<'_>, left: &[Name]) {
        (self.mount.service.expired)(client, left);
    }

    fn removed(&self, client: Client<'_>, channel: &Name) {
        (self.mount.service.removed)(client, channel);
    }

    fn end(&self, worker: &Worker, outlet: &mut Outlet, closing: Closing<'_>) -> Option<Vec<u8>> {
        match &self.kind {
            SessionKind::Requests(requests) => {
                let receiving = outlet.take_requests::<Receiving>()?;
                self.end_requests(worker, requests, (*receiving, closing));
                None
            }
            // A client that broke a rule gets no frame of SockJS (sockjs-protocol 0.3.3, `test_broken_json`).
            SessionKind::Framed(_) if !matches!(closing.close, Close::Violation(_)) => {
                let frame = encode_close(closing.close.code()?, closing.reason);
                let mut last = encode_frame(Opcode::Text, frame.as_bytes());
                last.extend_from_slice(&farewell(closing)?);
                Some(last)
            }
            SessionKind::Framed(_) | SessionKind::Raw(_) => farewell(closing),
        }
    }
}

impl SockJsSession {
    fn receive_text(&self, client: Client<'_>, text: &str) -> Step {
        if !matches!(self.kind, SessionKind::Framed(_)) {
            return (self.mount.service.receive)(client, text);
        }
        match decode_websocket(text, message_limits(client.worker)) {
            Ok(messages) => receive_all(client, messages),
            Err(malformed) => {
                break_off(client, malformed);
                Step::Stop
            }
        }
    }

    /// A session that lived by requests has ended: tells its receiver, and keeps what later requests are to
    /// be told.
    fn end_requests(
        &self,
        worker: &Worker,
        requests: &Requests,
        (receiving, Closing { close, reason }): (Receiving, Closing<'_>),
    ) {
        let (code, reason) = close.code().map_or(INTERRUPTED, |code| (code, reason));
        let frame = encode_close(code, reason);
        let mut waiting = receiving.end(&frame);
        if close == Close::SlowReader {
            waiting.clear();
        }
        let place = requests.place.release();
        let sessions = worker.part::<KeyedSessions>();
        // A client that never came back is told nothing: a request with this id is one of another client.
        if matches!(close, Close::PingTimeout | Close::GaveWay) {
            return sessions.forget(&requests.key);
        }
        let ended = Ended { waiting: waiting.into(), close: frame, _place: place };
        sessions.ended(&worker.tasks, &requests.key, (ended, self.mount.options.disconnect_delay));
    }
}

fn break_off(client: Client<'_>, malformed: Malformed) {
    tracing::debug!(connection = %client.connection.told_id(client.worker), %malformed, "malformed frame");
    client.close(Close::Violation(malformed.close_code()));
}

/// Sends a heartbeat to a receiver that has waited long enough, and ends a session to which no client comes
/// back. A receiver may come or leave between two looks, so the next look is within the shorter of both times.
fn look_after(client: Client<'_>, session: &SockJsSession) {
    let (heartbeat, delay) = (session.mount.options.heartbeat, session.mount.options.disconnect_delay);
    let now = Instant::now();
    let presence = match client.connection.outlet().borrow().requests::<Receiving>() {
        Some(receiving) => receiving.presence(),
        None => return,
    };
    let next = match presence {
        Presence::Absent(since) if since + delay <= now => {
            return client.close(Close::PingTimeout);
        }
        Presence::Absent(since) => since + delay,
        Presence::Attached(since) if since + heartbeat <= now => {
            beat(client);
            now + heartbeat
        }
        Presence::Attached(since) => since + heartbeat,
    };
    client.worker.timers.add(next.min(now + delay.min(heartbeat)), client.connection.key, Due::Silence);
}

fn beat(client: Client<'_>) {
    let sent = match client.connection.outlet().borrow_mut().requests_mut::<Receiving>() {
        Some(receiving) => receiving.beat(&client.worker.ledger),
        None => return,
    };
    client.connection.settle(client.worker, sent);
}

#[cfg(test)]
mod tests;
