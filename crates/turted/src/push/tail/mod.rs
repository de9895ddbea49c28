//! A source: lines that are appended to files.
//!
//! A scan decides what is there and what has changed, once a second. What the operating system tells of changes only
//! makes the next scan come sooner: it tells nothing of directories that are missing or made again, and of links.
//!
//! Each line is accepted before its end becomes the offset in the checkpoint, so after a kill a line comes again rather
//! than never.
//!
//! | file | what |
//! |---|---|
//! | `glob` | the files that patterns name |
//! | `file` | one file: whether it is still the same, and its bytes |
//! | `tracked` | one file that is being read |
//! | `files` | all files of a source: new, rotated, copied, gone |
//! | `wake` | what makes the next scan come sooner |
//! | `checkpoint` | how far each file was read, in `state_dir` |
//! | `tests` | what takes a minute in a server |

mod glob;
mod file;
mod tracked;
mod wake;
mod files;
mod checkpoint;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::checkpoint::{Checkpoint, StateDir};
use self::files::Files;
use self::tracked::LineEnd;
use self::wake::Wake;
use super::intake::{Message, Outcome, Status};
use super::source::{Connector, Failure, Feed};
use crate::config::{PushSource, SourceKind, TailSource};

/// Time between two scans.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two scans that changes make come sooner: a program that writes all the time does not keep a core busy.
const SCAN_PAUSE: Duration = Duration::from_millis(20);
/// Lines, and time, after which the offsets are written down: a kill has at most so many lines come again.
const CHECKPOINT_LINES: usize = 1_000;
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// The settings of one source, and its lock.
#[derive(Debug)]
pub(super) struct Tail {
    settings: TailSource,
    state: Arc<StateDir>,
    status: Arc<Status>,
    /// Where reading begins, as long as that could not be written down: what the next attempt would find at the end of a
    /// file is behind lines that came meanwhile.
    first: Option<Checkpoint>,
}

impl Tail {
    fn settings(source: &PushSource) -> Option<&TailSource> {
        match &source.kind {
            SourceKind::Tail(settings) => Some(settings),
            _ => None,
        }
    }
}

impl Connector for Tail {
    type Feed = TailFeed;

    fn open(source: &PushSource, status: &Arc<Status>) -> Option<Result<Self, Failure>> {
        let settings = Self::settings(source)?;
        let state = StateDir::lock(&settings.state_dir, &source.name).map(Arc::new);
        // A checkpoint that cannot be read is not to be found out later.
        let state = state.and_then(|state| state.read().map(|_| state));
        Some(state.map(|state| Self {
            settings: settings.clone(),
            state,
            status: Arc::clone(status),
            first: None,
        }))
    }

    async fn connect(&mut self) -> Result<TailFeed, Failure> {
        let read = self.state.read()?.or_else(|| self.first.take());
        let files = Files::new(&self.settings, read)?;
        let mut feed = TailFeed {
            files,
            wake: Wake::new(),
            state: Arc::clone(&self.state),
            status: Arc::clone(&self.status),
            scan_at: Instant::now(),
            written: Instant::now(),
            lines: 0,
        };
        feed.scan();
        // At once: a second first start would begin at the end again.
        if let Err(failure) = feed.write() {
            self.first = Some(feed.files.checkpoint());
            return Err(failure);
        }
        Ok(feed)
    }

    fn check(source: &PushSource) -> Option<impl Future<Output = Result<(), Failure>> + use<'_>> {
        let settings = Self::settings(source)?;
        Some(async move {
            checkpoint::check(&settings.state_dir)?;
            glob::check(&settings.paths)
        })
    }
}

/// The files of a source, being read.
#[derive(Debug)]
pub(super) struct TailFeed {
    files: Files,
    wake: Wake,
    state: Arc<StateDir>,
    status: Arc<Status>,
    /// When the next scan is due.
    scan_at: Instant,
    /// When the offsets were written down, and how many lines were settled since.
    written: Instant,
    lines: usize,
}

impl TailFeed {
    fn scan(&mut self) {
        // How many lines these were is not known.
        (0..self.files.scan()).for_each(|_| self.status.count_gap(0));
        self.wake.watch(self.files.directories());
        self.scan_at = Instant::now() + SCAN_INTERVAL;
        self.status.set_lag_bytes(self.files.lag());
    }

    fn write(&mut self) -> Result<(), Failure> {
        self.state.write(&self.files.checkpoint())?;
        (self.written, self.lines) = (Instant::now(), 0);
        Ok(())
    }

    fn is_checkpoint_due(&self) -> bool {
        let is_old = self.written.elapsed() >= CHECKPOINT_INTERVAL;
        self.lines >= CHECKPOINT_LINES || (is_old && self.has_news())
    }

    /// Whether something is to be written down.
    fn has_news(&self) -> bool {
        self.lines > 0 || self.files.has_changed()
    }

    /// Waits until a scan or a checkpoint is due. Cancel safe: lines that were read come again, because no offset moves
    /// before a line is settled.
    async fn rest(&mut self) {
        let checkpoint_at = self.written + CHECKPOINT_INTERVAL;
        let until = if self.has_news() { self.scan_at.min(checkpoint_at) } else { self.scan_at };
        let scanned = self.scan_at - SCAN_INTERVAL;
        tokio::select! {
            () = sleep_until(until) => {}
            () = self.wake.wait() => {
                sleep_until(until.min(scanned + SCAN_PAUSE)).await;
                self.scan_at = Instant::now();
            }
        }
    }
}

impl Feed for TailFeed {
    type Tag = LineEnd;

    async fn next(&mut self) -> Result<Vec<Message<LineEnd>>, Failure> {
        loop {
            if self.scan_at <= Instant::now() {
                self.scan();
            }
            let lines = self.files.read(CHECKPOINT_LINES - self.lines.min(CHECKPOINT_LINES - 1));
            // Without a line too if there is more to read: a stop is seen between two lists.
            if !lines.is_empty() || self.files.has_more() || self.is_checkpoint_due() {
                return Ok(lines);
            }
            self.rest().await;
        }
    }

    fn settle(&mut self, message: &Message<LineEnd>, _outcome: &Outcome) {
        self.files.settle(message.tag);
        self.lines += 1;
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.is_checkpoint_due() { self.write() } else { Ok(()) }
    }

    async fn close(mut self) -> Result<(), Failure> {
        self.write()
    }
}
