//! The question whether something of the epochs before the last one is lost, and who has not answered it yet.
//!
//! Every node reads how the epochs before ended. It has answered once it says that it has read so far, because a node that
//! finds itself beyond that end tells the loss first. A witness that dies, or is silent for too long, might have been
//! beyond it: then the loss is told, because clients must not miss anything without a word. One that is heard and has not read
//! so far is waited for longer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::node::Progress;
use super::SILENCE;
use crate::cursor::Cursor;

/// What became of a question whether something is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing of the epochs before this one is lost.
    Whole(u64),
    /// Something of the epochs before this one is lost, or may be.
    Lost(u64),
}

/// For so long a witness is waited for that is heard, and does not read on: longer than a reader needs that loses its connection
/// several times in a row, and not for ever, for one that is stuck would keep a loss from being told.
const PATIENCE: Duration = Duration::from_secs(60);
/// Epochs that one question may be about: more of them do not begin before witnesses are silent.
const EPOCHS_MAX: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Inquiry {
    /// Epochs that began, each with the end of those before. The last one is in question, and all before it.
    begun: Vec<(u64, Option<Cursor>)>,
    /// The processes that have not answered.
    missing: BTreeMap<u64, Waited>,
    is_lost: bool,
}

/// Until when a witness is waited for.
#[derive(Clone, Copy, Debug)]
struct Waited {
    until: Duration,
    /// However often it is heard.
    most: Duration,
}

impl Inquiry {
    pub(super) fn new(epoch: u64, former: Option<Cursor>) -> Self {
        Self { begun: vec![(epoch, former)], missing: BTreeMap::new(), is_lost: false }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.begun[self.begun.len() - 1].0
    }

    pub(super) fn missing(&self) -> impl Iterator<Item = u64> {
        self.missing.keys().copied()
    }

    /// Something is lost, whatever witnesses say.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }

    /// Waits for a witness.
    pub(super) fn ask(&mut self, process: u64, now: Duration) {
        self.missing.insert(process, Waited { until: now + SILENCE, most: now + PATIENCE });
    }

    /// Takes over a question about earlier epochs that is not answered yet. A witness that has not answered it is not
    /// waited for any longer because another epoch has begun.
    pub(super) fn take_over(&mut self, former: Self) {
        self.is_lost |= former.is_lost || former.begun.len() == EPOCHS_MAX;
        self.begun.splice(..0, former.begun.into_iter().take(EPOCHS_MAX - 1));
        self.missing.extend(former.missing);
    }

    /// A witness said how far it has come.
    pub(super) fn heard(&mut self, process: u64, progress: Progress, now: Duration) {
        self.compare(progress);
        if progress.has_read(self.epoch()) {
            self.missing.remove(&process);
        } else if let Some(waited) = self.missing.get_mut(&process) {
            waited.until = waited.until.max((now + SILENCE).min(waited.most));
        }
    }

    /// A witness said how far it had come, and says no more.
    pub(super) fn left(&mut self, process: u64, progress: Progress) {
        self.compare(progress);
        self.missing.remove(&process);
    }

    /// What is known, where all that was written up to `read` is read; `None` while a witness may still say.
    pub(super) fn judge(&self, read: Duration) -> Option<Judgement> {
        if self.is_lost || self.is_overdue(read) {
            Some(Judgement::Lost(self.epoch()))
        } else {
            self.missing.is_empty().then_some(Judgement::Whole(self.epoch()))
        }
    }

    /// Whether a witness should have answered before this moment.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        self.missing.values().any(|waited| waited.until < now)
    }

    /// Nobody could be heard between two moments. Witnesses that were not overdue have their time from the second one on.
    pub(super) fn excuse(&mut self, since: Duration, now: Duration) {
        for waited in self.missing.values_mut().filter(|waited| waited.until >= since) {
            waited.most += now.saturating_sub(since);
            waited.until = (now + SILENCE).min(waited.most);
        }
    }

    fn compare(&mut self, progress: Progress) {
        self.is_lost |= self.begun.iter().any(|(epoch, end)| progress.is_beyond(*epoch, *end));
    }
}
