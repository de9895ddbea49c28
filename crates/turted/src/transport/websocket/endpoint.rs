//! Requests for a WebSocket, and the first message on it.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::reply::Identified;
use turted_core::wire::v1::PROTOCOL;
use turted_core::wire::websocket::{Opcode, encode_frame};

use super::session::{Service, TURTED, WebSocketSession};
use crate::auth::Visitor;
use crate::config::Config;
use crate::http::cors::Page;
use crate::http::endpoint::{Answering, Endpoint};
use crate::http::refusal::Row;
use crate::http::websocket::handshake::{
    accept_protocol_response, accept_response, asks_for_other_version, subprotocols, upgrade_key,
    wants_upgrade,
};
use crate::http::websocket::reader::Reader;
use crate::http::websocket::run::{run, write_whole};
use crate::http::{Answer, Call, Outcome, Takeover, Unavailable, without_slash};
use crate::hub::client::commands::{self, CommandRefusal};
use crate::hub::client::record;
use crate::hub::delivery::metrics::Transport;
use crate::hub::delivery::outlet::{Form, Outlet, Stream};
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::{Client, Connection, Opening};
use crate::hub::worker::heartbeat::Heartbeat;
use crate::hub::worker::journal::{self, Agent};
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;
use crate::transport::credentials::{self, Proof};
use crate::transport::v1;

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandshakeRefusal {
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

impl HandshakeRefusal {
    /// What the client is told, and what is counted.
    fn row(self) -> Row {
        use StatusCode as Status;
        match self {
            Self::NoUpgrade => {
                Row::new("websocket-upgrade", Status::UPGRADE_REQUIRED, "connect here with a WebSocket")
            }
            Self::Version => Row::new(
                "websocket-version",
                Status::UPGRADE_REQUIRED,
                "only version 13 of the WebSocket protocol is spoken (RFC 6455 4.4)",
            ),
            Self::Malformed => Row::new(
                "websocket-handshake",
                Status::BAD_REQUEST,
                "not a WebSocket handshake (RFC 6455 4.2.1)",
            ),
            Self::Protocol => Row::new(
                "websocket-protocol",
                Status::BAD_REQUEST,
                "a client that asks for subprotocols asks for turted.v1 too: a browser ends a WebSocket if the server \
                 confirms none, and the server never confirms a subprotocol that carries credentials",
            ),
            Self::Origin => Row::new(
                "websocket-origin",
                Status::FORBIDDEN,
                "pages of this origin may not connect (allow_origins)",
            ),
            Self::Stopping => Row::later("stopping", Unavailable::Stopping, "the server is stopping"),
        }
    }

    fn answer(self) -> Answer {
        let mut answer = self.row().plain();
        if answer.status() == StatusCode::UPGRADE_REQUIRED {
            // A server that sends Upgrade names it in Connection (RFC 9110 7.8).
            answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        answer
    }
}

/// The endpoint of WebSockets, whatever is said on them.
#[derive(Debug)]
pub(crate) struct WebSocket {
    path: String,
    service: &'static Service,
}

impl WebSocket {
    /// turted at its path.
    pub(crate) fn turted(config: &Config) -> Self {
        Self::of_service(&config.websocket.path, &TURTED)
    }

    /// A service at some path.
    pub(crate) fn of_service(path: &str, service: &'static Service) -> Self {
        Self { path: path.to_owned(), service }
    }
}

impl Endpoint for WebSocket {
    fn serves(&self, path: &str) -> bool {
        without_slash(path) == self.path
    }

    fn answer(self: Arc<Self>, call: Call) -> Answering {
        Box::pin(answer(call, self.service))
    }
}

async fn answer(call: Call, service: &'static Service) -> Outcome {
    let worker = Rc::clone(&call.worker);
    let page = Page::of(&call.request, &worker.config.allow_origins);
    // Before all else: a page that cannot read why its WebSocket failed asks here without one.
    let outcome = match page.is_allowed() {
        true => open(call, service).await,
        false => Err(HandshakeRefusal::Origin),
    };
    match outcome {
        Ok(takeover) => Outcome::Takeover(takeover),
        Err(refusal) => {
            worker.metrics.refused(refusal.row().rule);
            let mut answer = refusal.answer();
            page.mark(&mut answer);
            Outcome::Answer(answer)
        }
    }
}

async fn open(call: Call, service: &'static Service) -> Result<Takeover, HandshakeRefusal> {
    let Call { worker, peer, agent, request } = call;
    if !wants_upgrade(&request) {
        return Err(HandshakeRefusal::NoUpgrade);
    }
    if asks_for_other_version(&request) {
        return Err(HandshakeRefusal::Version);
    }
    let key = upgrade_key(&request).ok_or(HandshakeRefusal::Malformed)?.to_owned();
    if service.speaks_v1 && asks_for_another(request.headers()) {
        return Err(HandshakeRefusal::Protocol);
    }
    if worker.shared.life.is_draining() {
        return Err(HandshakeRefusal::Stopping);
    }
    let (response, proof) = match service.speaks_v1 {
        true => prepare(&worker, peer, (&key, request.headers())).await,
        false => (accept_response(&key), None),
    };
    Ok(Box::new(move |socket, leftover| {
        let reader = Reader::new(&worker.config.limits, &leftover);
        let socket = Rc::new(socket);
        let connection = begin(&worker, (peer, &agent, service), &socket);
        if !service.speaks_v1 {
            connection.admit(&worker);
            return serve(worker, connection, (socket, reader), |_, socket| write_whole(socket, &response));
        }
        let client = Client::of(&worker, &connection);
        let identified = proof.map(|proof| commands::admit(client, proof));
        let recorded = record::begun(client);
        if recorded.is_now() {
            let greet =
                move |client: Client<'_>, socket: &Socket| greet(client, socket, (response, identified));
            return serve(worker, connection, (socket, reader), greet);
        }
        worker.clone().spawn(async move {
            // A heartbeat may be due before the session is recorded.
            let accepted = write_whole(&socket, &response);
            let is_there = record::wait(Client::of(&worker, &connection), recorded).await;
            let greet = |client: Client<'_>, socket: &Socket| {
                accepted && greet(client, socket, (Vec::new(), identified))
            };
            if is_there {
                serve(worker, connection, (socket, reader), greet);
            }
        });
    }))
}

/// Greets a client, and reads what it sends in a task of its own.
fn serve(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    (socket, reader): (Rc<Socket>, Reader),
    greet: impl FnOnce(Client<'_>, &Socket) -> bool,
) {
    if !greet(Client::of(&worker, &connection), &socket) {
        return connection.close(&worker, Close::TransportLost);
    }
    worker.clone().spawn(run(worker, connection, socket, reader));
}

/// The handshake of turted.v1, and what came of the credentials in the request.
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

/// What came of the credentials in a request.
type Identification = Result<Identified, CommandRefusal>;

/// Opens a connection, which has still to be admitted and greeted.
fn begin(
    worker: &Rc<Worker>,
    (peer, agent, service): (IpAddr, &Agent, &'static Service),
    socket: &Rc<Socket>,
) -> Rc<Connection> {
    let opening = Opening {
        peer,
        session: Box::new(WebSocketSession { service, heartbeat: Heartbeat::default() }),
        has_id: true,
        wire: Wire::V1,
        outlet: Outlet::Stream(Stream::new(Rc::clone(socket), Form::WebSocket)),
    };
    let connection = Connection::open(worker, opening);
    connection.recovery_id.set(connection.session_id().filter(|_| worker.config.recovery.enabled));
    journal::opened(Client::of(worker, &connection), agent);
    worker.timers.add(Instant::now() + worker.config.websocket.ping_interval, connection.key, Due::Ping);
    connection
}

/// Admits a client, and sends the handshake and the first message in one write. Returns whether they could be written.
fn greet(
    client: Client<'_>,
    socket: &Socket,
    (response, identified): (Vec<u8>, Option<Identification>),
) -> bool {
    let Some(id) = client.connection.session_id() else { return false };
    client.connection.admit(client.worker);
    let proved = identified.as_ref().and_then(|identified| identified.as_ref().ok());
    let welcome = v1::welcome(client, id, (proved, client.worker.config.websocket.ping_interval));
    let mut greeting = response;
    greeting.extend_from_slice(&encode_frame(Opcode::Text, welcome.as_bytes()));
    if !write_whole(socket, &greeting) {
        return false;
    }
    if let Some(Err(refusal)) = identified {
        v1::not_identified(client, refusal);
    }
    true
}
