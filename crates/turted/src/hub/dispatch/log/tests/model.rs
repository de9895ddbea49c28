//! The log beside a model that is plain to see: the entries by their numbers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What the model knows of an entry: its targets, each by its number; `None` if it is no dispatch.
type Known = Option<Vec<u8>>;

const ENTRIES_MAX: usize = 12;
const NAMES: u8 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// A dispatch for these users, which is numbered here, or comes so many numbers behind the next one.
    Append(Vec<u8>),
    AppendAt(u64, Vec<u8>),
    SkipAt(u64),
    /// So many seconds pass.
    Tidy(u64),
    /// So many steps, up to so many numbers before the last one.
    Index(usize, u64),
    ForgetAll,
}

fn step() -> impl Strategy<Value = Step> {
    let users = || prop::collection::vec(0..NAMES, 0..3);
    let jump = || prop_oneof![6 => Just(0), 2 => 1_u64..4, 1 => Just(1 << 20)];
    prop_oneof![
        4 => users().prop_map(Step::Append),
        6 => (jump(), users()).prop_map(|(jump, users)| Step::AppendAt(jump, users)),
        3 => jump().prop_map(Step::SkipAt),
        1 => (0..6_u64).prop_map(Step::Tidy),
        3 => (0..8_usize, 0..5_u64).prop_map(|(steps, before)| Step::Index(steps, before)),
        1 => Just(Step::ForgetAll),
    ]
}

/// All that the log should know.
struct Model {
    entries: BTreeMap<u64, (Known, Instant)>,
    next: u64,
    gone: u64,
    has_lost: bool,
    /// The highest number up to which the log must have indexed.
    indexed: u64,
}

impl Model {
    fn add(&mut self, sequence: u64, known: Known, now: Instant) {
        if sequence > self.next && self.has_lost {
            self.gone = sequence - 1;
        }
        self.has_lost = false;
        self.next = sequence + 1;
        self.entries.insert(sequence, (known, now));
        self.forget_old(now);
        while self.entries.len() > ENTRIES_MAX {
            self.forget_oldest();
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.entries.first_key_value().is_some_and(|(_, (_, at))| now - *at > Duration::from_secs(10)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((sequence, _)) = self.entries.pop_first() {
            self.gone = sequence;
        }
    }

    /// The numbers of the dispatches that name a user, the latest first.
    fn mentions(&self, user: u8, up_to: u64) -> Vec<u64> {
        let names = |known: &Known| known.as_ref().is_some_and(|users| users.contains(&user));
        let entries = self.entries.range(..=up_to).rev();
        entries.filter(|(_, (known, _))| names(known)).map(|(sequence, _)| *sequence).collect()
    }
}

fn user(number: u8) -> Name {
    Name::new(&number.to_string()).unwrap()
}

fn to(users: &[u8]) -> Dispatch {
    let users = users.iter().map(|number| user(*number)).collect();
    Dispatch { targets: Targets { users, ..Targets::default() }, ..dispatch() }
}

/// The numbers of the dispatches in which the index finds a user, the latest first.
fn found(log: &Log, number: u8) -> Vec<u64> {
    let user = user(number);
    let first = log.latest(Via::User(&user));
    let mentions = std::iter::successors(first, |mention| log.earlier(*mention));
    let kept = mentions.filter(|mention| log.get(mention.sequence).is_some());
    let mut found: Vec<_> = kept.map(|mention| mention.sequence).collect();
    found.dedup();
    found
}

fn check(log: &Log, model: &Model) {
    assert_eq!(kept(log), model.entries.keys().copied().collect::<Vec<_>>());
    let is_dispatch = |sequence: u64| model.entries.get(&sequence).is_some_and(|(known, _)| known.is_some());
    let first = model.entries.keys().next().copied().unwrap_or(model.next);
    assert_eq!((log.first(), log.last(), log.gone()), (first, model.next - 1, model.gone));
    assert_eq!(log.size().0, model.entries.keys().filter(|sequence| is_dispatch(**sequence)).count());
    let near = model.entries.keys().chain([&model.gone, &model.next]);
    for sequence in near.flat_map(|number| [number.saturating_sub(1), *number, number + 1]) {
        assert_eq!(log.get(sequence).is_some(), is_dispatch(sequence), "{sequence}");
        let is_complete = sequence < model.next && sequence >= model.gone;
        assert_eq!(log.has_all_after(sequence), is_complete, "{sequence}");
    }
    assert_eq!(log.bytes, log.kept.iter().map(|entry| entry.accepted.bytes()).sum::<usize>());
    for number in 0..NAMES {
        let found = found(log, number);
        let all = model.mentions(number, u64::MAX);
        assert!(all.ends_with(&found), "{found:?} of {all:?}");
        assert!(found.len() >= model.mentions(number, model.indexed).len(), "{found:?} of {all:?}");
    }
}

/// Does the same to both.
fn advance(log: &mut Log, model: &mut Model, (step, now): (Step, &mut Instant)) {
    let cursor = |jump: u64| Cursor { epoch: 7 + jump, sequence: model.next + jump };
    match step {
        Step::Append(users) => {
            let accepted = log.append(to(&users), *now);
            model.add(accepted.sequence(), Some(users), *now);
        }
        Step::AppendAt(jump, users) => {
            let accepted = log.append_at(cursor(jump), to(&users), *now);
            model.add(accepted.sequence(), Some(users), *now);
        }
        Step::SkipAt(jump) => {
            let accepted = log.skip_at(cursor(jump), *now);
            model.add(accepted.sequence(), None, *now);
        }
        Step::Tidy(seconds) => {
            *now += Duration::from_secs(seconds);
            while log.tidy(*now) {}
            model.forget_old(*now);
        }
        Step::Index(mut steps, before) => {
            let last = log.last().saturating_sub(before);
            if log.index(last, &mut steps) {
                model.indexed = model.indexed.max(last);
            }
        }
        Step::ForgetAll => {
            log.forget_all();
            (model.gone, model.has_lost) = (model.next - 1, true);
            model.entries.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn the_log_knows_what_was_put_into_it(steps in prop::collection::vec(step(), 0..60)) {
        let (mut log, mut now) = log(ENTRIES_MAX, 1_000_000);
        let (entries, has_lost) = (BTreeMap::new(), false);
        let mut model = Model { entries, next: 1, gone: 0, has_lost, indexed: 0 };
        for step in steps {
            advance(&mut log, &mut model, (step, &mut now));
            check(&log, &model);
        }
    }
}
