//! One accepted dispatch: its number, and what it counts for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use turted_core::cursor::Cursor;
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::name::Name;

use crate::io::backlogs::{Backlogs, Counted};

/// What a dispatch takes in memory beside its texts: its fields, counters and allocations.
const DISPATCH_OVERHEAD_BYTES: usize = 192;
/// What a name takes in memory beside its text: a pointer with a length, two counters, and, once it is
/// indexed, its mention and its place in a map.
const NAME_OVERHEAD_BYTES: usize = 112;

/// One accepted dispatch.
#[derive(Debug)]
pub struct Accepted {
    /// Its position.
    pub cursor: Cursor,
    /// The dispatch.
    pub dispatch: Dispatch,
    accepted_at: Instant,
    bytes: usize,
    is_filler: bool,
    /// In how many channels it stands whose history is kept. Changed under the dispatcher's lock alone.
    held: AtomicU32,
    /// Set when log and history have given the dispatch up while a client still needs it.
    counted: OnceLock<Counted>,
}

impl Accepted {
    pub(in crate::hub::dispatch) fn new(cursor: Cursor, dispatch: Dispatch, accepted_at: Instant) -> Self {
        let bytes = bytes_of(&dispatch);
        let (held, counted) = (AtomicU32::new(0), OnceLock::new());
        Self { cursor, dispatch, accepted_at, bytes, is_filler: false, held, counted }
    }

    /// What stands for an entry of the log that is no dispatch: it has no targets.
    pub(super) fn filler(cursor: Cursor, accepted_at: Instant) -> Self {
        let event = Name::new("-").expect("it is a name");
        let dispatch = Dispatch { event, payload: RawValue::NULL.to_owned(), targets: Targets::default() };
        Self { is_filler: true, ..Self::new(cursor, dispatch, accepted_at) }
    }

    /// Whether it only takes a number, and is no dispatch: it reaches nobody, and is told nowhere.
    pub(crate) fn is_filler(&self) -> bool {
        self.is_filler
    }

    /// The number of its position. Numbers only grow.
    pub(crate) fn sequence(&self) -> u64 {
        self.cursor.sequence
    }

    /// Bytes of its payload and the name of its event, which are most of a frame.
    pub(crate) fn event_bytes(&self) -> usize {
        self.dispatch.payload.get().len() + self.dispatch.event.as_str().len()
    }

    /// Notes that the history of one more channel holds it.
    pub(crate) fn hold(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the history of a channel does not hold it any more.
    pub(super) fn let_go(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the history of a channel holds it.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed) > 0
    }

    /// Counts it when neither log nor history keeps it, if a client that catches up or an inbox still holds it.
    pub(super) fn count_if_needed(self: &Arc<Self>, backlogs: &Arc<Backlogs>) {
        // The caller holds it too.
        if Arc::strong_count(self) > 1 {
            self.counted.get_or_init(|| backlogs.count(self.bytes));
        }
    }

    /// When it was accepted.
    pub(crate) fn accepted_at(&self) -> Instant {
        self.accepted_at
    }

    /// The time since it was accepted.
    pub(crate) fn age(&self) -> Duration {
        self.accepted_at.elapsed()
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
    DISPATCH_OVERHEAD_BYTES
        + dispatch.payload.get().len()
        + dispatch.event.as_str().len()
        + names.sum::<usize>()
}
