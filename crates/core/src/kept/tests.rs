//! The store of kept entries, compared with a model: a list that is searched from end to end.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const AGE: Duration = Duration::from_secs(60);
const LIMITS: KeptLimits = KeptLimits { entries: 1_000_000, bytes: usize::MAX, age: AGE };
const NANOSECOND: Duration = Duration::from_nanos(1);

fn kept(limits: KeptLimits) -> (Kept<u32, u32>, Instant) {
    let now = Instant::now();
    (Kept::new(limits, now), now)
}

fn keys(kept: &Kept<u32, u32>) -> Vec<u32> {
    kept.keys().copied().collect()
}

#[test]
fn an_entry_is_found_at_its_age_and_not_above_it() {
    let (mut kept, now) = kept(LIMITS);
    kept.insert(1, 10, 0, now);
    assert_eq!(kept.get_with_time_left(&1, now + AGE / 3), Some((&10, AGE - AGE / 3)));
    assert_eq!(kept.get(&1, now + AGE), Some(&10));
    assert_eq!(kept.get_mut(&1, now + AGE), Some(&mut 10));
    let late = now + AGE + NANOSECOND;
    assert_eq!(kept.get(&1, late), None);
    assert_eq!(kept.get_mut(&1, late), None);
    assert_eq!(kept.remove(&1), Some(10), "an entry that is too old stays until it is forgotten");
}

#[test]
fn entries_of_the_same_time_go_in_their_order_and_time_does_not_go_back() {
    let (mut kept, start) = kept(LIMITS);
    let now = start + AGE;
    for (key, at) in [(1, now), (2, now), (3, start), (4, now)] {
        kept.insert(key, 0, 0, at);
    }
    assert_eq!(keys(&kept), [1, 2, 3, 4]);
    assert!(!kept.forget_old(now + AGE + NANOSECOND));
    assert_eq!(keys(&kept), [2, 3, 4], "each is a nanosecond younger than the one before");
}

#[test]
fn an_entry_that_is_put_in_again_is_the_youngest_and_counts_once() {
    let (mut kept, now) = kept(KeptLimits { entries: 2, bytes: 20, age: AGE });
    kept.insert(1, 10, 10, now);
    kept.insert(2, 20, 10, now);
    assert_eq!(kept.insert(1, 11, 5, now), 0);
    assert_eq!((keys(&kept), kept.bytes()), (vec![2, 1], 15));
}

#[test]
fn an_entry_that_never_fits_is_not_kept_and_pushes_nothing_out() {
    let (mut kept, now) = kept(KeptLimits { entries: 2, bytes: 20, age: AGE });
    kept.insert(1, 10, 20, now);
    assert_eq!(kept.insert(2, 20, 21, now), 0);
    assert_eq!((kept.get(&1, now), kept.get(&2, now)), (Some(&10), None));
    assert_eq!((kept.insert(2, 20, 20, now), keys(&kept)), (1, vec![2]), "an entry at the limit is kept");
    let mut nothing = Kept::new(KeptLimits { entries: 0, ..LIMITS }, now);
    assert_eq!((nothing.insert(1, 10, 0, now), nothing.is_empty()), (0, true));
}

#[test]
fn an_entry_may_count_less_and_never_more() {
    let (mut kept, now) = kept(KeptLimits { entries: 2, bytes: 20, age: AGE });
    kept.insert(1, 10, 20, now);
    assert!(!kept.has_room(1));
    *kept.reduce(&1, 8).unwrap() = 11;
    assert_eq!((kept.bytes(), kept.get(&1, now)), (8, Some(&11)));
    assert!(kept.has_room(12));
    assert!(!kept.has_room(13));
    kept.reduce(&1, 9);
    assert_eq!((kept.bytes(), kept.reduce(&2, 0)), (8, None));
}

#[test]
fn entries_that_are_too_old_go_in_portions_and_their_memory_with_them() {
    let (mut kept, now) = kept(LIMITS);
    for key in 0..5_000 {
        kept.insert(key, 0, 1, now);
    }
    assert!(!kept.tidy(now + AGE), "nothing is too old");
    assert_eq!(kept.len(), 5_000);
    let late = now + AGE + Duration::from_secs(1);
    kept.insert(7, 0, 1, late);
    assert!(kept.tidy(late), "more entries are too old");
    assert_eq!(kept.len(), 5_000 - PORTION);
    while kept.tidy(late) {}
    assert_eq!((keys(&kept), kept.bytes()), (vec![7], 1));
    assert!(kept.capacity() < 100, "{}", kept.capacity());
}

/// What an entry takes beside key and value.
#[test]
fn an_entry_takes_sixteen_bytes_beside_its_value() {
    assert_eq!(size_of::<Entry<u64>>(), size_of::<u64>() + 16);
}

/// The model: every entry in the order in which it was put in.
struct Model {
    limits: KeptLimits,
    entries: Vec<Known>,
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    key: u32,
    value: u32,
    bytes: usize,
    at: Instant,
}

impl Model {
    fn bytes(&self) -> usize {
        self.entries.iter().map(|known| known.bytes).sum()
    }

    fn find(&mut self, key: u32) -> Option<&mut Known> {
        self.entries.iter_mut().find(|known| known.key == key)
    }

    fn insert(&mut self, new: Known) -> usize {
        self.entries.retain(|known| known.key != new.key);
        if new.bytes > self.limits.bytes {
            return 0;
        }
        let before = self.entries.len();
        while self.entries.len() >= self.limits.entries || self.bytes() + new.bytes > self.limits.bytes {
            self.entries.remove(0);
        }
        let gave_way = before - self.entries.len();
        self.entries.push(new);
        gave_way
    }

    fn old(&self, now: Instant) -> usize {
        self.entries.iter().filter(|known| now.duration_since(known.at) > self.limits.age).count()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        key: u32,
        bytes: usize,
    },
    /// Puts in this many entries, with keys that count up from this one.
    InsertMany {
        key: u32,
        count: u32,
    },
    Change(u32),
    Reduce {
        key: u32,
        bytes: usize,
    },
    Remove(u32),
    Tidy,
    Wait(u64),
}

const KEYS: u32 = 300;

fn step() -> impl Strategy<Value = Step> {
    let key = || prop_oneof![0..8_u32, 0..KEYS];
    prop_oneof![
        4 => (key(), 0..120_usize).prop_map(|(key, bytes)| Step::Insert { key, bytes }),
        1 => (key(), 0..KEYS).prop_map(|(key, count)| Step::InsertMany { key, count }),
        1 => key().prop_map(Step::Change),
        1 => (key(), 0..120_usize).prop_map(|(key, bytes)| Step::Reduce { key, bytes }),
        2 => key().prop_map(Step::Remove),
        2 => Just(Step::Tidy),
        2 => (0..40_u64).prop_map(Step::Wait),
    ]
}

/// Takes a step in both, and compares what they return.
fn take(
    step: Step,
    kept: &mut Kept<u32, u32>,
    model: &mut Model,
    now: &mut Instant,
) -> Result<(), TestCaseError> {
    match step {
        Step::Insert { key, bytes } => {
            // Time passes between two calls.
            *now += NANOSECOND;
            let gave_way = model.insert(Known { key, value: key, bytes, at: *now });
            prop_assert_eq!(kept.insert(key, key, bytes, *now), gave_way);
        }
        Step::InsertMany { key, count } => {
            for number in 0..count {
                take(Step::Insert { key: (key + number) % KEYS, bytes: 1 }, kept, model, now)?;
            }
        }
        Step::Change(key) => {
            let young = model.find(key).filter(|known| now.duration_since(known.at) <= AGE);
            let (value, changed) = (kept.get_mut(&key, *now), young.map(|known| &mut known.value));
            prop_assert_eq!(&value, &changed);
            value.into_iter().chain(changed).for_each(|value| *value += 1);
        }
        Step::Reduce { key, bytes } => {
            let known = model.find(key);
            prop_assert_eq!(kept.reduce(&key, bytes).is_some(), known.is_some());
            known.into_iter().for_each(|known| known.bytes = known.bytes.min(bytes));
        }
        Step::Remove(key) => {
            let place = model.entries.iter().position(|known| known.key == key);
            let removed = place.map(|place| model.entries.remove(place).value);
            prop_assert_eq!(kept.remove(&key), removed);
        }
        Step::Tidy => {
            let old = model.old(*now);
            model.entries.drain(..old.min(PORTION));
            prop_assert_eq!(kept.tidy(*now), old > PORTION, "at most a portion is forgotten");
        }
        Step::Wait(seconds) => *now += Duration::from_secs(seconds),
    }
    Ok(())
}

fn compare(kept: &Kept<u32, u32>, model: &Model, now: Instant) -> Result<(), TestCaseError> {
    let known = model.entries.iter().map(|known| known.key);
    prop_assert_eq!(keys(kept), known.collect::<Vec<_>>(), "oldest first");
    prop_assert_eq!(kept.len(), model.entries.len());
    prop_assert!(kept.len() <= kept.limits.entries && kept.bytes() <= kept.limits.bytes);
    prop_assert_eq!(kept.bytes(), kept.entries.values().map(|entry| entry.bytes).sum::<usize>());
    prop_assert_eq!(kept.bytes(), model.bytes());
    for known in &model.entries {
        let left = AGE.checked_sub(now.duration_since(known.at));
        prop_assert_eq!(kept.get_with_time_left(&known.key, now), left.map(|left| (&known.value, left)));
    }
    Ok(())
}

#[test]
fn who_is_told_what_is_gone_hears_of_each_entry_once() {
    let now = Instant::now();
    let limits = KeptLimits { entries: 2, bytes: 10, age: Duration::from_secs(60) };
    let (mut kept, mut gone) = (Kept::new(limits, now), Vec::new());
    for (key, bytes) in [("a", 1), ("b", 1), ("b", 1), ("c", 1), ("d", 11), ("c", 11)] {
        kept.insert_telling((key, ()), bytes, now, |key| gone.push(key));
    }
    assert_eq!(gone, ["a", "d", "c"], "the oldest gave way, and what is too large is not kept");
    let late = now + limits.age + Duration::from_secs(1);
    assert!(!kept.tidy_telling(late, |key| gone.push(key)));
    assert_eq!((gone.last(), kept.len()), (Some(&"b"), 0));
}

#[test]
fn a_caller_that_goes_from_place_to_place_sees_every_entry() {
    let now = Instant::now();
    let mut kept = Kept::new(KeptLimits { entries: 9, bytes: 9, age: Duration::from_secs(60) }, now);
    (0..5).for_each(|key| _ = kept.insert(key, key * 10, 1, now));
    let (mut seen, mut place) = (Vec::new(), None);
    loop {
        let next = kept.behind(place).next().map(|(at, key, value)| (at, *key, *value));
        let Some((at, key, value)) = next else { break };
        assert_eq!(value, key * 10);
        place = Some(at);
        seen.push(key);
        if seen.len() == 2 {
            kept.remove(&3);
            kept.insert(0, 0, 1, now);
        }
    }
    assert_eq!(seen, [0, 1, 2, 4, 0]);
}

proptest! {
    #[test]
    fn what_is_kept_is_what_was_put_in_last_within_its_bounds(
        steps in vec(step(), 0..60), entries in 1..400_usize, bytes in 1..2_000_usize,
    ) {
        let limits = KeptLimits { entries, bytes, age: AGE };
        let (mut kept, mut now) = kept(limits);
        let mut model = Model { limits, entries: Vec::new() };
        for step in steps {
            take(step, &mut kept, &mut model, &mut now)?;
            compare(&kept, &model, now)?;
        }
    }

    #[test]
    fn after_everything_is_too_old_nothing_is_left_of_it(keys in vec(0..20_000_u32, 0..10_000)) {
        let (mut kept, now) = kept(LIMITS);
        for key in keys {
            kept.insert(key, key, 100, now);
        }
        let late = now + AGE + Duration::from_secs(1);
        while kept.tidy(late) {}
        prop_assert_eq!((kept.len(), kept.bytes(), kept.order.len()), (0, 0, 0));
        prop_assert!(kept.capacity() <= 1_024, "{}", kept.capacity());
    }
}
