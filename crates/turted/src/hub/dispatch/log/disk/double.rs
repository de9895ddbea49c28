//! A store for tests that writes nothing: as slow as a test wants, and failing when it says so.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use turted_core::record::frame::TooLong;
use turted_core::record::push::Record;

use super::Store;

/// The store. Its clones are the same one, so that a test keeps one and gives the other away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Double(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    write_wait: Duration,
    /// One write in so many takes that time.
    slow_writes: usize,
    sync_wait: Duration,
    failure: Option<ErrorKind>,
    mark_failure: Option<ErrorKind>,
    is_broken: bool,
    has_uncut: bool,
    seen: Seen,
    added: Numbers,
}

/// What was asked of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The last number that was written, and that was synced.
    pub(crate) written: u64,
    pub(crate) synced: u64,
    pub(crate) pushes: usize,
    pub(crate) keys: usize,
    pub(crate) writes: usize,
    pub(crate) syncs: usize,
    /// The first number that is needed.
    pub(crate) first: u64,
    pub(crate) is_left_behind: bool,
    pub(crate) ended_at: Option<u64>,
}

#[derive(Debug, Default)]
struct Numbers {
    last: Option<u64>,
    pushes: usize,
    keys: usize,
}

impl Double {
    /// One whose every write and sync takes so long: a disk that is slow for 50 ms, say.
    pub(crate) fn slow(write_wait: Duration, sync_wait: Duration) -> Self {
        let double = Self::default();
        (double.state().write_wait, double.state().sync_wait) = (write_wait, sync_wait);
        double
    }

    /// One of which one write in so many takes so long.
    pub(crate) fn slow_at_times(slow_writes: usize, write_wait: Duration) -> Self {
        let double = Self::slow(write_wait, Duration::ZERO);
        double.state().slow_writes = slow_writes;
        double
    }

    /// From now on writes and syncs fail so, or succeed again. After a sync that failed the store is broken. Deleting goes
    /// well: it comes at a time that a test does not know.
    pub(crate) fn fail(&self, failure: Option<ErrorKind>) {
        self.state().failure = failure;
    }

    /// From now on the mark cannot be set, or can be set again.
    pub(crate) fn fail_mark(&self, failure: Option<ErrorKind>) {
        self.state().mark_failure = failure;
    }

    /// What fails from now on stands on the disk all the same.
    pub(crate) fn leave_uncut(&self) {
        self.state().has_uncut = true;
    }

    /// From now on it cannot be known what stands on the disk.
    pub(crate) fn break_down(&self) {
        self.state().is_broken = true;
    }

    /// What was asked so far.
    pub(crate) fn seen(&self) -> Seen {
        self.state().seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits without the lock, so that a test can look meanwhile.
    #[expect(clippy::disallowed_methods, reason = "a slow disk blocks the thread that writes to it")]
    fn take_time(&self, wait: impl FnOnce(&State) -> Duration) {
        let wait = wait(&self.state());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
    }

    fn fails(&self) -> io::Result<()> {
        self.state().failure.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Store for Double {
    fn add(&mut self, record: Record<'_>) -> Result<(), TooLong> {
        let added = &mut self.state().added;
        if let Record::Push(push) = record {
            added.last = Some((push.first + push.dispatches.len() as u64).saturating_sub(1));
            added.pushes += 1;
            added.keys += usize::from(push.key.is_some());
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.take_time(|state| match state.seen.writes % state.slow_writes.max(1) {
            0 => state.write_wait,
            _ => Duration::ZERO,
        });
        let added = std::mem::take(&mut self.state().added);
        self.fails()?;
        let seen = &mut self.state().seen;
        seen.written = added.last.unwrap_or(seen.written);
        seen.pushes += added.pushes;
        seen.keys += added.keys;
        seen.writes += 1;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.take_time(|state| state.sync_wait);
        let synced = self.fails();
        self.state().is_broken |= synced.is_err();
        synced?;
        let seen = &mut self.state().seen;
        seen.synced = seen.written;
        seen.syncs += 1;
        Ok(())
    }

    fn has_uncut(&self) -> bool {
        self.state().has_uncut
    }

    fn give_up(&mut self) {
        self.state().is_broken = true;
    }

    fn is_broken(&self) -> bool {
        self.state().is_broken
    }

    fn forget_before(&mut self, first: u64, _uptime: Duration) -> io::Result<()> {
        self.state().seen.first = first;
        Ok(())
    }

    fn mark_left_behind(&mut self) -> io::Result<()> {
        let state = &mut self.state();
        if let Some(kind) = state.mark_failure {
            return Err(kind.into());
        }
        state.seen.is_left_behind = true;
        Ok(())
    }

    fn end(&mut self, last: u64, _uptime: Duration) -> io::Result<()> {
        self.write()?;
        self.sync()?;
        self.state().seen.ended_at = Some(last);
        Ok(())
    }
}
