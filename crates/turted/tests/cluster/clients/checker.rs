//! Judges a run by what backends were answered and clients have heard.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::{Duration, Instant};

use turted_core::cursor::Cursor;

use super::backends::{Outcome, Push};
use super::journal::{Journal, Step};

/// A gap is told within this time, at most, also if a node that may know more is silent.
const TOLD_MAX: Duration = Duration::from_secs(40);

/// So many findings of a kind are named.
const NAMED: usize = 5;

/// What is wrong, by kind, and how much there was to be judged.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    wrong: BTreeMap<&'static str, Vec<String>>,
    pub(crate) deliveries: usize,
    pub(crate) gaps: usize,
    /// Some of them, and what happened before.
    told: Vec<String>,
    /// Gaps that were told where nothing is missing.
    pub(crate) false_gaps: usize,
    pub(crate) accepted: usize,
    pub(crate) unsure: usize,
    pub(crate) refused: usize,
}

impl Findings {
    fn add(&mut self, kind: &'static str, what: String) {
        self.wrong.entry(kind).or_default().push(what);
    }

    /// How much is wrong of a kind.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.wrong.get(kind).map_or(0, Vec::len)
    }

    /// Nothing may be wrong. What is missing behind a gap that was told is not.
    pub(crate) fn assert_sound(&self) -> &Self {
        assert!(self.accepted > 0, "nothing was accepted: {self:?}");
        let mut text = String::new();
        for (kind, list) in &self.wrong {
            let named = list.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("\n    ");
            write!(text, "{kind}: {}\n    {named}\n", list.len()).unwrap();
        }
        assert!(self.wrong.is_empty(), "{text}{}", self.figures());
        self
    }

    /// The same, and nobody may have been told a gap.
    pub(crate) fn assert_nothing_told(&self) -> &Self {
        self.assert_sound();
        assert_eq!(self.gaps, 0, "{}\n    {}", self.figures(), self.told.join("\n    "));
        self
    }

    pub(crate) fn figures(&self) -> String {
        let Self { deliveries, gaps, false_gaps, accepted, unsure, refused, .. } = self;
        format!(
            "{accepted} accepted, {unsure} unsure, {refused} refused, {deliveries} deliveries, {gaps} gaps told, \
             {false_gaps} of them for nothing"
        )
    }
}

/// Judges a run in which every client has received the last push.
pub(crate) fn check(pushes: &[Push], journals: &[Journal]) -> Findings {
    let mut findings = Findings::default();
    let by_number: HashMap<u64, &Push> = pushes.iter().map(|push| (push.number, push)).collect();
    for push in pushes {
        match push.outcome {
            Outcome::Accepted(_) => findings.accepted += 1,
            Outcome::Unsure(_) => findings.unsure += 1,
            Outcome::Refused(..) => findings.refused += 1,
        }
    }
    let positions = positions(&mut findings, pushes, journals);
    for (client, journal) in journals.iter().enumerate() {
        let check = ClientCheck { client, journal, by_number: &by_number, positions: &positions };
        check.events(&mut findings);
        check.positions(&mut findings);
        check.missing(&mut findings, pushes);
    }
    findings
}

/// Where each push is in the log. It has one position.
fn positions(findings: &mut Findings, pushes: &[Push], journals: &[Journal]) -> HashMap<u64, Cursor> {
    let mut positions: HashMap<u64, Cursor> = HashMap::new();
    let told = pushes.iter().filter_map(|push| match push.outcome {
        Outcome::Accepted(Some(position)) => Some((push.number, position)),
        _ => None,
    });
    let heard = journals.iter().flat_map(|journal| &journal.steps).filter_map(|step| match step {
        Step::Event { number, position, .. } => Some((*number, (*position)?)),
        _ => None,
    });
    for (number, position) in told.chain(heard) {
        let known = *positions.entry(number).or_insert(position);
        if known != position {
            findings.add("dispatched twice", format!("{number} is at {known} and {position}"));
        }
    }
    positions
}

/// A time in which a client is its user and in its channels.
struct Stay {
    from: Instant,
    /// When a gap was told that ended it, behind which position, and how many pushes are missing there.
    gap: Option<(Instant, Option<Cursor>)>,
    missing: usize,
}

struct ClientCheck<'a> {
    client: usize,
    journal: &'a Journal,
    by_number: &'a HashMap<u64, &'a Push>,
    positions: &'a HashMap<u64, Cursor>,
}

impl ClientCheck<'_> {
    fn events(&self, findings: &mut Findings) {
        let (mut before, mut highest): (HashMap<u64, usize>, u64) = Default::default();
        for (step, number, via, position) in self.journal.steps.iter().enumerate().filter_map(event) {
            findings.deliveries += 1;
            let what = || format!("client {}: {number} at {position:?}", self.client);
            match self.by_number.get(&number) {
                None => findings.add("invented", what()),
                Some(push) if via != Some(push.target) || !self.journal.member.receives(push.target) => {
                    findings.add("wrong recipient", format!("{} for {}", what(), push.target));
                }
                Some(Push { outcome: Outcome::Refused(status, why), .. }) => {
                    findings.add("refused but delivered", format!("{}: {status} {why}", what()));
                }
                Some(_) => {}
            }
            if let Some(at) = before.insert(number, step) {
                findings.add("doubled", format!("{}: {:?}", what(), self.between(at, step)));
                continue;
            }
            if let Some(position) = position {
                if position.sequence <= highest {
                    findings.add("reordered", format!("{} behind {highest}", what()));
                }
                highest = highest.max(position.sequence);
            }
        }
    }

    /// No two events have one position without a gap between. A former master that was promoted again may give one twice.
    fn positions(&self, findings: &mut Findings) {
        let mut numbers: HashMap<(u64, u64), u64> = HashMap::new();
        for step in &self.journal.steps {
            match step {
                Step::Gap { .. } => numbers.clear(),
                Step::Event { number, position: Some(at), .. } => {
                    let other = *numbers.entry((at.epoch, at.sequence)).or_insert(*number);
                    if other != *number {
                        let what = format!("client {}: {other} and {number} are at {at}", self.client);
                        findings.add("position used twice", what);
                    }
                }
                _ => {}
            }
        }
    }

    /// The ends and returns between two steps.
    fn between(&self, from: usize, to: usize) -> Vec<&Step> {
        let steps = self.journal.steps[from..=to].iter();
        steps.filter(|step| !matches!(step, Step::Event { .. })).take(NAMED).collect()
    }

    fn stays(&self) -> Vec<Stay> {
        let mut stays: Vec<Stay> = Vec::new();
        for step in &self.journal.steps {
            match step {
                Step::In { at } => stays.push(Stay { from: *at, gap: None, missing: 0 }),
                Step::Gap { at, before, .. } => {
                    if let Some(stay) = stays.last_mut().filter(|stay| stay.gap.is_none()) {
                        stay.gap = Some((*at, *before));
                    }
                }
                _ => {}
            }
        }
        stays
    }

    fn missing(&self, findings: &mut Findings, pushes: &[Push]) {
        let mut stays = self.stays();
        for push in pushes.iter().filter(|push| self.journal.member.receives(push.target)) {
            let position = self.positions.get(&push.number);
            let is_due = matches!(push.outcome, Outcome::Accepted(_)) || position.is_some();
            if !is_due || self.journal.received.contains(&push.number) {
                continue;
            }
            let covers = |stay: &&mut Stay| {
                push.begun > stay.from && stay.gap.as_ref().is_none_or(|(at, _)| push.begun < *at)
            };
            let Some(stay) = stays.iter_mut().find(covers) else { continue };
            let is_excused = |(at, before): &(Instant, Option<Cursor>)| match (position, before) {
                // A loss is told some seconds later, and events of after it may come in between.
                _ if *at - push.begun < TOLD_MAX => true,
                (Some(position), Some(before)) => position.sequence > before.sequence,
                _ => true,
            };
            if stay.gap.as_ref().is_some_and(is_excused) {
                stay.missing += 1;
                continue;
            }
            let kind = if matches!(push.outcome, Outcome::Accepted(_)) { "lost" } else { "half delivered" };
            findings.add(kind, self.describe(push, position));
        }
        let told = stays.iter().filter(|stay| stay.gap.is_some());
        findings.gaps += self.journal.gaps().count();
        let steps = self.journal.steps.iter().enumerate();
        for (at, _) in steps.filter(|(_, step)| matches!(step, Step::Gap { .. })) {
            let before = &self.journal.steps[at.saturating_sub(2 * NAMED)..=at];
            let some = before.iter().filter(|step| !matches!(step, Step::Event { .. }));
            findings.told.push(format!("client {}: {:?}", self.client, some.collect::<Vec<_>>()));
        }
        findings.told.truncate(NAMED);
        findings.false_gaps += told.filter(|stay| stay.missing == 0).count();
    }

    /// A push that is missing, and what happened around it.
    fn describe(&self, push: &Push, position: Option<&Cursor>) -> String {
        let is_later = |step: &Step| match (step, position) {
            (Step::Event { position: Some(at), .. }, Some(position)) => at.sequence > position.sequence,
            _ => false,
        };
        let steps = &self.journal.steps;
        let next = steps.iter().position(is_later).unwrap_or(steps.len());
        let from = steps[..next].iter().rposition(|step| matches!(step, Step::Event { .. })).unwrap_or(0);
        let around = &steps[from..steps.len().min(next + 1)];
        let around = &around[around.len().saturating_sub(2 * NAMED)..];
        format!(
            "client {}: {} for {} at {position:?}, {:?}: {around:?}",
            self.client, push.number, push.target, push.outcome
        )
    }
}

type Heard = (usize, u64, Option<super::Target>, Option<Cursor>);

fn event((at, step): (usize, &Step)) -> Option<Heard> {
    match step {
        Step::Event { number, via, position } => Some((at, *number, *via, *position)),
        _ => None,
    }
}
