//! The log on disk while it is written: one push file after the other, and the oldest ones deleted.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use turted_core::record::frame::{self, TooLong};
use turted_core::record::push::{PushRecord, Record};

use super::carry::Carried;
use super::directory::{Directory, PushFile};
use super::lives::{Lives, State, Synced};
use super::segment::{AppendError, OpenSegment, Segment, framed};
use super::{Store, StoreLimits};

/// Of the buffer so much is kept between two writes; a rare large push does not keep its memory.
const BUFFER_BYTES: usize = 256 * 1024;

/// Up to this part of a file is written again when it is deleted.
const CARRIED_PART: u64 = 4;
/// A file that stays for its keys is looked at again after this part of their age.
const REST_PARTS: u32 = 8;

/// The log on disk.
#[derive(Debug)]
pub(crate) struct DiskStore {
    directory: Arc<Directory>,
    /// What `lives` says, or is going to say.
    lives: Lives,
    /// The oldest first.
    finished: VecDeque<Segment>,
    open: OpenSegment,
    /// Records that were added and not written.
    added: Added,
    /// The number behind the last dispatch that was written.
    next: u64,
    /// All dispatches up to this number were synced.
    synced: u64,
    limits: StoreLimits,
    is_broken: bool,
    /// Whether pushes of which the caller heard an error stand in the file.
    has_uncut: bool,
}

#[derive(Debug, Default)]
struct Added {
    bytes: Vec<u8>,
    /// The number behind the last dispatch.
    next: Option<u64>,
    latest_key: Option<Duration>,
}

impl DiskStore {
    /// Makes the first file of a life, whose first dispatch will have the number `first`.
    pub(super) fn create(
        directory: Arc<Directory>,
        lives: Lives,
        first: u64,
        limits: StoreLimits,
    ) -> io::Result<Self> {
        let name = PushFile { epoch: lives.current().epoch, place: 0 };
        let open = OpenSegment::create(&directory, name, first)?;
        let (finished, added) = (VecDeque::new(), Added::default());
        let synced = first.saturating_sub(1);
        Ok(Self {
            directory,
            lives,
            finished,
            open,
            added,
            next: first,
            synced,
            limits,
            is_broken: false,
            has_uncut: false,
        })
    }

    /// The file that is written.
    #[cfg(test)]
    pub(super) fn open_segment(&mut self) -> &mut OpenSegment {
        &mut self.open
    }

    /// Takes over the files of former lives, the oldest first.
    pub(super) fn take_over(&mut self, segments: VecDeque<Segment>) {
        self.finished = segments;
    }

    /// The lives whose files are the log.
    pub(super) fn chain(&self) -> &[u64] {
        &self.lives.chain
    }

    /// Says in `lives` that this life writes the log. What it has written by then must be synced.
    pub(super) fn announce(&mut self) -> io::Result<()> {
        self.sync()?;
        self.directory.replace_lives(&self.lives)
    }

    /// Removes the files that this life has made: it could not begin.
    pub(super) fn abandon(&mut self) {
        self.is_broken = true;
        let own = self.finished.iter().map(|segment| segment.file);
        let epoch = self.lives.current().epoch;
        for file in own.chain([self.open.name]).filter(|file| file.epoch == epoch) {
            // The next start removes what stays: no `lives` names this life.
            let _stays = self.directory.remove(file);
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.is_broken { Err(io::Error::other("the log on disk is given up")) } else { Ok(()) }
    }

    /// Notes that nothing can be written any more if `result` says so.
    fn broken<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.is_broken |= result.is_err();
        result
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.open.bytes() >= self.limits.segment_bytes {
            // The next file is made first: a finished one says that it has a successor, so that a start knows when one is
            // missing. If it cannot be made, nothing has changed.
            let name = PushFile { place: self.open.name.place + 1, ..self.open.name };
            let successor = OpenSegment::create(&self.directory, name, self.next)?;
            let finished = self.finish(successor);
            self.broken(finished)?;
        }
        self.open.append(bytes).map_err(|error| {
            let is_broken = matches!(error, AppendError::Broken(_));
            (self.is_broken, self.has_uncut) = (self.is_broken | is_broken, self.has_uncut | is_broken);
            error.into()
        })
    }

    /// Finishes the file, and goes on with the next one.
    fn finish(&mut self, successor: OpenSegment) -> io::Result<()> {
        self.open.append(&framed(Record::Next(self.next)))?;
        self.open.sync()?;
        self.synced = self.next.saturating_sub(1);
        self.finished.push_back(self.open.finished(self.next));
        self.open = successor;
        Ok(())
    }

    /// Writes what of a file outlives it to the end of the log.
    ///
    /// Returns whether the file is not needed any more. A file that is keys for the most part stays: they would be written
    /// again and again.
    fn carry(&mut self, segment: Segment, uptime: Duration) -> io::Result<bool> {
        let path = self.directory.push_path(segment.file);
        let carried =
            Carried::of(&path, &self.lives.epochs, |at| uptime.saturating_sub(at) < self.limits.keys)?;
        if carried.bytes.is_empty() {
            return Ok(true);
        }
        if carried.bytes.len() as u64 > fs::metadata(&path)?.len() / CARRIED_PART {
            return Ok(false);
        }
        self.append(&carried.bytes)?;
        self.open.latest_key = self.open.latest_key.max(carried.latest);
        // The file is deleted next, and a key is known exactly if its push was accepted.
        let synced = self.open.sync();
        self.broken(synced).map(|()| true)
    }
}

impl Store for DiskStore {
    fn add(&mut self, record: Record<'_>) -> Result<(), TooLong> {
        let record = match record {
            Record::Push(push) => Record::Push(PushRecord { synced: self.synced, ..push }),
            other => other,
        };
        if let Err(too_long) = frame::append(&mut self.added.bytes, |body| record.encode(body)) {
            // What was added with it must not be written by a later write.
            self.added = Added::default();
            return Err(too_long);
        }
        let latest = &mut self.added.latest_key;
        match record {
            Record::Push(push) => {
                let expected = self.added.next.unwrap_or(self.next);
                debug_assert_eq!(push.first, expected, "pushes have the numbers one after the other");
                self.added.next = Some(push.first + push.dispatches.len() as u64);
                *latest = (*latest).max(push.key.map(|_| push.uptime));
            }
            Record::Key(key) => *latest = (*latest).max(Some(key.uptime)),
            Record::Delivered(delivered) => *latest = (*latest).max(Some(delivered.uptime)),
            Record::Begin(_) | Record::Next(_) => {}
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let mut added = std::mem::take(&mut self.added);
        self.check()?;
        if added.bytes.is_empty() {
            return Ok(());
        }
        self.append(&added.bytes)?;
        self.next = added.next.unwrap_or(self.next);
        self.open.latest_key = self.open.latest_key.max(added.latest_key);
        added.bytes.clear();
        added.bytes.shrink_to(BUFFER_BYTES);
        self.added = Added { bytes: added.bytes, ..Added::default() };
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.check()?;
        let synced = self.open.sync();
        if synced.is_err() && self.lives.sync == Synced::Always {
            // Nobody was handed it. Left there, its key would answer for a push that may be refused now.
            self.has_uncut |= self.open.cut_unsynced().is_err();
        }
        self.broken(synced)?;
        self.synced = self.next.saturating_sub(1);
        Ok(())
    }

    fn forget_before(&mut self, first: u64, uptime: Duration) -> io::Result<()> {
        self.check()?;
        let mut has_carried = false;
        while let Some(segment) = self.finished.front().copied().filter(|segment| segment.next <= first) {
            let is_young = |at| uptime.saturating_sub(at) < self.limits.keys;
            if segment.latest_key.is_some_and(is_young) {
                // One at a time: pushes wait meanwhile. What is written again may finish a file with young keys, too.
                if has_carried || uptime < segment.rests_until {
                    break;
                }
                has_carried = true;
                if !self.carry(segment, uptime)? {
                    let rests_until = uptime + self.limits.keys / REST_PARTS;
                    self.finished.iter_mut().take(1).for_each(|first| first.rests_until = rests_until);
                    break;
                }
            }
            self.directory.remove(segment.file)?;
            self.finished.pop_front();
        }
        Ok(())
    }

    fn has_uncut(&self) -> bool {
        self.has_uncut
    }

    fn give_up(&mut self) {
        self.is_broken = true;
    }

    fn is_broken(&self) -> bool {
        self.is_broken
    }

    fn mark_left_behind(&mut self) -> io::Result<()> {
        self.is_broken = true;
        self.directory.mark_left_behind()
    }

    fn end(&mut self, last: u64, uptime: Duration) -> io::Result<()> {
        self.write()?;
        self.sync()?;
        if last != self.next.saturating_sub(1) {
            let what = format!("the log on disk ends at {}, not at {last}", self.next.saturating_sub(1));
            return self.broken(Err(io::Error::other(what)));
        }
        self.lives.state = State::Clean { last };
        self.lives.uptime = uptime;
        self.is_broken = true;
        self.directory.replace_lives(&self.lives)
    }
}
