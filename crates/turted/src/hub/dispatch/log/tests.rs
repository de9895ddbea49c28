//! What the log keeps, finds and forgets.

use turted_core::dispatch::Targets;
use turted_core::kept::PORTION;
use turted_core::name::Name;

use super::*;

mod model;

fn dispatch() -> Dispatch {
    let payload = serde_json::value::to_raw_value(&1).unwrap();
    Dispatch { event: Name::new("e").unwrap(), payload, targets: Targets::broadcast() }
}

/// A log for `dispatches` dispatches and the bytes of `of_bytes` of them.
fn log(dispatches: usize, of_bytes: usize) -> (Log, Instant) {
    let bytes = of_bytes * bytes_of(&dispatch());
    let limits = LogLimits { dispatches, bytes, age: Duration::from_secs(10) };
    (Log::new(limits, Epoch { epoch: 7, after: 0 }, &Backlogs::new(usize::MAX)), Instant::now())
}

fn kept(log: &Log) -> Vec<u64> {
    log.kept.iter().map(|entry| entry.accepted.sequence()).collect()
}

#[test]
fn targets_count_too() {
    let (mut log, now) = log(1_000, 100);
    let user = Name::new("u").unwrap();
    for _ in 0..1_000 {
        let targets = Targets { users: vec![user.clone(); 100], ..Targets::default() };
        log.append(Dispatch { targets, ..dispatch() }, now);
    }
    assert_eq!(log.kept.len(), 1, "19,400 bytes hold one of 11,400");
}

#[test]
fn what_the_log_gives_up_counts_as_long_as_somebody_needs_it() {
    let (mut log, now) = log(1, 10);
    let first = log.append(dispatch(), now);
    assert_eq!(log.backlogs.bytes(), 0, "the log still keeps the dispatch");
    let second = log.append(dispatch(), now);
    assert_eq!(log.backlogs.bytes(), first.bytes());
    drop((first, second));
    assert_eq!(log.backlogs.bytes(), 0);
}

#[test]
fn what_is_kept_can_be_read_again_and_a_gap_is_told() {
    let (mut log, now) = log(3, 1_000);
    assert!(log.has_all_after(0));
    for _ in 0..5 {
        log.append(dispatch(), now);
    }
    assert_eq!(kept(&log), [3, 4, 5]);
    assert_eq!((3..6).map(|number| log.get(number).unwrap().sequence()).collect::<Vec<_>>(), [3, 4, 5]);
    assert!(log.get(2).is_none());
    assert!(log.get(6).is_none());
    assert!(log.get(u64::MAX).is_none());
    assert!((2..=5).all(|number| log.has_all_after(number)));
    assert!(!log.has_all_after(1), "dispatch 2 is no longer kept");
    assert!(!log.has_all_after(6), "dispatch 6 is not accepted yet");
    assert!(!log.has_all_after(u64::MAX));
}

#[test]
fn what_is_too_old_or_too_much_is_evicted() {
    let (mut log, now) = log(1_000, 500);
    log.append(dispatch(), now);
    log.append(dispatch(), now + Duration::from_secs(11));
    assert_eq!(kept(&log), [2]);
    for _ in 0..1_000 {
        log.append(dispatch(), now + Duration::from_secs(11));
    }
    assert!(log.bytes <= log.limits.bytes);
    assert_eq!(log.kept.len(), 500, "as many as the bytes allow");
}

#[test]
fn one_push_evicts_few_that_are_old_and_all_that_are_too_much() {
    let (mut log, now) = log(1_000, 10_000);
    for _ in 0..1_000 {
        log.append(dispatch(), now);
    }
    log.append(dispatch(), now + Duration::from_secs(11));
    assert_eq!(log.kept.len(), 1_001 - PORTION);
    let mut large = dispatch();
    large.payload = serde_json::value::to_raw_value(&"x".repeat(log.limits.bytes - 1_000)).unwrap();
    log.append(large, now + Duration::from_secs(11));
    assert!(log.bytes <= log.limits.bytes, "{} kept", log.kept.len());
    assert!(log.kept.len() <= 5, "{} kept", log.kept.len());
}

#[test]
fn what_is_too_old_goes_in_portions_and_its_memory_with_it() {
    let (mut log, now) = log(10_000, 10_000);
    for number in 0..5_000 {
        let targets = Targets::user(Name::new(&number.to_string()).unwrap());
        log.append(Dispatch { targets, ..dispatch() }, now);
    }
    assert!(log.index(log.last(), &mut 100_000));
    assert!(!log.tidy(now), "nothing is too old");
    let late = now + Duration::from_secs(11);
    assert!(log.tidy(late), "more dispatches are too old");
    assert_eq!(log.size().0, 5_000 - PORTION);
    while log.tidy(late) {}
    assert_eq!((log.size(), log.kept.capacity(), log.index.names()), ((0, 0), 0, 0));
    assert_eq!(log.append(dispatch(), late).sequence(), 5_001, "numbers go on");
}

#[test]
fn the_index_forgets_what_is_no_longer_kept() {
    let (mut log, now) = log(10, 1_000);
    for number in 0..100 {
        let targets = Targets::user(Name::new(&number.to_string()).unwrap());
        log.append(Dispatch { targets, ..dispatch() }, now);
        if number % 7 == 0 {
            assert!(log.index(log.last(), &mut 1_000));
        }
    }
    assert!(log.index(log.last(), &mut 1_000));
    assert_eq!(log.index.names(), 10);
}

/// The position with this number in an epoch that is told by it.
fn at(sequence: u64) -> Cursor {
    Cursor { epoch: sequence / 100, sequence }
}

#[test]
fn an_epoch_that_begins_behind_a_hole_misses_nothing() {
    let (mut log, now) = log(3, 1_000);
    log.append_at(at(1), dispatch(), now);
    log.append_at(at(2), dispatch(), now);
    let begun = log.append_at(at(1_000), dispatch(), now);
    assert_eq!((begun.cursor, log.next(), log.last()), (at(1_000), at(1_001), 1_000));
    assert_eq!(kept(&log), [1, 2, 1_000]);
    assert!([0, 1, 2, 999, 1_000].iter().all(|number| log.has_all_after(*number)));
    assert!(!log.has_all_after(1_001));
    assert!([1, 2, 1_000].iter().all(|number| log.get(*number).unwrap().sequence() == *number));
    assert!([0, 3, 999, 1_001].iter().all(|number| log.get(*number).is_none()));
    log.append_at(at(1_001), dispatch(), now);
    assert!(!log.has_all_after(0) && log.has_all_after(1));
    log.append_at(at(1_002), dispatch(), now);
    assert_eq!(kept(&log), [1_000, 1_001, 1_002]);
    assert!(log.has_all_after(2), "what comes behind the end of the former epoch is kept");
    assert!(!log.has_all_after(1), "2 is no longer kept");
    log.append_at(at(1_003), dispatch(), now);
    assert!(!log.has_all_after(2) && !log.has_all_after(999) && log.has_all_after(1_000));
}

#[test]
fn an_epoch_that_begins_when_everything_is_too_old_misses_nothing() {
    let (mut log, now) = log(3, 1_000);
    log.append_at(at(1), dispatch(), now);
    log.append_at(at(2), dispatch(), now);
    let late = now + Duration::from_secs(11);
    assert!(!log.tidy(late));
    log.append_at(at(1_000), dispatch(), late);
    assert!(log.has_all_after(2) && !log.has_all_after(1));
}

#[test]
fn what_is_no_dispatch_takes_a_number_and_is_not_told() {
    let (mut log, now) = log(3, 1_000);
    log.append_at(at(1), dispatch(), now);
    let filler = log.skip_at(at(2), now);
    assert!(filler.is_filler() && filler.bytes() < 256);
    assert_eq!(filler.dispatch.targets.vias().count(), 0);
    assert_eq!((log.last(), log.size().0), (2, 1));
    assert!(log.get(2).is_none());
    assert_eq!(log.kept().iter().map(|accepted| accepted.sequence()).collect::<Vec<_>>(), [1]);
    log.append_at(at(3), dispatch(), now);
    assert!(log.index(3, &mut 100));
    let latest = log.latest(Via::Broadcast).unwrap();
    assert_eq!((latest.sequence, log.earlier(latest).unwrap().sequence), (3, 1));
    log.append_at(at(4), dispatch(), now);
    log.append_at(at(5), dispatch(), now);
    assert_eq!((log.size().0, log.fillers, log.has_all_after(2)), (3, 0, true));
}

#[test]
fn after_a_loss_nothing_before_is_kept() {
    for next in [4, 1_000] {
        let (mut log, now) = log(10, 1_000);
        (1..=3).for_each(|number| drop(log.append_at(at(number), dispatch(), now)));
        assert!(log.index(3, &mut 100));
        log.forget_all();
        assert_eq!((log.size(), log.fillers, log.index.names(), log.last()), ((0, 0), 0, 0, 3));
        assert!(log.latest(Via::Broadcast).is_none());
        assert!(log.has_all_after(3) && !log.has_all_after(2));
        log.append_at(at(next), dispatch(), now);
        assert_eq!(log.has_all_after(3), next == 4, "what follows on 3 may be lost before another epoch");
        assert!(log.has_all_after(next) && log.get(next).is_some());
        assert!(log.index(next, &mut 100));
        assert_eq!(log.latest(Via::Broadcast).map(|mention| mention.sequence), Some(next));
    }
}

#[test]
fn a_hole_is_walked_in_no_time_and_holes_are_few() {
    let (mut log, now) = log(10_000, 10_000);
    for epoch in 1..=1_000_u64 {
        log.append_at(at(epoch << 50), dispatch(), now);
        log.append(dispatch(), now);
        assert!(log.index(u64::MAX, &mut 10));
    }
    assert_eq!(log.size().0, 2 * 65, "the oldest entries gave way with their holes");
    assert!(log.has_all_after((936 << 50) - 1) && !log.has_all_after(935 << 50));
}

#[test]
fn a_log_without_holes_takes_no_memory_for_them() {
    assert!(size_of::<Holes>() <= 5 * size_of::<usize>());
    let (mut log, now) = log(10, 1_000);
    (0..100).for_each(|_| drop(log.append(dispatch(), now)));
    assert!(log.holes.is_empty());
}
