//! Whether the log is where it is configured to be: what operators see of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::io::seldom::Seldom;

/// Time between two lines about a disk that takes nothing.
const TELL_PAUSE: Duration = Duration::from_secs(60);

/// Where pushes are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogState {
    /// In memory, as configured.
    #[default]
    Memory,
    /// On disk.
    OnDisk,
    /// In the engine of a cluster.
    InEngine,
    /// In memory, because the disk failed.
    Left(String),
    /// Nowhere: pushes are refused.
    Refusing(String),
}

impl LogState {
    /// All of them, by the name that metrics have.
    pub(crate) const NAMES: [&str; 5] = ["memory", "disk", "left_behind", "refusing", "redis"];

    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Memory => 0,
            Self::OnDisk => 1,
            Self::Left(_) => 2,
            Self::Refusing(_) => 3,
            Self::InEngine => 4,
        }
    }
}

impl fmt::Display for LogState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => formatter.write_str("in memory"),
            Self::OnDisk => formatter.write_str("on disk"),
            Self::InEngine => formatter.write_str("in Redis"),
            Self::Left(reason) => write!(formatter, "in memory, because the disk failed: {reason}"),
            Self::Refusing(reason) => write!(formatter, "pushes are refused: {reason}"),
        }
    }
}

/// The health of the log. The lock is taken when the state changes and when operators look.
#[derive(Debug)]
pub(crate) struct LogHealth {
    state: Mutex<LogState>,
    told_left: Seldom,
    told_refusing: Seldom,
    /// Whether the disk does not answer.
    hangs: AtomicBool,
    failures: AtomicU64,
    syncs: AtomicU64,
    /// Pushes that were written.
    pushes: AtomicU64,
}

impl LogHealth {
    pub(crate) fn new(state: LogState) -> Self {
        Self {
            state: Mutex::new(state),
            told_left: Seldom::every(TELL_PAUSE),
            told_refusing: Seldom::every(TELL_PAUSE),
            hangs: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            pushes: AtomicU64::new(0),
        }
    }

    pub(crate) fn state(&self) -> LogState {
        self.lock().clone()
    }

    /// How often the disk failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often the log was synced.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// How many pushes were written to disk.
    pub(crate) fn pushes(&self) -> u64 {
        self.pushes.load(Ordering::Relaxed)
    }

    pub(crate) fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn written(&self, pushes: usize) {
        self.pushes.fetch_add(pushes as u64, Ordering::Relaxed);
    }

    /// The log is in the engine of a cluster, which takes what is pushed.
    pub(crate) fn is_in_engine(&self) {
        let before = std::mem::replace(&mut *self.lock(), LogState::InEngine);
        if before != LogState::InEngine && self.told_refusing.is_over().is_some() {
            warn!("the log takes pushes again");
        }
    }

    /// The log is on disk.
    pub(crate) fn is_on_disk(&self) {
        let before = std::mem::replace(&mut *self.lock(), LogState::OnDisk);
        let told = [&self.told_left, &self.told_refusing].map(|told| told.is_over().is_some());
        if before != LogState::OnDisk && told.contains(&true) {
            warn!("the log is on disk again");
        }
    }

    /// The disk failed, and the log goes on in memory.
    pub(crate) fn is_left(&self, reason: &impl fmt::Display) {
        self.failed(LogState::Left(reason.to_string()));
    }

    /// Pushes are refused.
    pub(crate) fn is_refusing(&self, reason: &impl fmt::Display) {
        self.failed(LogState::Refusing(reason.to_string()));
    }

    /// The disk does not answer, which is counted and told once.
    pub(crate) fn is_hanging(&self) {
        if !self.hangs.swap(true, Ordering::Relaxed) {
            self.is_refusing(&"the disk has not answered for 5 s");
        }
    }

    /// The disk answers, perhaps again.
    pub(crate) fn answers(&self) {
        if self.hangs.swap(false, Ordering::Relaxed) {
            self.is_on_disk();
        }
    }

    fn failed(&self, state: LogState) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.lock() = state;
        self.remind();
    }

    /// Says what is wrong once a minute, as long as it is.
    pub(crate) fn remind(&self) {
        let now = Instant::now();
        match self.state() {
            LogState::Refusing(reason) if self.told_refusing.tell(now).is_some() => {
                error!(reason, "the log takes nothing: pushes are refused");
            }
            LogState::Left(reason) if self.told_left.tell(now).is_some() => {
                error!(
                    reason,
                    "the disk failed: the log goes on in memory, and a restart is a gap for every client"
                );
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for LogHealth {
    fn default() -> Self {
        Self::new(LogState::Memory)
    }
}
