//! Tasks of one thread: counted, so that the thread can wait for them, and ended with the server.

use std::time::{Duration, Instant};

use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs tasks on this thread's runtime. Cheap to clone; every clone counts the same tasks.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    ending: CancellationToken,
}

impl Tasks {
    /// Tasks of a thread that gives up waiting when `ending` is cancelled.
    pub(crate) fn new(ending: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), ending }
    }

    /// Runs a task; [`finish`](Self::finish) waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tracker.spawn_local(task);
    }

    /// Runs a task until it is done, or the server ends.
    pub(crate) fn spawn_until_end(&self, task: impl Future + 'static) {
        let own = self.clone();
        self.spawn(async move {
            let _ = own.until_end(task).await;
        });
    }

    /// Waits for something, but no longer than the server runs. As cancel safe as what is waited for.
    pub(crate) async fn until_end<T>(&self, waited_for: impl Future<Output = T>) -> Option<T> {
        self.ending.run_until_cancelled(waited_for).await
    }

    /// How many tasks run.
    pub(crate) fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until no task runs any more. Cancel safe.
    pub(crate) async fn finish(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Calls `forget` at each interval until the end, and again as long as it says that it has more to forget.
pub(crate) async fn every(interval: Duration, ending: CancellationToken, forget: impl Fn(Instant) -> bool) {
    while ending.run_until_cancelled(sleep(interval)).await.is_some() {
        while forget(Instant::now()) {
            yield_now().await;
        }
    }
}
