//! A worker: one thread with its own runtime, shard of the registry and fan-out. Its loops are in `hub::run`.
//!
//! Workers share no mutable state on the way of an event. What they ask of each other comes as
//! [`Mail`]; dispatches come through the inbox, in log order.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use turted_core::name::Name;
use turted_core::rate::Rate;
use turted_core::registry::{ConnectionKey, MembershipLimits, Registry};

use super::audience::Audience;
use super::connection::Connection;
use super::replies::Replies;
use super::session_id::SessionId;
use super::sessions::Sessions;
use super::shared::Shared;
use super::timers::Timers;
use super::turns::Turns;
use super::waiting::WaitingConnections;
use crate::config::Config;
use crate::hub::delivery::fanout::Fanout;
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::delivery::outlet::{Feeds, Ledger, MissedFrames};
use crate::hub::delivery::wire::WireContext;
use crate::hub::dispatch::dispatcher::{Dispatcher, Settled};
use crate::hub::dispatch::inbox::Delivery;
use crate::io::link::link;
use crate::io::seconds::Seconds;
use crate::io::tasks::Tasks;

/// Bytes one read takes at most: whole bursts of small messages, a whole large one.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Mail that waits for one worker. A full box makes the other worker's request wait.
pub(crate) const MAIL_MAX: usize = 1_024;
/// Blocked connections that write at once: 32 KiB each take about as long as a slice of the fan-out. Without
/// this limit all whose sockets have room again would write, and other connections would wait for thousands of
/// them.
const FLUSHES_MAX: usize = 16;
/// How long the last messages to clients may take once every connection was told.
pub(crate) const CLOSING_WAIT: Duration = Duration::from_secs(2);

/// What one worker asks another to do. A worker that needs an answer sends along where the answer goes.
pub(crate) type Mail = Box<dyn FnOnce(&Rc<Worker>) + Send>;
/// The mail boxes of all workers, by index.
pub(crate) type Peers = Arc<[mpsc::Sender<Mail>]>;

/// The state of one worker, shared by its tasks. All of them run on one thread: a `RefCell` is
/// borrowed within one call, never across an await.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: u8,
    pub(crate) config: Arc<Config>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) sessions: Sessions,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) registry: RefCell<Registry<Rc<Connection>>>,
    pub(crate) timers: Timers,
    /// The mail boxes of all workers, by index.
    pub(crate) peers: Peers,
    /// What transports keep on this worker.
    parts: Parts,
    /// What reads go into. No connection has a buffer of its own unless it sent half a message.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    /// What the client is sent that is dealt with at the moment.
    pub(crate) replies: Replies,
    /// Turns at looking for what a client missed: one at a time, see [`replay`](crate::hub::client::replay).
    pub(crate) replays: Turns,
    /// The frames of what clients missed.
    pub(crate) missed: Rc<MissedFrames>,
    /// Which connections are being sent something of the past.
    pub(crate) feeds: Rc<Feeds>,
    /// What may wait for connections, and where it is counted.
    pub(crate) ledger: Rc<Ledger>,
    /// Which clients are told who is in their channels.
    pub(crate) audience: Audience,
    /// The connections that something waits for.
    pub(crate) waiting: WaitingConnections,
    /// How many of them relief closed since that was logged.
    pub(crate) relieved: Cell<usize>,
    /// Permits to write what waits for blocked connections, in turn.
    pub(crate) flushes: Semaphore,
    pub(crate) fanout: RefCell<Fanout<Connection>>,
    /// The number of the last dispatch that was resolved against this worker's registry.
    seen: Cell<u64>,
    pub(crate) context: WireContext,
    /// Bounds what may wait for a disk that hangs.
    pub(crate) seconds: Rc<Seconds>,
    /// The tasks that run beside its loops.
    pub(crate) tasks: Tasks,
    started: Instant,
}

impl Worker {
    pub(crate) fn new(
        index: u8,
        config: Arc<Config>,
        dispatcher: Dispatcher,
        (shared, peers): (Arc<Shared>, Peers),
    ) -> Rc<Self> {
        let memberships = MembershipLimits {
            channels: config.limits.channels_per_connection,
            users: config.limits.users_per_connection,
        };
        // Not the last dispatch of the log: others of this life may wait in the inbox already.
        let began_after = dispatcher.began_after();
        let (metrics, tasks) = (shared.metrics_of(index), Tasks::new(shared.life.ending.clone()));
        let dispatcher = linked_dispatcher(dispatcher, &tasks);
        let sessions = linked_sessions(&shared.sessions, &tasks);
        let may_wait = dispatcher.keeps_keys() || shared.cluster.get().is_some();
        let seconds = seconds(may_wait, &tasks);
        let context = WireContext { has_cursor: config.recovery.enabled, metrics: Arc::clone(&metrics) };
        let ledger = Ledger {
            bytes_max: config.limits.outbox_bytes,
            frames_max: config.limits.outbox_frames,
            metrics: Arc::clone(&metrics),
            backlogs: Arc::clone(&shared.backlogs),
        };
        Rc::new(Self {
            index,
            missed: Rc::new(MissedFrames::new(context.clone())),
            feeds: Rc::default(),
            context,
            ledger: Rc::new(ledger),
            relieved: Cell::new(0),
            audience: Audience::default(),
            waiting: WaitingConnections::default(),
            replays: Turns::default(),
            config,
            dispatcher,
            sessions,
            shared,
            metrics,
            registry: RefCell::new(Registry::with_limits(memberships)),
            timers: Timers::default(),
            peers,
            parts: Parts::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
            replies: Replies::default(),
            flushes: Semaphore::new(FLUSHES_MAX),
            fanout: RefCell::default(),
            seen: Cell::new(began_after),
            seconds,
            tasks,
            started: Instant::now(),
        })
    }

    /// Runs a task of this worker; the worker waits for it before it ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(task);
    }

    /// The time since this worker started, for rates.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// A new id for the session at this place of the registry.
    pub(crate) fn new_session_id(&self, slot: u32) -> SessionId {
        SessionId::new(self.index, slot, self.shared.nodes.as_ref().and_then(|nodes| nodes.own()))
    }

    /// How many messages one connection may send.
    pub(crate) fn message_rate(&self) -> Rate {
        let limits = &self.config.limits;
        Rate { per_second: limits.message_rate, burst: limits.message_burst }
    }

    /// The number of the last dispatch that was resolved against this worker's registry.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.get()
    }

    /// Asks another worker to do something. Waits while that worker's mail box is full.
    pub(crate) async fn send_mail(&self, to: u8, mail: Mail) {
        if let Some(peer) = self.peers.get(usize::from(to)) {
            // A worker that is gone drops the mail, and with it the way back for the answer.
            let _ = peer.send(mail).await;
        }
    }

    /// Resolves a dispatch: from now on it waits in the fan-out for the connections it concerns.
    pub(crate) fn accept(&self, delivery: &Delivery) {
        let reached = self.fanout.borrow_mut().accept(delivery, &mut self.registry.borrow_mut());
        let has_reached = |user: &Name| self.registry.borrow().has_just_reached(user);
        self.shared.live.resolved(delivery.accepted.sequence(), reached, has_reached);
        self.seen.set(delivery.accepted.sequence());
    }

    /// Takes the frames that wait in the fan-out for a connection: they are for the wire that it has had until
    /// now.
    pub(crate) fn take_chained(&self, connection: &Connection) -> Vec<Frame> {
        self.fanout.borrow_mut().take(connection, &self.context)
    }

    /// The number of the last dispatch of which a connection waits for nothing: neither it nor an earlier one is
    /// still in the fan-out for the connection.
    pub(crate) fn passed(&self, connection: &Connection) -> u64 {
        // A connection that is not behind has passed all that was resolved, also what did not concern it: what a
        // quiet one was sent last may be older than the log. A new one is told nothing that was accepted before it came.
        let passed = self.fanout.borrow().next_for(connection).map_or(self.seen(), |next| next - 1);
        passed.max(connection.began_after.get())
    }

    /// The connection with this key, if something has waited for it since then.
    pub(crate) fn find_waiting(&self, since: Instant, key: ConnectionKey) -> Option<Rc<Connection>> {
        let connection = self.registry.borrow().get(key).cloned()?;
        let is_current = connection.outlet().borrow().since() == Some(since);
        is_current.then_some(connection)
    }

    /// What a transport keeps on this worker, by its type; made when it is first asked for.
    pub(crate) fn part<T: Default + 'static>(&self) -> Rc<T> {
        let mut parts = self.parts.0.borrow_mut();
        let part = parts.entry(TypeId::of::<T>()).or_insert_with(|| Rc::<T>::default());
        Rc::clone(part).downcast().expect("it is kept by its type")
    }
}

/// Seconds that pass where something may wait for a disk or an engine. Elsewhere no worker is woken for them.
fn seconds(may_wait: bool, tasks: &Tasks) -> Rc<Seconds> {
    let seconds = Rc::<Seconds>::default();
    if may_wait {
        let counted = Rc::clone(&seconds);
        tasks.spawn_until_end(async move { counted.run().await });
    }
    seconds
}

/// The dispatcher of one worker: the log writer settles its pushes together.
fn linked_dispatcher(dispatcher: Dispatcher, tasks: &Tasks) -> Dispatcher {
    let (link, end) = link();
    let linked = dispatcher.clone().linked(link);
    tasks.spawn_until_end(end.run(move || dispatcher.wake_writer(), Settled::tell));
    linked
}

/// The sessions of one worker: changes that are recorded come back together.
fn linked_sessions(sessions: &Sessions, tasks: &Tasks) -> Sessions {
    let ((link, end), sessions) = (link(), sessions.clone());
    let linked = sessions.linked(link);
    // What is dropped is recorded.
    tasks.spawn_until_end(end.run(move || sessions.wake(), drop));
    linked
}

/// What transports keep on a worker, by type: a new transport needs no field here.
#[derive(Default)]
struct Parts(RefCell<HashMap<TypeId, Rc<dyn Any>>>);

impl fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Parts").finish_non_exhaustive()
    }
}
