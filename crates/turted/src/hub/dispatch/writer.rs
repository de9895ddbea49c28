//! The log writer: the one thread that writes pushes to disk, numbers them, and fills the inboxes.
//!
//! Pushes wait behind the lock of the order. The writer takes all that wait, writes them, and hands them over. So a push
//! is on disk before a client hears of it, pushes that wait share one sync, and no worker ever waits for a disk.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use std::{io, mem};

use tracing::error;
use turted_core::cursor::Cursor;
use turted_core::record::push::{Delivered, PushRecord, Record};

use crate::config::LogSync;
use crate::hub::dispatch::history::History;
use crate::hub::dispatch::inner::Inner;
use crate::hub::dispatch::log::Accepted;
use crate::hub::dispatch::log::clock::LogClock;
use crate::hub::dispatch::log::disk::history::{self, LeftHistory};
use crate::hub::dispatch::log::disk::{Anew, Directory, Store, StoreLimits, begin_anew, write_again};
use crate::hub::dispatch::log::health::LogHealth;
use crate::hub::dispatch::order::Order;
use crate::hub::dispatch::queue::{BUSY_MAX, Batch, Counts, Queue, Waiting};
use crate::hub::dispatch::receipt::{DispatchRefusal, Unsettled};

/// Time between two attempts to mark a directory as left behind. Pushes are refused meanwhile.
const MARK_PAUSE: Duration = Duration::from_secs(1);
/// Time between two attempts to write the log anew.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);
/// How long the end of a server waits until the history of channels is written.
const HISTORY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time between two looks at what is due.
const ROUND: Duration = Duration::from_secs(1);

/// What the writer is given at a start.
pub(crate) struct WriterParts {
    /// An error if the disk failed at the start, and the directory is marked as left behind.
    pub(crate) store: io::Result<Box<dyn Store>>,
    pub(crate) settings: WriterSettings,
}

/// How the log is written, and where anew.
pub(crate) struct WriterSettings {
    /// Where the log is written anew after the disk has failed.
    pub(crate) directory: Option<(Arc<Directory>, StoreLimits)>,
    pub(crate) sync: LogSync,
    /// Whether pushes are refused while the disk takes nothing.
    pub(crate) required: bool,
    pub(crate) clock: LogClock,
    /// Told when the log was written anew: what else stood in the directory is deleted.
    pub(crate) renewed: Box<dyn Fn() + Send>,
}

/// The writer, on its thread.
pub(super) struct Writer {
    inner: Arc<Inner>,
    /// `None` if the directory was marked as left behind at the start.
    store: Option<Box<dyn Store>>,
    settings: WriterSettings,
    health: Arc<LogHealth>,
    state: State,
    /// Why the directory is left behind.
    reason: String,
    /// When what was written has to be synced.
    sync_due: Option<Instant>,
    /// When to look at what else is due.
    round_due: Instant,
}

/// Where pushes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    OnDisk,
    /// The directory cannot be marked as left behind: pushes are refused until it is.
    Unmarked {
        retry: Instant,
    },
    /// The directory is left behind. Pushes go on in memory, or are refused if the log on disk is required.
    Left {
        retry: Instant,
    },
}

/// What is left to do when all that could still be recorded is recorded: the clean end of the log.
pub(crate) struct Ending {
    store: Box<dyn Store>,
    next: Cursor,
    clock: LogClock,
    /// What history has, and where it is written.
    history: Option<(LeftHistory, Arc<Directory>)>,
}

impl Ending {
    /// Marks the log as one that ended in good order, then writes the history of channels. If the disk fails or does not
    /// answer, the next start takes this end for a kill, or has no more history than the log.
    pub(crate) fn end(mut self) {
        let (end, ended) = sync_channel::<()>(1);
        let mark = move || {
            let (last, uptime) = (self.next.sequence - 1, self.clock.uptime());
            if let Err(error) = self.store.end(last, uptime) {
                error!(%error, "the log has no clean end");
                return;
            }
            // It is gone if nobody waits any more.
            let _ = end.send(());
            let Some((left, directory)) = &self.history else { return };
            let written = history::write(directory, (self.next.epoch, last), (left, self.clock));
            if let Err(error) = written {
                error!(%error, "the history of channels is not kept");
            }
        };
        if thread::Builder::new().name("turted-log-end".to_owned()).spawn(mark).is_err() {
            return;
        }
        match ended.recv_timeout(BUSY_MAX) {
            Ok(()) if ended.recv_timeout(HISTORY_WAIT_MAX) == Err(RecvTimeoutError::Timeout) => {
                error!("the disk does not answer: the history of channels is not kept");
            }
            Err(RecvTimeoutError::Timeout) => error!("the disk does not answer: the log has no clean end"),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// The end of the writer, which comes after a stop, when nothing waits any more.
#[derive(Debug)]
pub(crate) struct WriterEnd(Receiver<Option<Ending>>);

impl WriterEnd {
    /// Waits for it, on this thread. `None` if there is no clean end: the log is not on disk any more, or the disk does not
    /// answer.
    pub(crate) fn wait(self) -> Option<Ending> {
        let ended = self.0.recv_timeout(BUSY_MAX);
        if ended.is_err() {
            error!("the disk does not answer: the log has no clean end");
        }
        ended.ok().flatten()
    }
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(inner: Arc<Inner>, parts: WriterParts) -> io::Result<WriterEnd> {
        let (end, ended) = sync_channel(1);
        let WriterParts { store, settings } = parts;
        let health = Arc::clone(&inner.health);
        let state = match &store {
            Ok(_) => State::OnDisk,
            Err(_) => State::Left { retry: Instant::now() + RENEWAL_PAUSE },
        };
        match &store {
            Ok(_) => health.is_on_disk(),
            Err(error) if settings.required => health.is_refusing(error),
            Err(error) => health.is_left(error),
        }
        inner.order().queue = Some(Queue::new(store.is_err() && settings.required));
        let (reason, round_due) = (String::new(), Instant::now() + ROUND);
        let store = store.ok();
        let writer = Self { inner, store, settings, health, state, reason, sync_due: None, round_due };
        thread::Builder::new().name("turted-log".to_owned()).spawn(move || writer.run(&end))?;
        Ok(WriterEnd(ended))
    }

    fn run(mut self, end: &SyncSender<Option<Ending>>) {
        while let Some(batch) = self.next_batch() {
            self.take(batch);
            self.do_what_is_due();
        }
        let is_on_disk = self.state == State::OnDisk;
        let (next, left) = {
            let mut order = self.inner.order();
            order.close();
            self.inner.queued.notify_all();
            (order.log.next(), order.history.as_ref().filter(|_| is_on_disk).map(History::left))
        };
        let WriterSettings { clock, directory, .. } = self.settings;
        let history = left.zip(directory.map(|(directory, _)| directory));
        let ending = self.store.filter(|_| is_on_disk).map(|store| Ending { store, next, clock, history });
        // A server that is dropped does not wait for the end.
        let _ = end.send(ending);
    }

    /// Waits for pushes, or until something is due. `None` after a stop, when nothing waits.
    fn next_batch(&mut self) -> Option<Batch> {
        let due = self.sync_due.map_or(self.round_due, |sync| sync.min(self.round_due));
        let most = due.saturating_duration_since(Instant::now());
        let order = self.inner.order();
        let waited = self.inner.queued.wait_timeout_while(order, most, Order::lets_writer_sleep);
        let mut order = waited.unwrap_or_else(PoisonError::into_inner).0;
        if order.queue_mut().was_told_to_leave() {
            self.round_due = Instant::now();
        }
        let batch = order.queue_mut().take();
        let is_over = order.stopped && batch.is_empty();
        (!is_over).then_some(batch)
    }

    fn take(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let written = match self.state {
            State::OnDisk => self.write(&batch),
            State::Left { .. } if !self.settings.required => Ok(()),
            State::Left { .. } | State::Unmarked { .. } => return self.refuse(batch),
        };
        match written {
            Ok(()) => self.hand_over(batch),
            Err(error) => self.fail(batch, &error),
        }
    }

    /// Writes a batch, so that it is as safe as the log is configured to be.
    fn write(&mut self, Batch { pushes, counts }: &Batch) -> io::Result<()> {
        let uptime = self.settings.clock.uptime();
        // Only this thread appends to the log.
        let mut first = self.inner.order().log.next().sequence;
        let store = self.store.as_mut().ok_or_else(given_up)?;
        for Counts { first, delivered } in counts {
            let record = Record::Delivered(Delivered { first: *first, uptime, counts: delivered });
            store.add(record).map_err(io::Error::other)?;
        }
        for Waiting { push, key, .. } in pushes {
            let (key, dispatches) = (key.as_ref().map(|key| key.as_record()), &push.dispatches);
            let record = Record::Push(PushRecord { first, uptime, synced: 0, key, dispatches });
            store.add(record).map_err(io::Error::other)?;
            first += dispatches.len() as u64;
        }
        store.write()?;
        match self.settings.sync {
            LogSync::Always => self.sync()?,
            LogSync::Interval(interval) => {
                self.sync_due.get_or_insert_with(|| Instant::now() + interval);
            }
            LogSync::Never => {}
        }
        self.health.written(pushes.len());
        self.health.is_on_disk();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_due = None;
        self.store.as_mut().ok_or_else(given_up)?.sync()?;
        self.health.synced();
        Ok(())
    }

    /// Numbers the pushes of a batch and hands them over.
    fn hand_over(&self, batch: Batch) {
        let now = Instant::now();
        let pushes = batch.pushes.into_iter().map(|waiting| (waiting.unsettled, waiting.push));
        let settled = {
            let mut order = self.inner.order();
            let settled = order.hand_over_all(pushes, now);
            order.queue_mut().done();
            settled
        };
        Unsettled::settle_all(settled.into_iter().map(|(unsettled, positions)| (unsettled, Ok(positions))));
    }

    /// The disk took nothing of a batch, or cannot be trusted to have it.
    fn fail(&mut self, batch: Batch, error: &io::Error) {
        let is_broken = self.store.as_ref().is_none_or(|store| store.is_broken());
        if self.settings.required && !is_broken {
            self.health.is_refusing(error);
            return self.refuse(batch);
        }
        self.leave(error);
        let must_go_on =
            !self.settings.required || self.store.as_ref().is_some_and(|store| store.has_uncut());
        match self.state {
            State::Left { .. } if must_go_on => self.hand_over(batch),
            _ => self.refuse(batch),
        }
    }

    /// Goes on without the disk, once the directory is marked so that no later start takes it for whole.
    fn leave(&mut self, error: &io::Error) {
        self.sync_due = None;
        self.reason = error.to_string();
        let marked = self.store.as_mut().map_or(Ok(()), |store| store.mark_left_behind());
        let now = Instant::now();
        if let Err(unmarked) = marked {
            let unmarked = format!("{error}; and the directory cannot be marked as left behind: {unmarked}");
            self.health.is_refusing(&unmarked);
            self.state = State::Unmarked { retry: now + MARK_PAUSE };
            self.inner.order().queue_mut().is_refusing = true;
            return;
        }
        self.state = State::Left { retry: now + RENEWAL_PAUSE };
        self.inner.begin_epoch();
        self.has_left();
        self.inner.order().queue_mut().is_refusing = self.settings.required;
        if self.settings.required {
            self.health.is_refusing(error);
        } else {
            self.health.is_left(error);
        }
    }

    /// Tells those that wait for it that the directory is left behind.
    fn has_left(&self) {
        self.inner.order().queue_mut().has_left();
        self.inner.queued.notify_all();
    }

    fn refuse(&self, batch: Batch) {
        self.inner.order().queue_mut().done();
        let refused = |waiting: Waiting| (waiting.unsettled, Err(DispatchRefusal::LogUnavailable));
        Unsettled::settle_all(batch.pushes.into_iter().map(refused));
    }

    /// What comes with time: a sync, files to be deleted, another attempt.
    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if now < self.round_due && self.sync_due.is_none_or(|due| now < due) {
            return;
        }
        self.round_due = now + ROUND;
        // A disk may hang in any of it.
        self.inner.order().queue_mut().begin();
        match self.state {
            State::OnDisk => match self.sync_and_forget(now) {
                Ok(()) => self.health.answers(),
                Err(error) => self.fail(Batch::default(), &error),
            },
            State::Unmarked { retry } if retry <= now => {
                let reason = mem::take(&mut self.reason);
                self.leave(&io::Error::other(reason));
            }
            State::Left { retry } if retry <= now => self.renew(),
            State::Unmarked { .. } => self.health.remind(),
            State::Left { .. } => {
                self.has_left();
                self.health.remind();
            }
        }
        self.inner.order().queue_mut().done();
    }

    fn sync_and_forget(&mut self, now: Instant) -> io::Result<()> {
        if self.inner.order().queue_mut().must_leave() {
            self.store.as_mut().ok_or_else(given_up)?.give_up();
            return Err(io::Error::other(
                "the sessions beside the log are out of date and cannot be deleted",
            ));
        }
        if self.sync_due.is_some_and(|due| due <= now) {
            self.sync()?;
        }
        let (first, uptime) = (self.inner.order().log.first(), self.settings.clock.uptime());
        self.store.as_mut().ok_or_else(given_up)?.forget_before(first, uptime)
    }

    /// Writes what the log in memory keeps into the directory that was left behind.
    fn renew(&mut self) {
        match self.write_anew() {
            Ok(store) => {
                self.store = Some(store);
                self.state = State::OnDisk;
                self.inner.order().queue_mut().is_refusing = false;
                self.health.is_on_disk();
                (self.settings.renewed)();
            }
            Err(_) => {
                self.state = State::Left { retry: Instant::now() + RENEWAL_PAUSE };
                self.health.remind();
            }
        }
    }

    fn write_anew(&self) -> io::Result<Box<dyn Store>> {
        let (directory, limits) = self.settings.directory.as_ref().ok_or_else(given_up)?;
        // A new epoch each time: files of an attempt that failed have the name of theirs.
        self.inner.begin_epoch();
        let (kept, first) = {
            let order = self.inner.order();
            (order.log.kept(), order.log.first())
        };
        let (clock, sync) = (self.settings.clock, self.settings.sync);
        let epochs = self.inner.epochs().clone();
        let anew = Anew { epochs, first, uptime: clock.uptime(), sync, limits: *limits };
        let accepted = |kept: &Accepted| clock.uptime().saturating_sub(kept.age());
        let store = begin_anew(directory, anew, |store| {
            write_again(store, kept.iter().map(|kept| (kept.sequence(), &kept.dispatch, accepted(kept))))
        })?;
        Ok(Box::new(store))
    }
}

fn given_up() -> io::Error {
    io::Error::other("the log on disk is given up")
}

#[cfg(test)]
mod tests;
