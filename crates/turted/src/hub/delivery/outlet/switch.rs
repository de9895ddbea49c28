//! How a stream of HTTP/2 ends from outside of its body.
//!
//! While the client has no window for what hyper took of a body already, hyper asks that body for nothing more.
//! So nothing inside a body can end a stream that is not read. The task of a stream can be dropped at any time:
//! h2 then resets the stream and forgets what it still holds of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use turted_core::limits::PROGRESS_BYTES;

tokio::task_local! {
    /// The switch of the stream of the current task.
    static CURRENT: Switch;
}

/// Ends one stream, and knows what its client has not taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switch(Arc<StreamState>);

#[derive(Debug, Default)]
struct StreamState {
    is_killed: AtomicBool,
    is_stalled: AtomicBool,
    /// Bytes that h2 holds.
    unsent: AtomicUsize,
    /// Bytes that have left; the count wraps around.
    sent: AtomicUsize,
    /// Only the task of the stream waits for it.
    changed: Notify,
}

/// Why a stream ends before its response does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Killed,
    Stalled,
}

/// Bytes in the hands of h2, which drops them when the last one has gone to the socket.
struct Tracked {
    bytes: Bytes,
    switch: Switch,
}

impl Switch {
    /// The switch of the stream that the current task serves.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Resets the stream.
    pub(crate) fn kill(&self) {
        self.0.is_killed.store(true, Ordering::Relaxed);
        self.0.changed.notify_one();
    }

    /// Makes the stream know when these bytes have left. A stream with such bytes has to make progress.
    pub(crate) fn track(&self, bytes: Bytes) -> Bytes {
        if self.0.unsent.fetch_add(bytes.len(), Ordering::Relaxed) == 0 {
            // The task had no bytes to wait for; from now on it waits for progress.
            self.0.changed.notify_one();
        }
        Bytes::from_owner(Tracked { bytes, switch: self.clone() })
    }

    /// Tracked bytes that have not left.
    pub(crate) fn unsent(&self) -> usize {
        self.0.unsent.load(Ordering::Relaxed)
    }

    /// Runs the task of a stream until it ends, is killed, or its client takes less than
    /// [`PROGRESS_BYTES`], and not all there is, within `stall`. Returns whether the client took too little.
    ///
    /// Every change wakes the task, which then polls the body again.
    pub(crate) async fn run(self, task: impl Future<Output = ()>, stall: Duration) -> bool {
        tokio::select! {
            biased;
            () = CURRENT.scope(self.clone(), task) => false,
            cut = self.cut(stall) => cut == Cut::Stalled,
        }
    }

    /// Waits until the stream has to end. Cancel safe.
    async fn cut(&self, stall: Duration) -> Cut {
        loop {
            if self.is_killed() {
                return Cut::Killed;
            }
            if self.unsent() == 0 {
                self.0.changed.notified().await;
            } else if !Box::pin(self.makes_progress(stall)).await {
                self.0.is_stalled.store(true, Ordering::Relaxed);
                return Cut::Stalled;
            }
        }
    }

    /// Waits for progress, for the end of what is unsent, or of the stream. On the heap, because most
    /// streams wait for nothing most of the time.
    async fn makes_progress(&self, stall: Duration) -> bool {
        let (due, sent) = (Instant::now() + stall, self.sent());
        loop {
            let in_time = timeout_at(due, self.0.changed.notified()).await.is_ok();
            let progress = self.sent().wrapping_sub(sent);
            if progress >= PROGRESS_BYTES || self.unsent() == 0 || self.is_killed() {
                return true;
            }
            if !in_time {
                return false;
            }
        }
    }

    /// Whether the stream ended because its client took too little.
    pub(crate) fn is_stalled(&self) -> bool {
        self.0.is_stalled.load(Ordering::Relaxed)
    }

    fn is_killed(&self) -> bool {
        self.0.is_killed.load(Ordering::Relaxed)
    }

    fn sent(&self) -> usize {
        self.0.sent.load(Ordering::Relaxed)
    }
}

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let state = &self.switch.0;
        state.unsent.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        state.sent.fetch_add(self.bytes.len(), Ordering::Relaxed);
        state.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const STALL: Duration = Duration::from_secs(10);
    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_it_is_killed_and_its_task_knows_its_switch() {
        let switch = Switch::default();
        let task = async {
            Switch::current().expect("it is a stream").kill();
            pending().await
        };
        assert!(Switch::current().is_none(), "no stream");
        assert!(!switch.run(task, LONG).await, "it did not stall");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_had_nothing_to_send_at_first_is_cut_too() {
        let task = async {
            tokio::time::sleep(STALL * 3).await;
            let unread = Switch::current().unwrap().track(Bytes::from_static(b"x"));
            pending::<()>().await;
            drop(unread);
        };
        assert!(Switch::default().run(task, STALL).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_client_takes_too_little_is_cut_and_an_idle_one_is_not() {
        for (taken, is_cut) in [(PROGRESS_BYTES, false), (PROGRESS_BYTES - 1, true), (20_001, false)] {
            let switch = Switch::default();
            let task = async {
                let own = Switch::current().unwrap();
                let bytes = own.track(Bytes::from(vec![0; taken]));
                let rest = own.track(Bytes::from(vec![0; 20_001 - taken]));
                assert_eq!(own.unsent(), 20_001);
                tokio::time::sleep(STALL / 2).await;
                drop(bytes);
                tokio::time::sleep(STALL * 4 / 5).await;
                drop(rest);
                tokio::time::sleep(STALL * 2).await;
            };
            assert_eq!(switch.run(task, STALL).await, is_cut, "{taken} bytes taken");
        }
    }
}
