//! Whether much is appended. Then the reader pauses between two reads, and the writer waits until backends have pushed again:
//! what a read or a batch costs it costs whether it has one entry or hundreds, here and in the engine.

use std::time::Duration;

use tokio::time::Instant;

/// Over how long entries are counted.
const WINDOW: Duration = Duration::from_millis(10);
/// Entries in a window above which there are many. Pushes that wait for each other are fewer, and none of them waits longer.
const MANY: u32 = 60;
/// How long a busy reader pauses. Clients wait as much longer for an event.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// How many entries there were lately.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    entries: u32,
    is_busy: bool,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, entries: 0, is_busy: false }
    }

    /// Counts entries. Returns whether there are many.
    pub(super) fn is_busy(&mut self, entries: usize, now: Instant) -> bool {
        self.entries = self.entries.saturating_add(u32::try_from(entries).unwrap_or(u32::MAX));
        let window = now - self.since;
        if window >= WINDOW {
            self.is_busy = WINDOW.saturating_mul(self.entries) > window.saturating_mul(MANY);
            (self.since, self.entries) = (now, 0);
        }
        self.is_busy
    }
}

/// When the writer waits for further pushes. Backends that wait for each answer push again as soon as they have it. With those
/// that have pushed meanwhile they make one batch instead of two.
#[derive(Debug)]
pub(super) struct Gathering {
    pace: Pace,
    /// Batches that are not waited for any more.
    rest: u32,
}

/// Pushes that are waited for, at most.
pub(super) const GATHERED_MAX: usize = 256;
/// How long they are waited for, at most.
pub(super) const GATHER: Duration = Duration::from_millis(1);
/// For how many batches the writer does not wait after it has waited in vain: these backends do not wait for answers.
const REST: u32 = 32;

impl Gathering {
    pub(super) fn new(now: Instant) -> Self {
        Self { pace: Pace::new(now), rest: 0 }
    }

    /// So many pushes were answered. Returns whether to wait until as many have come.
    pub(super) fn is_due(&mut self, answered: usize, now: Instant) -> bool {
        let is_busy = self.pace.is_busy(answered, now);
        self.rest = self.rest.saturating_sub(1);
        is_busy && self.rest == 0
    }

    /// They did not come.
    pub(super) fn was_in_vain(&mut self) {
        self.rest = REST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often there are many if so many entries come at once, a hundred times, in such intervals.
    fn busy(pace: &mut Pace, now: &mut Instant, entries: usize, every: Duration) -> usize {
        let times = (0..100).filter(|_| {
            *now += every;
            pace.is_busy(entries, *now)
        });
        times.count()
    }

    #[test]
    fn a_node_is_busy_while_much_is_appended_and_no_longer() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let millis = Duration::from_millis;
        assert_eq!(busy(&mut pace, &mut now, 1, Duration::from_micros(200)), 0, "5,000 a second");
        assert!(busy(&mut pace, &mut now, 1, Duration::from_micros(100)) > 0, "10,000 a second");
        assert!(busy(&mut pace, &mut now, 10, millis(1)) >= 99, "the same in tens");
        assert_eq!(busy(&mut pace, &mut now, 1, millis(100)), 0, "a quiet time ends it at once");
        assert_eq!(busy(&mut pace, &mut now, 500, millis(100)), 0, "a burst now and then does not begin it");
    }

    #[test]
    fn a_busy_writer_waits_for_those_that_it_has_answered_until_that_was_in_vain() {
        let mut now = Instant::now();
        let mut gathering = Gathering::new(now);
        let mut batches = |gathering: &mut Gathering, count: usize, every: Duration| {
            let due = (0..count).filter(|_| {
                now += every;
                gathering.is_due(8, now)
            });
            due.count()
        };
        let often = Duration::from_micros(400);
        assert_eq!(batches(&mut gathering, 20, Duration::from_millis(2)), 0, "it is not busy");
        assert!(batches(&mut gathering, 100, often) > 70);
        gathering.was_in_vain();
        assert_eq!(batches(&mut gathering, 31, often), 0);
        assert_eq!(batches(&mut gathering, 31, often), 31);
    }
}
