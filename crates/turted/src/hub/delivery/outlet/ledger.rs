//! How much may wait for one connection, and what became of what was sent to it.

use std::ops::Add;
use std::sync::Arc;

use crate::hub::delivery::metrics::WorkerMetrics;
use crate::io::backlogs::Backlogs;

/// How much may wait for one connection, and where it is counted. All connections of a worker have the same
/// ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) bytes_max: usize,
    pub(crate) frames_max: usize,
    pub(crate) metrics: Arc<WorkerMetrics>,
    pub(crate) backlogs: Arc<Backlogs>,
}

/// What waits for one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

impl Add for Waiting {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { frames: self.frames + other.frames, bytes: self.bytes + other.bytes }
    }
}

/// What became of frames that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// They are in the kernel, in a polling answer, or wait behind other frames.
    Yes,
    /// They wait, and nothing waited before them. The next request of the client will take them, or the task
    /// that watches its socket.
    Kept,
    /// They wait, and no task watches the socket yet: one must be started that flushes it.
    Blocked,
    /// More waits than is allowed.
    Full,
    /// The socket is broken or the connection closed.
    Gone,
}

/// What came of writing what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// `Yes`: nothing waits any more; `Blocked`: more does.
    pub(crate) sent: Sent,
    /// Bytes that were written.
    pub(crate) bytes: usize,
}
