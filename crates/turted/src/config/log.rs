//! `[log]`: where the log stands, validated, and as it was written.

use std::path::PathBuf;
use std::time::Duration;

use turted_core::limits::LOG_SYNC_INTERVAL;

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogStore {
    /// In memory alone: after a restart clients begin anew.
    #[default]
    Memory,
    /// On disk as well.
    Disk(DiskLog),
    /// In Redis, for all nodes of the cluster: `Config::cluster` says where. Each node has a copy in memory.
    Redis,
}

/// A log on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskLog {
    /// Its directory, which it has to itself. It is made if its parent is there.
    pub directory: PathBuf,
    /// When what was written is synced. Default: each second.
    pub sync: LogSync,
    /// Whether pushes are refused while the disk takes nothing. Default: no, they go on in memory.
    pub required: bool,
    /// Whether this start takes over what it finds. Default: it does.
    pub start: LogStart,
}

/// `log.sync`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSync {
    /// Before a push is acknowledged.
    Always,
    /// After this time at most.
    Interval(Duration),
    /// When the kernel does it.
    Never,
}

/// What a start does with the log that it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStart {
    /// It goes on, where that can be shown to be right.
    #[default]
    Continue,
    /// It begins a new epoch, so that all older positions are gaps: for a directory that was repaired, restored from a
    /// copy, or unused while another server served (`serve --new-epoch`).
    NewEpoch,
}

/// The keys of `[log]` as they were written.
#[derive(Clone, Debug)]
pub(super) struct LogSettings {
    pub(super) store: StoreChoice,
    pub(super) directory: Option<PathBuf>,
    pub(super) sync: SyncChoice,
    pub(super) sync_interval: Duration,
    pub(super) required: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            store: StoreChoice::Memory,
            directory: None,
            sync: SyncChoice::Interval,
            sync_interval: LOG_SYNC_INTERVAL,
            required: false,
        }
    }
}

/// `log.store`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreChoice {
    Memory,
    Disk,
    Redis,
}

/// `log.sync`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncChoice {
    Always,
    Interval,
    Never,
}
