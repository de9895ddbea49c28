//! The clock of the log: how long servers have run with it. It stands still while none runs, so that nothing ages then.

use std::time::{Duration, Instant};

/// The summed uptime of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogClock {
    before: Duration,
    started: Instant,
}

impl LogClock {
    /// Goes on from here.
    pub(crate) fn start(before: Duration) -> Self {
        Self { before, started: Instant::now() }
    }

    pub(crate) fn uptime(self) -> Duration {
        self.before + self.started.elapsed()
    }
}
