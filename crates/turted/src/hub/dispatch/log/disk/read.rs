//! Reads the push files of former lives, once, at the start.
//!
//! What it keeps is bounded as the log in memory is. Where a file is not what was written, reading goes on with the next
//! one, because the highest number of all files is needed for a new epoch.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use turted_core::cursor::Cursor;
use turted_core::dispatch::Dispatch;
use turted_core::epochs::Epochs;
use turted_core::record::frame::{Fault, HEAD_BYTES, Head};
use turted_core::record::push::{Begin, ReadDelivered, ReadKey, ReadPush, ReadRecord};

use super::directory::{Directory, PushFile};
use super::frames::FileFrames;
use super::segment::Segment;
use super::{FoundKey, StoreLimits};
use crate::hub::dispatch::log::bytes_of;

/// Bytes behind a damaged place that are searched for records. A file has a segment and one write at most.
const SEARCH_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What was read so far.
#[derive(Debug)]
pub(super) struct Reading {
    limits: StoreLimits,
    /// The number that must come next; `None` before the first file.
    pub(super) next: Option<u64>,
    /// The number of the last dispatch that any file has.
    pub(super) highest: u64,
    /// The uptime of the latest record.
    pub(super) uptime: Duration,
    pub(super) dispatches: VecDeque<ReadDispatch>,
    bytes: usize,
    /// With the uptime at which the push was accepted.
    keys: HashMap<(String, Vec<u8>), (Duration, FoundKey)>,
    delivered: BTreeMap<u64, ReadDelivered>,
    pub(super) segments: VecDeque<Segment>,
}

/// A dispatch as it was read.
#[derive(Debug)]
pub(super) struct ReadDispatch {
    pub(super) sequence: u64,
    pub(super) uptime: Duration,
    pub(super) dispatch: Dispatch,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As it was written.
    Whole {
        /// Whether it says that another file of its life follows.
        is_finished: bool,
        /// Whether it has no record but its first one.
        is_empty: bool,
    },
    /// Inside a frame that begins here.
    Torn(u64),
    /// It is not what was written.
    Damaged {
        /// Where that begins.
        at: u64,
        /// The number that would have come next.
        next: u64,
    },
}

/// A file while it is read.
struct Progress {
    file: PushFile,
    has_begun: bool,
    is_finished: bool,
    is_empty: bool,
    latest_key: Option<Duration>,
}

/// A record is not one that stands here.
struct Misplaced;

/// Keys that a start takes over at most. Those who know them keep fewer.
const KEYS_MAX: usize = 500_000;

impl Reading {
    pub(super) fn new(limits: StoreLimits) -> Self {
        Self {
            limits,
            next: None,
            highest: 0,
            uptime: Duration::ZERO,
            dispatches: VecDeque::new(),
            bytes: 0,
            keys: HashMap::new(),
            delivered: BTreeMap::new(),
            segments: VecDeque::new(),
        }
    }

    /// Reads one file, behind those that were read before.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn read(
        &mut self,
        directory: &Directory,
        file: PushFile,
        epochs: Option<&Epochs>,
    ) -> io::Result<End> {
        let mut frames = FileFrames::open(&directory.push_path(file))?;
        let mut progress =
            Progress { file, has_begun: false, is_finished: false, is_empty: true, latest_key: None };
        let end = loop {
            let at = frames.whole_bytes();
            let damaged = End::Damaged { at, next: self.next.unwrap_or(0) };
            match frames.next()? {
                // A file without its first record is torn there: it was made, and nothing was written yet.
                None if !progress.has_begun => break End::Torn(at),
                None => {
                    let Progress { is_finished, is_empty, .. } = progress;
                    break End::Whole { is_finished, is_empty };
                }
                Some(Err(Fault::Torn)) => break End::Torn(at),
                Some(Err(Fault::Damaged(_))) => break damaged,
                Some(Ok(body)) => {
                    let Ok(record) = ReadRecord::decode(body) else { break damaged };
                    if self.take(record, &mut progress, epochs).is_err() {
                        break damaged;
                    }
                }
            }
        };
        let next = self.next.unwrap_or(0);
        self.segments.push_back(Segment {
            file,
            next,
            latest_key: progress.latest_key,
            rests_until: Duration::ZERO,
        });
        Ok(end)
    }

    /// Keys that count, with what their pushes reached, the oldest first.
    pub(super) fn keys(&mut self) -> Vec<FoundKey> {
        let (now, most) = (self.uptime, self.limits.keys);
        let aged = |(uptime, key)| FoundKey { age: now.saturating_sub(uptime), ..key };
        let keys = std::mem::take(&mut self.keys).into_values().map(aged);
        let mut keys: Vec<_> = keys.filter(|key| key.age < most).collect();
        for key in keys.iter_mut().filter(|key| key.delivered.is_none()) {
            let delivered = self.delivered.get(&key.first.sequence).map(|delivered| &delivered.counts);
            key.delivered = delivered.filter(|counts| counts.len() == key.count as usize).cloned();
        }
        keys.sort_by_key(|key| std::cmp::Reverse(key.age));
        keys
    }

    /// Gives up the dispatches that are too old.
    pub(super) fn forget_old(&mut self) {
        let (uptime, age) = (self.uptime, self.limits.log.age);
        let is_old = |dispatch: &ReadDispatch| uptime.saturating_sub(dispatch.uptime) > age;
        while self.dispatches.front().is_some_and(is_old) {
            self.forget_oldest();
        }
    }

    fn take(
        &mut self,
        record: ReadRecord<'_>,
        progress: &mut Progress,
        epochs: Option<&Epochs>,
    ) -> Result<(), Misplaced> {
        progress.is_empty &= matches!(record, ReadRecord::Begin(_));
        match record {
            ReadRecord::Begin(begin) if !progress.has_begun => {
                progress.has_begun = true;
                self.begin(begin, progress.file)
            }
            _ if !progress.has_begun || progress.is_finished => Err(Misplaced),
            ReadRecord::Begin(_) => Err(Misplaced),
            ReadRecord::Next(next) => {
                progress.is_finished = true;
                if Some(next) == self.next { Ok(()) } else { Err(Misplaced) }
            }
            ReadRecord::Push(push) => self.push(&push, progress, epochs),
            ReadRecord::Key(key) => {
                self.note(key.uptime, Some(progress));
                self.key(&key);
                Ok(())
            }
            ReadRecord::Delivered(delivered) => {
                self.note(delivered.uptime, Some(progress));
                self.delivered.insert(delivered.first, delivered);
                Ok(())
            }
        }
    }

    fn begin(&mut self, begin: Begin, file: PushFile) -> Result<(), Misplaced> {
        self.highest = self.highest.max(begin.first.saturating_sub(1));
        let is_own = begin.epoch == file.epoch && begin.place == file.place && begin.first > 0;
        let follows = self.next.is_none_or(|next| next == begin.first);
        self.next = Some(begin.first);
        if is_own && follows { Ok(()) } else { Err(Misplaced) }
    }

    fn push(
        &mut self,
        push: &ReadPush<'_>,
        progress: &mut Progress,
        epochs: Option<&Epochs>,
    ) -> Result<(), Misplaced> {
        let next = push.first + u64::from(push.count);
        self.highest = self.highest.max(next.saturating_sub(1));
        if Some(push.first) != self.next {
            return Err(Misplaced);
        }
        let dispatches = push.dispatches().map_err(|_| Misplaced)?;
        self.next = Some(next);
        self.note(push.uptime, push.key.is_some().then_some(&mut *progress));
        if let Some(key) = push.key {
            let own = Cursor { epoch: progress.file.epoch, sequence: push.first };
            let first = epochs.map_or(own, |epochs| epochs.cursor(push.first));
            let (count, uptime) = (push.count, push.uptime);
            self.key(&ReadKey { key, first, count, uptime, delivered: None });
        }
        for (sequence, dispatch) in (push.first..).zip(dispatches) {
            self.bytes += bytes_of(&dispatch);
            self.dispatches.push_back(ReadDispatch { sequence, uptime: push.uptime, dispatch });
            let log = self.limits.log;
            while self.dispatches.len() > log.dispatches || self.bytes > log.bytes {
                self.forget_oldest();
            }
        }
        Ok(())
    }

    fn note(&mut self, uptime: Duration, with_key: Option<&mut Progress>) {
        self.uptime = self.uptime.max(uptime);
        if let Some(progress) = with_key {
            progress.latest_key = progress.latest_key.max(Some(uptime));
        }
    }

    fn key(&mut self, read: &ReadKey<'_>) {
        let name = (read.key.owner.to_owned(), read.key.key.to_owned());
        // A key may be used again when it is too old; then the later push counts.
        if self.keys.get(&name).is_none_or(|(known, _)| *known <= read.uptime) {
            self.keys.insert(name, (read.uptime, FoundKey::of(read)));
        }
        if self.keys.len() > KEYS_MAX {
            self.forget_keys();
        }
    }

    /// Gives up the older half of the keys.
    fn forget_keys(&mut self) {
        let mut ages: Vec<_> = self.keys.values().map(|(uptime, _)| *uptime).collect();
        let (_, middle, _) = ages.select_nth_unstable(KEYS_MAX / 2);
        let middle = *middle;
        self.keys.retain(|_, (uptime, _)| *uptime > middle);
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.dispatches.pop_front() {
            self.bytes -= bytes_of(&oldest.dispatch);
        }
    }
}

/// The highest number that a push in this file says was synced, also behind a damaged place at `at`. `None` if the search
/// would take too long.
pub(super) fn synced_in(path: &Path, at: u64) -> io::Result<Option<u64>> {
    if fs::metadata(path)?.len().saturating_sub(at) > SEARCH_BYTES_MAX {
        return Ok(None);
    }
    let bytes = fs::read(path)?;
    let (mut synced, mut place, mut checked) = (0, 0, 0);
    while place + HEAD_BYTES < bytes.len() {
        let rest = &bytes[place..];
        let head = Head::read(rest).ok();
        let body = head.and_then(|head| Some((head, rest[HEAD_BYTES..].get(..head.body_bytes())?)));
        checked += body.map_or(0, |(_, body)| body.len() as u64);
        if checked > SEARCH_BYTES_MAX {
            return Ok(None);
        }
        let body = body.and_then(|(head, body)| head.check(body).is_ok().then_some(body));
        if let Some(body) = body {
            place += HEAD_BYTES + body.len();
            if let Ok(ReadRecord::Push(push)) = ReadRecord::decode(body) {
                synced = synced.max(push.synced);
            }
        } else {
            place += 1;
        }
    }
    Ok(Some(synced))
}
