//! `/ws`: turted.v1 on a WebSocket. The request, the first message, heartbeats.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::wire::v1::PROTOCOL;
use turted_core::wire::websocket::{Opcode, encode_frame};

use crate::auth::Visitor;
use crate::cli::conformance;
use crate::http::cors::Page;
use crate::http::websocket::handshake::{
    accept_protocol_response, accept_response, asks_for_other_version, subprotocols, upgrade_key,
    wants_upgrade,
};
use crate::http::websocket::reader::{Reader, Step};
use crate::http::websocket::run::{run, write_whole};
use crate::http::{Answer, Call, Outcome, Takeover, Unavailable, text};
use crate::hub::client::commands;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::{Form, Outlet, Stream};
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::{Connection, Opening};
use crate::hub::worker::heartbeat::{Heartbeat, Rhythm};
use crate::hub::worker::journal::{self, Agent};
use crate::hub::worker::session;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;
use crate::transport::credentials::{self, Proof};
use crate::transport::service::Service;
use crate::transport::v1;

/// What a connection of this transport needs beside the others.
#[derive(Debug)]
pub(crate) struct Session {
    /// Who answers the client.
    service: Service,
    pub(super) heartbeat: Heartbeat,
    /// Set when the connection has its place in the registry.
    id: Cell<Option<SessionId>>,
}

impl Session {
    /// The name of the session across reconnects.
    pub(crate) fn id(&self) -> Option<SessionId> {
        self.id.get()
    }

    /// A text message came.
    pub(crate) fn text(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, text: &str) -> Step {
        match self.service {
            Service::Turted => v1::receive(worker, connection, text),
            Service::Test(_) => conformance::websocket::text(worker, connection, text),
        }
    }

    /// A binary message came.
    pub(crate) fn binary(&self, worker: &Rc<Worker>, connection: &Rc<Connection>, bytes: &[u8]) -> Step {
        match self.service {
            Service::Turted => {
                // RFC 6455 7.4.1: data of a type it does not accept.
                connection.close(worker, Close::Violation(1003));
                Step::Stop
            }
            Service::Test(_) => conformance::websocket::binary(worker, connection, bytes),
        }
    }

    /// The answer to a ping came.
    pub(crate) fn ponged(&self) {
        self.heartbeat.answered();
    }
}

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It does not ask for one.
    NoUpgrade,
    /// It asks for one in another version (RFC 6455 4.4).
    Version,
    /// It asks for one, but not as RFC 6455 4.2.1 wants it.
    Malformed,
    /// It asks for subprotocols, and turted.v1 is none of them.
    Protocol,
    /// A page of another origin.
    Origin,
    /// The server takes no new connection.
    Stopping,
}

impl Refusal {
    /// The rule for metrics.
    fn rule(self) -> &'static str {
        match self {
            Self::NoUpgrade => "websocket-upgrade",
            Self::Version => "websocket-version",
            Self::Malformed => "websocket-handshake",
            Self::Protocol => "websocket-protocol",
            Self::Origin => "websocket-origin",
            Self::Stopping => "stopping",
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let (status, body) = match refusal {
            Refusal::NoUpgrade => (StatusCode::UPGRADE_REQUIRED, "connect here with a WebSocket"),
            Refusal::Version => (
                StatusCode::UPGRADE_REQUIRED,
                "only version 13 of the WebSocket protocol is spoken (RFC 6455 4.4)",
            ),
            Refusal::Malformed => (StatusCode::BAD_REQUEST, "not a WebSocket handshake (RFC 6455 4.2.1)"),
            Refusal::Protocol => (
                StatusCode::BAD_REQUEST,
                "whoever names subprotocols names turted.v1 among them: browsers end a WebSocket of which the server \
                 confirms none, and those that carry credentials are never confirmed",
            ),
            Refusal::Origin => {
                (StatusCode::FORBIDDEN, "pages of this origin may not connect (allow_origins)")
            }
            Refusal::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"),
        };
        let mut answer = text(status, body);
        match refusal {
            Refusal::NoUpgrade | Refusal::Version => {
                // Who sends Upgrade names it in Connection (RFC 9110 7.8).
                answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            }
            Refusal::Stopping => Unavailable::Stopping.mark(&mut answer),
            Refusal::Malformed | Refusal::Protocol | Refusal::Origin => {}
        }
        answer
    }
}

/// Answers a request of a client of `service`.
pub(crate) async fn answer(call: Call, service: Service) -> Outcome {
    let worker = Rc::clone(&call.worker);
    match open(call, service).await {
        Ok(takeover) => Outcome::Takeover(takeover),
        Err(refusal) => {
            worker.metrics.refused(refusal.rule());
            Outcome::Answer(refusal.into())
        }
    }
}

async fn open(call: Call, service: Service) -> Result<Takeover, Refusal> {
    let Call { worker, peer, agent, request } = call;
    if !wants_upgrade(&request) {
        return Err(Refusal::NoUpgrade);
    }
    if asks_for_other_version(&request) {
        return Err(Refusal::Version);
    }
    let key = upgrade_key(&request).ok_or(Refusal::Malformed)?.to_owned();
    if !Page::of(&request, &worker.config.allow_origins).is_allowed() {
        return Err(Refusal::Origin);
    }
    if service == Service::Turted && asks_for_another(request.headers()) {
        return Err(Refusal::Protocol);
    }
    if worker.shared.life.is_draining() {
        return Err(Refusal::Stopping);
    }
    let (response, proof) = match service {
        Service::Turted => prepare(&worker, peer, (&key, request.headers())).await,
        Service::Test(_) => (accept_response(&key), None),
    };
    Ok(Box::new(move |socket, leftover| {
        let reader = Reader::new(&worker.config.limits, &leftover);
        let socket = Rc::new(socket);
        let connection = begin(&worker, (peer, &agent, service), &socket);
        let greeted = match service {
            Service::Turted => greet(&worker, &connection, &socket, (response, proof)),
            Service::Test(_) => write_whole(&socket, &response),
        };
        if !greeted {
            return connection.close(&worker, Close::TransportLost);
        }
        worker.clone().spawn(run(worker, connection, socket, reader));
    }))
}

/// The handshake of turted.v1, and who the client proves to be with it.
async fn prepare(
    worker: &Rc<Worker>,
    peer: IpAddr,
    (key, headers): (&str, &HeaderMap),
) -> (Vec<u8>, Option<Proof>) {
    let response = match asks_for(headers, PROTOCOL) {
        true => accept_protocol_response(key, PROTOCOL),
        false => accept_response(key),
    };
    let visitor = Visitor { address: peer, transport: Transport::WebSocket.labels().0, connection: None };
    (response, credentials::verify(worker, visitor, headers).await)
}

/// Whether a client asks for a subprotocol.
fn asks_for(headers: &HeaderMap, protocol: &str) -> bool {
    subprotocols(headers).any(|asked| asked == protocol)
}

/// Whether a client asks for subprotocols, but not for the one that is spoken here.
fn asks_for_another(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_WEBSOCKET_PROTOCOL) && !asks_for(headers, PROTOCOL)
}

/// Opens a connection, which has still to be greeted.
fn begin(
    worker: &Rc<Worker>,
    (peer, agent, service): (IpAddr, &Agent, Service),
    socket: &Rc<Socket>,
) -> Rc<Connection> {
    let session = Session { service, heartbeat: Heartbeat::default(), id: Cell::default() };
    let opening = Opening {
        peer,
        session: session::Session::WebSocket(session),
        wire: Wire::V1,
        outlet: Outlet::Stream(Stream::new(Rc::clone(socket), Form::WebSocket)),
    };
    let connection = Connection::open(worker, opening);
    let id = SessionId::new(worker.index, connection.key.slot());
    if let session::Session::WebSocket(session) = &connection.session {
        session.id.set(Some(id));
    }
    connection.recovery_id.set(worker.config.recovery.enabled.then_some(id));
    journal::opened(worker, &connection, agent);
    connection.admit(worker);
    worker.timers.add(Instant::now() + worker.config.websocket.ping_interval, connection.key, Due::Ping);
    connection
}

/// Sends the handshake and the first message in one write: whether they could be written.
fn greet(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    socket: &Socket,
    (response, proof): (Vec<u8>, Option<Proof>),
) -> bool {
    let Some(id) = connection.session.id() else { return false };
    let identified = proof.map(|proof| commands::admit(worker, connection, proof));
    let identity = identified.as_ref().and_then(|identified| identified.as_ref().ok());
    let welcome = v1::welcome(worker, connection, id, (identity, worker.config.websocket.ping_interval));
    let mut greeting = response;
    greeting.extend_from_slice(&encode_frame(Opcode::Text, welcome.as_bytes()));
    if !write_whole(socket, &greeting) {
        return false;
    }
    if let Some(Err(refusal)) = identified {
        v1::not_identified(worker, connection, refusal);
    }
    true
}

/// Something is due for a connection.
pub(crate) fn timer(worker: &Rc<Worker>, connection: &Rc<Connection>, session: &Session, due: Due) {
    let config = &worker.config.websocket;
    let rhythm = Rhythm { interval: config.ping_interval, timeout: config.ping_timeout };
    match due {
        Due::Ping => session.heartbeat.send(worker, connection, rhythm, Frame::ping()),
        Due::Pong => session.heartbeat.check(worker, connection, rhythm),
        Due::Connect | Due::Silence | Due::Noop | Due::Upgrade | Due::Expiry => {}
    }
}
