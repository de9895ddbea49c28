//! What the tasks of the cluster thread share: how far this node has read, which nodes there are, and which of its own entries
//! it has not read back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use turted_core::cluster::entry::{self, Body, Entry};
use turted_core::cluster::head::{Read, VERSION};
use turted_core::cluster::message::{Message, Told};
use turted_core::cluster::node::NodeRecord;
use turted_core::cluster::table::{Known, SILENCE};
use turted_core::cursor::Cursor;

use super::counts::{ANSWER_MAX, Counts};
use super::handle::Cluster;
use super::job::{Job, Unavailable, Wanted};
use super::marks::is_absurd;
use super::mistake::{Mistake, makes};
use super::sessions::SessionWrites;
use super::settings::Settings;
use super::status::Status;
use super::view::{ATTENTION, View, position};
use crate::engine::{Changed, Engine, State};
use crate::hub::dispatch::feed::{Feed, Own};

/// The moment at which a node starts: entries of before have one, too.
const BEGINNING: Duration = Duration::from_secs(1 << 32);

/// A node of a cluster, on the cluster thread.
pub(super) struct Node<E> {
    pub(super) engine: E,
    pub(super) settings: Settings,
    pub(super) feed: Feed,
    pub(super) status: Arc<Status>,
    pub(super) clock: Clock,
    /// How many replicas followed the engine when it was asked last.
    pub(super) replicas: Cell<u32>,
    pub(super) started: Instant,
    pub(super) view: RefCell<View>,
    /// Entries that this node appends and has not read back, by their tags.
    pub(super) own: RefCell<BTreeMap<u64, Underway>>,
    /// What other nodes are asked to count, and what is counted for them.
    pub(super) counts: RefCell<Counts>,
    /// Tells that something was counted, or others are asked to count.
    pub(super) counted: Notify,
    /// Tells that something was read.
    pub(super) progress: Rc<Notify>,
    /// What the writer appends before its next heartbeat.
    pub(super) announced: RefCell<Vec<Announced>>,
    /// Asks the writer to append a heartbeat at once.
    pub(super) heartbeat: Arc<Notify>,
    /// Asks the reader, the writer or the ears to connect anew.
    pub(super) reader_stuck: Notify,
    pub(super) writer_stuck: Notify,
    pub(super) ears_stuck: Notify,
    /// What is wanted of the engine besides.
    pub(super) jobs: mpsc::Sender<Job>,
    /// Sessions on their way to the engine.
    pub(super) sessions: Arc<SessionWrites>,
}

/// An entry that this node appends.
#[derive(Debug)]
pub(super) struct Underway {
    /// What it brings along, until it is read.
    pub(super) own: Option<Own>,
    pub(super) since: Instant,
    /// Where it stands in the log, and since when that is known.
    pub(super) stands: Option<(Cursor, Instant)>,
    /// Where it was read.
    pub(super) read_at: Option<Cursor>,
    /// Whether its push is settled, and nobody asks for it any more.
    pub(super) is_settled: bool,
}

/// What this node tells all others in the log.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) body: Body,
    /// Where it is told that it stands there.
    pub(super) recorded: Option<oneshot::Sender<()>>,
}

/// The clock of the engine, as far as this node knows it.
#[derive(Debug)]
pub(super) struct Clock(Cell<(Duration, Instant)>);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Cell::new((Duration::ZERO, Instant::now())))
    }

    pub(super) fn set(&self, now: Duration) {
        self.0.set((now, Instant::now()));
    }

    /// Time since 1970.
    pub(super) fn now(&self) -> Duration {
        let (then, at) = self.0.get();
        then + at.elapsed()
    }

    /// A look at both clocks, which serves for all entries that are read together.
    pub(super) fn look(&self) -> Clocks {
        Clocks { engine: self.now(), here: std::time::Instant::now() }
    }
}

/// What the clocks of the engine and of this machine show at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// Time since 1970.
    pub(super) engine: Duration,
    pub(super) here: std::time::Instant,
}

impl Clocks {
    /// When an entry was appended, by the clock of this machine.
    pub(super) fn here_at(&self, time: Duration) -> std::time::Instant {
        self.here.checked_sub(self.engine.saturating_sub(time)).unwrap_or(self.here)
    }
}

impl<E: Engine> Node<E> {
    /// The engine says what it is like.
    pub(super) fn sees(&self, state: &State) {
        self.clock.set(state.now);
        self.replicas.set(state.keeping.replicas);
        self.status.sees_eviction(state.keeping.evicts.as_deref());
    }

    /// Whether as many replicas follow the engine as must have a push.
    pub(super) fn has_replicas(&self) -> bool {
        self.replicas.get() >= self.settings.replicas
    }

    /// The engine takes what is pushed, but pushes are refused: too few replicas have it.
    pub(super) fn is_unreplicated(&self) {
        self.feed.health().is_refusing(&format_args!(
            "fewer replicas of Redis than cluster.replicas = {} have what was appended; {} follow it",
            self.settings.replicas,
            self.replicas.get()
        ));
    }

    /// An entry of this node, and its tag.
    pub(super) fn encode(&self, body: Body) -> (Bytes, u64) {
        let (author, tag) = (self.settings.author(), self.status.marks.make());
        (Entry { author, tag, time: self.clock.now(), body }.encode().into(), tag)
    }

    /// Whether a position is so far ahead of the engine's clock, and of all epochs that are known, that no node can have begun
    /// its epoch.
    pub(super) fn is_absurd(&self, at: Cursor, now: Duration) -> bool {
        let view = self.view.borrow();
        is_absurd(at.epoch, view.epoch.max(view.reign), now)
    }

    /// Where an entry of this node was read.
    pub(super) fn read_back(&self, tag: u64) -> Option<Cursor> {
        self.own.borrow().get(&tag)?.read_at
    }

    /// An entry of this node is read: what it brings along. `None` if it is of no push that waits.
    pub(super) fn take_own(&self, tag: u64, at: Cursor) -> Option<Own> {
        let mut own = self.own.borrow_mut();
        let underway = own.get_mut(&tag)?;
        underway.read_at = Some(at);
        let brought = underway.own.take();
        if underway.is_settled {
            own.remove(&tag);
        }
        brought
    }

    /// Whether this is another entry of ours than the one with this tag.
    pub(super) fn is_other(&self, bytes: &[u8], tag: u64) -> bool {
        let decoded = entry::decode(bytes, self.settings.limits);
        !makes(Mistake::IgnoresEntry) && matches!(decoded, Read::Ours(entry) if entry.tag != tag)
    }

    /// What this node has read, and was written up to then, may be lost: it begins another epoch.
    pub(super) fn wants_epoch(&self, written: Duration) {
        self.view.borrow_mut().wants_epoch(written);
        self.heartbeat.notify_one();
    }

    /// Tells all nodes that something of before an epoch is lost, or may be.
    pub(super) fn tells_loss(&self, epoch: u64) {
        self.announce(Announced { body: Body::Lost { epoch }, recorded: None });
    }

    /// Appends an entry to the log, later if the engine is away.
    pub(super) fn announce(&self, announced: Announced) {
        self.announced.borrow_mut().push(announced);
        self.heartbeat.notify_one();
    }

    /// The handle of this node.
    pub(super) fn handle(&self) -> Cluster {
        Cluster {
            process: self.settings.process,
            status: Arc::clone(&self.status),
            jobs: self.jobs.clone(),
            sessions: Arc::clone(&self.sessions),
        }
    }

    /// A moment by which the table counts. It never goes back, whatever the engine's clock does.
    pub(super) fn moment(&self) -> Duration {
        BEGINNING + self.started.elapsed()
    }

    /// The moment at which an entry was written.
    pub(super) fn moment_of(&self, time: Duration) -> Duration {
        self.moment().saturating_sub(self.clock.now().saturating_sub(time))
    }

    /// The moment up to which the silence of others counts. It stands still while this node does not hear itself: Redis is
    /// away, or this node is cut off, and says nothing of the others.
    pub(super) fn attentive(&self) -> Duration {
        let (moment, own) = (self.moment(), self.view.borrow().own);
        own.map_or(moment, |own| moment.min(own + ATTENTION))
    }

    /// Shows which nodes there are.
    pub(super) fn tell_nodes(&self) {
        let (moment, attentive) = (self.moment(), self.attentive());
        let view = self.view.borrow();
        let own = (self.settings.process, &self.settings.rules);
        self.status.tell_nodes(&view.table, (attentive, moment), own);
        if let Some(peers) = &self.settings.peers {
            let nodes = view.table.by_number(attentive).into_values();
            let others = nodes.filter(|(process, _)| *process != self.settings.process);
            let address = |known: &Known| Some((known.number, known.record.as_ref()?.advertise?));
            peers.set_nodes(others.filter_map(|(_, known)| address(known)).collect());
        }
    }

    /// The first entry of the log that this node or another one keeps: what is before it may be trimmed. `None` until this node
    /// has heard them all.
    pub(super) fn keeps(&self) -> Option<Cursor> {
        if self.started.elapsed() < SILENCE {
            return None;
        }
        let (own, attentive) = (self.kept(), self.attentive());
        let others = self.view.borrow().table.keeps(attentive);
        others.into_iter().chain(own).min_by_key(|at| position(*at))
    }

    /// The first entry that this node keeps for its clients. `None` if it reads only, or not even, what is too old to be kept:
    /// the log of all does not wait for it.
    fn kept(&self) -> Option<Cursor> {
        let (moment, own) = (self.moment(), self.view.borrow().own);
        let unread = moment.saturating_sub(own.unwrap_or(BEGINNING));
        (unread <= self.feed.kept_for()).then(|| self.feed.first())
    }

    /// This node has a number.
    pub(super) fn has_number(&self) {
        let number = self.settings.number.get();
        self.status.has_number(number);
        if let Some(peers) = &self.settings.peers {
            peers.set_own(Some(number));
        }
    }

    /// Tells other nodes something, if the engine is there. It may be lost.
    pub(super) fn tell(&self, to: Option<u16>, told: Told) {
        let message = Message { from: self.settings.author(), told }.encode();
        // Whoever waits for it does not wait longer.
        let (job, _) = Job::new(Wanted::Tell { to, message }, ANSWER_MAX);
        drop(self.jobs.try_send(job));
    }

    /// Asks the engine for something, over the connection for values, and waits for it as long as `most`.
    pub(super) async fn ask(&self, wanted: Wanted, most: Duration) -> Result<Changed, Unavailable> {
        self.handle().ask(wanted, most).await
    }

    /// What this node says of itself.
    pub(super) fn record(&self) -> NodeRecord {
        let view = self.view.borrow();
        NodeRecord {
            version: self.settings.version.clone(),
            reads: VERSION,
            advertise: self.settings.advertise,
            progress: view.progress(),
            keeps: self.kept(),
            draining: self.status.is_draining(),
            connections: self.status.connections(),
            rules: self.settings.rules.told(),
        }
    }
}
