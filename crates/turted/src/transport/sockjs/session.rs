//! The state of a session, its heartbeats and its end.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::wire::sockjs::{
    HEARTBEAT, Malformed, MessageLimits, Transport, decode_websocket, encode_close,
};
use turted_core::wire::websocket::{Opcode, encode_frame};

use super::mount::Mount;
use super::receiving::{Receiving, State};
use super::sessions::Ended;
use super::turted::Protocol;
use crate::http::websocket::reader::Step;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::outlet::Outlet;
use crate::hub::delivery::wire::{Framing, Language, Wire};
use crate::hub::worker::connection::{Connection, Opening};
use crate::hub::worker::heartbeat::{Heartbeat, Rhythm};
use crate::hub::worker::journal::{self, Agent};
use crate::hub::worker::places::{Held, Place};
use crate::hub::worker::session;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::timers::Due;
use crate::hub::worker::worker::Worker;

/// What a client is told whose session ended with its connection (sockjs-protocol 0.3.3,
/// `test_abort_xhr_polling`).
const INTERRUPTED: (u16, &str) = (1002, "Connection interrupted");

/// What a connection of this transport needs beside the others.
#[derive(Debug)]
pub(crate) struct Session {
    mount: Arc<Mount>,
    kind: Kind,
    /// What turted speaks in it.
    pub(super) protocol: Cell<Protocol>,
    /// Names the session to operators and across reconnects; clients choose other ids for requests. Set
    /// when the connection has its place in the registry.
    id: Cell<Option<SessionId>>,
}

/// How a session is reached.
#[derive(Debug)]
pub(super) enum Kind {
    /// A WebSocket with frames of SockJS.
    Framed(Heartbeat),
    /// A WebSocket with nothing but messages.
    Raw(Heartbeat),
    /// Requests.
    Requests(Box<Requests>),
}

/// What a session needs that lives by requests.
#[derive(Debug)]
pub(super) struct Requests {
    key: Box<str>,
    pub(super) place: Held,
    /// Bodies with messages are received one after the other, in the order in which they came.
    pub(super) turn: Mutex<()>,
}

impl Requests {
    pub(super) fn new(key: &str, place: Place) -> Self {
        Self { key: key.into(), place: Held::of(place), turn: Mutex::new(()) }
    }
}

impl Session {
    pub(super) fn new(mount: Arc<Mount>, kind: Kind) -> Self {
        Self { mount, kind, protocol: Cell::default(), id: Cell::new(None) }
    }

    /// That of a connection of this transport.
    ///
    /// # Panics
    /// For any other connection.
    pub(super) fn of(connection: &Connection) -> &Self {
        match &connection.session {
            session::Session::SockJs(session) => session,
            other => unreachable!("SockJS was asked of {other:?}"),
        }
    }

    pub(crate) fn mount(&self) -> &Mount {
        &self.mount
    }

    /// The name of the session across reconnects.
    pub(crate) fn id(&self) -> Option<SessionId> {
        self.id.get()
    }

    /// What it has beside others if it lives by requests.
    pub(super) fn requests(&self) -> Option<&Requests> {
        match &self.kind {
            Kind::Requests(requests) => Some(requests),
            Kind::Framed(_) | Kind::Raw(_) => None,
        }
    }

    /// The answer to a ping came.
    pub(crate) fn ponged(&self) {
        match &self.kind {
            Kind::Framed(heartbeat) | Kind::Raw(heartbeat) => heartbeat.answered(),
            Kind::Requests(_) => {}
        }
    }

    /// The last bytes on a WebSocket: the frame of SockJS and that of the WebSocket itself. A client
    /// that broke a rule gets only the latter (sockjs-protocol 0.3.3, `test_broken_json`).
    pub(crate) fn farewell(&self, close: Close) -> Option<Vec<u8>> {
        let mut farewell = Vec::new();
        if matches!(self.kind, Kind::Framed(_))
            && !matches!(close, Close::Violation(_))
            && let Some(code) = close.code()
        {
            farewell = encode_frame(Opcode::Text, encode_close(code, close.reason()).as_bytes());
        }
        farewell.extend_from_slice(&crate::http::websocket::run::farewell(close)?);
        Some(farewell)
    }
}

/// What messages are wrapped in, before a client says in which language.
pub(super) fn wire(framing: Framing) -> Wire {
    Wire { language: Language::Legacy, framing }
}

/// Gives a new session its place and its name.
pub(super) fn open(
    worker: &Rc<Worker>,
    (peer, agent): (IpAddr, &Agent),
    session: Session,
    (framing, outlet): (Framing, Outlet),
) -> Rc<Connection> {
    let session = session::Session::SockJs(session);
    let connection = Connection::open(worker, Opening { peer, session, wire: wire(framing), outlet });
    let id = SessionId::new(worker.index, connection.key.slot());
    Session::of(&connection).id.set(Some(id));
    journal::opened(worker, &connection, agent);
    connection
}

/// How much one body or frame may carry.
pub(super) fn message_limits(worker: &Worker) -> MessageLimits {
    MessageLimits { message_bytes: worker.config.limits.message_bytes, ..MessageLimits::default() }
}

/// A text message of a client on a WebSocket.
pub(crate) fn text(worker: &Rc<Worker>, connection: &Rc<Connection>, session: &Session, text: &str) -> Step {
    if !matches!(session.kind, Kind::Framed(_)) {
        return session.mount.service.receive(worker, connection, text);
    }
    match decode_websocket(text, message_limits(worker)) {
        Ok(messages) => receive_all(worker, connection, messages),
        Err(malformed) => {
            break_off(worker, connection, malformed);
            Step::Stop
        }
    }
}

fn break_off(worker: &Rc<Worker>, connection: &Rc<Connection>, malformed: Malformed) {
    tracing::debug!(connection = %connection.id(worker), %malformed, "malformed frame");
    connection.close(worker, Close::Violation(malformed.close_code()));
}

/// Receives messages one after the other. One that has to be waited for is waited for with all
/// behind it.
pub(super) fn receive_all<'a>(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    messages: impl IntoIterator<Item: Into<String> + AsRef<str> + 'a>,
) -> Step {
    let service = Session::of(connection).mount.service;
    let mut messages = messages.into_iter();
    while let Some(message) = messages.next() {
        let event = match service.receive(worker, connection, message.as_ref()) {
            Step::Continue => continue,
            Step::Stop => return Step::Stop,
            Step::Wait(event) => event,
        };
        let rest: Vec<String> = messages.map(Into::into).collect();
        let (worker, connection) = (Rc::clone(worker), Rc::clone(connection));
        return Step::Wait(Box::pin(async move {
            event.await;
            for message in rest {
                if connection.is_closed() {
                    return;
                }
                if let Step::Wait(event) = service.receive(&worker, &connection, &message) {
                    event.await;
                }
            }
        }));
    }
    Step::Continue
}

/// Something is due for a session.
pub(crate) fn timer(worker: &Rc<Worker>, connection: &Rc<Connection>, session: &Session, due: Due) {
    let interval = session.mount.options.heartbeat;
    let rhythm = Rhythm { interval, timeout: worker.config.websocket.ping_timeout };
    match (&session.kind, due) {
        (Kind::Framed(heartbeat), Due::Ping) => {
            // The frame is for the client; only the ping beside it is answered.
            connection.send_ahead(worker, &Frame::text(HEARTBEAT, 0));
            heartbeat.send(worker, connection, rhythm, Frame::ping());
        }
        (Kind::Raw(heartbeat), Due::Ping) => heartbeat.send(worker, connection, rhythm, Frame::ping()),
        (Kind::Framed(heartbeat) | Kind::Raw(heartbeat), Due::Pong) => {
            heartbeat.check(worker, connection, rhythm);
        }
        (Kind::Requests(_), Due::Silence) => look_after(worker, connection, session),
        _ => {}
    }
}

/// Sends a heartbeat to whoever waits for too long, and ends a session that nobody comes back to.
/// Between two looks a receiver may come, or leave: neither deadline is longer away than the next.
fn look_after(worker: &Rc<Worker>, connection: &Rc<Connection>, session: &Session) {
    let (heartbeat, delay) = (session.mount.options.heartbeat, session.mount.options.disconnect_delay);
    let now = Instant::now();
    let state = match &*connection.outlet().borrow() {
        Outlet::SockJs(receiving) => receiving.state(),
        _ => return,
    };
    let next = match state {
        State::Absent(since) if since + delay <= now => {
            return connection.close(worker, Close::PingTimeout);
        }
        State::Absent(since) => since + delay,
        State::Attached(since) if since + heartbeat <= now => {
            beat(worker, connection);
            now + heartbeat
        }
        State::Attached(since) => since + heartbeat,
    };
    worker.timers.add(next.min(now + delay.min(heartbeat)), connection.key, Due::Silence);
}

fn beat(worker: &Rc<Worker>, connection: &Rc<Connection>) {
    let sent = match &mut *connection.outlet().borrow_mut() {
        Outlet::SockJs(receiving) => receiving.beat(&worker.ledger),
        _ => return,
    };
    connection.settle(worker, sent);
}

/// A session that lived by requests has ended: tells its receiver, and keeps what is to be told to
/// later ones.
pub(crate) fn end(worker: &Worker, connection: &Connection, receiving: Receiving, close: Close) {
    let session = Session::of(connection);
    let Some(requests) = session.requests() else { return };
    let (code, reason) = close.code().map_or(INTERRUPTED, |code| (code, close.reason()));
    let frame = encode_close(code, reason);
    let mut waiting = receiving.end(&frame);
    if close == Close::SlowReader {
        waiting.clear();
    }
    let place = requests.place.release();
    // A client that never came back is told nothing: the next one with this id is another.
    if matches!(close, Close::PingTimeout | Close::GaveWay) {
        return worker.sockjs.forget(&requests.key);
    }
    let ended = Ended { waiting: waiting.into(), close: frame, _place: place };
    worker.sockjs.ended(worker, &requests.key, (ended, session.mount.options.disconnect_delay));
}

/// The framing of a session while it receives by `transport`.
pub(super) fn set_transport(connection: &Connection, transport: Transport) {
    connection.set_wire(Wire { framing: Framing::of_sockjs(transport), ..connection.wire() });
}
