//! The log on disk: a ring of files that is written in order, deleted from the old end, and read once, at the start.
//!
//! Nothing is ever looked up in it: clients that come back are served by the log in memory, and the disk only carries
//! that over a restart. Each life of a server has an epoch and files of its own, so that no number that a client may
//! have seen is given out a second time. `lives` says which lives the log consists of, and stands before the first push
//! is written. Where it cannot be shown that the files have all that clients were told of, a new epoch begins.
//!
//! ```text
//! lock                   who has the directory
//! lives                  epochs, lives, the boot of the machine, how the last life ended
//! left-behind            `lives` of a server that went on without this directory
//! push-EPOCH-N.log       pushes, with their keys: about 8 MiB each
//! session-EPOCH-N.log    of the session writer
//! history                of channels, written by a clean end
//! deleted                what operators have deleted from it, while the log has it
//! ```
//!
//! A start is two steps: [`open`] locks and reads, [`Opening::begin`] begins the new life. Between them the sessions are
//! read, because a new epoch begins above all numbers that they know.
//!
//! | file | what |
//! |---|---|
//! | `directory`, `lives` | the directory, its lock and its files; which lives wrote it, and how the last one ended |
//! | `names` | the names of its files |
//! | `frames` | the frames of a file |
//! | `history`, `deleted` | the history of channels, between two lives; what was deleted from it |
//! | `start`, `read` | what a start finds, and whether the log goes on; the push files, read |
//! | `begin` | the new life; a log that is written anew after the disk had failed |
//! | `store`, `segment` | the log while it is written; one file of it |
//! | `carry` | what of a deleted file outlives it |
//! | `double` | a store for tests: slow, or failing on demand |
//! | `tests` | starts after every kind of end |

mod directory;
pub(crate) mod names;
mod lives;
mod frames;
pub(crate) mod history;
pub(crate) mod deleted;
mod start;
mod read;
mod begin;
mod store;
mod segment;
mod carry;
#[cfg(test)]
pub(crate) mod double;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;
use turted_core::epochs::Epochs;
use turted_core::limits::LOG_SEGMENT_BYTES;
use turted_core::name::Name;
use turted_core::record::frame::TooLong;
use turted_core::record::push::{AnswerForm, ReadKey, Record};

pub(crate) use self::begin::{Anew, Begun, begin_anew, write_again};
use self::deleted::Deleted;
pub(crate) use self::directory::Directory;
pub(crate) use self::start::open;
#[cfg(test)]
use self::{frames::FileFrames, start::Opening, store::DiskStore};
use super::LogLimits;
use crate::config::Config;

/// Where pushes are written before anybody is handed them. One thread has it, and it may block.
pub(crate) trait Store: Send {
    /// Adds a record behind those that wait to be written. Of a push, `synced` is filled in here.
    ///
    /// # Errors
    /// It could not be read back. What was added before is forgotten too, as by a write that fails.
    fn add(&mut self, record: Record<'_>) -> Result<(), TooLong>;

    /// Writes what was added, with one call if the system takes it.
    ///
    /// # Errors
    /// The disk fails. What was added is not written, and forgotten.
    fn write(&mut self) -> io::Result<()>;

    /// Makes all that was written survive a loss of power. It costs nothing if there is nothing to sync.
    ///
    /// # Errors
    /// The disk fails. This is final: the kernel says so once, and a later sync would say that all is well. With
    /// `log.sync = "always"` what was not synced is cut off, if the disk takes that.
    fn sync(&mut self) -> io::Result<()>;

    /// Whether pushes whose write or sync failed may stand on the disk, with their keys: a later start would answer for
    /// them, so they must be dispatched.
    fn has_uncut(&self) -> bool;

    /// Nothing is written any more: what stands beside the log cannot be believed.
    fn give_up(&mut self);

    /// Whether nothing can be written any more, because it cannot be known what stands on the disk.
    fn is_broken(&self) -> bool;

    /// Deletes the files that have nothing but dispatches before this number. Keys in them that still count are
    /// written again first, and synced.
    ///
    /// # Errors
    /// The disk fails.
    fn forget_before(&mut self, first: u64, uptime: Duration) -> io::Result<()>;

    /// Marks the directory as one that the server goes on without. Nothing is written any more.
    ///
    /// # Errors
    /// The mark does not stand yet. Until it does, no push may be accepted.
    fn mark_left_behind(&mut self) -> io::Result<()>;

    /// Syncs, and says that the log ends whole with this number. The session writer has ended before. Nothing is
    /// written any more.
    ///
    /// # Errors
    /// The disk fails, or the log on disk ends elsewhere: this end looks like a kill.
    fn end(&mut self, last: u64, uptime: Duration) -> io::Result<()>;
}

/// How much a start takes over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreLimits {
    /// The bounds of the log in memory.
    pub(crate) log: LogLimits,
    /// The age of a key: `limits.idempotency_age`.
    pub(crate) keys: Duration,
    /// Bytes after which a file is finished.
    pub(crate) segment_bytes: u64,
}

impl StoreLimits {
    /// What operators configured.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            log: LogLimits::of(config),
            keys: config.limits.idempotency_age,
            segment_bytes: LOG_SEGMENT_BYTES,
        }
    }
}

/// What a start found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The epochs whose positions are known. The last one is that of this life.
    pub(crate) epochs: Epochs,
    /// The number of the last dispatch: the next one has the number behind it.
    pub(crate) last: u64,
    /// What the log keeps, in the order of the numbers.
    pub(crate) dispatches: Vec<FoundDispatch>,
    /// What the last life left at a clean end.
    pub(crate) history: Option<FoundHistory>,
    /// What was deleted from history and the log has still.
    pub(crate) deleted: Vec<Deleted>,
    /// Keys whose pushes were accepted, the oldest first.
    pub(crate) keys: Vec<FoundKey>,
    /// How long servers have run with this log.
    pub(crate) uptime: Duration,
    /// Whether the log goes on.
    pub(crate) verdict: Verdict,
    /// See [`Opening::is_session_whole`].
    pub(crate) is_session_whole: bool,
    /// What operators should know of the directory.
    pub(crate) warnings: Vec<String>,
}

/// A dispatch that is kept.
#[derive(Debug)]
pub(crate) struct FoundDispatch {
    pub(crate) sequence: u64,
    pub(crate) dispatch: Dispatch,
    /// Uptime since it was accepted.
    pub(crate) age: Duration,
}

/// The history of channels that a life has left.
#[derive(Debug)]
pub(crate) struct FoundHistory {
    /// In the order of the numbers. The log has the last of them too.
    pub(crate) dispatches: Vec<FoundDispatch>,
    /// Each with what is not kept of it, and with the numbers of its events.
    pub(crate) channels: Vec<(Name, FoundEdge, Vec<u64>)>,
    /// What is not kept of channels of which nothing is.
    pub(crate) edge: FoundEdge,
    /// Uptime since it has all that its rules keep.
    pub(crate) began: Duration,
    /// The checksum of the rules by which it was kept.
    pub(crate) rules: u32,
}

/// The number of the last event that is gone, and the uptime since the last one was accepted that gave way.
pub(crate) type FoundEdge = (u64, Option<Duration>);

/// A key whose push was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundKey {
    /// The name of the source; for pushes by REST that of the push key behind `push:`, or nothing without one.
    pub(crate) owner: String,
    pub(crate) key: Vec<u8>,
    /// SHA-256 of the body.
    pub(crate) body: [u8; 32],
    pub(crate) answer: AnswerForm,
    /// The position of the first dispatch of the push.
    pub(crate) first: Cursor,
    /// How many dispatches the push had.
    pub(crate) count: u32,
    /// How many connections each dispatch reached, if that was known before the end.
    pub(crate) delivered: Option<Vec<u64>>,
    /// Uptime since the push was accepted.
    pub(crate) age: Duration,
}

impl FoundKey {
    fn of(read: &ReadKey<'_>) -> Self {
        let ReadKey { key, first, count, ref delivered, .. } = *read;
        Self {
            owner: key.owner.to_owned(),
            key: key.key.to_owned(),
            body: key.body,
            answer: key.answer,
            first,
            count,
            delivered: delivered.clone(),
            age: Duration::ZERO,
        }
    }
}

/// Whether the log goes on: one line for the start and the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There was no log.
    Empty,
    /// Positions of former lives are good up to their ends.
    Continued,
    /// All positions of former lives are gaps.
    NewEpoch(Reason),
}

/// Why a new epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The operator wants one.
    Asked,
    /// The last server went on without the directory.
    LeftBehind,
    /// The machine started again, and not everything had been synced.
    PowerLoss,
    /// A file is not what was written.
    Damaged,
    /// A file is missing.
    Missing,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("the log on disk is new"),
            Self::Continued => formatter.write_str("the log on disk goes on"),
            Self::NewEpoch(reason) => write!(formatter, "the log begins a new epoch: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Asked => "--new-epoch asks for one",
            Self::LeftBehind => "the last server went on in memory after the disk had failed",
            Self::PowerLoss => {
                "the machine was started again without a clean end, and log.sync is not \"always\", so pushes may be missing"
            }
            Self::Damaged => "a file of log.directory is damaged",
            Self::Missing => "a file of log.directory is missing",
        })
    }
}

/// Why the directory of the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenRefusal {
    /// Another server has it.
    #[error("log.directory {} is in use by another server ({by}): each server needs a directory of its own", directory.display())]
    Held {
        /// The directory.
        directory: PathBuf,
        /// What the other server says of itself.
        by: String,
    },
    /// The server may not write to it.
    #[error("log.directory {} cannot be used: {source}{}", directory.display(), advice(source))]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A later server wrote it.
    #[error(
        "log.directory {} was written by a later version of turted (files of version {version}, this one knows {}): run that one, or move the directory away",
        directory.display(),
        lives::VERSION
    )]
    UnknownVersion {
        /// The directory.
        directory: PathBuf,
        /// The version of its files.
        version: u16,
    },
    /// It has files of a log, but not the one that says what they are.
    #[error("log.directory {} has {file} and no file `lives`: it is a part of a log; move it away", directory.display())]
    Part {
        /// The directory.
        directory: PathBuf,
        /// One of the files.
        file: String,
    },
    /// Something else than a file has the name of one.
    #[error("log.directory {} has {name}, which is no file: move it away", directory.display())]
    NoFile {
        /// The directory.
        directory: PathBuf,
        /// The name.
        name: String,
    },
    /// The disk fails.
    #[error("log.directory {}: {source}", directory.display())]
    Failing {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl OpenRefusal {
    fn of(directory: &Path, source: io::Error) -> Self {
        let directory = directory.to_owned();
        match source.kind() {
            ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::Unsupported
            | ErrorKind::IsADirectory => Self::Unusable { directory, source },
            _ => Self::Failing { directory, source },
        }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => "; under systemd use StateDirectory=, as the unit shows",
        ErrorKind::NotFound => "; the directory above it is missing",
        ErrorKind::Unsupported => "; its file system cannot lock files",
        _ => "",
    }
}
