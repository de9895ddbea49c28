//! A transport: every message of a client on a WebSocket comes back, and events are sent as turted.v1 has them.

use std::rc::Rc;
use std::sync::Arc;

use hyper::StatusCode;
use turted_core::close::Close;
use turted_core::wire::websocket::Message;

use crate::http::endpoint::{Answering, Endpoint};
use crate::http::websocket::handshake::{VERSION, accept_request};
use crate::http::websocket::reader::Reader;
use crate::http::websocket::run::{farewell, run, write_whole};
use crate::http::{Call, Outcome, text};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::{Form, Outlet, Stream};
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::{Client, Connection, Opening};
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
        Box::pin(async { open(call) })
    }
}

fn open(call: Call) -> Outcome {
    let Call { worker, peer, request, .. } = call;
    let Some(accepted) = accept_request(&request, &[VERSION]) else {
        return text(StatusCode::UPGRADE_REQUIRED, "connect here with a WebSocket").into();
    };
    Outcome::Takeover(Box::new(move |socket, leftover| {
        let socket = Rc::new(socket);
        let outlet = Outlet::Stream(Stream::new(Rc::clone(&socket), Form::WebSocket));
        let opening = Opening { peer, session: Box::new(EchoSession), has_id: false, wire: Wire::V1, outlet };
        let connection = Connection::open(&worker, opening);
        connection.admit(&worker);
        if !write_whole(&socket, &accepted) {
            return connection.close(&worker, Close::TransportLost);
        }
        let reader = Reader::new(&worker.config.limits, &leftover);
        worker.clone().spawn(run(worker, connection, socket, reader));
    }))
}

/// A connection of this transport keeps nothing.
#[derive(Debug)]
struct EchoSession;

impl Session for EchoSession {
    fn transport(&self) -> Transport {
        Transport::WebSocket
    }

    fn receive(&self, client: Client<'_>, message: &Message<'_>) -> Step {
        if let Message::Text(text) = message {
            client.send(&[Frame::text(text, 0)]);
        }
        Step::Continue
    }

    fn due(&self, _: Client<'_>, _: Due) {}

    fn end(&self, _: &Worker, _: &mut Outlet, close: Close) -> Option<Vec<u8>> {
        farewell(close)
    }
}
