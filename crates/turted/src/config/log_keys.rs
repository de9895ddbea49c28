//! What the keys of `[log]` mean together.

use std::ffi::OsString;
use std::path::PathBuf;

use super::choices::show_choice;
use super::cluster;
use super::collect::Collected;
use super::error::Problem;
use super::log::{DiskLog, LogSettings, LogStart, LogStore, LogSync, StoreChoice, SyncChoice};

type IsSet = fn(&LogSettings) -> bool;

/// Keys that do nothing without a disk, and how to see that one has a value that means something.
const IDLE_KEYS: [(&str, IsSet); 3] = [
    ("log.directory", |log| log.directory.is_some()),
    ("log.sync", |log| log.sync != SyncChoice::Interval),
    ("log.required", |log| log.required),
];

/// Fills `log` of the configuration. A directory without a store means the disk, so that one line is enough.
pub(super) fn resolve(collected: &mut Collected) {
    if collected.is_given("log.directory") && !collected.is_given("log.store") {
        collected.settings.log.store = StoreChoice::Disk;
        let origin = collected.origin("log.directory");
        collected.infer("log.store", origin);
    }
    cluster::infer_store(collected);
    let log = collected.settings.log.clone();
    if log.store != StoreChoice::Disk {
        return refuse_idle_keys(collected, &log);
    }
    let Some(directory) = log.directory.clone().or_else(|| below_state_directory(collected)) else {
        if !collected.is_broken(&["log.directory"]) {
            let what = "`log.store` = \"disk\" needs `log.directory`, a directory of its own";
            collected.problem(Problem::at(collected.source("log.store"), what));
        }
        return;
    };
    let sync = match log.sync {
        SyncChoice::Always => LogSync::Always,
        SyncChoice::Interval => LogSync::Interval(log.sync_interval),
        SyncChoice::Never => LogSync::Never,
    };
    let disk = DiskLog { directory, sync, required: log.required, start: LogStart::Continue };
    collected.settings.config.log = LogStore::Disk(disk);
}

fn refuse_idle_keys(collected: &mut Collected, log: &LogSettings) {
    if collected.is_broken(&["log.store", "log.directory", "cluster"]) {
        return;
    }
    let store = show_choice(log.store);
    for (key, _) in IDLE_KEYS.iter().filter(|(_, is_set)| is_set(log)) {
        let what = format!("`{key}` has no effect with `log.store` = {store}");
        collected.problem(Problem::at(collected.origin(key), what));
    }
}

/// Under systemd the log has a place without being told one. The state directory itself also has the checkpoints of
/// sources; the log's has nothing else in it.
fn below_state_directory(collected: &mut Collected) -> Option<PathBuf> {
    let directory = collected.state_directory.as_ref()?.join("log");
    collected.settings.log.directory = Some(directory.clone());
    Some(directory)
}

/// The first directory of `StateDirectory=` of the unit, as systemd tells it (systemd.exec(5)).
pub(super) fn state_directory(variables: &[(OsString, OsString)]) -> Option<PathBuf> {
    let (_, paths) = variables.iter().find(|(name, _)| name == "STATE_DIRECTORY")?;
    paths.to_str()?.split(':').map(PathBuf::from).find(|path| path.is_absolute())
}
