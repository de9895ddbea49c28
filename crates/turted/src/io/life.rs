//! How far the life of a server has come.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

/// How far the life of the server has come: it starts, serves, drains, ends.
#[derive(Debug)]
pub(crate) struct Life {
    /// The workers serve. Before that nobody answers what is asked of them.
    has_begun: AtomicBool,
    /// The server was told to stop. Balancers are told so; everything else goes on until it drains.
    pub(crate) leaving: CancellationToken,
    /// Nothing new is let in: no connection, no session, no dispatch. A client that is connected is served
    /// until its turn comes to be told.
    pub(crate) draining: CancellationToken,
    /// Every client was told. Every task that waits for something gives up.
    pub(crate) ending: CancellationToken,
    /// Workers with connections that were not told yet.
    undrained: AtomicUsize,
}

impl Life {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            has_begun: AtomicBool::new(false),
            leaving: CancellationToken::new(),
            draining: CancellationToken::new(),
            ending: CancellationToken::new(),
            undrained: AtomicUsize::new(workers),
        }
    }

    /// The workers serve from now on.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// One worker has told all of its connections. The end comes when all workers have: until then a request
    /// that came to one worker may ask another for a session.
    pub(crate) fn drained(&self) {
        if self.undrained.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ending.cancel();
        }
    }

    /// Ends the server without telling its clients.
    pub(crate) fn cut(&self) {
        self.leaving.cancel();
        self.draining.cancel();
        self.ending.cancel();
    }
}
