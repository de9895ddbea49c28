//! The log: every accepted dispatch, numbered, kept for a while for those who lost their connection.
//!
//! In memory. It is written under the dispatcher's lock and read only when a client resumes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turted_core::dispatch::{Dispatch, Targets};

/// What a name takes in memory beside its text: a pointer with a length to it, and two counters.
const NAME_OVERHEAD_BYTES: usize = 32;

/// One accepted dispatch.
#[derive(Debug)]
pub struct Accepted {
    /// Its number: 1 for the first dispatch of the epoch.
    pub sequence: u64,
    /// The dispatch.
    pub dispatch: Dispatch,
    accepted_at: Instant,
    bytes: usize,
}

impl Accepted {
    /// Bytes of its payload and the name of its event, of which a frame mostly consists.
    pub(crate) fn event_bytes(&self) -> usize {
        self.dispatch.payload.get().len() + self.dispatch.event.as_str().len()
    }

    /// See [`bytes_of`].
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes of event name, targets and payload, as they count in the log and in inboxes.
pub(crate) fn bytes_of(dispatch: &Dispatch) -> usize {
    let Targets { users, channels, .. } = &dispatch.targets;
    let names = users.iter().chain(channels).map(|name| name.as_str().len() + NAME_OVERHEAD_BYTES);
    dispatch.payload.get().len() + dispatch.event.as_str().len() + names.sum::<usize>()
}

/// How much the log keeps.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// Dispatches.
    pub dispatches: usize,
    /// Bytes of event names, targets and payloads.
    pub bytes: usize,
    /// Age of a dispatch.
    pub age: Duration,
}

/// The recent past.
#[derive(Debug)]
pub(crate) struct Log {
    limits: LogLimits,
    kept: VecDeque<Arc<Accepted>>,
    bytes: usize,
    next: u64,
}

impl Log {
    pub(crate) fn new(limits: LogLimits) -> Self {
        Self { limits, kept: VecDeque::new(), bytes: 0, next: 1 }
    }

    /// Numbers and keeps `dispatch`.
    pub(crate) fn append(&mut self, dispatch: Dispatch, now: Instant) -> Arc<Accepted> {
        let bytes = bytes_of(&dispatch);
        let accepted = Arc::new(Accepted { sequence: self.next, dispatch, accepted_at: now, bytes });
        self.next += 1;
        self.bytes += accepted.bytes();
        self.kept.push_back(Arc::clone(&accepted));
        self.evict(now);
        accepted
    }

    /// The number of the last dispatch.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// The dispatches after `sequence` up to and including `last`; `None` if some of them are no
    /// longer kept or `sequence` is still to come.
    pub(crate) fn between(&self, sequence: u64, last: u64) -> Option<Vec<Arc<Accepted>>> {
        let first_kept = self.kept.front().map_or(self.next, |accepted| accepted.sequence);
        if sequence > last || sequence + 1 < first_kept {
            return None;
        }
        let skipped = usize::try_from(sequence + 1 - first_kept).ok()?;
        let wanted = usize::try_from(last - sequence).ok()?;
        Some(self.kept.iter().skip(skipped).take(wanted).cloned().collect())
    }

    fn evict(&mut self, now: Instant) {
        while let Some(oldest) = self.kept.front() {
            let old = now.duration_since(oldest.accepted_at) > self.limits.age;
            let full = self.kept.len() > self.limits.dispatches || self.bytes > self.limits.bytes;
            if !old && !full {
                break;
            }
            self.bytes -= oldest.bytes();
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use turted_core::name::Name;

    fn dispatch() -> Dispatch {
        let payload = serde_json::value::to_raw_value(&1).unwrap();
        Dispatch { event: Name::new("e").unwrap(), payload, targets: Targets::broadcast() }
    }

    fn log(dispatches: usize) -> (Log, Instant) {
        let limits = LogLimits { dispatches, bytes: 1_000, age: Duration::from_secs(10) };
        (Log::new(limits), Instant::now())
    }

    #[test]
    fn targets_count_too() {
        let (mut log, now) = log(1_000);
        let user = Name::new("u").unwrap();
        for _ in 0..1_000 {
            let targets = Targets { users: vec![user.clone(); 10], ..Targets::default() };
            log.append(Dispatch { targets, ..dispatch() }, now);
        }
        assert_eq!(log.kept.len(), 3, "1,000 bytes hold no more");
    }

    fn sequences(log: &Log, after: u64, last: u64) -> Option<Vec<u64>> {
        Some(log.between(after, last)?.iter().map(|accepted| accepted.sequence).collect())
    }

    #[test]
    fn what_is_kept_can_be_read_again_and_a_gap_is_told() {
        let (mut log, now) = log(3);
        assert_eq!(sequences(&log, 0, 0), Some(vec![]));
        for _ in 0..5 {
            log.append(dispatch(), now);
        }
        assert_eq!(sequences(&log, 2, 5), Some(vec![3, 4, 5]));
        assert_eq!(sequences(&log, 3, 4), Some(vec![4]));
        assert_eq!(sequences(&log, 5, 5), Some(vec![]));
        assert_eq!(sequences(&log, 1, 5), None, "2 is no longer kept");
        assert_eq!(sequences(&log, 6, 5), None, "6 is still to come");
        assert_eq!(sequences(&log, u64::MAX, 5), None);
    }

    #[test]
    fn what_is_too_old_or_too_much_is_evicted() {
        let (mut log, now) = log(1_000);
        log.append(dispatch(), now);
        log.append(dispatch(), now + Duration::from_secs(11));
        assert_eq!(sequences(&log, 0, 2), None);
        assert_eq!(sequences(&log, 1, 2), Some(vec![2]));
        for _ in 0..1_000 {
            log.append(dispatch(), now + Duration::from_secs(11));
        }
        assert!(log.bytes <= 1_000 && log.kept.len() == 500, "two bytes a dispatch");
    }
}
