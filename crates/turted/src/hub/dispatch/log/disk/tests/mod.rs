//! Starts after every kind of end. A kill is a store that is dropped; a loss of power is that, another boot, and files
//! as they were when they were last synced.
//!
//! | file | what |
//! |---|---|
//! | `ends` | which end lets the log go on, and what a refused start says |
//! | `files` | files that are finished, deleted, missing or torn |
//! | `damage` | files that are not what was written |
//! | `keys` | keys, which outlive their dispatches |
//! | `model` | many lives, against a model that knows what was handed out |
//! | `disk` | a disk that is full, or does not take what it took before |

mod ends;
mod files;
mod damage;
mod keys;
mod disk;
mod model;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use turted_core::dispatch::Targets;
use turted_core::name::Name;
use turted_core::record::push::{PushKey, PushRecord};

use super::start::open_locked;
use super::*;
use crate::config::{DiskLog, LogStart, LogSync};

/// The boot of the machine, and another one.
const BOOT: Option<&str> = Some("boot 1");
const OTHER_BOOT: Option<&str> = Some("boot 2");

/// A directory over several starts.
struct Place {
    directory: TempDir,
    log: DiskLog,
    limits: StoreLimits,
    starts: u32,
}

/// One life.
struct Life {
    found: Found,
    store: DiskStore,
    next: u64,
}

impl Place {
    fn new(sync: LogSync) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = DiskLog {
            directory: directory.path().join("log"),
            sync,
            required: false,
            start: LogStart::Continue,
        };
        let age = Duration::from_secs(120);
        let limits = StoreLimits {
            log: LogLimits { dispatches: 1_000, bytes: 1 << 20, age },
            keys: Duration::from_secs(300),
            segment_bytes: 2_000,
        };
        Self { directory, log, limits, starts: 0 }
    }

    fn always() -> Self {
        Self::new(LogSync::Always)
    }

    fn interval() -> Self {
        Self::new(LogSync::Interval(Duration::from_secs(1)))
    }

    /// The same for a copy of its files.
    fn copy(&self) -> Self {
        let copy = Self { directory: tempfile::tempdir().unwrap(), log: self.log.clone(), ..*self };
        let log = DiskLog { directory: copy.directory.path().join("log"), ..self.log.clone() };
        fs::create_dir(&log.directory).unwrap();
        for file in self.files() {
            fs::copy(&file, log.directory.join(file.file_name().unwrap())).unwrap();
        }
        Self { log, ..copy }
    }

    /// Waits, because a program that another test starts has copies of all descriptors until it runs.
    fn lock(&self) -> Result<Directory, OpenRefusal> {
        Directory::lock(&self.log.directory, "process 1, listen = 127.0.0.1:1", Duration::from_secs(60))
    }

    fn open(&self, boot: Option<&str>) -> Result<Opening, OpenRefusal> {
        open_locked(self.lock()?, &self.log, (self.limits, boot.map(str::to_owned)))
    }

    /// A start. Its epoch is the number of the start.
    fn start(&mut self, boot: Option<&str>) -> Life {
        self.starts += 1;
        let begun = self.open(boot).unwrap().begin(self.starts, 0);
        let next = begun.found.last + 1;
        Life { found: begun.found, store: begun.store.unwrap(), next }
    }

    /// All files, in the order of their names.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(&self.log.directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn push_files(&self) -> Vec<PathBuf> {
        let is_push = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("push-");
        self.files().into_iter().filter(is_push).collect()
    }
}

fn dispatch(text: &str) -> Dispatch {
    let payload = serde_json::value::to_raw_value(text).unwrap();
    Dispatch { event: Name::new("e").unwrap(), payload, targets: Targets::channel(Name::new("c").unwrap()) }
}

/// What the dispatch with this number says.
fn text(number: u64) -> String {
    format!("dispatch {number}")
}

impl Life {
    fn add(&mut self, count: u64, uptime: Duration, key: Option<PushKey<'_>>) {
        let dispatches: Vec<_> =
            (self.next..self.next + count).map(|number| dispatch(&text(number))).collect();
        let push = PushRecord { first: self.next, uptime, synced: 0, key, dispatches: &dispatches };
        self.store.add(Record::Push(push)).unwrap();
        self.next += count;
    }

    /// Accepts pushes of one dispatch each, as `log.sync = "always"` does, but for the sync.
    fn push(&mut self, pushes: u64) {
        for _ in 0..pushes {
            self.add(1, self.found.uptime, None);
            self.store.write().unwrap();
        }
    }

    fn end(mut self) {
        let (last, uptime) = (self.next - 1, self.found.uptime);
        self.store.end(last, uptime).unwrap();
    }

    /// The numbers that were found; each must say what it said when it was accepted.
    fn numbers(&self) -> Vec<u64> {
        for found in &self.found.dispatches {
            assert_eq!(found.dispatch.payload.get(), format!("\"{}\"", text(found.sequence)));
        }
        self.found.dispatches.iter().map(|found| found.sequence).collect()
    }

    /// Whether the position with this number of this epoch is one of the log.
    fn knows(&self, epoch: u64, sequence: u64) -> bool {
        self.found.epochs.number(Cursor { epoch, sequence }).is_some()
    }
}
