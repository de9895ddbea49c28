//! What a session does at the moments that all transports have: a message, something that is due, the end.

use tokio::time::Instant;
use turted_core::close::{Close, Closing};
use turted_core::name::Name;
use turted_core::wire::engineio::{Malformed, Packet, Version};
use turted_core::wire::websocket::Message;

use super::polling::Polling;
use super::state::{EngineSession, PING, rhythm, send_home};
use super::{events, goodbye, packets};
use crate::http::websocket::run::farewell;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::worker::connection::{Client, Connection};
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

    fn receive(&self, client: Client<'_>, message: &Message<'_>) -> Step {
        match message {
            Message::Text(text) => receive(client, Packet::decode_text(self.version, text)),
            Message::Binary(bytes) => receive(client, Packet::decode_binary(self.version, bytes)),
            // The heartbeats of Engine.IO are packets, so pings and pongs of the WebSocket mean nothing.
            _ => Step::Continue,
        }
    }

    fn due(&self, client: Client<'_>, due: Due) {
        let (rhythm, now) = (rhythm(client.worker), Instant::now());
        match due {
            Due::Connect if self.is_unconnected() => client.close(Close::ConnectTimeout),
            Due::Connect | Due::Expiry => {}
            Due::Ping => self.heartbeat.send(client, rhythm, Frame::text(PING, 0)),
            Due::Pong => self.heartbeat.check(client, rhythm),
            Due::Silence => {
                let deadline = self.silent_until(client.connection, rhythm);
                if deadline <= now {
                    client.close(Close::PingTimeout);
                } else {
                    client.worker.timers.add(deadline, client.connection.key, Due::Silence);
                }
            }
            Due::Noop => {
                if let Some(polling) = client.connection.outlet().borrow_mut().requests_mut::<Polling>() {
                    polling.end_pause();
                }
                send_home(client);
            }
            Due::Upgrade => {
                // An earlier attempt may have left this timer.
                let late = self.probe.borrow_mut().take_if(|probe| probe.deadline <= now);
                if let Some(probe) = late {
                    probe.socket.shutdown();
                }
            }
        }
    }

    fn expired(&self, client: Client<'_>, _: &[Name]) {
        events::expired(client);
    }

    fn removed(&self, client: Client<'_>, channel: &Name) {
        events::removed(client, channel);
    }

    fn is_moving(&self, connection: &Connection) -> bool {
        self.upgrading.get().is_some() && connection.outlet().borrow().requests::<Polling>().is_some()
    }

    fn dismissed(&self, client: Client<'_>) {
        if self.service.speaks_socketio() {
            goodbye::say(client);
        }
    }

    fn end(&self, _: &Worker, outlet: &mut Outlet, closing: Closing<'_>) -> Option<Vec<u8>> {
        drop(self.place.release());
        // The WebSocket that wanted to take the session over.
        if let Some(probe) = self.probe.take() {
            probe.socket.shutdown();
        }
        if let Some(polling) = outlet.requests_mut::<Polling>() {
            polling.end();
        }
        farewell(closing)
    }
}

fn receive(client: Client<'_>, packet: Result<Packet<'_>, Malformed>) -> Step {
    match packet {
        Ok(packet) => packets::receive(client, &packet),
        Err(malformed) => {
            tracing::debug!(connection = %client.connection.told_id(client.worker), %malformed, "malformed packet");
            client.close(Close::Violation(1002));
            Step::Stop
        }
    }
}

#[cfg(test)]
mod tests;
