//! How long deliveries took: counts in buckets whose width is at most 1/32 of their value.

use std::time::Duration;

/// Buckets between two powers of two.
const STEPS: u64 = 32;
const STEPS_BITS: u32 = STEPS.trailing_zeros();
/// Buckets for every `u64`.
const BUCKETS: usize = ((64 - STEPS_BITS + 1) as usize) * STEPS as usize;

/// Counts of durations.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// Adds the counts of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own += more);
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The duration that `share` (0 to 1) of all durations did not exceed; zero if there are none.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among fewer than 2^53"
        )]
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper(index).min(self.max));
            }
        }
        Duration::ZERO
    }

    /// The longest duration.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }
}

fn bucket(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(STEPS_BITS + 1);
    let index = u64::from(shift) * STEPS + (nanos >> shift);
    usize::try_from(index).unwrap_or(BUCKETS - 1)
}

/// The largest duration of a bucket.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / STEPS).saturating_sub(1);
    let low = u128::from(index - shift * STEPS) << shift;
    u64::try_from(low + (1 << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_falls_into_it_and_is_narrow() {
        for nanos in [0, 1, 31, 32, 33, 63, 64, 65, 1_000, 123_456_789, u64::MAX - 1, u64::MAX] {
            let upper = upper(bucket(nanos));
            assert!(upper >= nanos, "{nanos} {upper}");
            assert!(upper - nanos <= nanos / 32, "{nanos} {upper}");
        }
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        (1..=1_000).for_each(|micros| histogram.record(Duration::from_micros(micros)));
        let near = |share, micros: f64| {
            let found = histogram.quantile(share).as_secs_f64() * 1e6;
            assert!((micros..=micros * 1.04).contains(&found), "{share}: {found}");
        };
        near(0.5, 500.0);
        near(0.99, 990.0);
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(1));
        assert_eq!(histogram.max(), Duration::from_millis(1));
    }
}
