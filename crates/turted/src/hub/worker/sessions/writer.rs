//! The thread that writes sessions: takes all that waits, writes it at once, syncs it at once, and lets the clients
//! go on. It alone waits for the disk.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::files::Files;
use super::journal::{Batch, Journal};
use crate::config::LogSync;

/// How long a disk that failed is left alone.
const RETRY: Duration = Duration::from_secs(60);
/// How soon what nobody waits for is synced where all else is synced at once.
const IDLE_SYNC: Duration = Duration::from_secs(1);
/// How soon all sessions are asked for again if they could not be.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Writes what waits.
pub(super) struct Writer {
    journal: Arc<Journal>,
    files: Files,
    /// When what was written has to be synced.
    sync_due: Option<Instant>,
    /// When all sessions are asked for, if they were not yet.
    ask_due: Option<Instant>,
}

impl Writer {
    /// Starts the thread. It ends with [`Journal::end`].
    pub(super) fn start(journal: Arc<Journal>, files: Files) -> io::Result<()> {
        let writer = Self { journal: Arc::clone(&journal), files, sync_due: None, ask_due: None };
        let (end, ended) = sync_channel::<()>(1);
        let work = move || {
            let _end = end;
            writer.run();
        };
        thread::Builder::new().name("turted-sessions".to_owned()).spawn(work)?;
        journal.will_end(ended);
        Ok(())
    }

    /// Runs until the end, or until it panics: then too nobody waits for it any more.
    fn run(mut self) {
        loop {
            let mut batch = self.journal.wait(self.due());
            let done = match self.journal.failure() {
                Some(reason) => Err(io::Error::other(reason)),
                None => self.turn(&mut batch),
            };
            let is_over = match done {
                Ok(()) => batch.is_last,
                Err(error) => self.go_without(&error, batch),
            };
            if is_over {
                return;
            }
        }
    }

    /// When it has something to do without a batch.
    fn due(&self) -> Option<Instant> {
        self.sync_due.into_iter().chain(self.ask_due).min()
    }

    fn turn(&mut self, batch: &mut Batch) -> io::Result<()> {
        if batch.has_to_begin {
            self.files.begin_again()?;
            self.ask_due = Some(Instant::now());
        }
        self.files.append(&batch.frames)?;
        self.journal.give_back(mem::take(&mut batch.frames));
        // Dropping receipts lets their clients go on.
        drop(mem::take(&mut batch.written));
        let now = Instant::now();
        if !batch.synced.is_empty() || batch.is_last || self.sync_due.is_some_and(|due| due <= now) {
            self.files.sync()?;
        }
        drop(mem::take(&mut batch.synced));
        let interval = match self.journal.sync {
            LogSync::Always => Some(IDLE_SYNC),
            LogSync::Interval(interval) => Some(interval),
            LogSync::Never => None,
        };
        let due = interval.map(|interval| self.sync_due.filter(|due| *due > now).unwrap_or(now + interval));
        self.sync_due = due.filter(|_| self.files.is_dirty());
        if batch.has_noted_all {
            self.files.has_all()?;
        }
        if self.files.is_worn() {
            self.files.renew()?;
            self.ask_due = Some(now);
        }
        if self.ask_due.is_some_and(|due| due <= now) {
            self.ask_due = (!self.journal.ask()).then_some(now + ASK_AGAIN);
        }
        Ok(())
    }

    /// The disk failed: sessions go on in memory, and no later start may read what stands there. Tries the disk again
    /// from time to time. Returns whether the end came first.
    fn go_without(&mut self, error: &io::Error, batch: Batch) -> bool {
        tracing::error!(%error, "sessions are kept in memory alone: the directory of the log cannot be written");
        self.give_up();
        // The clients go on only now: one that has left a channel must not be found in it by a later start.
        drop(batch);
        self.journal.fail(error.to_string());
        while !self.journal.rest(Instant::now() + RETRY) {
            match self.files.begin_again() {
                Ok(()) => {
                    (self.sync_due, self.ask_due) = (None, Some(Instant::now()));
                    self.journal.go_on();
                    tracing::info!("sessions are written to disk again");
                    return false;
                }
                Err(error) => {
                    tracing::error!(%error, "sessions are still kept in memory alone");
                    self.give_up();
                }
            }
        }
        true
    }

    /// Deletes the files, or has the whole directory left behind.
    fn give_up(&mut self) {
        if let Err(error) = self.files.give_up() {
            tracing::warn!(%error, "sessions of before stand in the directory of the log and cannot be deleted");
            self.journal.is_stale();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if thread::panicking() {
            // Nothing is written any more, so what stands there is soon out of date.
            let _ = self.files.give_up();
            self.journal.fail("the thread that writes sessions panicked".to_owned());
        }
    }
}
