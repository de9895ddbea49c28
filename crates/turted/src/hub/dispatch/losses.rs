//! What the log of a cluster may have lost, for clients that come back.

use std::sync::atomic::{AtomicU64, Ordering};

/// The last loss, by numbers of dispatches.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// What was accepted up to here may be lost, or be known to some nodes alone.
    before: AtomicU64,
    /// How far the log went when that was told.
    told: AtomicU64,
}

impl Losses {
    /// Something is lost that was accepted up to a number.
    pub(super) fn note(&self, before: u64) {
        self.before.store(before, Ordering::Relaxed);
    }

    /// It is told, now that the log goes so far.
    pub(super) fn tell(&self, last: u64) {
        self.told.store(last, Ordering::Relaxed);
    }

    /// Whether a session that began behind this number has lost nothing.
    pub(crate) fn spare(&self, began_after: u64) -> bool {
        began_after >= self.before.load(Ordering::Relaxed)
    }

    /// Whether a client without a session that has seen everything up to this number was told. What it has seen of a new epoch
    /// before that does not say so.
    pub(crate) fn were_told(&self, seen: u64) -> bool {
        seen >= self.told.load(Ordering::Relaxed)
    }
}
