//! Keys outlive their dispatches.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn key(name: &str) -> PushKey<'_> {
    PushKey { owner: "", key: name.as_bytes(), body: [7; 32], answer: AnswerForm::Batch }
}

impl Life {
    fn push_with_key(&mut self, name: &str, count: u64, uptime: Duration) {
        self.add(count, uptime, Some(key(name)));
        self.store.write().unwrap();
    }

    fn delivered(&mut self, first: u64, uptime: Duration, counts: &[u64]) {
        let delivered = turted_core::record::push::Delivered { first, uptime, counts };
        self.store.add(Record::Delivered(delivered)).unwrap();
        self.store.write().unwrap();
    }

    /// Pushes without keys, until the files before them are finished.
    fn fill(&mut self, uptime: Duration) {
        for _ in 0..40 {
            self.add(1, uptime, None);
            self.store.write().unwrap();
        }
    }

    fn key(&self, name: &str) -> Option<&FoundKey> {
        self.found.keys.iter().find(|found| found.key == name.as_bytes())
    }
}

#[test]
fn a_key_is_known_exactly_if_its_push_was_written() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push_with_key("written", 3, MINUTE);
    life.add(1, MINUTE, Some(key("added")));
    drop(life);
    let life = place.start(BOOT);
    let found = life.key("written").unwrap();
    let expected = FoundKey {
        owner: String::new(),
        key: b"written".to_vec(),
        body: [7; 32],
        answer: AnswerForm::Batch,
        first: Cursor { epoch: 1, sequence: 1 },
        count: 3,
        delivered: None,
        age: Duration::ZERO,
    };
    assert_eq!(*found, expected);
    assert_eq!(life.key("added"), None);
}

#[test]
fn what_a_push_reached_is_known_with_its_key() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push_with_key("a", 2, MINUTE);
    life.push_with_key("b", 1, MINUTE);
    life.delivered(1, MINUTE, &[5, 0]);
    // It does not fit: so it is not of this push.
    life.delivered(3, MINUTE, &[1, 2]);
    drop(life);
    let life = place.start(BOOT);
    assert_eq!(life.key("a").unwrap().delivered, Some(vec![5, 0]));
    assert_eq!(life.key("b").unwrap().delivered, None);
}

#[test]
fn a_key_outlives_the_file_of_its_push_until_it_is_too_old() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push_with_key("a", 2, MINUTE);
    life.delivered(1, MINUTE, &[3, 4]);
    for minute in 1..6 {
        life.fill(minute * MINUTE);
        let (first, uptime) = (life.next, minute * MINUTE);
        life.store.forget_before(first, uptime).unwrap();
        assert!(place.push_files().len() <= 2, "{:?}", place.push_files());
        let life = place.copy().start(BOOT);
        let found = life.key("a").unwrap_or_else(|| panic!("lost after {minute} minutes"));
        assert_eq!((found.first, found.age), (Cursor { epoch: 1, sequence: 1 }, (minute - 1) * MINUTE));
        assert_eq!(found.delivered, Some(vec![3, 4]));
    }
    life.fill(6 * MINUTE);
    drop(life);
    assert_eq!(place.start(BOOT).key("a"), None);
}

/// Only its record is left in the file that is deleted: the key stands further on already.
#[test]
fn what_a_push_reached_outlives_the_file_in_which_it_is_told() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push_with_key("a", 1, MINUTE);
    life.fill(MINUTE);
    life.delivered(1, MINUTE, &[9]);
    let first_file = place.push_files()[0].clone();
    let mut first = 2;
    while first_file.exists() {
        life.store.forget_before(first, MINUTE).unwrap();
        first += 1;
    }
    life.fill(MINUTE);
    life.fill(MINUTE);
    life.store.forget_before(life.next, MINUTE).unwrap();
    drop(life);
    assert_eq!(place.start(BOOT).key("a").unwrap().delivered, Some(vec![9]));
}

#[test]
fn files_that_are_keys_for_the_most_part_stay_until_those_are_old() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    (0..200).for_each(|number| life.push_with_key(&format!("key {number}"), 1, MINUTE));
    let files = place.push_files();
    assert!(files.len() > 5, "{files:?}");
    for seconds in 0..100 {
        let uptime = MINUTE + seconds * Duration::from_secs(1);
        life.store.forget_before(life.next, uptime).unwrap();
        assert_eq!(place.push_files(), files, "nothing is written again");
    }
    life.store.forget_before(life.next, 7 * MINUTE).unwrap();
    assert_eq!(place.push_files().len(), 1, "the one that is written");
}

#[test]
fn keys_that_are_too_old_are_not_written_again() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    for number in 0..20 {
        let uptime = number * 10 * Duration::from_secs(1);
        life.push_with_key(&format!("key {number}"), 1, uptime);
        life.fill(uptime);
    }
    life.fill(5 * MINUTE);
    let files = place.push_files().len();
    (0..files).for_each(|_| life.store.forget_before(life.next, 6 * MINUTE).unwrap());
    assert!(place.push_files().len() < files / 2);
    life.fill(6 * MINUTE);
    drop(life);
    let life = place.start(BOOT);
    // Those of the first minute are five minutes old.
    let known: Vec<_> =
        life.found.keys.iter().map(|key| String::from_utf8(key.key.clone()).unwrap()).collect();
    assert_eq!(known, (7..20).map(|number| format!("key {number}")).collect::<Vec<_>>());
}

#[test]
fn keys_are_known_over_a_new_epoch_with_their_former_positions() {
    let mut place = Place::new(LogSync::Never);
    let mut life = place.start(BOOT);
    life.push_with_key("a", 2, MINUTE);
    life.delivered(1, MINUTE, &[1, 1]);
    drop(life);
    for boot in [OTHER_BOOT, BOOT, OTHER_BOOT] {
        let life = place.start(boot);
        assert!(matches!(life.found.verdict, Verdict::NewEpoch(_)));
        let found = life.key("a").unwrap();
        assert_eq!((found.first, &found.delivered), (Cursor { epoch: 1, sequence: 1 }, &Some(vec![1, 1])));
    }
}

#[test]
fn a_key_that_is_used_again_means_the_later_push() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push_with_key("a", 1, MINUTE);
    life.push_with_key("a", 1, 7 * MINUTE);
    drop(life);
    let life = place.start(BOOT);
    assert_eq!((life.found.keys.len(), life.key("a").unwrap().first.sequence), (1, 2));
}

#[test]
fn two_sources_may_use_the_same_key() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    for owner in ["", "orders"] {
        life.add(1, MINUTE, Some(PushKey { owner, ..key("a") }));
    }
    life.store.write().unwrap();
    drop(life);
    let owners: Vec<_> = place.start(BOOT).found.keys.into_iter().map(|key| key.owner).collect();
    assert_eq!(owners.len(), 2);
}
