//! The files of `assets_dir`, each in memory once, however many clients read it and however slowly.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::OFlags;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use turted_core::limits::{ASSET_BYTES_MAX, ASSETS_BYTES_MAX, ASSETS_MAX};

/// How long a file is not looked at again, so that a flood of requests does not reach the disk. A file
/// that an operator replaces is served after this time at the latest.
const FRESH: Duration = Duration::from_secs(1);

/// Why a file is not served.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("there is no such file")]
    NotFound,
    #[error("a symlink leads out of the directory")]
    Outside,
    #[error("it is no regular file")]
    NoFile,
    #[error("it has more than {ASSET_BYTES_MAX} bytes")]
    TooLong,
    #[error("clients still read so many other files that there is no room for it")]
    NoRoom,
    #[error(transparent)]
    Disk(Arc<io::Error>),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Disk(Arc::new(error)),
        }
    }
}

/// The files of a directory, for all workers.
#[derive(Debug)]
pub(crate) struct Assets {
    directory: PathBuf,
    /// By name. Locked for a look into the map, never while the disk is read.
    files: Mutex<HashMap<String, Known>>,
    /// Lets one request at a time read the disk, so that nothing is read twice.
    disk: Semaphore,
}

/// What is known of one file.
#[derive(Clone, Debug)]
struct Known {
    content: Result<Bytes, Failure>,
    stamp: Option<Stamp>,
    checked: Instant,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    changed: (i64, i64),
    bytes: u64,
}

impl Assets {
    /// The files of this directory.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, files: Mutex::default(), disk: Semaphore::new(1) }
    }

    /// The content of a file, which all its requests share.
    ///
    /// # Errors
    /// There is no such file, it must not be served, or the disk cannot be read.
    pub(super) async fn get(self: &Arc<Self>, name: &str) -> Result<Bytes, Failure> {
        if let Some(known) = self.fresh(name) {
            return known.content;
        }
        let _turn = self.disk.acquire().await.map_err(io::Error::other)?;
        // The request that had its turn before may have read the same file.
        if let Some(known) = self.fresh(name) {
            return known.content;
        }
        let (own, name) = (Arc::clone(self), name.to_owned());
        // On a thread for blocking work: a disk must not hold up a worker.
        tokio::task::spawn_blocking(move || own.look(name)).await.map_err(io::Error::other)?
    }

    /// What is known of a file, if it was looked at a moment ago.
    fn fresh(&self, name: &str) -> Option<Known> {
        self.files().get(name).filter(|known| known.checked.elapsed() < FRESH).cloned()
    }

    /// Looks at a file on the disk, and reads it if it has changed.
    fn look(&self, name: String) -> Result<Bytes, Failure> {
        let checked = Instant::now();
        let opened = open(&self.directory, &name);
        if let Err(Failure::NotFound) = opened {
            // Names without a file are not remembered: clients could make up any number of them.
            self.files().remove(&name);
            return Err(Failure::NotFound);
        }
        let stamp = opened.as_ref().ok().map(|(_, stamp)| *stamp);
        let same = self.files().get(&name).filter(|known| known.stamp == stamp).cloned();
        let content = match same {
            Some(Known { content: Ok(bytes), .. }) => Ok(bytes),
            _ => opened.and_then(|(file, stamp)| self.read(file, stamp)),
        };
        if let Err(failure) = &content {
            tracing::warn!(%failure, name, "cannot serve a file of assets_dir");
        }
        self.remember(name, Known { content: content.clone(), stamp, checked });
        content
    }

    fn read(&self, file: File, stamp: Stamp) -> Result<Bytes, Failure> {
        let bytes = usize::try_from(stamp.bytes).unwrap_or(usize::MAX);
        self.make_room(bytes)?;
        let mut content = Vec::with_capacity(bytes);
        // It may have grown since it was measured.
        file.take(ASSET_BYTES_MAX as u64 + 1).read_to_end(&mut content)?;
        if content.len() > ASSET_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        Ok(content.into())
    }

    /// Forgets files that no client reads at the moment until so many bytes fit. A file that is still read
    /// stays: without it, the next request would read the disk, and the file would be in memory twice.
    fn make_room(&self, bytes: usize) -> Result<(), Failure> {
        let mut files = self.files();
        let mut held: usize = files.values().map(Known::bytes).sum();
        let mut idle: Vec<(Instant, String)> = files
            .iter()
            .filter(|(_, known)| known.is_unread())
            .map(|(name, known)| (known.checked, name.clone()))
            .collect();
        idle.sort_unstable_by(|one, other| other.cmp(one));
        while held + bytes > ASSETS_BYTES_MAX || files.len() >= ASSETS_MAX {
            let (_, oldest) = idle.pop().ok_or(Failure::NoRoom)?;
            held -= files.remove(&oldest).map_or(0, |known| known.bytes());
        }
        Ok(())
    }

    /// Notes what is known of a file, if there is room for one more.
    fn remember(&self, name: String, known: Known) {
        let mut files = self.files();
        if files.len() < ASSETS_MAX || files.contains_key(&name) {
            files.insert(name, known);
        }
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn bytes(&self) -> usize {
        self.content.as_ref().map_or(0, Bytes::len)
    }

    fn is_unread(&self) -> bool {
        self.content.as_ref().map_or(true, |bytes| bytes.is_empty() || bytes.is_unique())
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
            bytes: metadata.len(),
        }
    }
}

/// Opens a regular file below a directory. Symlinks are followed if they stay there: package managers
/// make such symlinks.
fn open(directory: &Path, name: &str) -> Result<(File, Stamp), Failure> {
    let directory = directory.canonicalize()?;
    let path = directory.join(name).canonicalize()?;
    if !path.starts_with(&directory) {
        return Err(Failure::Outside);
    }
    // A pipe without a writer would hold the thread for ever, and opening a device may do something.
    if !path.metadata()?.is_file() {
        return Err(Failure::NoFile);
    }
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    match (metadata.is_file(), metadata.len() <= ASSET_BYTES_MAX as u64) {
        (true, true) => Ok((file, Stamp::from(&metadata))),
        (true, false) => Err(Failure::TooLong),
        (false, _) => Err(Failure::NoFile),
    }
}

#[cfg(test)]
mod tests;
