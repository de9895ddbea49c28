//! The log of a server that starts: in memory, or as it stands on disk.

use std::net::SocketAddr;
use std::time::Instant;

use tracing::warn;
use turted_core::epochs::{Epoch, Epochs};
use turted_core::history::Edge;

use super::error::ServerError;
use super::sessions::{FoundSessions, Home, Verifier};
use crate::config::{Config, DiskLog, LogStore};
use crate::hub::dispatch::history::FormerHistory;
use crate::hub::dispatch::log::clock::LogClock;
use crate::hub::dispatch::log::disk::deleted::Deleted;
use crate::hub::dispatch::log::disk::{
    self, Begun, Found, FoundDispatch, FoundEdge, FoundKey, StoreLimits, Verdict,
};
use crate::hub::dispatch::log::{Log, LogLimits};
use crate::hub::dispatch::writer::{WriterParts, WriterSettings};
use crate::hub::worker::shared::Shared;

/// A log that is open.
pub(super) struct OpenedLog {
    pub(super) log: Log,
    pub(super) epochs: Epochs,
    /// The history of channels that the last life left.
    pub(super) history: Option<FormerHistory>,
    /// What was deleted from it while the log has it still.
    pub(super) deleted: Vec<Deleted>,
    /// `None` if the log is in memory.
    pub(super) on_disk: Option<OnDisk>,
}

/// What a log on disk has beside its dispatches.
pub(super) struct OnDisk {
    pub(super) writer: WriterParts,
    /// Keys whose pushes were accepted.
    pub(super) keys: Vec<FoundKey>,
    /// What the start found, for operators.
    pub(super) verdict: String,
}

/// Opens the log. `listen` is what another server is told that wants the same directory.
///
/// # Errors
/// There are no random numbers, or the directory cannot be used.
pub(super) fn open(
    config: &Config,
    (shared, verifier): (&Shared, Verifier<'_>),
    listen: SocketAddr,
) -> Result<OpenedLog, ServerError> {
    let epoch = getrandom::u32().map_err(|_| ServerError::Random)?;
    match &config.log {
        // In a cluster it is this node's copy of the log of all.
        LogStore::Memory | LogStore::Redis => {
            let first = Epoch { epoch: epoch.into(), after: 0 };
            let log = Log::new(LogLimits::of(config), first, &shared.backlogs);
            let (history, deleted) = (None, Vec::new());
            Ok(OpenedLog { log, epochs: Epochs::new(first), history, deleted, on_disk: None })
        }
        LogStore::Disk(disk) => open_on_disk((config, disk), (shared, verifier), (listen, epoch)),
    }
}

fn open_on_disk(
    (config, settings): (&Config, &DiskLog),
    (shared, verifier): (&Shared, Verifier<'_>),
    (listen, epoch): (SocketAddr, u32),
) -> Result<OpenedLog, ServerError> {
    let limits = StoreLimits::of(config);
    let opening = disk::open(settings, limits, listen).map_err(refused)?;
    let mut sessions = FoundSessions::read(config, verifier, opening.directory().path())?;
    let Begun { directory, found, store } = opening.begin(epoch, sessions.number());
    if !found.is_session_whole && found.verdict != Verdict::Empty {
        sessions.disbelieve(&found.verdict.to_string());
    }
    for warning in &found.warnings {
        warn!(warning, "the directory of the log");
    }
    let store = match store {
        Ok(store) => Ok(Box::new(store) as Box<dyn disk::Store>),
        Err(failed) => match directory.mark_left_behind() {
            Ok(()) => Err(failed),
            Err(unmarked) => return Err(refused(unmarked)),
        },
    };
    let home = Home { directory: directory.path(), epoch: found.epochs.current().epoch, sync: settings.sync };
    sessions.begin(shared, home, store.as_ref().err())?;
    let mut log = Log::new(limits.log, found.epochs.current(), &shared.backlogs);
    let Found { epochs, dispatches, history, deleted, keys, uptime, verdict, .. } = found;
    let now = Instant::now();
    let ago = |age| now.checked_sub(age).unwrap_or(now);
    for found in dispatches {
        log.restore(epochs.cursor(found.sequence), found.dispatch, ago(found.age));
    }
    let former = |found: FoundDispatch| (epochs.cursor(found.sequence), found.dispatch, ago(found.age));
    let edge = |(number, pushed_out): FoundEdge| Edge { number, pushed_out: pushed_out.map(ago) };
    let history = history.map(|found| FormerHistory {
        dispatches: found.dispatches.into_iter().map(former).collect(),
        channels: found.channels.into_iter().map(|(name, own, numbers)| (name, edge(own), numbers)).collect(),
        edge: edge(found.edge),
        began: ago(found.began),
        rules: found.rules,
    });
    let settings = WriterSettings {
        directory: Some((directory, limits)),
        sync: settings.sync,
        required: settings.required,
        clock: LogClock::start(uptime),
        renewed: Box::new({
            let sessions = shared.sessions.clone();
            move || sessions.begin_again()
        }),
    };
    let writer = WriterParts { store, settings };
    let on_disk = OnDisk { writer, keys, verdict: verdict.to_string() };
    Ok(OpenedLog { log, epochs, history, deleted, on_disk: Some(on_disk) })
}

fn refused(reason: impl ToString) -> ServerError {
    ServerError::Log(reason.to_string())
}
