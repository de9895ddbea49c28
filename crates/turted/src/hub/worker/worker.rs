//! A worker: one thread with its own runtime, listener, shard of the registry and fan-out.
//!
//! Workers share no mutable state on the way of an event. What they ask of each other comes as
//! [`Mail`]; dispatches come through the inbox, in log order.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use turted_core::rate::Rate;
use turted_core::registry::{MembershipLimits, Registry};

use crate::config::Config;
use crate::http::accept::{self, Queue};
use crate::hub::client::identity;
use crate::hub::client::resume;
use crate::hub::delivery::fanout::{Fanout, SLICE};
use crate::hub::delivery::frame::Frame;
use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::delivery::outlet::{Ledger, MissedFrames};
use crate::hub::delivery::wire::WireContext;
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::dispatch::inbox::Delivery;
use crate::hub::worker::census;
use crate::hub::worker::connection::Connection;
use crate::hub::worker::drain;
use crate::hub::worker::mail::Mail;
use crate::hub::worker::places;
use crate::hub::worker::relief::{self, WaitingConnections};
use crate::hub::worker::shared::Shared;
use crate::hub::worker::timers::{Due, Timers};
use crate::hub::worker::turns::Turns;
use crate::io::tasks::Tasks;
use crate::server::tidy;
use crate::transport::{socketio, sockjs};

/// Bytes one read takes at most: whole bursts of small messages, a whole large one.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Letters waiting for one worker. A full box makes the other worker's request wait.
pub(crate) const MAIL_MAX: usize = 1_024;
/// Timers handled before others get their turn.
const TURN: usize = 256;
/// Blocked connections that write at once: 32 KiB each take about as long as a [`SLICE`]. Were it all
/// whose sockets have room again, others would wait for thousands of them.
const FLUSHES_MAX: usize = 16;
/// How long good-byes may take once every connection was told.
pub(crate) const GOOD_BYE: Duration = Duration::from_secs(2);

/// What one worker listens to.
#[derive(Debug)]
pub(crate) struct Inlets {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) queue: Queue,
    pub(crate) inbox: mpsc::Receiver<Delivery>,
    pub(crate) mail: mpsc::Receiver<Mail>,
}

/// The state of one worker, shared by its tasks. All of them run on one thread: a `RefCell` is
/// borrowed within one call, never across an await.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: u8,
    pub(crate) config: Arc<Config>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) registry: RefCell<Registry<Rc<Connection>>>,
    pub(crate) timers: Timers,
    /// Where the SockJS sessions are that live by requests.
    pub(crate) sockjs: Rc<sockjs::Sessions>,
    /// What reads go into. No connection has a buffer of its own unless it sent half a message.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    /// Leave to look for what a client missed: one at a time, see [`replay`](crate::hub::client::replay).
    pub(crate) replays: Turns,
    /// The frames of what clients missed.
    pub(crate) missed: Rc<MissedFrames>,
    /// What may wait for connections, and where it is counted.
    pub(crate) ledger: Rc<Ledger>,
    /// The connections that something waits for.
    pub(crate) waiting: WaitingConnections,
    /// Leave to write what waits for a blocked connection, in turn.
    pub(crate) flushes: Semaphore,
    fanout: RefCell<Fanout<Connection>>,
    /// The number of the last dispatch that was resolved against this worker's registry.
    seen: Cell<u64>,
    context: WireContext,
    /// What runs beside its loops.
    pub(crate) tasks: Tasks,
    started: Instant,
}

impl Worker {
    pub(crate) fn new(
        index: u8,
        config: Arc<Config>,
        dispatcher: Dispatcher,
        shared: Arc<Shared>,
    ) -> Rc<Self> {
        let memberships = MembershipLimits {
            channels: config.limits.channels_per_connection,
            users: config.limits.users_per_connection,
        };
        let (metrics, tasks) = (shared.metrics_of(index), Tasks::new(shared.life.ending.clone()));
        let context = WireContext {
            epoch: dispatcher.epoch(),
            has_cursor: config.recovery.enabled,
            metrics: Arc::clone(&metrics),
        };
        let ledger = Ledger {
            bytes_max: config.limits.outbox_bytes,
            frames_max: config.limits.outbox_frames,
            metrics: Arc::clone(&metrics),
            backlogs: Arc::clone(&shared.backlogs),
        };
        Rc::new(Self {
            index,
            missed: Rc::new(MissedFrames::new(context.clone())),
            context,
            ledger: Rc::new(ledger),
            waiting: WaitingConnections::default(),
            replays: Turns::default(),
            config,
            dispatcher,
            shared,
            metrics,
            registry: RefCell::new(Registry::with_limits(memberships)),
            timers: Timers::default(),
            sockjs: Rc::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
            flushes: Semaphore::new(FLUSHES_MAX),
            fanout: RefCell::default(),
            seen: Cell::new(0),
            tasks,
            started: Instant::now(),
        })
    }

    /// Runs until the server stops and everyone was told.
    ///
    /// # Errors
    /// The listener cannot be registered with the runtime.
    pub(crate) async fn run(self: &Rc<Self>, inlets: Inlets) -> io::Result<()> {
        self.metrics.watch_runtime();
        let listener = TcpListener::from_std(inlets.listener)?;
        self.spawn(accept::accept(Rc::clone(self), listener, inlets.queue));
        self.spawn(Rc::clone(self).read_mail(inlets.mail));
        self.spawn(Rc::clone(self).watch_timers());
        self.spawn(relief::run(Rc::clone(self)));
        if self.index == 0 {
            self.spawn(tidy::run(Rc::clone(self)));
        }
        // No task of its own: the runtime polls this one before all tasks, so that few clients are let in
        // between the acceptance of a dispatch and its resolution. It costs a look for I/O per wake-up.
        // Ends when the dispatcher stops and the inbox is empty.
        Rc::clone(self).deliver(inlets.inbox).await;
        drain::tell_all(self).await;
        let life = &self.shared.life;
        life.drained();
        life.ending.cancelled().await;
        self.finish().await;
        Ok(())
    }

    /// Runs a task of this worker; the worker waits for it before it ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(task);
    }

    /// The time since this worker started, for rates.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
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

    /// Puts a letter into another worker's box. Waits while the box is full.
    pub(crate) async fn send_mail(&self, to: u8, mail: Mail) {
        if let Some(peer) = self.shared.peers.get(usize::from(to)) {
            // A worker that is gone drops the letter, and with it the answer somebody waits for.
            let _ = peer.send(mail).await;
        }
    }

    /// Takes dispatches out of the inbox and writes them to connections, in slices.
    async fn deliver(self: Rc<Self>, mut inbox: mpsc::Receiver<Delivery>) {
        loop {
            if self.fanout.borrow().is_idle() {
                match inbox.recv().await {
                    Some(delivery) => self.accept(&delivery),
                    None => return,
                }
            }
            let started = Instant::now();
            while self.fanout.borrow().has_room()
                && started.elapsed() < SLICE
                && let Ok(delivery) = inbox.try_recv()
            {
                self.accept(&delivery);
            }
            self.fanout.borrow_mut().write_slice(&self.context, |round| round.write(&self));
            if !self.fanout.borrow().is_idle() {
                yield_now().await;
            }
        }
    }

    fn accept(&self, delivery: &Delivery) {
        self.fanout.borrow_mut().accept(delivery, &mut self.registry.borrow_mut());
        self.seen.set(delivery.accepted.sequence);
    }

    /// Takes what waits in the fan-out for a connection: it was encoded for what it spoke until now.
    pub(crate) fn take_chained(&self, connection: &Connection) -> Vec<Frame> {
        self.fanout.borrow_mut().take(connection, &self.context)
    }

    async fn read_mail(self: Rc<Self>, mut mail: mpsc::Receiver<Mail>) {
        let ending = self.shared.life.ending.clone();
        while let Some(Some(letter)) = ending.run_until_cancelled(mail.recv()).await {
            match letter {
                Mail::Engine(id, request) => socketio::receive(&self, id, request),
                Mail::SockJs(letter) => sockjs::receive(&self, *letter),
                Mail::GiveWay(key) => places::give_way(&self, key),
                Mail::Query(query) => census::answer(&self, query),
                Mail::Supersede(hint, id, done) => {
                    resume::supersede(&self, hint, id);
                    // The other worker may have stopped waiting.
                    let _ = done.send(());
                }
            }
        }
    }

    async fn watch_timers(self: Rc<Self>) {
        let ending = self.shared.life.ending.clone();
        while ending.run_until_cancelled(self.timers.wait()).await.is_some() {
            let now = Instant::now();
            for _ in 0..TURN {
                let Some((key, due)) = self.timers.pop(now) else { break };
                let connection = self.registry.borrow().get(key).cloned();
                if let Some(connection) = connection {
                    self.call(&connection, due);
                }
            }
            yield_now().await;
        }
    }

    fn call(self: &Rc<Self>, connection: &Rc<Connection>, due: Due) {
        match due {
            Due::Expiry if identity::expire(self, connection) => connection.session.expired(self, connection),
            Due::Expiry => {}
            due => connection.session.timer(self, connection, due),
        }
    }

    /// Waits for the tasks that still say good-bye.
    async fn finish(&self) {
        if timeout(GOOD_BYE, self.tasks.finish()).await.is_err() {
            tracing::warn!(worker = self.index, tasks = self.tasks.count(), "tasks cut off at the end");
        }
    }
}
