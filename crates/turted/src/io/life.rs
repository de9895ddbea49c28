//! How far the life of a server has come.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

/// How far the life of the server has come: it serves, drains, ends.
#[derive(Debug)]
pub(crate) struct Life {
    /// The server was told to stop. Balancers are told so; everything else goes on until it drains.
    pub(crate) leaving: CancellationToken,
    /// Nothing new is let in: no connection, no session, no dispatch. Who is connected is served
    /// until its turn to be told comes.
    pub(crate) draining: CancellationToken,
    /// Everybody was told. Whatever waits for something gives up.
    pub(crate) ending: CancellationToken,
    /// Workers with connections that were not told yet.
    undrained: AtomicUsize,
}

impl Life {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            leaving: CancellationToken::new(),
            draining: CancellationToken::new(),
            ending: CancellationToken::new(),
            undrained: AtomicUsize::new(workers),
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// One worker has told all of its connections. The end comes when all workers have: until
    /// then each of them may be asked for a session by a request that came to another.
    pub(crate) fn drained(&self) {
        if self.undrained.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ending.cancel();
        }
    }

    /// Ends without a word.
    pub(crate) fn cut(&self) {
        self.leaving.cancel();
        self.draining.cancel();
        self.ending.cancel();
    }
}
