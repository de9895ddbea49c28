//! How many messages a connection may send: a token bucket. The caller passes the time.

use std::time::Duration;

/// The rate and the burst of a [`TokenBucket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages per second in the long run.
    pub per_second: u32,
    /// Messages at once.
    pub burst: u32,
}

/// A token bucket of twelve bytes: one per connection.
///
/// ```
/// use std::time::Duration;
/// use turted_core::rate::{Rate, TokenBucket};
/// let rate = Rate { per_second: 1, burst: 2 };
/// let mut bucket = TokenBucket::full(rate, Duration::ZERO);
/// assert!(bucket.take(rate, Duration::ZERO));
/// assert!(bucket.take(rate, Duration::ZERO));
/// assert!(!bucket.take(rate, Duration::ZERO));
/// assert!(bucket.take(rate, Duration::from_secs(1)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    /// Thousandths of a message that may be sent now.
    millis: u32,
    /// Milliseconds from the start of the server to the last update of `millis`. They wrap after 49 days. The
    /// difference is taken modulo, so a connection that was silent that long gets fewer messages, not more.
    updated: u32,
}

impl TokenBucket {
    /// A bucket that allows a whole burst at `now`, the time since the server started.
    #[must_use]
    pub fn full(rate: Rate, now: Duration) -> Self {
        Self { millis: rate.burst.saturating_mul(1000), updated: Self::clock(now) }
    }

    /// Takes one message out of the bucket at `now`; `false` if there is none.
    pub fn take(&mut self, rate: Rate, now: Duration) -> bool {
        let now = Self::clock(now);
        let elapsed = now.wrapping_sub(self.updated);
        let gained = elapsed.saturating_mul(rate.per_second);
        self.millis = self.millis.saturating_add(gained).min(rate.burst.saturating_mul(1000));
        self.updated = now;
        match self.millis.checked_sub(1000) {
            Some(left) => {
                self.millis = left;
                true
            }
            None => false,
        }
    }

    fn clock(now: Duration) -> u32 {
        // Truncation is intended: see `updated`.
        (now.as_millis() & u128::from(u32::MAX)) as u32
    }
}
