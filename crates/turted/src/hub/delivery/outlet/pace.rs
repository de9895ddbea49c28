//! Whether a client takes what waits for it. A client is slow if it takes too little for too long, however much
//! it was sent.

use std::time::Duration;

use tokio::time::Instant;
use turted_core::limits::PROGRESS_BYTES;

/// How a client goes on taking what waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    stall: Duration,
    /// When it must have taken [`PROGRESS_BYTES`], or all that waits.
    deadline: Instant,
    taken: usize,
}

impl Pace {
    /// Something begins to wait.
    pub(crate) fn new(stall: Duration, now: Instant) -> Self {
        Self { stall, deadline: now + stall, taken: 0 }
    }

    /// By when the client must have taken more.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The client took `bytes`.
    pub(crate) fn took(&mut self, bytes: usize, now: Instant) {
        self.taken += bytes;
        if self.taken >= PROGRESS_BYTES {
            (self.taken, self.deadline) = (0, now + self.stall);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_is_no_progress() {
        let (stall, begin) = (Duration::from_secs(10), Instant::now());
        let mut pace = Pace::new(stall, begin);
        let later = begin + Duration::from_secs(5);
        pace.took(PROGRESS_BYTES - 1, later);
        assert_eq!(pace.deadline(), begin + stall);
        pace.took(1, later);
        assert_eq!(pace.deadline(), later + stall);
    }
}
