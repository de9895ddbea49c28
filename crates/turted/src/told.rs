//! A line of the log that is told once in a while, however often its reason comes: anybody could fill the log
//! with it otherwise.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines. An operator who looks at the log sees that something goes on; a day of it is 1,440 lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// When a line was told, and how often its reason has come since. Locked for a moment, never while waiting.
#[derive(Debug, Default)]
pub(crate) struct Told {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    at: Option<Instant>,
    /// Times since then that were not told.
    untold: u64,
    /// Whether it was told and not yet said to be over.
    is_open: bool,
}

impl Told {
    /// The reason has come at `now`: how often it came since the last line, this time included, if there is to be a line
    /// again.
    pub(crate) fn again(&self, now: Instant) -> Option<u64> {
        let state = &mut *self.state();
        state.untold += 1;
        if state.at.is_some_and(|at| now.duration_since(at) < INTERVAL) {
            return None;
        }
        (state.at, state.is_open) = (Some(now), true);
        Some(std::mem::take(&mut state.untold))
    }

    /// The reason is gone: how often it came since the line that told it, if it is not yet said to be over.
    pub(crate) fn is_over(&self) -> Option<u64> {
        let state = &mut *self.state();
        std::mem::take(&mut state.is_open).then_some(state.untold)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_once_in_a_minute_and_says_how_often_it_was_not() {
        let (told, start) = (Told::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(told.is_over(), None, "nothing was told");
        assert_eq!(told.again(at(0)), Some(1));
        assert_eq!(told.again(at(1)), None);
        assert_eq!(told.is_over(), Some(1));
        assert_eq!(told.is_over(), None, "once");
        assert_eq!(told.again(at(59)), None);
        assert_eq!(told.is_over(), None, "what is not told does not end either");
        assert_eq!(told.again(at(60)), Some(3));
    }
}
