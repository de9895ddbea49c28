//! The history of channels, as a clean end writes it and the next start reads it: the file `history`.
//!
//! The log keeps minutes, history may keep hours. What only history has is in no other file, and what was deleted from it may
//! still stand in the log. A life that goes on elsewhere than where the file says does not believe it: then history begins
//! with the log.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turted_core::epochs::Epoch;
use turted_core::history::Edge;
use turted_core::name::Name;
use turted_core::record::frame;
use turted_core::record::history::{HistoryHead, WrittenChannel, WrittenEdge};
use turted_core::record::push::{PushRecord, ReadRecord, Record};

use super::directory::{Directory, HISTORY, HISTORY_NEW};
use super::frames::FileFrames;
use super::{FoundDispatch, FoundHistory};
use crate::hub::dispatch::log::Accepted;
use crate::hub::dispatch::log::clock::LogClock;

/// The history that a life leaves.
#[derive(Debug)]
pub(crate) struct LeftHistory {
    /// In the order of their numbers.
    pub(crate) dispatches: Vec<Arc<Accepted>>,
    /// Each with the numbers of its events.
    pub(crate) channels: Vec<(Name, Edge, Vec<u64>)>,
    pub(crate) edge: Edge,
    pub(crate) began: Instant,
    /// The checksum of the rules.
    pub(crate) rules: u32,
}

/// Writes the history of a life that ended in this epoch with this number.
///
/// # Errors
/// The disk fails. No file is left.
pub(crate) fn write(
    directory: &Directory,
    ended: (u64, u64),
    (left, clock): (&LeftHistory, LogClock),
) -> io::Result<()> {
    try_write(directory, ended, (left, clock)).inspect_err(|_| remove(directory))
}

fn try_write(
    directory: &Directory,
    (epoch, last): (u64, u64),
    (left, clock): (&LeftHistory, LogClock),
) -> io::Result<()> {
    let (now, uptime) = (Instant::now(), clock.uptime());
    let at = |moment: Instant| uptime.saturating_sub(now.saturating_duration_since(moment));
    let written = |Edge { number, pushed_out }: Edge| WrittenEdge { number, pushed_out: pushed_out.map(at) };
    let new = directory.path().join(HISTORY_NEW);
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    let (mut file, mut record) = (BufWriter::new(file), Vec::new());
    let mut put = |encode: &dyn Fn(&mut Vec<u8>)| {
        record.clear();
        frame::append(&mut record, encode).map_err(io::Error::other)?;
        file.write_all(&record)
    };
    let count = |count: usize| u32::try_from(count).map_err(io::Error::other);
    let (dispatches, channels) = (count(left.dispatches.len())?, count(left.channels.len())?);
    let (rules, began, edge) = (left.rules, at(left.began), written(left.edge));
    let head = HistoryHead { epoch, last, rules, began, edge, dispatches, channels };
    put(&|body| head.encode(body))?;
    for accepted in &left.dispatches {
        let dispatches = std::slice::from_ref(&accepted.dispatch);
        let (first, uptime) = (accepted.sequence(), at(accepted.accepted_at()));
        let push = Record::Push(PushRecord { first, uptime, synced: 0, key: None, dispatches });
        put(&|body| push.encode(body))?;
    }
    for (name, edge, numbers) in &left.channels {
        let channel = WrittenChannel { name: name.clone(), edge: written(*edge), numbers: numbers.clone() };
        put(&|body| channel.encode(body))?;
    }
    file.into_inner()?.sync_all()?;
    fs::rename(new, directory.path().join(HISTORY))?;
    directory.sync()
}

/// Reads the history of the life that ended in this epoch with this number. `None` if there is none.
///
/// # Errors
/// It cannot be read, or is not what was written.
pub(super) fn read(
    directory: &Directory,
    (ended, uptime): (Epoch, Duration),
) -> io::Result<Option<FoundHistory>> {
    let mut frames = match FileFrames::open(&directory.path().join(HISTORY)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let head = HistoryHead::decode(next(&mut frames)?).map_err(damaged)?;
    if (head.epoch, head.last) != (ended.epoch, ended.after) {
        return Ok(None);
    }
    let age = |at: Duration| uptime.saturating_sub(at);
    let mut dispatches: Vec<FoundDispatch> = Vec::new();
    for _ in 0..head.dispatches {
        let ReadRecord::Push(push) = ReadRecord::decode(next(&mut frames)?).map_err(damaged)? else {
            return Err(damaged("a record does not belong there"));
        };
        let (sequence, age) = (push.first, age(push.uptime));
        if dispatches.last().is_some_and(|before| before.sequence >= sequence) || sequence > head.last {
            return Err(damaged("the numbers are not in order"));
        }
        let found = push.dispatches().map_err(damaged)?.into_iter();
        dispatches.extend(found.map(|dispatch| FoundDispatch { sequence, dispatch, age }));
    }
    let edge = |WrittenEdge { number, pushed_out }: WrittenEdge| (number, pushed_out.map(age));
    let mut channels = Vec::new();
    for _ in 0..head.channels {
        let WrittenChannel { name, edge: own, numbers } =
            WrittenChannel::decode(next(&mut frames)?).map_err(damaged)?;
        if !numbers.is_sorted_by(|one, other| one < other) {
            return Err(damaged("the numbers of a channel are not in order"));
        }
        channels.push((name, edge(own), numbers));
    }
    let (began, rules, edge) = (age(head.began), head.rules, edge(head.edge));
    Ok(Some(FoundHistory { dispatches, channels, edge, began, rules }))
}

/// The next record, which must be there.
fn next(frames: &mut FileFrames) -> io::Result<&[u8]> {
    match frames.next()? {
        Some(Ok(body)) => Ok(body),
        Some(Err(_)) | None => Err(damaged("it is cut off, or not what was written")),
    }
}

/// Removes what an earlier life wrote, or began to write: the new one does not believe it, and operators may delete what
/// stands in it.
pub(super) fn remove(directory: &Directory) {
    for name in [HISTORY, HISTORY_NEW] {
        // One that stays is not believed either, and is replaced at the next clean end.
        let _stays = fs::remove_file(directory.path().join(name));
    }
}

fn damaged(why: impl ToString) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.to_string())
}
