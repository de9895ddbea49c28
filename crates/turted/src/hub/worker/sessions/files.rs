//! The files of sessions in a directory. Each start has files of its own: `session-<epoch>-<number>.log`. Their numbers
//! grow over all starts, so they say in which order the files were written.
//!
//! Each file begins with a head; one change follows the other. When most of the files is out of date, a new one is begun,
//! all sessions are written into it, and the others are deleted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use turted_core::record::frame;
use turted_core::record::session::{Change, FORMAT, Head, Record, SessionRecord};

use super::found::Found;
use super::verifier::Verification;
use crate::config::LogSync;
use crate::hub::dispatch::log::disk::names::{SESSIONS, format_name, parse_name, sync_names};

/// Nobody else reads who is a user of this server, and where.
const FILE_MODE: u32 = 0o600;
/// Bytes that are written at once when a start writes sessions anew.
const PORTION_BYTES: usize = 1 << 20;

/// Where and how sessions are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The directory, which this server has to itself.
    pub(crate) directory: &'a Path,
    /// The epoch of this start, which names its files.
    pub(crate) epoch: u64,
    /// When what was written is synced. Under `interval` a change that takes something away is synced before its client
    /// is answered, others after that time at most.
    pub(crate) sync: LogSync,
    /// Files are written anew when they have grown by so many bytes and to twice their size.
    pub(crate) growth_bytes_min: u64,
}

/// Bytes that are not worth to be written anew.
pub(crate) const GROWTH_BYTES_MIN: u64 = 4 << 20;

/// The name of a file of sessions, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileName {
    pub(super) number: u64,
    pub(super) epoch: u64,
}

impl FileName {
    pub(super) fn parse(name: &str) -> Option<Self> {
        parse_name(SESSIONS, name).map(|(epoch, number)| Self { number, epoch })
    }

    fn to_path(self, directory: &Path) -> PathBuf {
        directory.join(self.to_string())
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&format_name(SESSIONS, self.epoch, self.number))
    }
}

/// Told how many bytes of which file are synced.
#[cfg(test)]
type Synced = std::sync::Arc<dyn Fn(&Path, u64) + Send + Sync>;

/// The file that is written, and those that it will make superfluous.
pub(super) struct Files {
    directory: PathBuf,
    head: Head,
    name: FileName,
    /// `None` before the first one, if the disk failed at the start.
    file: Option<File>,
    bytes: u64,
    is_synced: bool,
    /// Bytes of the current file when it had all sessions.
    whole_bytes: u64,
    growth_bytes_min: u64,
    /// Whether the current file has all sessions.
    has_all: bool,
    old: Vec<PathBuf>,
    #[cfg(test)]
    pub(super) synced: Option<Synced>,
}

impl Files {
    /// Those of this start, of which none is there yet. What was found stands in others.
    pub(super) fn new(place: Place<'_>, (verification, found): (&Verification, &Found)) -> io::Result<Self> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| io::Error::other("no random numbers"))?;
        let head = Head { format: FORMAT, salt, auth: verification.mark(&salt) };
        let last = found.files.last().map_or(0, |last| last.number);
        Ok(Self {
            directory: place.directory.to_owned(),
            head,
            name: FileName { epoch: place.epoch, number: last },
            file: None,
            bytes: 0,
            is_synced: true,
            whole_bytes: 0,
            growth_bytes_min: place.growth_bytes_min,
            has_all: false,
            old: found.files.iter().map(|name| name.to_path(place.directory)).collect(),
            #[cfg(test)]
            synced: None,
        })
    }

    /// Writes what was found into a file of this start, syncs it, and deletes the others. Whenever the server is killed
    /// meanwhile, the next start finds all of it in one file, in the others, or in both.
    pub(super) fn begin(&mut self, found: &Found) -> io::Result<()> {
        self.begin_again()?;
        self.write_all_of(found)?;
        self.has_all()
    }

    fn write_all_of(&mut self, found: &Found) -> io::Result<()> {
        let mut frames = Vec::new();
        let sessions = found.sessions.iter().map(|(key, state)| (*key, Change::Whole(state.clone())));
        let succeeded = found.succeeded.iter().map(|(key, successor)| (*key, Change::Succeeded(*successor)));
        for (key, change) in sessions.chain(succeeded) {
            let record = SessionRecord { key, version: found.version, change };
            frame::append(&mut frames, |body| record.put(body)).map_err(io::Error::other)?;
            if frames.len() >= PORTION_BYTES {
                self.append(&frames)?;
                frames.clear();
            }
        }
        self.append(&frames)
    }

    /// Appends whole frames.
    pub(super) fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        self.file.as_mut().ok_or_else(no_file)?.write_all(frames)?;
        self.bytes += frames.len() as u64;
        self.is_synced = false;
        Ok(())
    }

    /// Whether something has to be synced.
    pub(super) fn is_dirty(&self) -> bool {
        !self.is_synced
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.file.as_ref().ok_or_else(no_file)?.sync_data()?;
            self.is_synced = true;
            #[cfg(test)]
            if let Some(synced) = &self.synced {
                synced(&self.name.to_path(&self.directory), self.bytes);
            }
        }
        Ok(())
    }

    /// Whether most of the files is out of date.
    pub(super) fn is_worn(&self) -> bool {
        let may_grow = self.whole_bytes.max(self.growth_bytes_min);
        self.has_all && self.bytes >= self.whole_bytes.saturating_add(may_grow)
    }

    /// Begins a new file, into which all sessions are to be written.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        self.sync()?;
        self.begin_again()
    }

    /// Begins a new file after the current one was given up, or was deleted by somebody else.
    pub(super) fn begin_again(&mut self) -> io::Result<()> {
        let name = FileName { number: self.name.number.saturating_add(1), ..self.name };
        let (file, bytes) = create(&self.directory, name, &self.head)?;
        self.add_current_to_old();
        (self.file, self.bytes) = (Some(file), bytes);
        (self.name, self.is_synced, self.has_all) = (name, false, false);
        Ok(())
    }

    /// The current file has all sessions: the others are deleted.
    pub(super) fn has_all(&mut self) -> io::Result<()> {
        self.sync()?;
        (self.whole_bytes, self.has_all) = (self.bytes, true);
        self.delete_old()
    }

    /// What stands in the files is not the truth any more: no later start may read it.
    pub(super) fn give_up(&mut self) -> io::Result<()> {
        self.add_current_to_old();
        self.delete_old()
    }

    fn add_current_to_old(&mut self) {
        let current = self.name.to_path(&self.directory);
        if self.file.is_some() && !self.old.contains(&current) {
            self.old.push(current);
        }
    }

    fn delete_old(&mut self) -> io::Result<()> {
        while let Some(path) = self.old.last() {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.old.pop(),
            };
        }
        sync_names(&self.directory)
    }
}

fn no_file() -> io::Error {
    io::Error::other("the disk failed at the start")
}

/// Makes a file that begins with `head`. Its name is on disk when this returns.
fn create(directory: &Path, name: FileName, head: &Head) -> io::Result<(File, u64)> {
    let mut file =
        OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(name.to_path(directory))?;
    let mut frames = Vec::new();
    frame::append(&mut frames, |body| Record::Head(*head).put(body)).map_err(io::Error::other)?;
    file.write_all(&frames)?;
    sync_names(directory)?;
    Ok((file, frames.len() as u64))
}
