//! What operators see of a source: whether it is connected, what became of its messages, how far it is behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::message::Outcome;
use crate::config::PushSource;

/// What becomes of messages, as metrics have it. The last ones never came: the source lost them.
pub(crate) const OUTCOMES: [&str; 5] = ["accepted", "refused", "duplicate", "skipped", "gap"];
const GAP: usize = 4;
/// A lag that is not known.
const UNKNOWN: u64 = u64::MAX;

/// What is counted of one source. Its thread writes, scrapes read.
#[derive(Debug)]
pub(crate) struct Status {
    name: String,
    kind: &'static str,
    address: String,
    is_up: AtomicBool,
    outcomes: [AtomicU64; OUTCOMES.len()],
    dispatches: AtomicU64,
    gaps: AtomicU64,
    waited_micros: AtomicU64,
    lag_bytes: AtomicU64,
    lag_messages: AtomicU64,
    /// Why it is not up, or the last reason for which it was not.
    failure: Mutex<Option<String>>,
}

impl Status {
    pub(crate) fn new(source: &PushSource) -> Arc<Self> {
        Arc::new(Self {
            name: source.name.clone(),
            kind: source.kind.name(),
            address: source.kind.address(),
            is_up: AtomicBool::new(false),
            outcomes: Default::default(),
            dispatches: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            waited_micros: AtomicU64::new(0),
            lag_bytes: AtomicU64::new(UNKNOWN),
            lag_messages: AtomicU64::new(UNKNOWN),
            failure: Mutex::new(None),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Where it fetches from, without credentials.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// How many messages ended like this, in the order of [`OUTCOMES`].
    pub(crate) fn outcomes(&self) -> [u64; OUTCOMES.len()] {
        self.outcomes.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Accepted dispatches: a message may have several.
    pub(crate) fn dispatches(&self) -> u64 {
        self.dispatches.load(Ordering::Relaxed)
    }

    pub(crate) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// How long it waited because an inbox was half full.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_micros.load(Ordering::Relaxed))
    }

    /// Bytes that are still to be read, if the source can tell.
    pub(crate) fn lag_bytes(&self) -> Option<u64> {
        Some(self.lag_bytes.load(Ordering::Relaxed)).filter(|lag| *lag != UNKNOWN)
    }

    /// Messages that are still to be read, if the source can tell.
    pub(crate) fn lag_messages(&self) -> Option<u64> {
        Some(self.lag_messages.load(Ordering::Relaxed)).filter(|lag| *lag != UNKNOWN)
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    pub(crate) fn set_failure(&self, failure: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    pub(crate) fn set_lag_bytes(&self, bytes: u64) {
        self.lag_bytes.store(bytes.min(UNKNOWN - 1), Ordering::Relaxed);
    }

    pub(crate) fn set_lag_messages(&self, messages: u64) {
        self.lag_messages.store(messages.min(UNKNOWN - 1), Ordering::Relaxed);
    }

    pub(crate) fn add_waited(&self, waited: Duration) {
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn dispatched(&self, dispatches: usize) {
        self.dispatches.fetch_add(dispatches as u64, Ordering::Relaxed);
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        let index = match outcome {
            Outcome::Accepted => 0,
            Outcome::Refused(_) => 1,
            Outcome::Duplicate => 2,
            Outcome::Skipped => 3,
        };
        self.outcomes[index].fetch_add(1, Ordering::Relaxed);
    }

    /// Messages were lost on their way here: so many, as far as that is known.
    pub(crate) fn count_gap(&self, messages: u64) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        self.outcomes[GAP].fetch_add(messages, Ordering::Relaxed);
    }
}
