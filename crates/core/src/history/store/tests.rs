use std::time::Duration;

use super::*;
use crate::channel::ChannelPattern;

const AGE: Duration = Duration::from_secs(60);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn rules(rules: &[(&str, usize)]) -> HistoryRules {
    let rule = |(pattern, events): &(&str, usize)| {
        (ChannelPattern::parse(pattern).unwrap(), Depth { events: *events, age: AGE })
    };
    HistoryRules::new(rules.iter().map(rule))
}

fn history(given: &[(&str, usize)], events: usize, bytes: usize, began: Instant) -> History<u64> {
    History::new(rules(given), HistoryLimits { events, bytes }, (0, began))
}

fn add(history: &mut History<u64>, channel: &str, number: u64, bytes: usize, at: Instant) -> Vec<u64> {
    let mut gone = Vec::new();
    history.add(&name(channel), at, || Kept { number, at, bytes, event: number }, |event| gone.push(event));
    gone
}

fn all(history: &History<u64>, channel: &str, now: Instant) -> Vec<u64> {
    let range = Range { after: 0, up_to: u64::MAX, most: usize::MAX };
    let mut all: Vec<_> = history.newest(&name(channel), range, now).map(|kept| kept.event).collect();
    all.reverse();
    all
}

#[test]
fn a_channel_keeps_what_its_rule_says_and_one_without_rule_nothing() {
    let now = Instant::now();
    let mut history = history(&[("a*", 2), ("ab", 0)], 100, usize::MAX, now);
    for number in 1..=3 {
        let gone: Vec<_> =
            ["a", "ab", "b"].iter().flat_map(|to| add(&mut history, to, number, 1, now)).collect();
        assert_eq!(gone, if number == 3 { vec![1] } else { vec![] });
    }
    assert_eq!((all(&history, "a", now), all(&history, "ab", now)), (vec![2, 3], vec![]));
    assert_eq!((history.events(), history.channels()), (2, 1));
    assert!(rules(&[("a", 0)]).is_empty(), "nothing is looked up where no channel has history");
}

#[test]
fn the_channel_with_most_bytes_gives_way_first() {
    let now = Instant::now();
    let mut history = history(&[("*", 1_000)], 1_000, 20_000, now);
    add(&mut history, "quiet", 1, 100, now);
    for number in 2..=1_000 {
        add(&mut history, "busy", number, 100, now);
    }
    assert!(history.bytes() <= 20_000, "{}", history.bytes());
    assert_eq!(all(&history, "quiet", now), [1]);
    let busy = all(&history, "busy", now);
    assert!(busy.len() > 80 && *busy.last().unwrap() == 1_000, "{busy:?}");
    assert_eq!(history.pushed_out() as usize, 999 - busy.len());
}

#[test]
fn one_event_that_is_larger_than_all_room_leaves_nothing_behind() {
    let now = Instant::now();
    let mut history = history(&[("*", 10)], 10, 1_000, now);
    assert_eq!(add(&mut history, "a", 1, 100_000, now), [1]);
    assert_eq!((history.events(), history.bytes(), history.channels()), (0, 0, 0));
    assert!(history.by_bytes.is_empty());
}

#[test]
fn what_is_too_old_is_not_told_and_goes_in_portions_with_its_memory() {
    let now = Instant::now();
    let mut history = history(&[("*", 1_000)], 100_000, usize::MAX, now);
    for number in 1..=500 {
        add(&mut history, "deep", number, 1, now);
        add(&mut history, &number.to_string(), number, 1, now);
    }
    let late = now + AGE + Duration::from_secs(1);
    assert!(all(&history, "deep", late).is_empty());
    let mut gone = 0;
    assert!(history.tidy(late, |_| gone += 1));
    assert!(gone <= 2 * PORTION, "{gone} in one go");
    while history.tidy(late, |_| gone += 1) {}
    assert_eq!((gone, history.events(), history.bytes(), history.channels()), (1_000, 0, 0, 0));
    assert_eq!((history.names.capacity(), history.places.capacity()), (0, 0));
}

#[test]
fn what_is_asked_for_is_the_newest_within_a_range() {
    let now = Instant::now();
    let mut history = history(&[("*", 100)], 1_000, usize::MAX, now);
    (1..=20).for_each(|number| drop(add(&mut history, "a", 10 * number, 1, now)));
    let find = |after, up_to, most| {
        let range = Range { after, up_to, most };
        history.newest(&name("a"), range, now).map(|kept| kept.event).collect::<Vec<_>>()
    };
    assert_eq!(find(0, 45, 3), [40, 30, 20]);
    assert_eq!(find(20, 40, 9), [40, 30]);
    assert!(find(40, 40, 9).is_empty());
    assert!(find(50, 40, 9).is_empty());
    assert!(find(0, 9, 9).is_empty());
}

#[test]
fn a_channel_of_which_something_may_be_missing_says_so() {
    let began = Instant::now();
    let mut history =
        History::new(rules(&[("*", 3)]), HistoryLimits { events: 4, bytes: usize::MAX }, (5, began));
    let (a, b) = (name("a"), name("b"));
    assert!(!history.has_all_after(&a, 4, began), "another life of the server had it");
    assert!(history.has_all_after(&a, 5, began));
    assert!(!history.has_all_of_rule(&a, began), "the server may have run before");
    let now = began + AGE + Duration::from_secs(1);
    assert!(history.has_all_of_rule(&a, now));
    (6..=9).for_each(|number| drop(add(&mut history, "a", number, 1, now)));
    assert!(!history.has_all_after(&a, 5, now) && history.has_all_after(&a, 6, now));
    assert!(history.has_all_of_rule(&a, now), "the rule keeps three");
    (10..=11).for_each(|number| drop(add(&mut history, "b", number, 1, now)));
    assert_eq!(all(&history, "a", now), [8, 9], "one was pushed out");
    assert!(!history.has_all_of_rule(&a, now) && history.has_all_of_rule(&b, now));
    assert!(history.has_all_of_rule(&a, now + AGE + Duration::from_secs(1)), "it would be too old by now");
    assert!(!history.has_all_after(&a, 8, now + AGE + Duration::from_secs(1)), "9 is too old");
}

#[test]
fn after_a_loss_events_stay_and_are_not_all() {
    let began = Instant::now();
    let mut history = history(&[("*", 10)], 100, usize::MAX, began);
    let (a, b) = (name("a"), name("b"));
    let now = began + 2 * AGE;
    (1..=3).for_each(|number| drop(add(&mut history, "a", number, 1, now)));
    assert!(history.has_all_after(&a, 0, now) && history.has_all_of_rule(&b, now));
    history.mark_lost(4, now);
    assert_eq!(all(&history, "a", now), [1, 2, 3]);
    assert!([&a, &b].iter().all(|channel| !history.has_all_after(channel, 3, now)));
    assert!([&a, &b].iter().all(|channel| !history.has_all_of_rule(channel, now)));
    assert_eq!(history.each().next().unwrap().1.number, 4);
    let late = now + AGE + Duration::from_secs(1);
    (1_000..=1_001).for_each(|number| drop(add(&mut history, "a", number, 1, late)));
    assert!(!history.has_all_after(&a, 3, late) && history.has_all_after(&a, 999, late));
    assert!(history.has_all_of_rule(&a, late), "what is lost is too old by now");
}

/// The same by looking at everything.
#[test]
fn the_store_keeps_what_a_plain_list_keeps() {
    for seed in 0..30_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % limit
        };
        let mut now = Instant::now();
        let mut history = history(&[("*", 5)], 20, usize::MAX, now);
        let mut plain: Vec<(String, u64, Instant)> = Vec::new();
        for number in 1..=200 {
            now += Duration::from_secs(below(10));
            let channel = below(8).to_string();
            add(&mut history, &channel, number, 1, now);
            plain.push((channel, number, now));
            let kept: Vec<_> =
                (0..8_u64).flat_map(|channel| all(&history, &channel.to_string(), now)).collect();
            assert_eq!(history.names.len(), history.by_bytes.len(), "seed {seed}");
            assert!(history.events() <= 20, "seed {seed}");
            for channel in 0..8_u64 {
                let channel = channel.to_string();
                let own: Vec<_> = plain.iter().filter(|(to, ..)| *to == channel).collect();
                let young = own.iter().rev().take(5).filter(|(.., at)| now - *at <= AGE);
                let mut expected: Vec<_> = young.map(|(_, number, _)| *number).collect();
                expected.reverse();
                let found = all(&history, &channel, now);
                assert!(expected.ends_with(&found), "seed {seed}: {found:?} of {expected:?}");
                if found.len() < expected.len() {
                    assert!(!history.has_all_of_rule(&name(&channel), now), "seed {seed}");
                }
            }
            assert!(kept.contains(&number), "seed {seed}: the newest event stays");
        }
    }
}

#[test]
fn what_is_restored_is_what_was_kept_and_says_as_before_what_is_missing() {
    let now = Instant::now();
    let given = [("a*", 3), ("b*", 3), ("none", 0)];
    let mut before = history(&given, 100, usize::MAX, now);
    for number in 1..=5 {
        add(&mut before, "a", number, 1, now);
    }
    add(&mut before, "b", 6, 1, now);
    add(&mut before, "b2", 7, 1, now);
    before.delete(&name("b2"), 0..=u64::MAX, drop);
    before.delete(&name("a"), 4..=4, drop);
    let mut after = history(&given, 100, usize::MAX, now);
    after.set_edge(before.edge());
    for (channel, edge, kept) in before.each() {
        after.restore((channel, edge), now, kept.copied(), drop);
    }
    assert_eq!((all(&after, "a", now), all(&after, "b", now)), (vec![3, 5], vec![6]));
    for channel in ["a", "b", "b2", "b3"] {
        for number in 0..8 {
            let known = |history: &History<u64>| history.has_all_after(&name(channel), number, now);
            assert_eq!(known(&after), known(&before), "{channel} {number}");
        }
    }
    assert_eq!(
        (after.events(), after.bytes(), after.edge()),
        (before.events(), before.bytes(), before.edge())
    );
    let one = Kept { number: 1, at: now, bytes: 1, event: 1 };
    after.restore((&name("none"), Edge::default()), now, std::iter::once(one), drop);
    after.restore((&name("b3"), Edge::default()), now, std::iter::empty(), drop);
    assert_eq!(after.channels(), 2, "one has no history, of the other nothing is kept");
    add(&mut after, "a", 8, 1, now);
    add(&mut after, "a", 9, 1, now);
    assert_eq!(all(&after, "a", now), [5, 8, 9], "the rule holds");
}

#[test]
fn rules_that_differ_have_another_checksum() {
    let sums = [
        rules(&[("a", 2)]),
        rules(&[("a", 3)]),
        rules(&[("a*", 2)]),
        rules(&[("a", 2), ("b", 2)]),
        rules(&[]),
    ]
    .map(|rules| rules.checksum());
    assert_eq!(std::collections::BTreeSet::from(sums).len(), 5);
    assert_eq!(rules(&[("b", 2), ("a", 2)]).checksum(), rules(&[("a", 2), ("b", 2)]).checksum());
}

#[test]
fn what_is_deleted_is_gone_with_its_bytes_and_the_channel_says_that_something_is_missing() {
    let now = Instant::now();
    let late = now + AGE + Duration::from_millis(1);
    let mut history = history(&[("*", 10)], 100, usize::MAX, now);
    for number in 1..=4 {
        add(&mut history, "a", number, 10, late);
        add(&mut history, "b", number, 10, late);
    }
    let (a, bytes, mut gone) = (name("a"), history.bytes(), Vec::new());
    assert_eq!(history.delete(&a, 3..=3, |event| gone.push(event)), 1);
    assert_eq!(history.delete(&a, 3..=3, |event| gone.push(event)), 0);
    assert_eq!((gone, all(&history, "a", late), history.events()), (vec![3], vec![1, 2, 4], 7));
    assert!(history.bytes() < bytes);
    assert!(!history.has_all_after(&a, 2, late) && history.has_all_after(&a, 3, late));
    assert!(!history.has_all_of_rule(&a, late) && history.has_all_of_rule(&name("b"), late));
    assert_eq!(history.delete(&a, 0..=u64::MAX, |_| {}), 3);
    assert_eq!((history.channels(), history.pushed_out()), (1, 0));
    assert!(!history.has_all_after(&a, 3, late), "also once nothing of it is left");
    assert_eq!(history.delete(&name("b"), 0..=u64::MAX, |_| {}), 4);
    assert_eq!((history.events(), history.bytes(), history.channels()), (0, 0, 0));
}
