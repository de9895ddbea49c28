//! What is known of a cluster outside its thread: whether this node follows the log, who else there is, and what is counted.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use turted_core::cluster::head::Author;
use turted_core::cluster::message::Told;
use turted_core::cluster::table::{NodeState, Table};
use turted_core::cursor::Cursor;
use turted_core::name::Name;

use super::marks::Marks;
use super::questions::Questions;
use super::rules::Rules;
use super::watches::Watches;
use super::ways::{Way, Ways};

/// Nodes with other rules of which is told at once: others may write as many into the log as they like.
const OTHER_RULES_MAX: usize = 64;

type Count = Box<dyn Fn() -> usize + Send + Sync>;
type Hears = Box<dyn Fn(Author, Told) + Send + Sync>;

/// Why the connections of this node that can recover are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Their clients may have missed something that nobody knows of.
    Lost,
    /// They are served elsewhere from now on, and have missed nothing.
    Elsewhere,
}

/// What is known outside the thread.
pub(crate) struct Status {
    is_following: AtomicBool,
    /// Whether it has done so once. Before, it has no clients.
    has_followed: AtomicBool,
    is_waiting: AtomicBool,
    is_up: AtomicBool,
    is_draining: AtomicBool,
    /// Asks the writer to append a heartbeat at once.
    pub(super) heartbeat: Arc<Notify>,
    /// The same without a look at the engine: somebody waits until this node has read what stands in the log now.
    pub(super) waited_for: Notify,
    connections: OnceLock<Count>,
    pub(super) marks: Marks,
    ways: Ways,
    state: Mutex<State>,
    number: AtomicU16,
    /// Hears what other nodes tell this one.
    hears: OnceLock<Hears>,
    /// Ends the recoverable connections of this node: what they have seen may be less than they think.
    end_all: OnceLock<Box<dyn Fn(Ending) + Send + Sync>>,
    /// The server has told all its clients; the node may leave.
    pub(crate) left: CancellationToken,
    /// The node takes part no more, whatever the reason.
    pub(super) ended: CancellationToken,
    pub(crate) counters: Counters,
    pub(crate) questions: Questions,
    pub(crate) watches: Watches,
}

/// What is counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// How often a connection to the engine was lost or could not be made.
    pub(crate) failures: AtomicU64,
    /// Epochs that began while this node was there.
    pub(crate) epochs: AtomicU64,
    /// How often all positions became gaps while this node was there.
    pub(crate) losses: AtomicU64,
    /// Entries that are none of ours.
    pub(crate) foreign: AtomicU64,
    /// Clients that were answered before what they have joined, or are, was recorded.
    pub(crate) unrecorded: AtomicU64,
    /// Milliseconds between an entry and its reading, for the last one.
    pub(crate) lag: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<NodeSeen>,
    /// Processes of which was told that they have other rules.
    other_rules: BTreeSet<u64>,
    /// Processes that are gone without a word.
    silent: Vec<u64>,
    /// By which policy the engine throws values away.
    evicts: Option<String>,
}

/// A node as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeSeen {
    pub(crate) number: u16,
    pub(crate) process: u64,
    pub(crate) version: Name,
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) connections: u32,
    pub(crate) read: Option<Cursor>,
    pub(crate) is_draining: bool,
    /// When it was heard last.
    pub(crate) heard: Instant,
    /// The keys of its rules that are not those of this node.
    pub(crate) other_rules: Vec<String>,
}

impl fmt::Debug for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Status").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Status {
    pub(super) fn new() -> Self {
        Self {
            is_following: AtomicBool::new(false),
            has_followed: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
            is_up: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            heartbeat: Arc::default(),
            waited_for: Notify::new(),
            connections: OnceLock::new(),
            marks: Marks::new(),
            ways: Ways::new(),
            state: Mutex::default(),
            number: AtomicU16::new(0),
            hears: OnceLock::new(),
            end_all: OnceLock::new(),
            left: CancellationToken::new(),
            ended: CancellationToken::new(),
            counters: Counters::default(),
            questions: Questions::default(),
            watches: Watches::default(),
        }
    }

    /// Whether this node reads what all nodes append.
    pub(crate) fn follows(&self) -> bool {
        self.is_following.load(Ordering::Relaxed)
    }

    /// Why it does not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.ways.failure()
    }

    /// The nodes that are heard, this one included.
    pub(crate) fn nodes(&self) -> Vec<NodeSeen> {
        self.lock().nodes.clone()
    }

    /// The processes that are gone without a word, as far as they are remembered.
    pub(crate) fn silent(&self) -> Vec<u64> {
        self.lock().silent.clone()
    }

    /// Somebody waits until this node has read what stands in the log now: an entry of its own has to come behind it.
    pub(super) fn is_waited_for(&self) {
        if self.marks.is_heartbeat_due() {
            self.waited_for.notify_one();
        }
    }

    /// This node takes no new clients. The others are told at once.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
        self.heartbeat.notify_one();
    }

    /// Says who counts the connections of this node.
    pub(crate) fn count_connections_by(&self, count: impl Fn() -> usize + Send + Sync + 'static) {
        let is_first = self.connections.set(Box::new(count)).is_ok();
        debug_assert!(is_first, "a node has one server");
    }

    /// The number of this node.
    pub(crate) fn number(&self) -> u16 {
        self.number.load(Ordering::Relaxed)
    }

    pub(super) fn has_number(&self, number: u16) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// Another node has the number of this one: its sessions are looked for there.
    pub(super) fn number_is_taken(&self) {
        warn!("another node has the number of this one, which takes a new one: its clients come back");
        self.end_all(Ending::Elsewhere);
    }

    /// Says who hears what other nodes tell this one.
    pub(crate) fn hear_by(&self, hears: impl Fn(Author, Told) + Send + Sync + 'static) {
        let is_first = self.hears.set(Box::new(hears)).is_ok();
        debug_assert!(is_first, "a node has one server");
    }

    pub(super) fn hear(&self, from: Author, told: Told) {
        if let Some(hears) = self.hears.get() {
            hears(from, told);
        }
    }

    /// Says how the recoverable connections of this node are ended.
    pub(crate) fn end_all_by(&self, end_all: impl Fn(Ending) + Send + Sync + 'static) {
        let is_first = self.end_all.set(Box::new(end_all)).is_ok();
        debug_assert!(is_first, "a node has one server");
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> u32 {
        self.connections.get().map_or(0, |count| u32::try_from(count()).unwrap_or(u32::MAX))
    }

    /// Whether the reader waits for the engine, and not for room.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    pub(super) fn waits(&self, is_waiting: bool) {
        self.is_waiting.store(is_waiting, Ordering::Relaxed);
    }

    pub(super) fn is_following(&self) {
        self.has_followed.store(true, Ordering::Relaxed);
        if !self.is_following.swap(true, Ordering::Relaxed)
            && [Way::Start, Way::Reader].map(|way| self.ways.works(way)).contains(&true)
        {
            warn!("the log of the cluster is followed again");
        }
    }

    pub(super) fn is_not_following(&self, failure: &str) {
        self.is_following.store(false, Ordering::Relaxed);
        self.failed(Way::Reader, failure);
    }

    /// Nodes that are there, or were a moment ago, have another secret. It is told once.
    pub(super) fn waits_for_secret(&self) {
        const OTHER: &str = "nodes with this cluster.prefix have another secret (cluster.secret_file)";
        if self.ways.note(Way::Start, OTHER) {
            warn!(
                "nodes with this cluster.prefix have another secret: waiting up to 16 s for them to be gone"
            );
        }
    }

    /// The writer has connected.
    pub(super) fn is_connected(&self) {
        self.is_up.store(true, Ordering::Relaxed);
        self.works(Way::Writer);
    }

    /// A connection to the engine can be used.
    pub(super) fn works(&self, way: Way) {
        if self.ways.works(way) {
            warn!(connection = way.name(), "a connection to Redis can be used again");
        }
    }

    /// The engine takes heartbeats, or takes none for this reason.
    pub(super) fn takes_heartbeats(&self, refused: Option<&str>) {
        self.ways.refuses(refused);
    }

    /// Whether the writer has connected, now or before.
    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// A connection to the engine failed.
    pub(super) fn failed(&self, way: Way, failure: &str) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        self.ways.fail(way, failure);
    }

    /// The engine throws values away by this policy when its memory is full, or throws none away. It is told once.
    pub(super) fn sees_eviction(&self, policy: Option<&str>) {
        let mut state = self.lock();
        if state.evicts.as_deref() == policy {
            return;
        }
        state.evicts = policy.map(str::to_owned);
        if let Some(policy) = policy {
            warn!(
                policy,
                "Redis may throw away sessions and keys of pushes: set maxmemory-policy to noeviction"
            );
        }
    }

    /// An epoch began. One that began before this node had read what is kept is not counted.
    pub(super) fn began(&self) {
        self.counters.epochs.fetch_add(u64::from(self.has_followed()), Ordering::Relaxed);
    }

    /// What was before is lost for all nodes, or may be. Clients of this node are told, if it has had any.
    pub(super) fn lost(&self) {
        if self.has_followed() {
            warn!("the log of the cluster may have lost events: every client is told");
            self.end_all(Ending::Lost);
        } else {
            info!("the log of the cluster has told a loss before this node was there");
        }
    }

    /// The log was trimmed past this node.
    pub(super) fn lost_here(&self) {
        if self.has_followed() {
            warn!("the log of the cluster was trimmed past this node: its clients are told");
            self.end_all(Ending::Lost);
        }
    }

    fn has_followed(&self) -> bool {
        self.has_followed.load(Ordering::Relaxed)
    }

    fn end_all(&self, ending: Ending) {
        if ending == Ending::Lost {
            self.counters.losses.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(end_all) = self.end_all.get() {
            end_all(ending);
        }
    }

    pub(super) fn foreign(&self) {
        self.counters.foreign.fetch_add(1, Ordering::Relaxed);
    }

    /// An entry of a later version is there: this program cannot go on behind it.
    pub(super) fn stop_at(&self, at: Cursor, version: u8) {
        self.is_following.store(false, Ordering::Relaxed);
        let failure =
            format!("entry {at} of the log is of version {version}, which this program does not know");
        error!(entry = %at, version, "the log of the cluster has an entry of a later version: this node reads no further");
        self.ways.note(Way::Reader, &failure);
        self.end_all(Ending::Elsewhere);
    }

    pub(super) fn lags(&self, lag: Duration) {
        self.counters.lag.store(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Time between an entry and its reading, for the last one.
    pub(crate) fn lag(&self) -> Duration {
        Duration::from_millis(self.counters.lag.load(Ordering::Relaxed))
    }

    /// Shows which nodes there are, and tells once of each whose rules are not those of this process. The silence of others
    /// counts until `attentive`.
    pub(super) fn tell_nodes(
        &self,
        table: &Table,
        (attentive, now): (Duration, Duration),
        (process, rules): (u64, &Rules),
    ) {
        let at = Instant::now();
        let nodes = table.alive(attentive).filter_map(|(other, known)| {
            let record = known.record.as_ref()?;
            Some(NodeSeen {
                number: known.number,
                process: other,
                version: record.version.clone(),
                advertise: record.advertise,
                connections: record.connections,
                read: known.progress.read,
                is_draining: known.state == NodeState::Draining,
                heard: at.checked_sub(now.saturating_sub(known.heard)).unwrap_or(at),
                other_rules: if other == process { Vec::new() } else { rules.differing(&record.rules) },
            })
        });
        let (nodes, silent) = (nodes.collect(), table.silent(attentive).collect());
        let mut state = self.lock();
        (state.nodes, state.silent) = (nodes, silent);
        let State { nodes, other_rules, .. } = &mut *state;
        other_rules.retain(|process| nodes.iter().any(|node| node.process == *process));
        for node in nodes.iter().filter(|node| !node.other_rules.is_empty()) {
            if other_rules.len() < OTHER_RULES_MAX && other_rules.insert(node.process) {
                let keys = node.other_rules.join(", ");
                warn!(node = node.number, keys, "a node of the cluster has other rules than this one");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
