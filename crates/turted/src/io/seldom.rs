//! Log lines that strangers can cause: written at once, then not again for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use turted_core::limits::LOG_PAUSE;

/// Lets one line pass in each `pause`, and counts those in between. The lock is held for a few assignments.
#[derive(Debug)]
pub(crate) struct Seldom {
    pause: Duration,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    at: Option<Instant>,
    /// How many lines were left out since.
    kept: u64,
    /// Whether a line passed whose end was not told yet.
    is_open: bool,
}

impl Seldom {
    /// A line every [`LOG_PAUSE`].
    pub(crate) const fn new() -> Self {
        Self::every(LOG_PAUSE)
    }

    /// A line in each `pause`.
    pub(crate) const fn every(pause: Duration) -> Self {
        Self { pause, told: Mutex::new(Told { at: None, kept: 0, is_open: false }) }
    }

    /// How many lines were left out since the last one, if a line may pass now. `None`: this one is left out
    /// too.
    pub(crate) fn tell(&self, now: Instant) -> Option<u64> {
        let told = &mut *self.told();
        if told.at.is_some_and(|at| now.saturating_duration_since(at) < self.pause) {
            told.kept = told.kept.saturating_add(1);
            return None;
        }
        (told.at, told.is_open) = (Some(now), true);
        Some(std::mem::take(&mut told.kept))
    }

    /// The reason for the line is gone. Returns how many lines were left out since the last one, if one passed
    /// whose end was not told yet.
    pub(crate) fn is_over(&self) -> Option<u64> {
        let told = &mut *self.told();
        std::mem::take(&mut told.is_open).then_some(told.kept)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A warning that any stranger can cause: seldom at level warn, with the number of those that were left out
/// since; else at level debug.
macro_rules! warn_seldom {
    ($($line:tt)+) => {{
        static SELDOM: $crate::io::seldom::Seldom = $crate::io::seldom::Seldom::new();
        match SELDOM.tell(std::time::Instant::now()) {
            Some(untold) => tracing::warn!(untold, $($line)+),
            None => tracing::debug!($($line)+),
        }
    }};
}
pub(crate) use warn_seldom;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_ten_seconds_and_says_how_many_did_not() {
        let (seldom, now) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.tell(now), Some(0));
        assert_eq!([seldom.tell(now), seldom.tell(now + LOG_PAUSE / 2)], [None, None]);
        assert_eq!(seldom.tell(now + LOG_PAUSE), Some(2));
        assert_eq!(seldom.tell(now + LOG_PAUSE * 2), Some(0));
    }
    #[test]
    fn the_end_of_what_was_told_is_told_once() {
        let (seldom, now) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.is_over(), None, "nothing was told");
        assert_eq!(seldom.tell(now), Some(0));
        assert_eq!(seldom.tell(now), None);
        assert_eq!(seldom.is_over(), Some(1));
        assert_eq!(seldom.is_over(), None, "once");
        assert_eq!(seldom.tell(now + LOG_PAUSE / 2), None);
        assert_eq!(seldom.is_over(), None, "what is not told does not end either");
        assert_eq!(seldom.tell(now + LOG_PAUSE), Some(2));
    }
}
