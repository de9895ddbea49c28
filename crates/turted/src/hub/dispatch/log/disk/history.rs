//! The history of channels, as a clean end writes it and the next start reads it: the file `history`.
//!
//! The log keeps minutes, history may keep hours. What only history has is in no other file. A life that goes on elsewhere
//! than where the file says does not believe it: then history begins with the log.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turted_core::epochs::Epoch;
use turted_core::record::frame;
use turted_core::record::history::HistoryHead;
use turted_core::record::push::{PushRecord, ReadRecord, Record};

use super::directory::{Directory, HISTORY, HISTORY_NEW};
use super::frames::FileFrames;
use super::{FoundDispatch, FoundHistory};
use crate::hub::dispatch::log::clock::LogClock;
use crate::hub::dispatch::log::{Accepted, bytes_of};

/// The history that a life leaves.
#[derive(Debug)]
pub(crate) struct LeftHistory {
    /// In the order of their numbers.
    pub(crate) dispatches: Vec<Arc<Accepted>>,
    pub(crate) began: Instant,
    pub(crate) pushed_out: Option<Instant>,
}

/// Writes the history of a life that ended in this epoch with this number.
///
/// # Errors
/// The disk fails. What an earlier life wrote stands there still, and is not believed.
pub(crate) fn write(
    directory: &Directory,
    (epoch, last): (u32, u64),
    (left, clock): (&LeftHistory, LogClock),
) -> io::Result<()> {
    let (now, uptime) = (Instant::now(), clock.uptime());
    let at = |moment: Instant| uptime.saturating_sub(now.saturating_duration_since(moment));
    let new = directory.path().join(HISTORY_NEW);
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    let mut file = BufWriter::new(file);
    let mut record = Vec::new();
    let head = HistoryHead { epoch, last, began: at(left.began), pushed_out: left.pushed_out.map(at) };
    frame::append(&mut record, |body| head.encode(body)).map_err(io::Error::other)?;
    for accepted in &left.dispatches {
        file.write_all(&record)?;
        record.clear();
        let dispatches = std::slice::from_ref(&accepted.dispatch);
        let (first, uptime) = (accepted.sequence(), at(accepted.accepted_at()));
        let push = Record::Push(PushRecord { first, uptime, synced: 0, key: None, dispatches });
        frame::append(&mut record, |body| push.encode(body)).map_err(io::Error::other)?;
    }
    file.write_all(&record)?;
    file.into_inner()?.sync_all()?;
    fs::rename(new, directory.path().join(HISTORY))?;
    directory.sync()
}

/// Reads the history of the life that ended in this epoch with this number: its last dispatches, with so many bytes at
/// most. `None` if there is none.
///
/// # Errors
/// It cannot be read, or is not what was written.
pub(super) fn read(
    directory: &Directory,
    (ended, uptime): (Epoch, Duration),
    bytes_max: usize,
) -> io::Result<Option<FoundHistory>> {
    let mut frames = match FileFrames::open(&directory.path().join(HISTORY)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let head = match frames.next()? {
        Some(Ok(body)) => HistoryHead::decode(body).map_err(damaged)?,
        Some(Err(_)) | None => return Err(damaged("it is cut off")),
    };
    if (head.epoch, head.last) != (ended.epoch, ended.after) {
        return Ok(None);
    }
    let age = |at: Duration| uptime.saturating_sub(at);
    let mut found = FoundHistory {
        dispatches: VecDeque::new(),
        began: age(head.began),
        pushed_out: head.pushed_out.map(age),
    };
    let mut bytes = 0;
    while let Some(body) = frames.next()? {
        let body = body.map_err(|_| damaged("a record is not what was written"))?;
        let ReadRecord::Push(push) = ReadRecord::decode(body).map_err(damaged)? else {
            return Err(damaged("a record does not belong there"));
        };
        let (sequence, at) = (push.first, age(push.uptime));
        let is_next = found.dispatches.back().is_none_or(|before| before.sequence < sequence);
        if !is_next || sequence > head.last || push.count != 1 {
            return Err(damaged("the numbers are not in order"));
        }
        for dispatch in push.dispatches().map_err(damaged)? {
            bytes += bytes_of(&dispatch);
            found.dispatches.push_back(FoundDispatch { sequence, dispatch, age: at });
        }
        // The last server may have kept more.
        while bytes > bytes_max
            && let Some(oldest) = found.dispatches.pop_front()
        {
            bytes -= bytes_of(&oldest.dispatch);
        }
    }
    Ok(Some(found))
}

/// Removes what an earlier life wrote: the new one does not believe it, and operators may delete what stands in it.
pub(super) fn remove(directory: &Directory) {
    // One that stays is not believed either, and is replaced at the next clean end.
    let _stays = fs::remove_file(directory.path().join(HISTORY));
}

fn damaged(why: impl ToString) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.to_string())
}
