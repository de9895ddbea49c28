//! What waits for the disk: records in the order of their versions, and the clients that wait for them.
//!
//! A worker adds a record under the lock, which is never held while the disk is written, and goes on. Only the answer
//! to the client waits.

use std::fmt;
use std::mem;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use turted_core::record::frame;
use turted_core::record::session::{Change, SessionRecord};
use turted_core::session_key::SessionKey;

use crate::config::LogSync;
use crate::io::link::Link;

/// Bytes that may wait for the disk: a second of 100,000 changes, or some thousand of the largest. A client waits for
/// its change before it may send the next one, so a disk that is this far behind hangs.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// How long a stop waits for the disk: as long as for that of the log.
const END_WAIT_MAX: Duration = Duration::from_secs(5);
/// Room that is kept for the next records.
const ROOM_BYTES: usize = 64 << 10;

/// What is lost if a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Something that the session has from now on. Without it, its client hears less than it should.
    Adds,
    /// Something that the session had. Without it, its client hears what is not for it.
    TakesAway,
}

/// Comes when a change is recorded as safely as configured.
#[derive(Debug)]
#[must_use = "a client is answered when its change is recorded"]
pub(crate) struct Recorded {
    waits: Option<oneshot::Receiver<()>>,
    may_come_later: bool,
}

impl Recorded {
    /// Nothing has to be waited for.
    pub(crate) const NOW: Self = Self { waits: None, may_come_later: false };

    pub(super) fn when(recorded: oneshot::Receiver<()>) -> Self {
        Self { waits: Some(recorded), may_come_later: false }
    }

    /// The same for a change that is recorded in any case, if the server lives: its client is answered after a while.
    pub(super) fn or_later(recorded: oneshot::Receiver<()>) -> Self {
        Self { waits: Some(recorded), may_come_later: true }
    }

    /// Whether nothing has to be waited for.
    pub(crate) fn is_now(&self) -> bool {
        self.waits.is_none()
    }

    /// Whether the client is answered after a while although the change is not recorded yet.
    pub(crate) fn may_come_later(&self) -> bool {
        self.may_come_later
    }

    /// Waits. A change that the disk refused is not waited for: the session goes on in memory.
    pub(crate) async fn wait(self) {
        if let Some(recorded) = self.waits {
            // A sender that was dropped means the same as one that has sent.
            let _ = recorded.await;
        }
    }
}

/// By which a worker and the thread that writes wake each other.
pub(crate) type SessionsLink = Link<oneshot::Sender<()>>;

/// The other side of [`Recorded`], and the worker whose client waits for it.
type Receipt = (Option<Arc<SessionsLink>>, oneshot::Sender<()>);

/// Those who wait for the same write or sync. They go on when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Receipts(Vec<Receipt>);

impl Receipts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        // One without a link is dropped here, which means the same.
        Link::give_back(self.0.drain(..).filter_map(|(link, recorded)| Some((link?, recorded))));
    }
}

type Ask = Box<dyn Fn() -> bool + Send + Sync>;
type Stale = Box<dyn Fn() + Send + Sync>;

/// What waits for the disk.
pub(super) struct Journal {
    queue: Mutex<Queue>,
    filled: Condvar,
    pub(super) sync: LogSync,
    ask: OnceLock<Ask>,
    /// Told when what stands in the files is out of date and cannot be deleted.
    stale: OnceLock<Stale>,
    /// Is closed when the thread that writes has ended.
    ended: Mutex<Option<Receiver<()>>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Journal").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// The version of the last record.
    version: u64,
    batch: Batch,
    /// Why nothing is written.
    failure: Option<String>,
    /// Whether the thread that writes sleeps, and has to be woken.
    sleeps: bool,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Added {
    /// It will be written.
    ToBeWritten {
        /// Whether the thread that writes has to be woken for that.
        wakes: bool,
    },
    /// It will not: the session goes on in memory.
    Nothing,
}

/// What the writer takes at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) frames: Vec<u8>,
    /// Those who wait until the frames are written.
    pub(super) written: Receipts,
    /// Those who wait until they are synced.
    pub(super) synced: Receipts,
    /// All sessions stand in these and earlier frames of the current file.
    pub(super) has_noted_all: bool,
    /// The files are gone, and another one has to begin before the frames.
    pub(super) has_to_begin: bool,
    pub(super) is_last: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.has_noted_all && !self.has_to_begin && !self.is_last
    }
}

impl Journal {
    pub(super) fn new(sync: LogSync, version: u64) -> Self {
        Self {
            queue: Mutex::new(Queue { version, ..Queue::default() }),
            filled: Condvar::new(),
            sync,
            ask: OnceLock::new(),
            stale: OnceLock::new(),
            ended: Mutex::default(),
        }
    }

    /// Adds a record; the receipt comes when it is as safe as configured.
    pub(super) fn record(
        &self,
        key: SessionKey,
        effect: Effect,
        change: Change,
        link: Option<&Arc<SessionsLink>>,
    ) -> Recorded {
        let mut queue = self.queue();
        let Added::ToBeWritten { wakes } = queue.add(key, change) else { return Recorded::NOW };
        let is_synced = match self.sync {
            LogSync::Always => true,
            LogSync::Interval(_) => effect == Effect::TakesAway,
            LogSync::Never => false,
        };
        let (sender, recorded) = oneshot::channel();
        let receipt = (link.cloned(), sender);
        match is_synced {
            true => queue.batch.synced.0.push(receipt),
            false => queue.batch.written.0.push(receipt),
        }
        drop(queue);
        match link {
            Some(link) if wakes => link.ask(),
            None if wakes => self.wake(),
            _ => {}
        }
        Recorded::when(recorded)
    }

    /// Adds a record that nobody waits for.
    pub(super) fn note(&self, key: SessionKey, change: Change) {
        let added = self.queue().add(key, change);
        if (Added::ToBeWritten { wakes: true }) == added {
            self.wake();
        }
    }

    /// Wakes the thread that writes.
    pub(super) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Waits until there is something to write, or until `due`.
    pub(super) fn wait(&self, due: Option<Instant>) -> Batch {
        let mut queue = self.queue();
        while queue.sleep() {
            let Some(due) = due else {
                queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = self.filled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.take()
    }

    /// Gives a buffer back, so that the next batch need not grow its own.
    pub(super) fn give_back(&self, mut frames: Vec<u8>) {
        frames.clear();
        let mut queue = self.queue();
        if queue.batch.frames.capacity() == 0 && frames.capacity() <= 16 * ROOM_BYTES {
            queue.batch.frames = frames;
        }
    }

    /// Waits for the end, or until it is time to try the disk again: somebody says so, or it is `until`. Returns whether
    /// it is the end.
    pub(super) fn rest(&self, until: Instant) -> bool {
        let mut queue = self.queue();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let may_begin = std::mem::take(&mut queue.batch.has_to_begin);
            if queue.batch.is_last || may_begin || left.is_zero() {
                return queue.batch.is_last;
            }
            queue = self.filled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// From now on nothing is recorded, and nobody waits.
    pub(super) fn fail(&self, reason: String) {
        self.queue().fail(reason);
    }

    /// From now on changes are recorded again.
    pub(super) fn go_on(&self) {
        self.queue().failure = None;
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.queue().failure.clone()
    }

    pub(super) fn ask_by(&self, ask: Ask) {
        // Only the first start of workers counts; there is one.
        let _ = self.ask.set(ask);
    }

    pub(super) fn tell_stale_by(&self, tell: Stale) {
        // Only the first start counts; there is one.
        let _ = self.stale.set(tell);
    }

    /// What stands in the files is out of date and cannot be deleted.
    pub(super) fn is_stale(&self) {
        if let Some(tell) = self.stale.get() {
            tell();
        }
    }

    /// Asks for all sessions. Returns whether anything was asked.
    pub(super) fn ask(&self) -> bool {
        self.ask.get().is_some_and(|ask| ask())
    }

    /// The files of before are gone. What waits is not needed: all sessions will be noted.
    pub(super) fn begin_again(&self) {
        let mut queue = self.queue();
        queue.batch.frames.clear();
        (queue.batch.has_to_begin, queue.batch.has_noted_all) = (true, false);
        self.filled.notify_one();
    }

    pub(super) fn noted_all(&self) {
        let mut queue = self.queue();
        queue.batch.has_noted_all = queue.failure.is_none();
        self.filled.notify_one();
    }

    pub(super) fn will_end(&self, ended: Receiver<()>) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
    }

    /// Ends the thread that writes, when all is written and synced. Returns whether it is.
    pub(super) fn end(&self) -> bool {
        self.queue().batch.is_last = true;
        self.filled.notify_one();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = ended.map(|ended| ended.recv_timeout(END_WAIT_MAX));
        if ended == Some(Err(RecvTimeoutError::Timeout)) {
            tracing::error!("the disk does not answer: the last changes of sessions may be lost");
            return false;
        }
        self.failure().is_none()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn add(&mut self, key: SessionKey, change: Change) -> Added {
        if self.failure.is_some() || self.batch.is_last {
            return Added::Nothing;
        }
        self.version += 1;
        let record = SessionRecord { key, version: self.version, change };
        let frames = &mut self.batch.frames;
        if frame::append(frames, |body| record.put(body)).is_err() || frames.len() > WAITING_BYTES_MAX {
            self.fail("too many changes wait for the disk".to_owned());
            return Added::Nothing;
        }
        Added::ToBeWritten { wakes: mem::take(&mut self.sleeps) }
    }

    /// The thread that writes sleeps from now on, if there is nothing to write.
    fn sleep(&mut self) -> bool {
        self.sleeps = self.batch.is_empty() && self.failure.is_none();
        self.sleeps
    }

    fn take(&mut self) -> Batch {
        self.sleeps = false;
        let is_last = self.batch.is_last;
        // What comes after the end is refused, so that the last batch stays the last one.
        mem::replace(&mut self.batch, Batch { is_last, ..Batch::default() })
    }

    fn fail(&mut self, reason: String) {
        self.failure = Some(reason);
        // Dropping the receipts lets the clients go on.
        drop(self.take());
    }
}
