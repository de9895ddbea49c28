//! A transport: every text of a client on a WebSocket comes back, and events are sent as turted.v1 has them. It does
//! all that `hub/worker/session.rs` asks of a transport.

use std::rc::Rc;
use std::sync::Arc;

use hyper::StatusCode;
use tokio::time::Instant;
use turted_core::close::{Close, Closing};
use turted_core::name::Name;
use turted_core::wire::websocket::Message;

use crate::http::cors::Page;
use crate::http::endpoint::{Answering, Endpoint};
use crate::http::refusal::Row;
use crate::http::websocket::handshake::{VERSION, accept_request};
use crate::http::websocket::reader::Reader;
use crate::http::websocket::run::{farewell, run, write_whole};
use crate::http::{Call, Outcome, Takeover, Unavailable};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::{Form, Outlet, Stream};
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::{Client, Connection, Opening};
use crate::hub::worker::heartbeat::{Heartbeat, Rhythm};
use crate::hub::worker::journal;
use crate::hub::worker::session::{Session, Step};
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;

/// The endpoint.
#[derive(Debug)]
pub(super) struct Echo;

impl Endpoint for Echo {
    fn serves(&self, path: &str) -> bool {
        path == "/echo"
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(async {
            let worker = Rc::clone(&call.worker);
            match open(call) {
                Ok(takeover) => Outcome::Takeover(takeover),
                Err(refusal) => {
                    worker.metrics.refused(refusal.rule);
                    refusal.plain().into()
                }
            }
        })
    }
}

fn open(call: Call) -> Result<Takeover, Row> {
    let Call { worker, peer, agent, request } = call;
    if !Page::of(&request, &worker.config.allow_origins).is_allowed() {
        let text = "pages of this origin may not connect (allow_origins)";
        return Err(Row::new("echo-origin", StatusCode::FORBIDDEN, text));
    }
    if worker.shared.life.is_draining() {
        return Err(Row::later("stopping", Unavailable::Stopping, "the server is stopping"));
    }
    let Some(accepted) = accept_request(&request, &[VERSION]) else {
        return Err(Row::new("echo-upgrade", StatusCode::UPGRADE_REQUIRED, "connect here with a WebSocket"));
    };
    Ok(Box::new(move |socket, leftover| {
        let socket = Rc::new(socket);
        let outlet = Outlet::Stream(Stream::new(Rc::clone(&socket), Form::WebSocket));
        let session = Box::new(EchoSession::default());
        let connection =
            Connection::open(&worker, Opening { peer, session, has_id: false, wire: Wire::V1, outlet });
        journal::opened(Client::of(&worker, &connection), &agent);
        connection.admit(&worker);
        worker.timers.add(Instant::now() + rhythm(&worker).interval, connection.key, Due::Ping);
        if !write_whole(&socket, &accepted) {
            return connection.close(&worker, Close::TransportLost);
        }
        let reader = Reader::new(&worker.config.limits, &leftover);
        worker.clone().spawn(run(worker, connection, socket, reader));
    }))
}

/// The rhythm of its heartbeats. A transport of the product has keys of its own for it.
fn rhythm(worker: &Worker) -> Rhythm {
    let config = &worker.config.websocket;
    Rhythm { interval: config.ping_interval, timeout: config.ping_timeout }
}

/// What this transport keeps of a connection.
#[derive(Debug, Default)]
struct EchoSession {
    heartbeat: Heartbeat,
}

impl Session for EchoSession {
    fn transport(&self) -> Transport {
        Transport::WebSocket
    }

    fn receive(&self, client: Client<'_>, message: &Message<'_>) -> Step {
        if matches!(message, Message::Pong(_)) {
            self.heartbeat.answered();
            return Step::Continue;
        }
        // Pings and pongs are counted before they come here, texts and binary messages are not.
        if !client.connection.may_send(client.worker) {
            client.close(Close::RateLimited);
            return Step::Stop;
        }
        if let Message::Text(text) = message {
            client.send(&[Frame::text(text, 0)]);
        }
        Step::Continue
    }

    fn due(&self, client: Client<'_>, due: Due) {
        match due {
            Due::Ping => self.heartbeat.send(client, rhythm(client.worker), Frame::ping()),
            Due::Pong => self.heartbeat.check(client, rhythm(client.worker)),
            _ => {}
        }
    }

    fn expired(&self, _: Client<'_>, _: &[Name]) {
        // Its clients prove nothing, so nothing expires.
    }

    fn removed(&self, _: Client<'_>, _: &Name) {}

    fn end(&self, _: &Worker, _: &mut Outlet, closing: Closing<'_>) -> Option<Vec<u8>> {
        farewell(closing)
    }
}
