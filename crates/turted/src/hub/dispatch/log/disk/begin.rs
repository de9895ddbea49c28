//! A start, second half: the epoch and the first file of the new life; and a log that is written anew.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use turted_core::dispatch::Dispatch;
use turted_core::epochs::{Epoch, Epochs};
use turted_core::record::push::{KeyRecord, NUMBER_MAX, PushKey, PushRecord, Record};

use super::deleted::{self, Deleted};
use super::directory::{self, Directory};
use super::history;
use super::lives::{Lives, State};
use super::read::ReadDispatch;
use super::segment::Segment;
use super::start::Opening;
use super::store::DiskStore;
use super::{Found, FoundDispatch, FoundHistory, FoundKey, Store, StoreLimits, Verdict};
use crate::config::LogSync;

/// A new epoch begins so far above the highest number that was found. What was given out and is not found any more is
/// less: at a million dispatches a second it would be an hour of them.
const NEW_EPOCH_DISTANCE: u64 = 1 << 32;

/// Former lives whose files the log may have. With more of them, after a crash in a loop, the log is written anew.
const CHAIN_MAX: usize = 64;

/// Dispatches that are written anew at once.
const REWRITE_DISPATCHES: usize = 256;

/// A life that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The directory, also for the session writer.
    pub(crate) directory: Arc<Directory>,
    /// What was found, with the epoch of the new life.
    pub(crate) found: Found,
    /// The log on disk. If the disk fails, the log goes on in memory, once [`Directory::mark_left_behind`] has succeeded.
    pub(crate) store: io::Result<DiskStore>,
}

impl Opening {
    /// Begins a life with the epoch `fresh`, a random number. `sessions` is the highest number in the files of sessions.
    ///
    /// What was read is synced first: a former process may have been told by the kernel that it could not be.
    pub(crate) fn begin(mut self, fresh: u32, sessions: u64) -> Begun {
        let epochs = self.next_epochs(fresh, sessions);
        let mut found = self.found(epochs);
        let store = match self.verdict {
            Verdict::Continued => self.go_on(&mut found),
            Verdict::Empty | Verdict::NewEpoch(_) => self.begin_empty(&found),
        };
        Begun { directory: self.directory, found, store }
    }

    /// The epochs whose positions are known from now on.
    fn next_epochs(&self, fresh: u32, sessions: u64) -> Epochs {
        let known = self.lives.as_ref().map(|lives| &lives.epochs);
        let epoch = known.map_or(fresh, |known| known.unused(fresh)).into();
        match (self.verdict, known) {
            (Verdict::Continued, Some(known)) => {
                let mut epochs = known.clone();
                epochs.begin(Epoch { epoch, after: self.last().max(known.current().after) });
                epochs
            }
            (Verdict::Empty, _) => Epochs::new(Epoch { epoch, after: 0 }),
            _ => {
                let clean = match self.lives.as_ref().map(|lives| lives.state) {
                    Some(State::Clean { last }) => last,
                    _ => 0,
                };
                let before = known.map_or(0, |known| known.current().after);
                // A number above the half is none that a server gave out.
                let highest = self.reading.highest.max(sessions).max(before).max(clean).min(NUMBER_MAX / 2);
                Epochs::new(Epoch { epoch, after: highest + NEW_EPOCH_DISTANCE })
            }
        }
    }

    /// The number of the last dispatch that was read.
    fn last(&self) -> u64 {
        self.reading.next.map_or(0, |next| next.saturating_sub(1))
    }

    /// The history that the last life left, if it ended where the log goes on.
    fn history(&self, warnings: &mut Vec<String>) -> Option<FoundHistory> {
        let lives = self.lives.as_ref().filter(|_| self.verdict == Verdict::Continued)?;
        let State::Clean { last } = lives.state else { return None };
        let ended = Epoch { epoch: lives.current().epoch, after: last };
        let read = history::read(&self.directory, (ended, lives.uptime));
        read.unwrap_or_else(|error| {
            warnings.push(format!(
                "the history of channels that the last server left cannot be read, so that it begins with the log: {error}"
            ));
            None
        })
    }

    /// What was deleted from history, of what the log has.
    fn deleted(&self, warnings: &mut Vec<String>) -> Vec<Deleted> {
        let first = match self.verdict {
            Verdict::Continued => self.reading.dispatches.front().map(|first| first.sequence),
            Verdict::Empty | Verdict::NewEpoch(_) => None,
        };
        let kept = first.map(|first| first..=self.last());
        deleted::take_over(&self.directory, kept.as_ref()).unwrap_or_else(|error| {
            warnings.push(format!(
                "what was deleted from the history of channels cannot be read, so that it comes back as far as the log has it: {error}"
            ));
            Vec::new()
        })
    }

    fn found(&mut self, epochs: Epochs) -> Found {
        let uptime = self.reading.uptime;
        let mut warnings = self.directory.warnings();
        let history = self.history(&mut warnings);
        let deleted = self.deleted(&mut warnings);
        let keys = self.reading.keys();
        let dispatches = match self.verdict {
            Verdict::Continued => std::mem::take(&mut self.reading.dispatches),
            // Their positions are gaps now.
            Verdict::Empty | Verdict::NewEpoch(_) => VecDeque::new(),
        };
        let found = |ReadDispatch { sequence, dispatch, uptime: at }| FoundDispatch {
            sequence,
            dispatch,
            age: uptime.saturating_sub(at),
        };
        Found {
            last: epochs.current().after,
            epochs,
            dispatches: dispatches.into_iter().map(found).collect(),
            history,
            deleted,
            keys,
            uptime,
            verdict: self.verdict,
            is_session_whole: self.is_session_whole(),
            warnings,
        }
    }

    fn go_on(&mut self, found: &mut Found) -> io::Result<DiskStore> {
        let mut segments = std::mem::take(&mut self.reading.segments);
        self.make_whole(&mut segments)?;
        let former: BTreeSet<u64> = segments.iter().map(|segment| segment.file.epoch).collect();
        if former.len() >= CHAIN_MAX {
            return self.write_anew(found);
        }
        let known = self.lives.as_ref().map_or(&[][..], |lives| &lives.chain);
        let mut chain: Vec<_> = known.iter().copied().filter(|epoch| former.contains(epoch)).collect();
        chain.push(found.epochs.current().epoch);
        let mut store = self.create(found, chain, found.last + 1)?;
        store.take_over(segments);
        self.announce(store)
    }

    /// Cuts torn ends and syncs all files that the log goes on with.
    fn make_whole(&self, segments: &mut VecDeque<Segment>) -> io::Result<()> {
        for (file, at) in &self.cuts {
            if *at == 0 {
                self.directory.remove(*file)?;
                segments.retain(|segment| segment.file != *file);
            } else {
                OpenOptions::new().write(true).open(self.directory.push_path(*file))?.set_len(*at)?;
            }
        }
        for segment in segments.iter() {
            File::open(self.directory.push_path(segment.file))?.sync_all()?;
        }
        self.directory.sync()
    }

    /// Begins with the keys alone. On a full disk the files of former lives make room: they only have gaps.
    fn begin_empty(&self, found: &Found) -> io::Result<DiskStore> {
        let error = match self.try_begin_empty(found) {
            Err(error) if error.kind() == ErrorKind::StorageFull => error,
            begun => return begun,
        };
        if self.directory.mark_left_behind().is_err() {
            return Err(error);
        }
        remove_others(&self.directory, &[]);
        self.try_begin_empty(found)
    }

    fn try_begin_empty(&self, found: &Found) -> io::Result<DiskStore> {
        let mut store = self.create(found, vec![found.epochs.current().epoch], found.last + 1)?;
        let written = put_keys(&mut store, found);
        self.announce(abandon_unless(written, store)?)
    }

    fn write_anew(&self, found: &Found) -> io::Result<DiskStore> {
        let first = found.dispatches.first().map_or(found.last + 1, |dispatch| dispatch.sequence);
        let mut store = self.create(found, vec![found.epochs.current().epoch], first)?;
        let accepted = |kept: &FoundDispatch| found.uptime.saturating_sub(kept.age);
        let kept = found.dispatches.iter().map(|kept| (kept.sequence, &kept.dispatch, accepted(kept)));
        let written = write_again(&mut store, kept).and_then(|()| put_keys(&mut store, found));
        self.announce(abandon_unless(written, store)?)
    }

    fn create(&self, found: &Found, chain: Vec<u64>, first: u64) -> io::Result<DiskStore> {
        let lives = Lives {
            epochs: found.epochs.clone(),
            chain,
            boot: self.boot.clone(),
            sync: self.sync,
            state: State::Open,
            uptime: found.uptime,
        };
        DiskStore::create(Arc::clone(&self.directory), lives, first, self.limits)
    }

    fn announce(&self, mut store: DiskStore) -> io::Result<DiskStore> {
        let announced = store.announce();
        let store = abandon_unless(announced, store)?;
        remove_others(&self.directory, store.chain());
        history::remove(&self.directory);
        Ok(store)
    }
}

/// What a log that is written anew begins with.
#[derive(Debug)]
pub(crate) struct Anew {
    /// The epochs of the log in memory. The last one must have begun after the disk failed.
    pub(crate) epochs: Epochs,
    /// The number of the first dispatch that is written.
    pub(crate) first: u64,
    pub(crate) uptime: Duration,
    pub(crate) sync: LogSync,
    pub(crate) limits: StoreLimits,
}

/// Writes the log into a directory that was left behind: `fill` adds and writes what the log in memory keeps. Until all
/// of it is synced the directory stays left behind. Files of sessions are removed: the session writer begins anew too. If
/// the disk is full, former push files make room, and `fill` is called again.
///
/// # Errors
/// The disk fails still.
pub(crate) fn begin_anew(
    directory: &Arc<Directory>,
    anew: Anew,
    mut fill: impl FnMut(&mut dyn Store) -> io::Result<()>,
) -> io::Result<DiskStore> {
    for file in directory.session_files()? {
        fs::remove_file(file)?;
    }
    match try_begin_anew(directory, &anew, &mut fill) {
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            remove_others(directory, &[]);
            try_begin_anew(directory, &anew, &mut fill)
        }
        begun => begun,
    }
}

fn try_begin_anew(
    directory: &Arc<Directory>,
    anew: &Anew,
    fill: &mut impl FnMut(&mut dyn Store) -> io::Result<()>,
) -> io::Result<DiskStore> {
    let Anew { epochs, first, uptime, sync, limits } = anew;
    let (epochs, chain) = (epochs.clone(), vec![epochs.current().epoch]);
    let (boot, sync) = (directory::boot_id(), (*sync).into());
    let lives = Lives { epochs, chain, boot, sync, state: State::Open, uptime: *uptime };
    let mut store = DiskStore::create(Arc::clone(directory), lives, *first, *limits)?;
    let filled = fill(&mut store).and_then(|()| store.write()).and_then(|()| store.announce());
    let store = abandon_unless(filled, store)?;
    remove_others(directory, store.chain());
    Ok(store)
}

/// The store, or nothing of it if it could not begin.
fn abandon_unless(written: io::Result<()>, mut store: DiskStore) -> io::Result<DiskStore> {
    match written {
        Ok(()) => Ok(store),
        Err(error) => {
            store.abandon();
            Err(error)
        }
    }
}

/// Removes the push files of lives that the log does not have. What stays is tried again by the next start.
fn remove_others(directory: &Directory, chain: &[u64]) {
    let Ok(listing) = directory.list() else { return };
    for file in listing.pushes.into_iter().filter(|file| !chain.contains(&file.epoch)) {
        let _stays = directory.remove(file);
    }
}

/// Writes dispatches of before, each as a push by itself: its number, and the uptime at which it was accepted.
///
/// # Errors
/// The disk fails.
pub(crate) fn write_again<'a>(
    store: &mut dyn Store,
    dispatches: impl Iterator<Item = (u64, &'a Dispatch, Duration)>,
) -> io::Result<()> {
    for (place, (first, dispatch, uptime)) in dispatches.enumerate() {
        let dispatches = std::slice::from_ref(dispatch);
        let push = PushRecord { first, uptime, synced: 0, key: None, dispatches };
        store.add(Record::Push(push)).map_err(io::Error::other)?;
        if place % REWRITE_DISPATCHES == REWRITE_DISPATCHES - 1 {
            store.write()?;
        }
    }
    store.write()
}

fn put_keys(store: &mut DiskStore, found: &Found) -> io::Result<()> {
    for FoundKey { owner, key, body, answer, first, count, delivered, age } in &found.keys {
        let key = PushKey { owner, key, body: *body, answer: *answer };
        let uptime = found.uptime.saturating_sub(*age);
        let record = KeyRecord { key, first: *first, count: *count, uptime, delivered: delivered.as_deref() };
        store.add(Record::Key(record)).map_err(io::Error::other)?;
    }
    store.write()
}
