//! What operators have deleted from the history of channels while the log has it still: the file `deleted`.
//!
//! After a kill history begins with the log, and what was deleted stands there. Each deletion is appended and synced before its
//! operator is answered. A start goes by it, and drops what the log has no more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;
use turted_core::name::Name;
use turted_core::record::frame;
use turted_core::record::history::WrittenDeletion;

use super::directory::{DELETED, DELETED_NEW, Directory};
use super::frames::FileFrames;
use crate::hub::dispatch::history::deletion::Deletion;

/// Events of a channel, by their numbers.
pub(crate) type Deleted = (Name, RangeInclusive<u64>);

/// Starts the thread that appends deletions, until nobody can ask for one any more.
///
/// # Errors
/// The operating system refuses a thread.
pub(crate) fn start(directory: Arc<Directory>, mut deletions: mpsc::Receiver<Deletion>) -> io::Result<()> {
    let run = move || {
        while let Some(Deletion { channel, numbers, recorded }) = deletions.blocking_recv() {
            match append(&directory, &(channel, numbers)) {
                // Whoever waits for it may have stopped.
                Ok(()) => _ = recorded.send(()),
                Err(error) => tracing::error!(%error, "what was deleted from history is not on disk"),
            }
        }
    };
    thread::Builder::new().name("turted-deleted".to_owned()).spawn(run).map(drop)
}

/// Appends a deletion.
///
/// # Errors
/// The disk fails.
fn append(directory: &Directory, deleted: &Deleted) -> io::Result<()> {
    let path = directory.path().join(DELETED);
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    // What was written in part would hide what comes behind it.
    write(&mut file, std::iter::once(deleted)).inspect_err(|_| _ = file.set_len(bytes))?;
    if is_new { directory.sync() } else { Ok(()) }
}

/// Reads what was deleted of the numbers that the log has, and forgets the rest. Numbers behind its end may be given again
/// after a crash.
///
/// # Errors
/// The disk fails.
pub(super) fn take_over(
    directory: &Directory,
    kept: Option<&RangeInclusive<u64>>,
) -> io::Result<Vec<Deleted>> {
    let read = read(directory)?;
    let within = |(channel, numbers): Deleted| {
        let kept = kept?;
        let numbers = *numbers.start().max(kept.start())..=*numbers.end().min(kept.end());
        (!numbers.is_empty()).then_some((channel, numbers))
    };
    let deleted: Vec<_> = read.into_iter().filter_map(within).collect();
    let path = directory.path().join(DELETED);
    if deleted.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(deleted),
        };
    }
    let new = directory.path().join(DELETED_NEW);
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    write(&mut file, deleted.iter())?;
    fs::rename(new, path)?;
    directory.sync()?;
    Ok(deleted)
}

fn write<'a>(file: &mut File, deleted: impl Iterator<Item = &'a Deleted>) -> io::Result<()> {
    let mut records = Vec::new();
    for (channel, numbers) in deleted {
        let (from, to) = (*numbers.start(), *numbers.end());
        let record = WrittenDeletion { channel: channel.clone(), from, to };
        frame::append(&mut records, |body| record.encode(body)).map_err(io::Error::other)?;
    }
    file.write_all(&records)?;
    file.sync_all()
}

/// All that was written whole. The end may be torn: its operator was not answered.
fn read(directory: &Directory) -> io::Result<Vec<Deleted>> {
    let mut frames = match FileFrames::open(&directory.path().join(DELETED)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut deleted = Vec::new();
    while let Some(Ok(body)) = frames.next()? {
        if let Ok(WrittenDeletion { channel, from, to }) = WrittenDeletion::decode(body) {
            deleted.push((channel, from..=to));
        }
    }
    Ok(deleted)
}
