//! What other nodes have told of who is in their channels, and which nodes are silent.
//!
//! A node counts as long as it has its lease. One that has gone counts for a while still, like a lost connection: if it comes
//! back within it, nothing has happened. A node is silent if what it has may be something else than it told: it is new, a message
//! of it was lost, or nothing came for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::copy::{NodeCopy, Room};
use super::share::{Changes, Place, Portion, Share};
use super::table::Table;
use crate::limits::{
    PRESENCE_ANSWER_MAX, PRESENCE_ASKED_NODES_MAX, PRESENCE_OTHERS_BYTES_MAX, PRESENCE_OTHERS_PAUSE,
    PRESENCE_SILENCE,
};

/// Another node, as this one sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Its process.
    pub process: u64,
    /// Its number.
    pub node: u16,
    /// Whether it is about to leave.
    pub is_draining: bool,
}

/// What is known of the other nodes.
#[derive(Clone, Copy, Debug)]
pub struct Vicinity<'a> {
    /// Those that are there.
    pub nodes: &'a [Sight],
    /// Processes that are gone without a word. Others that are gone have left.
    pub gone: &'a [u64],
    /// Whether this node has followed the log for longer than a lease. One that has not does not know which nodes are there:
    /// none of them goes.
    pub is_known: bool,
}

/// For how long what a node has told counts when it is gone.
#[derive(Clone, Copy, Debug)]
pub struct Graces {
    /// If it said nothing.
    pub lost: Duration,
    /// If it has left: its clients come back over some time.
    pub left: Duration,
}

/// A node that is to be asked for a portion of all that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The number of the node.
    pub node: u16,
    /// Behind this place.
    pub after: Option<Place>,
}

/// How much other nodes have told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Nodes that are silent.
    pub silent: usize,
    /// Users in channels: one that two nodes have in three channels counts six times.
    pub users: usize,
    /// Names that were left out since the start, because there was no room.
    pub left_out: u64,
    /// How often all was asked for since the start.
    pub asked: u64,
}

/// How far a node is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// It is to be asked for all.
    Wanted,
    /// It was asked for what is behind this place, then.
    Asked(Option<Place>, Instant),
    /// All that it has told is known.
    Known,
}

/// One node.
#[derive(Debug)]
struct Other {
    node: u16,
    copy: NodeCopy,
    /// The number of the last message of changes that counts.
    sequence: u64,
    stage: Stage,
    /// When all was known for the last time; `None` if it never was.
    known: Option<Instant>,
    /// Since when it may be known, if it was new then: before, it was nowhere.
    appeared: Option<Instant>,
    is_draining: bool,
    /// Until when it counts, if it is gone; and whether it has left.
    gone: Option<(Instant, bool)>,
    /// When something was left out.
    was_cut: Option<Instant>,
}

impl Other {
    fn is_silent(&self, now: Instant) -> bool {
        let is_recent = |then: Instant| now.saturating_duration_since(then) <= PRESENCE_SILENCE;
        match self.gone {
            Some((_, has_left)) => !has_left,
            None => self.was_cut.is_some() || !self.known.or(self.appeared).is_some_and(is_recent),
        }
    }

    /// Takes what it is to be asked, if it is.
    fn ask(&mut self, now: Instant) -> Option<Question> {
        let after = match &self.stage {
            Stage::Wanted => None,
            Stage::Asked(after, then) if now.saturating_duration_since(*then) >= PRESENCE_ANSWER_MAX => {
                after.clone()
            }
            Stage::Asked(..) | Stage::Known => return None,
        };
        self.stage = Stage::Asked(after.clone(), now);
        Some(Question { node: self.node, after })
    }
}

/// The other nodes, by their processes.
#[derive(Debug, Default)]
pub(super) struct Others {
    nodes: BTreeMap<u64, Other>,
    /// About how many bytes what they have told takes.
    bytes: usize,
    left_out: u64,
    asked: u64,
}

impl Table {
    /// Other nodes are to hear who is in the channels of this one. To be called before anybody is.
    pub fn share(&mut self) {
        self.share = Some(Share::default());
    }

    /// The next message of changes for other nodes; `None` if there is nothing to tell.
    pub fn changes(&mut self) -> Option<Changes> {
        self.share.as_mut()?.take(self.channels.all())
    }

    /// A message that says that nothing has changed.
    #[must_use]
    pub fn beacon(&self) -> Option<Changes> {
        self.share.as_ref().map(Share::beacon)
    }

    /// A portion of all that this node has, for one that asks.
    #[must_use]
    pub fn portion(&self, after: Option<Place>) -> Option<Portion> {
        self.share.as_ref().map(|share| share.portion(self.channels.all(), after))
    }

    /// Looks which nodes are there, and which are silent. Returns what nodes are to be asked.
    pub fn look(&mut self, vicinity: &Vicinity<'_>, graces: Graces, now: Instant) -> Vec<Question> {
        let nodes = &mut self.others.nodes;
        for sight in vicinity.nodes {
            let other = nodes.entry(sight.process).or_insert_with(|| Other {
                node: sight.node,
                copy: NodeCopy::default(),
                sequence: 0,
                stage: Stage::Wanted,
                known: None,
                appeared: vicinity.is_known.then_some(now),
                is_draining: false,
                gone: None,
                was_cut: None,
            });
            (other.node, other.gone) = (sight.node, None);
            other.is_draining |= sight.is_draining;
        }
        for (process, other) in nodes.iter_mut() {
            if !vicinity.nodes.iter().any(|sight| sight.process == *process) {
                let has_left = !vicinity.gone.contains(process);
                let grace = if has_left || other.is_draining { graces.left } else { graces.lost };
                if has_left || vicinity.is_known {
                    other.gone.get_or_insert((now + grace, has_left));
                }
            }
            if other.was_cut.is_some_and(|then| now.saturating_duration_since(then) > PRESENCE_OTHERS_PAUSE) {
                (other.was_cut, other.stage) = (None, Stage::Wanted);
            }
        }
        self.count_silent(now);
        self.others.ask(now)
    }

    fn count_silent(&mut self, now: Instant) {
        let silent = self.others.nodes.values().filter(|other| other.is_silent(now)).count();
        self.channels.set_silent(silent);
    }

    /// Gives up a portion of what nodes have told that do not count any more. Returns whether there may be more.
    pub fn forget_gone(&mut self, now: Instant, portion: usize) -> bool {
        let Self { others: Others { nodes, bytes, .. }, channels, .. } = self;
        let is_over = |other: &Other| other.gone.is_some_and(|(until, _)| until <= now);
        let Some(process) = nodes.iter().find(|(_, other)| is_over(other)).map(|(process, _)| *process)
        else {
            return false;
        };
        if let Some(other) = nodes.get_mut(&process) {
            // If it comes back meanwhile, it is asked for all.
            (other.stage, other.known) = (Stage::Wanted, None);
            let before = other.copy.bytes();
            other.copy.forget(channels, portion);
            *bytes -= before - other.copy.bytes();
            if other.copy.is_empty() {
                nodes.remove(&process);
            }
        }
        true
    }

    /// A node has told what has changed there. Returns whom to ask for more.
    pub fn hear_changes(&mut self, process: u64, changes: &Changes, now: Instant) -> Vec<Question> {
        let Some(other) = self.others.nodes.get_mut(&process) else { return Vec::new() };
        // Before the first portion nothing is known that could have changed.
        if matches!(other.stage, Stage::Wanted | Stage::Asked(None, _)) {
            return Vec::new();
        }
        let next = if changes.groups.is_empty() { other.sequence } else { other.sequence + 1 };
        if changes.sequence > next {
            // A message was lost.
            other.stage = Stage::Wanted;
            return self.others.ask(now);
        }
        if changes.sequence < next {
            return Vec::new();
        }
        other.sequence = next;
        if other.stage == Stage::Known {
            other.known = Some(now);
        }
        self.change_copy(process, now, |copy, room| copy.change(&changes.groups, room));
        Vec::new()
    }

    /// A node has sent a portion of all that it has. Returns whom to ask for more.
    pub fn hear_portion(&mut self, process: u64, portion: &Portion, now: Instant) -> Vec<Question> {
        let Some(other) = self.others.nodes.get_mut(&process) else { return Vec::new() };
        match &other.stage {
            Stage::Asked(after, _) if *after == portion.after => {}
            _ => return Vec::new(),
        }
        if portion.upto.is_some() && portion.upto <= portion.after {
            // It would have no end.
            return Vec::new();
        }
        if portion.after.is_none() {
            other.sequence = portion.sequence;
        } else if portion.sequence < other.sequence {
            // It was on its way while something of it has changed.
            other.stage = Stage::Asked(portion.after.clone(), now);
            return vec![Question { node: other.node, after: portion.after.clone() }];
        }
        let mut questions = Vec::new();
        if let Some(upto) = &portion.upto {
            other.stage = Stage::Asked(Some(upto.clone()), now);
            questions.push(Question { node: other.node, after: Some(upto.clone()) });
        } else {
            (other.stage, other.known) = (Stage::Known, Some(now));
        }
        self.change_copy(process, now, |copy, room| copy.replace(portion, room));
        if questions.is_empty() {
            self.count_silent(now);
            questions = self.others.ask(now);
        }
        questions
    }

    /// Changes what is kept of a node, within what there is room for.
    fn change_copy(&mut self, process: u64, now: Instant, change: impl FnOnce(&mut NodeCopy, &mut Room<'_>)) {
        let Self { others, channels, rules, .. } = self;
        let Some(other) = others.nodes.get_mut(&process) else { return };
        let bytes = PRESENCE_OTHERS_BYTES_MAX.saturating_sub(others.bytes);
        let mut room = Room { channels, rules, bytes, left_out: 0 };
        let before = other.copy.bytes();
        change(&mut other.copy, &mut room);
        others.bytes = others.bytes + other.copy.bytes() - before;
        others.left_out += room.left_out;
        if room.left_out > 0 {
            other.was_cut = Some(now);
        }
    }

    /// How much other nodes have told.
    #[must_use]
    pub fn copied(&self) -> Copied {
        let users = self.others.nodes.values().map(|other| other.copy.users()).sum();
        let Others { left_out, asked, .. } = self.others;
        Copied { silent: self.channels.moment.silent, users, left_out, asked }
    }

    /// Nodes that are silent.
    #[must_use]
    pub fn silent(&self) -> usize {
        self.channels.moment.silent
    }
}

impl Others {
    /// Asks nodes that are to be asked, as many as may be at a time.
    fn ask(&mut self, now: Instant) -> Vec<Question> {
        let is_waiting = |other: &Other| match &other.stage {
            Stage::Asked(_, then) => now.saturating_duration_since(*then) < PRESENCE_ANSWER_MAX,
            Stage::Wanted | Stage::Known => false,
        };
        let waiting = self.nodes.values().filter(|other| is_waiting(other)).count();
        let room = PRESENCE_ASKED_NODES_MAX.saturating_sub(waiting);
        let there = self.nodes.values_mut().filter(|other| other.gone.is_none());
        let questions: Vec<_> = there.filter_map(|other| other.ask(now)).take(room).collect();
        self.asked += questions.iter().filter(|question| question.after.is_none()).count() as u64;
        questions
    }
}

#[cfg(test)]
mod tests;
