//! How far each file was read, in `state_dir`: one file of JSON for each source, and a lock beside it.
//!
//! It is replaced as a whole, so after a kill there is the old one or the new one. After a loss of power it may be older
//! than a second, and lines come again.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file::Inode;
use crate::push::source::Failure;

/// The version of the form below. Another one is not read.
const VERSION: u32 = 1;
/// Bytes of a checkpoint: 10,128 files of 400, and of a name of 255 bytes, each of which may be six in JSON.
const CHECKPOINT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Time between two checkpoints that are on disk for sure.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// What is known of all files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    version: u32,
    /// With what the ids of lines begin: random, so that those of two machines differ.
    pub(super) id: String,
    pub(super) files: Vec<KnownFile>,
}

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownFile {
    /// Its first name, without directory.
    pub(super) name: String,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) head: Head,
    /// How often its content was replaced.
    pub(super) generation: u64,
    /// Where the first line begins that was not accepted.
    pub(super) offset: u64,
    /// The content before the present one, for a copy of it that turns up.
    pub(super) previous: Option<Previous>,
    /// When it was last there, in seconds since 1970.
    pub(super) seen: u64,
}

impl KnownFile {
    pub(super) fn inode(&self) -> Inode {
        Inode { device: self.device, number: self.inode }
    }
}

/// The first bytes of a file: how many, and their hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) bytes: usize,
    hash: String,
}

impl Head {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len(), hash: hex(&Sha256::digest(bytes)[..16]) }
    }

    /// Whether a file with this head may be the one.
    pub(super) fn begins(&self, head: &[u8]) -> bool {
        head.get(..self.bytes).is_some_and(|head| Self::of(head) == *self)
    }
}

/// A content that was replaced by another one in the same file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Previous {
    pub(super) head: Head,
    /// How far it was read.
    pub(super) offset: u64,
}

/// The checkpoint of one source and its lock, which goes when this is dropped.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
    _lock: File,
    /// When a checkpoint was last written to disk.
    synced: Mutex<Option<Instant>>,
}

impl StateDir {
    /// Makes the directory if it is missing, and locks the files of the source in it.
    ///
    /// # Errors
    /// The directory cannot be written to, or another server has the lock.
    pub(super) fn lock(directory: &Path, source: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure(format!("cannot write to state_dir {}: {error}{}", directory.display(), advice(&error)))
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let lock = directory.join(format!("{source}.lock"));
        let lock = File::options().create(true).truncate(false).write(true).open(lock).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let directory = directory.display();
                return Err(Failure(format!(
                    "another server reads this source: it has locked {source}.lock in state_dir {directory}"
                )));
            }
            Err(error) => return Err(failed(error.into())),
        }
        let path = directory.join(format!("{source}.json"));
        Ok(Self { path, _lock: lock, synced: Mutex::new(None) })
    }

    /// The checkpoint; `None` if this is the first start.
    ///
    /// # Errors
    /// It cannot be read. It is not replaced then: whatever would take its place could be wrong.
    pub(super) fn read(&self) -> Result<Option<Checkpoint>, Failure> {
        let mut bytes = Vec::new();
        let read = File::open(&self.path)
            .and_then(|file| file.take(CHECKPOINT_BYTES_MAX + 1).read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failure("cannot read", error)),
            Ok(_) => {}
        }
        let unreadable = "; remove it to begin anew (sources.from)";
        let checkpoint: Checkpoint = serde_json::from_slice(&bytes)
            .map_err(|error| self.failure("cannot read", format!("{error}{unreadable}")))?;
        if checkpoint.version != VERSION {
            let what = format!("version {} is not known{unreadable}", checkpoint.version);
            return Err(self.failure("cannot read", what));
        }
        Ok(Some(checkpoint))
    }

    /// Replaces the checkpoint.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub(super) fn write(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(checkpoint).map_err(|error| self.failure("cannot write", error))?;
        self.replace(&bytes).map_err(|error| self.failure("cannot write", error))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let next = self.path.with_extension("json.new");
        let mut file = File::create(&next)?;
        file.write_all(bytes)?;
        let mut synced = self.synced.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if synced.is_none_or(|at| at.elapsed() >= SYNC_INTERVAL) {
            file.sync_data()?;
            *synced = Some(Instant::now());
        }
        fs::rename(&next, &self.path)
    }

    fn failure(&self, what: &str, error: impl std::fmt::Display) -> Failure {
        Failure(format!("{what} {}: {error}", self.path.display()))
    }
}

impl Checkpoint {
    pub(super) fn new(id: String, files: Vec<KnownFile>) -> Self {
        Self { version: VERSION, id, files }
    }
}

/// A random id.
///
/// # Errors
/// The operating system has no random numbers.
pub(super) fn random_id() -> Result<String, Failure> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(Failure::new)?;
    Ok(hex(&random))
}

/// Whether a server could keep its checkpoints in this directory, beside one that does.
pub(super) fn check(directory: &Path) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure(format!("cannot write to state_dir {}: {error}", directory.display()));
    match fs::metadata(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = directory.ancestors().skip(1).find(|parent| parent.is_dir());
            writable(parent.unwrap_or(Path::new("."))).map_err(failed)
        }
        Err(error) => Err(failed(error)),
        Ok(_) => writable(directory).map_err(failed),
    }
}

fn writable(directory: &Path) -> io::Result<()> {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .map_err(Into::into)
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; under systemd use StateDirectory=, as the unit shows"
        }
        _ => "",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
