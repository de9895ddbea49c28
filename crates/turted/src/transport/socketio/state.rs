//! The state of one Engine.IO session: how it begins, and how it is found.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::wire::engineio::{Handshake, Upgrades, Version};

use super::operation::Attempt;
use super::polling::Polling;
use super::service::Service;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::delivery::wire::Wire;
use crate::hub::worker::connection::{self, Client, Connection};
use crate::hub::worker::heartbeat::{Heartbeat, Rhythm};
use crate::hub::worker::journal::{self, Agent};
use crate::hub::worker::places::{HeldPlace, Place};
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;

/// The packet that asks for a heartbeat (version 4).
pub(super) const PING: &str = "2";

/// Time between two NOOPs while a client is about to move (as engine.io has it, `Socket.maybeUpgrade`).
const NOOP_PAUSE: Duration = Duration::from_millis(100);

/// What this transport keeps of a connection.
#[derive(Debug)]
pub(crate) struct EngineSession {
    pub(super) version: Version,
    /// What answers the client.
    pub(crate) service: &'static Service,
    /// Whether its POSTs are forms, as of clients that poll with scripts.
    pub(super) posts_forms: bool,
    /// The client sent text over polling that is not encoded as UTF-8 twice: it is socket.io-client 2.
    pub(super) encodes_once: Cell<bool>,
    /// Comes when the IDENT of the handshake is verified. Packets wait for it.
    verifying: RefCell<Option<oneshot::Receiver<()>>>,
    /// The place of a session that lives by polling.
    pub(super) place: HeldPlace,
    /// A POST is under way.
    pub(super) posting: Cell<bool>,
    /// The WebSocket that is about to take the session over.
    pub(super) upgrading: Cell<Option<Attempt>>,
    /// That WebSocket, with its deadline. Nearly all connections have none.
    pub(super) probe: RefCell<Option<Box<Probe>>>,
    /// The namespaces that the client is connected to: a bit for each namespace of its service.
    namespaces: Cell<u8>,
    /// A packet whose binary messages are still to come.
    pub(super) incomplete: Awaiting,
    heard: Cell<Instant>,
    pub(super) heartbeat: Heartbeat,
}

/// A packet whose binary messages are still to come.
#[derive(Debug)]
pub(crate) struct Incomplete {
    /// How many.
    pub(super) missing: usize,
    /// The packet and what came; `None` if it was refused.
    pub(super) kept: Option<(String, Vec<Vec<u8>>)>,
}

/// A WebSocket that is about to take a session over.
#[derive(Debug)]
pub(super) struct Probe {
    /// The WebSocket is ended if it has not taken over by then.
    pub(super) deadline: Instant,
    pub(super) socket: Rc<Socket>,
}

/// Place for an [`Incomplete`], as small as can be: nearly all connections have none.
#[derive(Default)]
pub(super) struct Awaiting(Cell<Option<Box<Incomplete>>>);

impl Awaiting {
    pub(super) fn take(&self) -> Option<Box<Incomplete>> {
        self.0.take()
    }

    pub(super) fn set(&self, incomplete: Option<Box<Incomplete>>) {
        self.0.set(incomplete);
    }
}

impl fmt::Debug for Awaiting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Awaiting").finish_non_exhaustive()
    }
}

/// A client that opens a session.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    pub(super) version: Version,
    pub(super) peer: IpAddr,
    pub(super) agent: Agent,
    /// What is to answer it.
    pub(super) service: &'static Service,
}

/// How a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstCarrier {
    /// With a polling request; it may move to a WebSocket.
    Polling,
    /// On a WebSocket, where it stays.
    WebSocket,
}

impl EngineSession {
    pub(super) fn new(newcomer: &Newcomer) -> Self {
        Self {
            version: newcomer.version,
            service: newcomer.service,
            verifying: RefCell::default(),
            posts_forms: false,
            encodes_once: Cell::new(false),
            place: HeldPlace::default(),
            posting: Cell::new(false),
            upgrading: Cell::new(None),
            probe: RefCell::default(),
            namespaces: Cell::new(0),
            incomplete: Awaiting::default(),
            heard: Cell::new(Instant::now()),
            heartbeat: Heartbeat::default(),
        }
    }

    /// The session has a place for as long as it lives by polling.
    pub(super) fn holding(self, place: Place) -> Self {
        Self { place: HeldPlace::of(place), ..self }
    }

    /// The client polls with scripts.
    pub(super) fn posting_forms(self) -> Self {
        Self { posts_forms: true, ..self }
    }

    /// The client has connected to a namespace of its service.
    pub(super) fn enter(&self, namespace: &str) {
        self.namespaces.set(self.namespaces.get() | self.bit(namespace));
    }

    /// The client has left a namespace.
    pub(crate) fn leave(&self, namespace: &str) {
        self.namespaces.set(self.namespaces.get() & !self.bit(namespace));
    }

    /// Whether the client is connected to a namespace.
    pub(super) fn is_in(&self, namespace: &str) -> bool {
        self.namespaces.get() & self.bit(namespace) != 0
    }

    /// Whether the client still has to connect to a namespace.
    pub(super) fn is_unconnected(&self) -> bool {
        self.service.speaks_socketio() && self.namespaces.get() == 0
    }

    fn bit(&self, namespace: &str) -> u8 {
        let index = self.service.namespaces.iter().position(|known| *known == namespace);
        index.map_or(0, |index| 1 << index)
    }

    /// The session of a connection of this transport.
    ///
    /// # Panics
    /// For any other connection.
    pub(super) fn of(connection: &Connection) -> &Self {
        connection.session().expect("a connection of Socket.IO has its session")
    }

    /// When a client of version 3 has been silent for too long. A client that still takes what was sent before gets
    /// the answer to its heartbeat later, and sends the next heartbeat after that.
    pub(super) fn silent_until(&self, connection: &Connection, rhythm: Rhythm) -> Instant {
        if connection.outlet().borrow().is_being_taken() {
            self.heard();
        }
        self.heard.get() + rhythm.interval + rhythm.timeout
    }

    /// Notes that the client is alive.
    pub(super) fn heard(&self) {
        self.heard.set(Instant::now());
    }

    /// Notes the answer to a heartbeat.
    pub(super) fn ponged(&self) {
        self.heartbeat.answered();
    }

    /// Lets packets wait until `verified` comes, or its sender is gone.
    pub(super) fn begin_verification(&self, verified: oneshot::Receiver<()>) {
        self.verifying.replace(Some(verified));
    }

    /// Whether the IDENT of the handshake is being verified and nothing waits for it yet.
    pub(super) fn is_verifying(&self) -> bool {
        self.verifying.borrow().is_some()
    }

    /// Waits until the IDENT of the handshake is verified. Only the first call waits. That is enough,
    /// because the packets of a client come one way at a time.
    pub(super) async fn handshake_verified(&self) {
        if let Some(verified) = self.verifying.take() {
            // A sender that was dropped means the same as one that has sent.
            let _ = verified.await;
        }
    }
}

/// Gives a new session its place, its id and its deadlines.
pub(super) fn open(
    worker: &Rc<Worker>,
    newcomer: &Newcomer,
    session: EngineSession,
    outlet: Outlet,
) -> Rc<Connection> {
    let version = session.version;
    let opening = connection::Opening {
        peer: newcomer.peer,
        session: Box::new(session),
        has_id: true,
        wire: Wire::SOCKET_IO,
        outlet,
    };
    let connection = Connection::open(worker, opening);
    journal::opened(Client::of(worker, &connection), &newcomer.agent);
    let config = &worker.config.socketio;
    let now = Instant::now();
    match version {
        Version::V3 => {
            worker.timers.add(now + config.ping_interval + config.ping_timeout, connection.key, Due::Silence);
        }
        Version::V4 => {
            worker.timers.add(now + config.connect_timeout, connection.key, Due::Connect);
            worker.timers.add(now + config.ping_interval, connection.key, Due::Ping);
        }
    }
    connection
}

/// The first packet of a session.
pub(super) fn handshake(client: Client<'_>, opening: FirstCarrier) -> String {
    let config = &client.worker.config.socketio;
    let sid = id_of(client.connection).to_string();
    let may_upgrade = opening == FirstCarrier::Polling;
    Handshake {
        sid: &sid,
        upgrades: if may_upgrade { Upgrades::WebSocket } else { Upgrades::None },
        ping_interval: config.ping_interval,
        ping_timeout: config.ping_timeout,
        max_payload: (EngineSession::of(client.connection).version == Version::V4)
            .then_some(config.max_payload),
    }
    .to_packet()
}

/// The id of a session.
pub(super) fn id_of(connection: &Connection) -> SessionId {
    connection.session_id().expect("a session of Engine.IO is opened with an id")
}

/// The session of this worker with this id.
pub(super) fn find(worker: &Worker, id: SessionId) -> Option<Rc<Connection>> {
    let registry = worker.registry.borrow();
    let connection = registry.at(id.slot())?;
    let is_it = connection.session_id() == Some(id) && connection.session::<EngineSession>().is_some();
    is_it.then(|| Rc::clone(connection))
}

/// Whether a session may still be asked for something. One that missed its deadline is closed, if the timer has not
/// done so yet: timers are late by some milliseconds, and a client that waits for its end asks at once.
pub(super) fn is_in_time(client: Client<'_>) -> bool {
    let session = EngineSession::of(client.connection);
    let rhythm = rhythm(client.worker);
    match session.version {
        Version::V3 if session.silent_until(client.connection, rhythm) <= Instant::now() => {
            client.close(Close::PingTimeout);
        }
        Version::V4 if session.heartbeat.is_due(rhythm) => session.heartbeat.check(client, rhythm),
        Version::V3 | Version::V4 => {}
    }
    !client.connection.is_closed()
}

pub(super) fn rhythm(worker: &Worker) -> Rhythm {
    let config = &worker.config.socketio;
    Rhythm { interval: config.ping_interval, timeout: config.ping_timeout }
}

/// Answers the request of a client that is about to move, and lets the next one wait a while. Without the
/// wait, requests would come and go as fast as the client can send them.
pub(super) fn send_home(client: Client<'_>) {
    let goes =
        client.connection.outlet().borrow_mut().requests_mut::<Polling>().is_some_and(Polling::send_home);
    if goes {
        client.worker.timers.add(Instant::now() + NOOP_PAUSE, client.connection.key, Due::Noop);
    }
}

#[cfg(test)]
mod tests;
