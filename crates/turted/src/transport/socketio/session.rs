//! What a session does at the moments that all transports have: a message, something that is due, the end.

use std::rc::Rc;

use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::wire::engineio::{Malformed, Packet, Version};
use turted_core::wire::websocket::Message;

use super::polling::Polling;
use super::state::{EngineSession, PING, rhythm, send_home};
use super::{events, packets};
use crate::http::websocket::run::farewell;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::session::{Session, Step};
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;

impl Session for EngineSession {
    fn transport(&self) -> Transport {
        match self.version {
            Version::V3 => Transport::SocketIoV3,
            Version::V4 => Transport::SocketIoV4,
        }
    }

    fn receive(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, message: &Message<'_>) -> Step {
        match message {
            Message::Text(text) => receive(worker, connection, Packet::decode_text(self.version, text)),
            Message::Binary(bytes) => receive(worker, connection, Packet::decode_binary(self.version, bytes)),
            // Its heartbeats are packets.
            _ => Step::Continue,
        }
    }

    fn due(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, due: Due) {
        let (rhythm, now) = (rhythm(worker), Instant::now());
        match due {
            Due::Connect if self.is_unconnected() => connection.close(worker, Close::ConnectTimeout),
            Due::Connect => {}
            Due::Expiry => events::expired(worker, connection),
            Due::Ping => self.heartbeat.send(worker, connection, rhythm, Frame::text(PING, 0)),
            Due::Pong => self.heartbeat.check(worker, connection, rhythm),
            Due::Silence => {
                let deadline = self.silent_until(connection, rhythm);
                if deadline <= now {
                    connection.close(worker, Close::PingTimeout);
                } else {
                    worker.timers.add(deadline, connection.key, Due::Silence);
                }
            }
            Due::Noop => {
                if let Some(polling) = connection.outlet().borrow_mut().requests_mut::<Polling>() {
                    polling.end_pause();
                }
                send_home(worker, connection);
            }
            Due::Upgrade => {
                // An earlier attempt may have left this timer.
                let late = self.probe.borrow_mut().take_if(|(deadline, _)| *deadline <= now);
                if let Some((_, probe)) = late {
                    probe.shutdown();
                }
            }
        }
    }

    fn end(&self, _: &Worker, outlet: &mut Outlet, close: Close) -> Option<Vec<u8>> {
        drop(self.place.release());
        // The WebSocket that wanted to take the session over.
        if let Some((_, probe)) = self.probe.take() {
            probe.shutdown();
        }
        if let Some(polling) = outlet.requests_mut::<Polling>() {
            polling.end();
        }
        farewell(close)
    }
}

fn receive(worker: &Rc<Worker>, connection: &Rc<Connection>, packet: Result<Packet<'_>, Malformed>) -> Step {
    match packet {
        Ok(packet) => packets::receive(worker, connection, &packet),
        Err(malformed) => {
            tracing::debug!(connection = %connection.id(worker), %malformed, "malformed packet");
            connection.close(worker, Close::Violation(1002));
            Step::Stop
        }
    }
}
