//! Which nodes there are, and whether one of them knows of a loss.
//!
//! Every node has a table of its own, which it makes of what it reads in the log. Nodes are told apart by their process:
//! a node that was started again has its number, but not its memory. Time is passed in: the time since some moment, on
//! the clock of the node that reads, which never goes back. Of an entry it is the time at which it was written, as far as
//! that can be told, so that a node that reads an old log does not take those that are gone for alive.

use std::collections::BTreeMap;
use std::time::Duration;

use super::head::Author;
use super::node::{NodeRecord, Progress};
use crate::cursor::Cursor;

mod inquiry;

use inquiry::Inquiry;
pub use inquiry::Judgement;

/// A node that was not heard for so long is silent: three heartbeats are missing. Its lease has run out as well.
pub const SILENCE: Duration = Duration::from_secs(15);
/// For so long a node that is gone is remembered, as one that may know of a loss.
pub const MEMORY: Duration = Duration::from_secs(600);
/// Processes that are remembered: more than a log bears, with those that were started again.
pub const PROCESSES_MAX: usize = 1_024;

/// The nodes, by process.
///
/// ```
/// use std::time::Duration;
/// use turted_core::cluster::head::Author;
/// use turted_core::cluster::node::{NodeRecord, Progress};
/// use turted_core::cluster::table::Table;
/// use turted_core::name::Name;
/// let record = NodeRecord {
///     version: Name::new("1.0.0").unwrap(),
///     reads: 1,
///     advertise: None,
///     progress: Progress::default(),
///     keeps: None,
///     draining: false,
///     connections: 0,
///     rules: vec![],
/// };
/// let (mut table, second) = (Table::default(), Duration::from_secs(1));
/// table.heard(Author { node: 3, process: 17 }, record, second);
/// assert_eq!(table.alive(second * 16).count(), 1);
/// assert_eq!(table.silent(second * 17).collect::<Vec<_>>(), [17]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table {
    nodes: BTreeMap<u64, Known>,
    inquiry: Option<Inquiry>,
}

/// What is known of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The number of its node.
    pub number: u16,
    /// When it was heard for the last time.
    pub heard: Duration,
    /// Since when it has the number, without having been silent.
    since: Duration,
    /// Its silence of before does not count: this node heard nothing then, itself neither.
    excused: Duration,
    /// What it is doing.
    pub state: NodeState,
    /// How far it had come then.
    pub progress: Progress,
    /// What it said of itself; `None` if only its last word is known.
    pub record: Option<NodeRecord>,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It takes part.
    Alive,
    /// It takes no clients any more. It still passes on, lets go and bears witness.
    Draining,
    /// It has said its last word.
    Left,
}

impl Known {
    /// Whether it takes part, draining or not, and was heard lately.
    #[must_use]
    pub fn is_alive(&self, now: Duration) -> bool {
        self.state != NodeState::Left && self.heard.max(self.excused) + SILENCE >= now
    }

    /// Whether it took part at a moment, by what was heard of it.
    fn took_part(&self, then: Duration) -> bool {
        self.state != NodeState::Left && self.heard + SILENCE >= then
    }
}

impl Table {
    /// A node said that it is there.
    pub fn heard(&mut self, author: Author, record: NodeRecord, now: Duration) {
        let state = if record.draining { NodeState::Draining } else { NodeState::Alive };
        let progress = record.progress;
        self.note(author, (state, progress), Some(record), now);
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.heard(author.process, progress, now);
        }
    }

    /// A node said its last word.
    pub fn left(&mut self, author: Author, progress: Progress, now: Duration) {
        let record = self.nodes.remove(&author.process).and_then(|known| known.record);
        self.note(author, (NodeState::Left, progress), record, now);
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.left(author.process, progress);
        }
    }

    /// An epoch has begun; `former` is the last entry that the engine has of the epochs before. Whether something of
    /// them is lost, the witnesses know: the nodes that had taken part until their end. If none is known, something may
    /// be lost.
    pub fn begun(&mut self, epoch: u64, former: Option<Cursor>, now: Duration) {
        let end = self.nodes.values().map(|known| known.heard).max().unwrap_or_default();
        let is_lost = self.nodes.values().any(|known| known.progress.is_beyond(epoch, former))
            || (self.nodes.is_empty() && former.is_some());
        let mut inquiry = Inquiry::new(epoch, former);
        if is_lost {
            inquiry.lose();
        }
        for (process, _) in self.nodes.iter().filter(|(_, known)| known.took_part(end)) {
            inquiry.ask(*process, now);
        }
        if let Some(former) = self.inquiry.take() {
            inquiry.take_over(former);
        }
        self.inquiry = Some(inquiry);
    }

    /// What became of the last question whether something is lost, where this node has read all that was written up to
    /// `read`; `None` while there is none, and while a witness may still say. It is told once.
    pub fn judge(&mut self, read: Duration) -> Option<Judgement> {
        let judgement = self.inquiry.as_ref()?.judge(read)?;
        self.inquiry = None;
        Some(judgement)
    }

    /// The loss of what was before `epoch` is told: it is no question any more.
    pub fn told(&mut self, epoch: u64) {
        if self.inquiry.as_ref().is_some_and(|inquiry| inquiry.epoch() <= epoch) {
            self.inquiry = None;
        }
    }

    /// Whether a witness should have said before this moment whether it knows of a loss: once this node has read up to it,
    /// it can judge.
    #[must_use]
    pub fn is_judgement_due(&self, now: Duration) -> bool {
        self.inquiry.as_ref().is_some_and(|inquiry| inquiry.is_overdue(now))
    }

    /// The processes that have not said yet whether they know of a loss.
    pub fn witnesses_missing(&self) -> impl Iterator<Item = u64> {
        self.inquiry.iter().flat_map(Inquiry::missing)
    }

    /// All processes that are known, those that are gone as well.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Known)> {
        self.nodes.iter().map(|(process, known)| (*process, known))
    }

    /// Whether a process has said something in the log, and is remembered.
    #[must_use]
    pub fn knows(&self, process: u64) -> bool {
        self.nodes.contains_key(&process)
    }

    /// The nodes that take part, draining or not.
    pub fn alive(&self, now: Duration) -> impl Iterator<Item = (u64, &Known)> {
        self.all().filter(move |(_, known)| known.is_alive(now))
    }

    /// The processes that have not left and were not heard lately.
    pub fn silent(&self, now: Duration) -> impl Iterator<Item = u64> {
        let is_silent = move |known: &Known| known.state != NodeState::Left && !known.is_alive(now);
        self.all().filter(move |(_, known)| is_silent(known)).map(|(process, _)| process)
    }

    /// The nodes that take part, draining or not, by their numbers. Of several processes with one number it is the one that has
    /// it for the longest time: no other one is given it meanwhile, so the others have lost it, or never had it.
    #[must_use]
    pub fn by_number(&self, now: Duration) -> BTreeMap<u16, (u64, &Known)> {
        let mut nodes = BTreeMap::<u16, (u64, &Known)>::new();
        for (process, known) in self.alive(now) {
            let node = nodes.entry(known.number).or_insert((process, known));
            if known.since < node.1.since {
                *node = (process, known);
            }
        }
        nodes
    }

    /// The latest version of entries that all nodes read; `None` without nodes.
    #[must_use]
    pub fn oldest_reads(&self, now: Duration) -> Option<u8> {
        self.alive(now).filter_map(|(_, known)| known.record.as_ref()).map(|record| record.reads).min()
    }

    /// This node heard nothing for a while, not even itself, and hears again now: nodes that took part when that began have
    /// [`SILENCE`] from now on to be heard, and to bear witness.
    pub fn excuse(&mut self, since: Duration, now: Duration) {
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.excuse(since, now);
        }
        for known in self.nodes.values_mut().filter(|known| known.is_alive(since)) {
            known.excused = now;
        }
    }

    /// The first entry that a node which takes part keeps; `None` if none says so.
    #[must_use]
    pub fn keeps(&self, now: Duration) -> Option<Cursor> {
        let kept = self.alive(now).filter_map(|(_, known)| known.record.as_ref()?.keeps);
        kept.min_by_key(|at| (at.epoch, at.sequence))
    }

    /// Forgets the processes that are gone since long.
    pub fn tidy(&mut self, now: Duration) {
        self.nodes.retain(|_, known| known.is_alive(now) || known.heard + MEMORY >= now);
    }

    /// Notes a process. If there are too many, the one gives way that was not heard for the longest time; but a new one
    /// displaces none that takes part, so that made-up nodes do not hide those that are there.
    fn note(
        &mut self,
        author: Author,
        (state, progress): (NodeState, Progress),
        record: Option<NodeRecord>,
        heard: Duration,
    ) {
        let former = self.nodes.get(&author.process);
        let excused = former.map(|known| known.excused).unwrap_or_default();
        let same = former.filter(|known| known.number == author.node && known.is_alive(heard));
        let since = same.map_or(heard, |known| known.since);
        if former.is_none() && self.nodes.len() >= PROCESSES_MAX {
            let oldest = self.nodes.iter().min_by_key(|(_, known)| known.heard);
            match oldest.map(|(process, oldest)| (*process, oldest.is_alive(heard))) {
                Some((process, false)) => drop(self.nodes.remove(&process)),
                _ => return,
            }
        }
        let known = Known { number: author.node, heard, since, excused, state, progress, record };
        self.nodes.insert(author.process, known);
    }
}

#[cfg(test)]
mod tests;
