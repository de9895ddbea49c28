//! How long to wait before the next attempt to connect: 0.1 s at first, then twice as long each time up to 30 s.
//!
//! Of each wait a random half is left out, so that many servers do not come back to a broker at once.

use std::time::{Duration, Instant};

const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A connection that lasted so long was one: the next wait is a short one.
const LASTING: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Backoff {
    wait: Duration,
    connected: Option<Instant>,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { wait: WAIT_MIN, connected: None }
    }

    pub(super) fn connected(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// The wait after a failure. `random` is any number.
    pub(super) fn next(&mut self, now: Instant, random: u32) -> Duration {
        let lasted = self.connected.take().map(|since| now.saturating_duration_since(since));
        if lasted.is_some_and(|lasted| lasted >= LASTING) {
            self.wait = WAIT_MIN;
        }
        let whole = self.wait;
        self.wait = (whole * 2).min(WAIT_MAX);
        whole / 2 + whole.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_30_seconds_and_are_never_less_than_half() {
        let (mut least, mut most, now) = (Backoff::new(), Backoff::new(), Instant::now());
        let waits: Vec<_> = (0..11).map(|_| (least.next(now, 0), most.next(now, u32::MAX))).collect();
        let millis = |index: usize| (waits[index].0.as_millis(), waits[index].1.as_millis());
        assert_eq!([millis(0), millis(1), millis(8)], [(50, 100), (100, 200), (12_800, 25_600)]);
        assert_eq!([millis(9), millis(10)], [(15_000, 30_000); 2]);
    }

    #[test]
    fn only_a_connection_that_lasts_makes_the_next_wait_short() {
        let (mut backoff, now) = (Backoff::new(), Instant::now());
        let wait = |backoff: &mut Backoff, now| backoff.next(now, u32::MAX).as_millis();
        assert_eq!([wait(&mut backoff, now), wait(&mut backoff, now)], [100, 200]);
        backoff.connected(now);
        assert_eq!(wait(&mut backoff, now + LASTING / 2), 400, "it was lost at once");
        backoff.connected(now);
        assert_eq!(wait(&mut backoff, now + LASTING), 100);
    }
}
