//! Threads beside the workers that end when they are told to, such as those of sources and hooks.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

/// Running threads of one kind. Dropping it tells them to stop.
#[derive(Debug)]
pub(crate) struct Threads {
    /// What they are, for operators.
    kind: &'static str,
    stop: DropGuard,
    stopping: CancellationToken,
    /// Every thread has a copy, which it drops when it ends.
    end: SyncSender<()>,
    /// Closed when the last thread has ended.
    ended: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// No thread yet.
    pub(crate) fn new(kind: &'static str) -> Self {
        let (stopping, (end, ended)) = (CancellationToken::new(), sync_channel(1));
        Self { kind, stop: stopping.clone().drop_guard(), stopping, end, ended, threads: Vec::new() }
    }

    /// Cancelled when the threads are to stop.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Starts one more.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(crate) fn spawn(&mut self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let end = self.end.clone();
        let work = move || {
            let _end = end;
            work();
        };
        let thread = thread::Builder::new().name(format!("turted-{}-{}", self.kind, self.threads.len()));
        self.threads.push(thread.spawn(work)?);
        Ok(())
    }

    /// Tells all of them to stop.
    pub(crate) fn begin_stop(&self) {
        self.stopping.cancel();
    }

    /// Stops all of them, and waits for their ends. A thread that hangs in the operating system does not keep the server for
    /// longer than `most`.
    pub(crate) async fn stop(self, most: Duration) {
        let Self { kind, stop, ended, threads, end, .. } = self;
        drop((stop, end));
        if threads.is_empty() {
            return;
        }
        let (sender, all_ended) = oneshot::channel();
        // A thread waits, because the runtime of a program that embeds the server may have no timer.
        let wait = move || {
            if ended.recv_timeout(most) == Err(RecvTimeoutError::Timeout) {
                return error!(kind, "a thread does not stop, and is left behind");
            }
            // They have ended, but for a few instructions. A panic was told.
            threads.into_iter().for_each(|thread| drop(thread.join()));
            // The server may have been dropped meanwhile.
            let _ = sender.send(());
        };
        match thread::Builder::new().name(format!("turted-{kind}-end")).spawn(wait) {
            // An error is the end of the thread without a message: another one was left behind.
            Ok(_) => drop(all_ended.await),
            Err(error) => error!(kind, %error, "cannot start a thread: the stop does not wait for others"),
        }
    }
}
