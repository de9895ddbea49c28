//! One client, whatever its transport: how it begins and what it is. `sending` is the way out, `ending` is how it ends.

mod ending;
mod sending;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use turted_core::close::Close;
use turted_core::connection_id::ConnectionId;
use turted_core::cursor::Cursor;
use turted_core::membership::Since;
use turted_core::rate::TokenBucket;
use turted_core::record::session::SessionState;
use turted_core::registry::ConnectionKey;
use turted_core::standing::Standing;

use crate::auth::Visitor;
use crate::hub::delivery::fanout::{Chain, Recipient};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::{Route, Transport};
use crate::hub::delivery::outlet::Outlet;
use crate::hub::delivery::wire::Wire;
use crate::hub::hooks::Arrival;
use crate::hub::worker::recovery::Home;
use crate::hub::worker::session::Session;
use crate::hub::worker::session_id::SessionId;
use crate::hub::worker::worker::Worker;
use crate::io::socket::Socket;
use crate::live::Record;

/// How a connection begins.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Where the client connects from.
    pub(crate) peer: IpAddr,
    pub(crate) session: Box<dyn Session>,
    /// Whether it has a session id, by which its client or operators can name it.
    pub(crate) has_id: bool,
    pub(crate) wire: Wire,
    pub(crate) outlet: Outlet,
}

/// One client. Owned by its worker's registry and by the tasks that read from it.
///
/// What a delivery looks at comes first: a fan-out visits thousands of connections, none of them in
/// the processor's cache, and every further line of the cache costs as much as all the rest of our work.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Connection {
    outlet: RefCell<Outlet>,
    /// What waits in the fan-out.
    chain: Cell<Chain>,
    wire: Cell<Wire>,
    /// The transport that it is counted under.
    transport: Transport,
    /// Here, because beside the id it would make a connection 16 bytes larger.
    has_id: bool,
    /// The number of the last dispatch that was handed to the outlet.
    sent: Cell<u64>,
    /// Bytes of frames that were handed to the outlet, without what the client missed.
    sent_bytes: Cell<u64>,
    pub(crate) key: ConnectionKey,
    /// When the proofs are looked at next.
    pub(crate) expiry_due: Cell<Option<Instant>>,
    /// The number of the last dispatch before the session first began.
    pub(crate) began_after: Cell<u64>,
    bucket: Cell<Option<TokenBucket>>,
    /// Seconds since the worker started. The worker's clock is a `Duration` of 16 bytes, too many
    /// for each connection.
    opened: u32,
    /// The session of its transport.
    pub(crate) session: Box<dyn Session>,
    /// What it has proved, beside the users that it is.
    pub(crate) standing: RefCell<Standing>,
    /// The name of the session on its transport, if it [has one](Self::has_id).
    id: SessionId,
    /// The name of the session across reconnects, if it can be resumed.
    pub(crate) recovery_id: Cell<Option<SessionId>>,
    /// Where the client connects from.
    pub(crate) peer: IpAddr,
}

/// What is looked up before a write fits into one line of the cache, with the counters of the `Rc` before it.
/// What comes of the write is noted in the next line.
const _: () = assert!(2 * size_of::<usize>() + mem::offset_of!(Connection, sent) <= 64);

impl Connection {
    /// Gives a new client its place in the registry. It receives nothing before it is
    /// [admitted](Self::admit).
    pub(crate) fn open(worker: &Worker, opening: Opening) -> Rc<Self> {
        let Opening { peer, session, has_id, wire, outlet } = opening;
        worker.timers.forget_closed(|key| worker.registry.borrow().get(key).is_some());
        let mut opened = None;
        worker.registry.borrow_mut().insert_with(|key| {
            let connection = Rc::new(Self {
                key,
                peer,
                transport: session.transport(),
                session,
                has_id,
                id: if has_id { worker.new_session_id(key.slot()) } else { SessionId::NONE },
                standing: RefCell::default(),
                expiry_due: Cell::new(None),
                recovery_id: Cell::new(None),
                began_after: Cell::new(worker.dispatcher.last()),
                chain: Cell::new(Chain::EMPTY),
                opened: u32::try_from(worker.uptime().as_secs()).unwrap_or(u32::MAX),
                bucket: Cell::new(None),
                wire: Cell::new(wire),
                outlet: RefCell::new(outlet),
                sent: Cell::new(0),
                sent_bytes: Cell::new(0),
            });
            opened = Some(Rc::clone(&connection));
            connection
        });
        let connection = opened.expect("insert_with calls its argument");
        if let Some(route) = connection.route() {
            worker.metrics.opened(route);
        }
        connection
    }

    /// From now on the connection receives what concerns it and is accepted later.
    pub(crate) fn admit(&self, worker: &Worker) {
        self.admit_after(worker, worker.dispatcher.last());
    }

    /// The same for a connection that was opened in this call, and whose client may know it already: what was accepted
    /// since then is for it.
    pub(crate) fn admit_as_opened(&self, worker: &Worker) {
        self.admit_after(worker, self.began_after.get());
    }

    /// From now on the connection of a client that is back receives what concerns it, also what was accepted already and
    /// is not resolved: until there it [misses nothing](crate::hub::client::replay).
    pub(crate) fn admit_back(&self, worker: &Worker) {
        self.admit_after(worker, worker.seen());
    }

    fn admit_after(&self, worker: &Worker, last: u64) {
        self.began_after.set(last);
        self.sent.set(last);
        worker.registry.borrow_mut().admit(self.key, Since(last));
        self.tell_admitted(worker);
    }

    /// Tells presence and hooks that it is admitted, and what it is.
    fn tell_admitted(&self, worker: &Worker) {
        let (id, session) = (self.id(worker), self.recovery_id.get().map(SessionId::key));
        let memberships = || worker.registry.borrow().memberships(self.key);
        worker.shared.presence.admitted(id, session, memberships);
        if worker.shared.hooks.hear_no_clients() {
            return;
        }
        worker.shared.hooks.admitted(&Arrival {
            id,
            name: self.public_id().unwrap_or_else(|| id.to_string()).into(),
            session,
            memberships: &memberships(),
        });
    }

    /// The uptime of its worker at which it was opened.
    pub(crate) fn opened(&self) -> Duration {
        Duration::from_secs(self.opened.into())
    }

    /// How it is connected; `None` once it is closed.
    pub(crate) fn route(&self) -> Option<Route> {
        let carrier = self.outlet.borrow().carrier()?;
        Some(Route { transport: self.transport, carrier })
    }

    /// Its name for operators.
    pub(crate) fn id(&self, worker: &Worker) -> ConnectionId {
        ConnectionId::new(worker.index, self.key)
    }

    /// The same in log lines and in the admin API: in a cluster with the number of its node.
    pub(crate) fn told_id(&self, worker: &Worker) -> ConnectionId {
        let id = self.id(worker);
        worker.shared.cluster.get().map_or(id, |cluster| id.of_node(cluster.number()))
    }

    /// The name of the session on its transport.
    pub(crate) fn session_id(&self) -> Option<SessionId> {
        self.has_id.then_some(self.id)
    }

    /// Its session, if that is one of this transport.
    pub(crate) fn session<S: Session>(&self) -> Option<&S> {
        let session: &dyn Any = &*self.session;
        session.downcast_ref()
    }

    /// The client as it is shown to what verifies its IDENTs.
    pub(crate) fn visitor(&self, worker: &Worker) -> Visitor {
        let connection = Some(self.id(worker));
        Visitor { address: self.peer, transport: self.transport.labels().0, connection }
    }

    /// An id that may be shown: it does not give the session id away.
    pub(crate) fn public_id(&self) -> Option<String> {
        Some(self.recovery_id.get().or(self.session_id())?.public())
    }

    /// Whether the client may send one more message now.
    pub(crate) fn may_send(&self, worker: &Worker) -> bool {
        let (rate, now) = (worker.message_rate(), worker.uptime());
        let mut bucket = self.bucket.get().unwrap_or_else(|| TokenBucket::full(rate, now));
        let may = bucket.take(rate, now);
        self.bucket.set(Some(bucket));
        may
    }

    pub(crate) fn wire(&self) -> Wire {
        self.wire.get()
    }

    pub(crate) fn set_wire(&self, wire: Wire) {
        self.wire.set(wire);
    }

    /// The number of the last dispatch that went out, or of the last one before it connected.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Bytes of frames that went out.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.get()
    }

    /// The way out, to look at or to change. Not to be held across a call that sends.
    pub(crate) fn outlet(&self) -> &RefCell<Outlet> {
        &self.outlet
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.outlet.borrow(), Outlet::Closed)
    }

    /// A record of it for those who watch. Its users are those that it is now.
    pub(crate) fn described<'a>(&self, worker: &Worker, record: Record<'a>) -> Record<'a> {
        let users = worker.registry.borrow().memberships(self.key).users;
        Record {
            connection: Some(self.id(worker)),
            address: Some(self.peer),
            users: users.into_iter().map(|(name, _)| name).collect(),
            ..record
        }
    }

    /// What its session is.
    pub(crate) fn state(&self, worker: &Worker) -> SessionState {
        SessionState {
            memberships: worker.registry.borrow().memberships(self.key),
            presence: worker.audience.of(self.key),
            standing: self.standing.borrow().clone(),
            began_after: self.began_after.get(),
        }
    }

    /// The socket that frames are written to, while it is open.
    fn socket(&self) -> Option<Rc<Socket>> {
        self.outlet.borrow().socket()
    }
}

/// A connection and the worker that owns it: what is passed to all that is done for a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) connection: &'a Rc<Connection>,
}

impl<'a> Client<'a> {
    pub(crate) fn of(worker: &'a Rc<Worker>, connection: &'a Rc<Connection>) -> Self {
        Self { worker, connection }
    }

    /// The same, to be kept across an await.
    pub(crate) fn owned(self) -> (Rc<Worker>, Rc<Connection>) {
        (Rc::clone(self.worker), Rc::clone(self.connection))
    }

    /// Where the session of the client is.
    pub(crate) fn home(self) -> Home {
        Home { worker: self.worker.index, key: self.connection.key }
    }

    /// The position of the client: all that concerns it up to there went out before what is sent next, and
    /// nothing behind it did. `None` if the server keeps no log.
    pub(crate) fn position(self) -> Option<Cursor> {
        let position = || self.worker.dispatcher.cursor(self.worker.passed(self.connection));
        self.worker.config.recovery.enabled.then(position)
    }

    /// Sends one message that carries no dispatch.
    pub(crate) fn send_message(self, message: &str) {
        self.connection.send_message(self.worker, message);
    }

    /// Sends frames in order. A client that cannot take them is closed.
    pub(crate) fn send(self, frames: &[Frame]) {
        self.connection.send(self.worker, frames);
    }

    /// Sends what still waits in the fan-out, so that it does not come behind what is sent next.
    pub(crate) fn send_chained(self) {
        let chained = self.worker.take_chained(self.connection);
        if !chained.is_empty() {
            self.send(&chained);
        }
    }

    /// Ends the connection.
    pub(crate) fn close(self, close: Close) {
        self.connection.close(self.worker, close);
    }
}

impl Recipient for Connection {
    fn wire(&self) -> Wire {
        self.wire.get()
    }

    fn chain(&self) -> &Cell<Chain> {
        &self.chain
    }
}
