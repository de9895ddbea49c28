//! Permits for open connections: a bounded number, counted for all of a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections may be open.
#[derive(Debug)]
pub(crate) struct Permits {
    open: AtomicUsize,
    limit: usize,
}

impl Permits {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), limit })
    }

    /// Whether `permit` is one of these.
    pub(crate) fn gave(self: &Arc<Self>, permit: &Permit) -> bool {
        Arc::ptr_eq(self, &permit.0)
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many may be open.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// A permit for one more connection, given back when it is dropped.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Permit> {
        let permit = Permit(Arc::clone(self));
        // Counted before the comparison, so that two workers cannot both take the last one.
        (self.open.fetch_add(1, Ordering::Relaxed) < self.limit).then_some(permit)
    }
}

/// The permit of one open connection.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
