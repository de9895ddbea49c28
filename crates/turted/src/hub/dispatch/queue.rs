//! The queue of the log writer: pushes that are taken and not yet on disk.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use turted_core::record::push::{AnswerForm, PushKey};

use crate::hub::dispatch::order::{Push, Size};
use crate::hub::dispatch::receipt::Unsettled;

/// Bytes of pushes that are written at once. One that is larger is written alone.
const BATCH_BYTES: usize = 1 << 20;
/// The writer may be busy with the disk for so long. After that the disk is taken for one that hangs, and pushes are refused.
pub(crate) const BUSY_MAX: Duration = Duration::from_secs(5);
/// Counts that may wait. More are left out: the answer to a repeated push does without.
const COUNTS_MAX: usize = 1_000;

/// What waits for the writer, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pushes: VecDeque<Waiting>,
    counts: VecDeque<Counts>,
    /// Of the pushes that wait or are being written.
    size: Size,
    /// Of those that are being written.
    taken: Size,
    /// If the writer sleeps: with how many pushes it has to be woken.
    wakes_with: Option<usize>,
    /// Since when the writer is busy with the disk.
    busy_since: Option<Instant>,
    /// Whether the directory has to be left behind, for a reason that the writer does not see itself.
    must_leave: bool,
    /// Whether the writer has yet to hear of that.
    is_untold: bool,
    /// Whether nothing is accepted, because the disk takes nothing.
    pub(super) is_refusing: bool,
    /// Whether nothing is accepted, because a cluster is behind with reading what this node has accepted.
    pub(super) is_behind: bool,
}

/// A push that waits to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) push: Push,
    pub(super) key: Option<PushedKey>,
    pub(super) size: Size,
    pub(super) unsettled: Unsettled,
}

/// How many connections each dispatch of an earlier push reached, for a repeated answer.
#[derive(Debug)]
pub(super) struct Counts {
    /// The number of its first dispatch.
    pub(super) first: u64,
    pub(super) delivered: Vec<u64>,
}

/// What the writer takes at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) pushes: Vec<Waiting>,
    pub(super) counts: Vec<Counts>,
}

/// By what a push is known when its backend or source repeats it.
#[derive(Clone, Debug)]
pub(crate) struct PushedKey {
    /// The name of the source; for pushes by REST that of the push key behind `push:`, or nothing without one.
    pub(crate) owner: Box<str>,
    pub(crate) key: Box<[u8]>,
    /// SHA-256 of the body.
    pub(crate) body: [u8; 32],
    pub(crate) answer: AnswerForm,
}

impl PushedKey {
    pub(super) fn as_record(&self) -> PushKey<'_> {
        PushKey { owner: &self.owner, key: &self.key, body: self.body, answer: self.answer }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.pushes.is_empty() && self.counts.is_empty()
    }
}

impl Queue {
    pub(super) fn new(is_refusing: bool) -> Self {
        Self { is_refusing, ..Self::default() }
    }

    /// What is not handed over yet: it will need room in every inbox.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// Whether the disk takes nothing.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.is_refusing
            || self.busy_since.is_some_and(|since| now.saturating_duration_since(since) > BUSY_MAX)
    }

    pub(super) fn put(&mut self, waiting: Waiting) {
        self.size += waiting.size;
        self.pushes.push_back(waiting);
    }

    pub(super) fn put_counts(&mut self, counts: Counts) {
        if self.counts.len() < COUNTS_MAX {
            self.counts.push_back(counts);
        }
    }

    /// The writer sleeps from now on, if it has nothing to take.
    pub(super) fn sleep(&mut self) -> bool {
        let sleeps = self.pushes.is_empty() && self.counts.is_empty() && !self.is_untold;
        self.wakes_with = sleeps.then_some(1);
        sleeps
    }

    /// The writer sleeps from now on until `more` pushes wait beside those that wait already, `most` in all.
    pub(super) fn gather(&mut self, more: usize, most: usize) -> bool {
        let pushes = (self.pushes.len() + more).min(most);
        let sleeps = self.pushes.len() < pushes;
        self.wakes_with = sleeps.then_some(pushes);
        sleeps
    }

    /// Whether the writer has to be woken. It is woken once, however much comes before it wakes.
    pub(super) fn wake(&mut self) -> bool {
        self.wakes_with.take_if(|pushes| self.pushes.len() >= *pushes).is_some()
    }

    /// The directory has to be left behind.
    pub(super) fn leave(&mut self) {
        (self.must_leave, self.is_untold) = (true, true);
    }

    /// Whether the directory has to be left behind, and is not yet.
    pub(super) fn must_leave(&self) -> bool {
        self.must_leave
    }

    /// Whether the writer has been told since it asked last that the directory has to be left behind.
    pub(super) fn was_told_to_leave(&mut self) -> bool {
        mem::take(&mut self.is_untold)
    }

    /// The directory is left behind.
    pub(super) fn has_left(&mut self) {
        self.must_leave = false;
    }

    /// Takes a batch. Its pushes count until it is [done](Self::done).
    pub(super) fn take(&mut self) -> Batch {
        self.wakes_with = None;
        // Counts are of earlier pushes.
        let mut batch = Batch { counts: mem::take(&mut self.counts).into(), ..Batch::default() };
        while let Some(first) = self.pushes.front()
            && (batch.pushes.is_empty() || self.taken.bytes + first.size.bytes <= BATCH_BYTES)
            && let Some(waiting) = self.pushes.pop_front()
        {
            self.taken += waiting.size;
            batch.pushes.push(waiting);
        }
        if !batch.is_empty() {
            self.begin();
        }
        batch
    }

    /// The writer turns to the disk.
    pub(super) fn begin(&mut self) {
        self.busy_since = Some(Instant::now());
    }

    /// The writer is done with the disk and with its batch.
    pub(super) fn done(&mut self) {
        self.size -= mem::take(&mut self.taken);
        self.busy_since = None;
    }
}
