//! What a client has heard.

use std::collections::HashSet;
use std::time::Instant;

use turted_core::cursor::Cursor;

use super::{Member, Target};

#[derive(Clone, Debug)]
#[allow(dead_code, reason = "a finding shows the steps around it")]
pub(crate) enum Step {
    /// It is its user and in its channels, from now on.
    In { at: Instant },
    /// The event of the push with this number.
    Event { number: u64, via: Option<Target>, position: Option<Cursor> },
    /// Its connection is over, and why.
    Lost { why: String },
    /// It is back, at this node, and was told that nothing is missing.
    Recovered { at: Instant, place: usize },
    /// It is back, and was told by this code that something may be missing behind this position.
    Gap { at: Instant, before: Option<Cursor>, code: String },
}

#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) member: Member,
    pub(crate) steps: Vec<Step>,
    pub(crate) received: HashSet<u64>,
    /// Whether it is connected, its user, and in its channels.
    pub(crate) is_in: bool,
}

impl Journal {
    pub(crate) fn new(member: Member) -> Self {
        Self { member, steps: Vec::new(), received: HashSet::new(), is_in: false }
    }

    pub(crate) fn add(&mut self, step: Step) {
        match &step {
            Step::In { .. } => self.is_in = true,
            Step::Event { number, .. } => drop(self.received.insert(*number)),
            Step::Lost { .. } | Step::Gap { .. } => self.is_in = false,
            Step::Recovered { .. } => {}
        }
        self.steps.push(step);
    }

    /// When it was told that something may be missing.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Instant> {
        self.steps.iter().filter_map(|step| if let Step::Gap { at, .. } = step { Some(*at) } else { None })
    }
}
