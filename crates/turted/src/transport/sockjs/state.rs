//! The state of a session, and what comes in as messages.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Mutex;
use turted_core::wire::sockjs::{MessageLimits, Transport};

use super::mount::Mount;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::delivery::wire::{Framing, Language, Wire};
use crate::hub::worker::connection::{Client, Connection, Opening};
use crate::hub::worker::heartbeat::Heartbeat;
use crate::hub::worker::journal::{self, Agent};
use crate::hub::worker::places::{HeldPlace, Place};
use crate::hub::worker::session::Step;
use crate::hub::worker::worker::Worker;

/// What this transport keeps of a connection.
#[derive(Debug)]
pub(crate) struct SockJsSession {
    pub(super) mount: Arc<Mount>,
    pub(super) kind: SessionKind,
    /// The protocol that turted speaks in it.
    pub(super) protocol: Cell<Protocol>,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protocol {
    /// The first message of the client will tell. Until then the client is taken for one of turted 0.1.
    #[default]
    Undecided,
    Legacy,
    V1,
}

/// How a session is reached.
#[derive(Debug)]
pub(super) enum SessionKind {
    /// A WebSocket with frames of SockJS.
    Framed(Heartbeat),
    /// A WebSocket with nothing but messages.
    Raw(Heartbeat),
    /// Requests.
    Requests(Box<Requests>),
}

/// What else is kept of a session that lives by requests.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) key: Box<str>,
    pub(super) place: HeldPlace,
    /// Bodies with messages are received one after the other, in the order in which they came.
    pub(super) turn: Mutex<()>,
}

impl Requests {
    pub(super) fn new(key: &str, place: Place) -> Self {
        Self { key: key.into(), place: HeldPlace::of(place), turn: Mutex::new(()) }
    }
}

impl SockJsSession {
    pub(super) fn new(mount: Arc<Mount>, kind: SessionKind) -> Self {
        Self { mount, kind, protocol: Cell::default() }
    }

    /// The session of a connection of this transport.
    ///
    /// # Panics
    /// For any other connection.
    pub(super) fn of(connection: &Connection) -> &Self {
        connection.session().expect("a connection of SockJS has its session")
    }

    pub(crate) fn mount(&self) -> &Mount {
        &self.mount
    }

    /// What else is kept of the session, if it lives by requests.
    pub(super) fn requests(&self) -> Option<&Requests> {
        match &self.kind {
            SessionKind::Requests(requests) => Some(requests),
            SessionKind::Framed(_) | SessionKind::Raw(_) => None,
        }
    }
}

/// The wire in this framing, before the client has said which language it speaks.
pub(super) fn wire(framing: Framing) -> Wire {
    Wire { language: Language::Legacy, framing }
}

/// Opens the connection of a new session.
pub(super) fn open(
    worker: &Rc<Worker>,
    (peer, agent): (IpAddr, &Agent),
    session: SockJsSession,
    (framing, outlet): (Framing, Outlet),
) -> Rc<Connection> {
    // Its id is for operators, and for resuming; clients choose other ids for requests.
    let opening = Opening { peer, session: Box::new(session), has_id: true, wire: wire(framing), outlet };
    let connection = Connection::open(worker, opening);
    journal::opened(Client::of(worker, &connection), agent);
    connection
}

/// How much one body or frame may carry.
pub(super) fn message_limits(worker: &Worker) -> MessageLimits {
    MessageLimits { message_bytes: worker.config.limits.message_bytes, ..MessageLimits::default() }
}

/// Receives messages one after the other. If one has to be waited for, all behind it wait as well.
pub(super) fn receive_all<'a>(
    client: Client<'_>,
    messages: impl IntoIterator<Item: Into<String> + AsRef<str> + 'a>,
) -> Step {
    let service = SockJsSession::of(client.connection).mount.service;
    let mut messages = messages.into_iter();
    while let Some(message) = messages.next() {
        let event = match (service.receive)(client, message.as_ref()) {
            Step::Continue => continue,
            Step::Stop => return Step::Stop,
            Step::Wait(event) => event,
        };
        let rest: Vec<String> = messages.map(Into::into).collect();
        let (worker, connection) = client.owned();
        return Step::Wait(Box::pin(async move {
            event.await;
            for message in rest {
                if connection.is_closed() {
                    return;
                }
                if let Step::Wait(event) = (service.receive)(Client::of(&worker, &connection), &message) {
                    event.await;
                }
            }
        }));
    }
    Step::Continue
}

/// Sets the framing of a session that receives by `transport` from now on.
pub(super) fn set_transport(connection: &Connection, transport: Transport) {
    connection.set_wire(Wire { framing: Framing::of_sockjs(transport), ..connection.wire() });
}
