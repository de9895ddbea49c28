//! The state of one Engine.IO session, its heartbeats and its end.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::rate::TokenBucket;
use turted_core::wire::engineio::{Handshake, Upgrades, Version};

use super::packets;
use crate::connection::Connection;
use crate::outlet::Outlet;
use crate::recovery::LostSession;
use crate::session_id::SessionId;
use crate::shared::Permit;
use crate::socket::Socket;
use crate::timers::Due;
use crate::worker::Worker;

/// The packet that asks for a heartbeat (version 4).
const PING: &str = "2";

/// What the layer above the transport knows of a connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) version: Version,
    /// Where the client connects from.
    pub(crate) peer: IpAddr,
    /// The number of the script callback, for clients that poll with scripts.
    pub(crate) jsonp: Option<u32>,
    /// Comes when the IDENT of the handshake is verified, which packets wait for.
    verifying: RefCell<Option<oneshot::Receiver<()>>>,
    /// Of a session that began by polling.
    _permit: Option<Permit>,
    /// A POST is under way.
    pub(super) posting: Cell<bool>,
    /// A WebSocket is about to take the session over.
    pub(super) upgrading: Cell<bool>,
    /// That WebSocket, to be ended if it takes longer than until then.
    pub(super) probe: RefCell<Option<(Instant, Rc<Socket>)>>,
    /// Set when the connection has its place in the registry.
    id: Cell<Option<SessionId>>,
    /// The name of the session across reconnects, once it is connected.
    pub(super) recovery_id: Cell<Option<SessionId>>,
    /// The number of the last dispatch before the session first began.
    pub(super) began_after: Cell<u64>,
    pub(super) connected: Cell<bool>,
    /// Binary messages that still belong to a packet that was refused.
    pub(super) attachments: Cell<u8>,
    heard: Cell<Instant>,
    /// When the heartbeat that is not answered yet was sent.
    pinged: Cell<Option<Instant>>,
    bucket: Cell<Option<TokenBucket>>,
}

/// How a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// With a polling request; it may move to a WebSocket.
    Polling,
    /// On a WebSocket, where it stays.
    WebSocket,
}

impl Session {
    /// The packet that ends a session.
    pub(crate) const CLOSE_PACKET: &str = "1";

    pub(super) fn new(version: Version, peer: IpAddr, jsonp: Option<u32>) -> Self {
        Self {
            version,
            peer,
            verifying: RefCell::default(),
            jsonp,
            _permit: None,
            posting: Cell::new(false),
            upgrading: Cell::new(false),
            probe: RefCell::default(),
            id: Cell::new(None),
            recovery_id: Cell::new(None),
            began_after: Cell::new(0),
            connected: Cell::new(false),
            attachments: Cell::new(0),
            heard: Cell::new(Instant::now()),
            pinged: Cell::new(None),
            bucket: Cell::new(None),
        }
    }

    /// The session counts as a connection for as long as it lives.
    pub(super) fn holding(self, permit: Permit) -> Self {
        Self { _permit: Some(permit), ..self }
    }

    /// The id of the session on its transport.
    pub(super) fn id(&self) -> SessionId {
        self.id.get().expect("set as soon as the connection is in the registry")
    }

    /// The id a client of version 4 of Engine.IO knows its connection by. It gives no session away.
    pub(crate) fn public_id(&self) -> Option<String> {
        Some(self.recovery_id.get().or(self.id.get())?.public())
    }

    /// Notes that the client is alive.
    pub(super) fn heard(&self) {
        self.heard.set(Instant::now());
    }

    /// Notes the answer to a heartbeat.
    pub(super) fn ponged(&self) {
        self.pinged.set(None);
    }

    /// Lets packets wait until `verified` comes, or its sender is gone.
    pub(super) fn begin_verification(&self, verified: oneshot::Receiver<()>) {
        self.verifying.replace(Some(verified));
    }

    /// Waits until the IDENT of the handshake is verified. Whoever comes first waits: the packets
    /// of a client come one way at a time.
    pub(super) async fn handshake_verified(&self) {
        if let Some(verified) = self.verifying.take() {
            // Its end is news enough.
            let _ = verified.await;
        }
    }

    /// Whether the client may send one more message now.
    pub(super) fn may_send(&self, worker: &Worker) -> bool {
        let (rate, now) = (worker.message_rate(), worker.uptime());
        let mut bucket = self.bucket.get().unwrap_or_else(|| TokenBucket::full(rate, now));
        let may = bucket.take(rate, now);
        self.bucket.set(Some(bucket));
        may
    }

    /// The connection ends: keeps the session if its client may come back.
    pub(crate) fn closing(&self, worker: &Worker, connection: &Connection, close: Close) {
        if let Some((_, probe)) = self.probe.take() {
            probe.shutdown();
        }
        let Some(id) = self.recovery_id.take() else { return };
        if !close.is_recoverable() {
            return worker.shared.recovery.forget(id);
        }
        let memberships = worker.registry.borrow().memberships(connection.key);
        let standing = connection.standing.take();
        let lost = LostSession { memberships, standing, began_after: self.began_after.get() };
        worker.shared.recovery.keep(id, lost);
    }
}

/// Gives a new session its place, its id and its deadlines.
pub(super) fn open(worker: &Rc<Worker>, session: Session, outlet: Outlet) -> Rc<Connection> {
    let mut opened = None;
    worker.registry.borrow_mut().insert_with(|key| {
        let connection = Rc::new(Connection::new(key, session, outlet, worker.uptime()));
        opened = Some(Rc::clone(&connection));
        connection
    });
    let connection = opened.expect("insert_with calls its argument");
    if let Some(transport) = connection.outlet().borrow().transport() {
        worker.metrics.opened(transport, connection.session.version);
    }
    connection.session.id.set(Some(SessionId::new(worker.index, connection.key.slot())));
    let config = &worker.config.socketio;
    let now = Instant::now();
    match connection.session.version {
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
pub(super) fn handshake(worker: &Worker, connection: &Connection, opening: Opening) -> String {
    let config = &worker.config.socketio;
    let sid = connection.session.id().to_string();
    let may_upgrade = opening == Opening::Polling;
    Handshake {
        sid: &sid,
        upgrades: if may_upgrade { Upgrades::WebSocket } else { Upgrades::None },
        ping_interval: config.ping_interval,
        ping_timeout: config.ping_timeout,
        max_payload: (connection.session.version == Version::V4).then_some(config.max_payload),
    }
    .to_packet()
}

/// The session of this worker with this id.
pub(super) fn find(worker: &Worker, id: SessionId) -> Option<Rc<Connection>> {
    let registry = worker.registry.borrow();
    let connection = registry.at(id.slot())?;
    (connection.session.id() == id).then(|| Rc::clone(connection))
}

/// Something is due for a session.
pub(crate) fn timer(worker: &Rc<Worker>, connection: &Rc<Connection>, due: Due) {
    let session = &connection.session;
    let config = &worker.config.socketio;
    let now = Instant::now();
    match due {
        Due::Connect if !session.connected.get() => connection.close(worker, Close::ConnectTimeout),
        Due::Connect => {}
        Due::Ping => {
            if session.pinged.get().is_none() {
                session.pinged.set(Some(now));
                worker.timers.add(now + config.ping_timeout, connection.key, Due::Pong);
                connection.send_packet(worker, PING);
            }
            worker.timers.add(now + config.ping_interval, connection.key, Due::Ping);
        }
        Due::Pong => {
            let unanswered = session.pinged.get().is_some_and(|sent| now - sent >= config.ping_timeout);
            if unanswered {
                connection.close(worker, Close::PingTimeout);
            }
        }
        Due::Silence => {
            let allowed = config.ping_interval + config.ping_timeout;
            let deadline = session.heard.get() + allowed;
            if deadline <= now {
                connection.close(worker, Close::PingTimeout);
            } else {
                worker.timers.add(deadline, connection.key, Due::Silence);
            }
        }
        Due::Expiry => packets::expire(worker, connection),
        Due::Upgrade => {
            // An earlier attempt may have left this timer.
            let late = session.probe.borrow_mut().take_if(|(deadline, _)| *deadline <= now);
            if let Some((_, probe)) = late {
                probe.shutdown();
            }
        }
    }
}
