//! What a connection does at the moments that all transports have: a message, something that is due, the end.

use turted_core::close::{Close, Closing};
use turted_core::name::Name;
use turted_core::wire::websocket::Message;

use crate::http::websocket::run::farewell;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::worker::connection::Client;
use crate::hub::worker::heartbeat::{Heartbeat, Rhythm};
use crate::hub::worker::session::{Session, Step};
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::transport::v1;

/// What answers the clients of this transport.
#[derive(Debug)]
pub(crate) struct Service {
    /// Whether clients are sent a welcome and may show credentials in their request, as in turted.v1.
    pub(crate) speaks_v1: bool,
    /// A text message came.
    pub(crate) text: fn(Client<'_>, &str) -> Step,
    /// A binary message came.
    pub(crate) binary: fn(Client<'_>, &[u8]) -> Step,
}

/// turted.v1.
pub(super) static TURTED: Service = Service {
    speaks_v1: true,
    text: v1::receive,
    binary: |client, _| {
        // RFC 6455 7.4.1: data of a type it does not accept.
        client.connection.close(client.worker, Close::Violation(1003));
        Step::Stop
    },
};

/// What this transport keeps of a connection.
#[derive(Debug)]
pub(super) struct WebSocketSession {
    pub(super) service: &'static Service,
    pub(super) heartbeat: Heartbeat,
}

impl Session for WebSocketSession {
    fn transport(&self) -> Transport {
        Transport::WebSocket
    }

    fn receive(&self, client: Client<'_>, message: &Message<'_>) -> Step {
        match message {
            Message::Text(text) => (self.service.text)(client, text),
            Message::Binary(bytes) => (self.service.binary)(client, bytes),
            _ => {
                self.heartbeat.answered();
                Step::Continue
            }
        }
    }

    fn due(&self, client: Client<'_>, due: Due) {
        let config = &client.worker.config.websocket;
        let rhythm = Rhythm { interval: config.ping_interval, timeout: config.ping_timeout };
        match due {
            Due::Ping => self.heartbeat.send(client, rhythm, Frame::ping()),
            Due::Pong => self.heartbeat.check(client, rhythm),
            Due::Connect | Due::Silence | Due::Noop | Due::Upgrade | Due::Expiry => {}
        }
    }

    fn expired(&self, client: Client<'_>, left: &[Name]) {
        v1::expired(client, left);
    }

    fn removed(&self, client: Client<'_>, channel: &Name) {
        v1::removed(client, channel);
    }

    fn end(&self, _: &Worker, _: &mut Outlet, closing: Closing<'_>) -> Option<Vec<u8>> {
        farewell(closing)
    }
}
