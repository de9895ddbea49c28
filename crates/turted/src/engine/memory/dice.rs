//! Random numbers that a seed repeats (splitmix64).

use std::cell::Cell;
use std::time::Duration;

/// Random numbers from a seed.
#[derive(Debug)]
pub(crate) struct Dice(Cell<u64>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub(crate) fn number(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// Whether something happens that happens so often in a thousand times.
    pub(crate) fn happens(&self, per_mille: u32) -> bool {
        self.number() % 1_000 < u64::from(per_mille)
    }

    /// A time below `end`.
    pub(crate) fn time(&self, end: Duration) -> Duration {
        Duration::from_micros(self.number() % (end.as_micros() as u64).max(1))
    }
}
