//! Files that are not what was written: cut, flipped, lost in part, or anything at all.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::files::{bytes, look, several_files};
use super::*;

/// How many bytes are between two that are tried.
fn stride() -> usize {
    if std::env::var_os("TURTED_TEST_SLOW").is_some() { 1 } else { 16 }
}

#[test]
fn a_file_that_is_cut_anywhere_yields_what_stands_before() {
    let mut place = Place::interval();
    place.limits.segment_bytes = 1 << 20;
    let mut life = place.start(BOOT);
    // Long keys, so that there is not much to read in 64 KiB.
    let mut push = |number: u64, bytes| {
        let key = vec![number as u8; bytes];
        let key = PushKey { owner: "", key: &key, body: [0; 32], answer: AnswerForm::Plain };
        life.add(1 + number % 3, Duration::ZERO, Some(key));
    };
    (0..50).for_each(|number| push(number, 1_500));
    (50..55).for_each(|number| push(number, 1));
    life.store.write().unwrap();
    drop(life);
    let path = place.push_files().pop().unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let end = bytes(&path);
    let mut numbers = look(&place, BOOT).1.len();
    for length in (end.saturating_sub(64 * 1024)..end).rev().step_by(stride()) {
        file.set_len(length).unwrap();
        let (verdict, found) = look(&place, BOOT);
        assert!(found.len() <= numbers);
        assert_eq!(found, (found.first().copied().unwrap_or(1)..).take(found.len()).collect::<Vec<_>>());
        numbers = found.len();
        // Only the record that says what the file is was written before the life was announced.
        let expected = if length < 30 { Verdict::NewEpoch(Reason::Damaged) } else { Verdict::Continued };
        assert_eq!(verdict, expected, "{length}");
    }
}

#[test]
fn every_byte_that_is_flipped_begins_a_new_epoch() {
    let mut place = Place::always();
    several_files(&mut place);
    let mut files = place.push_files();
    files.push(place.log.directory.join("lives"));
    for path in files {
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        for at in (0..bytes(&path)).step_by(stride().min(3)) {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            let verdict = look(&place, BOOT).0;
            assert_eq!(verdict, Verdict::NewEpoch(Reason::Damaged), "{} {at}", path.display());
            file.write_all_at(&byte, at).unwrap();
        }
    }
    assert_eq!(look(&place, BOOT).0, Verdict::Continued);
}

#[test]
fn a_loss_of_power_takes_nothing_that_was_synced_before_it_was_answered() {
    let mut place = Place::always();
    let synced = several_files(&mut place);
    let path = place.push_files().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    // The end of what was synced: the four pushes behind it are as long as the ones before.
    let mut frames = FileFrames::open(&path).unwrap();
    let mut ends = Vec::new();
    while frames.next().unwrap().is_some() {
        ends.push(frames.whole_bytes());
    }
    let safe = usize::try_from(ends[ends.len() - 5]).unwrap();
    let bytes = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let lost = (bytes, any::<prop::sample::Index>(), 1_usize..40);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
    let result = runner.run(&lost, |(starts, length, page)| {
        let mut file = whole.clone();
        file.truncate(safe + length.index(whole.len() - safe + 1));
        // Single pages of what was not synced were not written, though their file is longer.
        let unsynced = &mut file[safe..];
        for start in starts.iter().take(unsynced.len()) {
            let start = start.index(unsynced.len());
            unsynced.iter_mut().skip(start).take(page).for_each(|byte| *byte = 0);
        }
        fs::write(&path, file).unwrap();
        let (verdict, numbers) = look(&place, OTHER_BOOT);
        prop_assert_eq!(verdict, Verdict::Continued);
        prop_assert!(*numbers.last().unwrap() >= synced, "{:?}", numbers.last());
        prop_assert_eq!(&numbers, &(1..=numbers.len() as u64).collect::<Vec<_>>());
        Ok(())
    });
    result.unwrap();
    // What was synced and is damaged is no loss of power.
    for at in (0..safe).step_by(7) {
        let mut file = whole.clone();
        file[at] ^= 1;
        fs::write(&path, file).unwrap();
        assert_eq!(look(&place, OTHER_BOOT).0, Verdict::NewEpoch(Reason::Damaged), "{at}");
    }
}

#[test]
fn zeros_at_the_end_are_no_end() {
    let mut place = Place::interval();
    place.start(BOOT).push(3);
    let path = place.push_files().pop().unwrap();
    let mut file = fs::read(&path).unwrap();
    file.resize(file.len() + 4_096, 0);
    fs::write(&path, file).unwrap();
    assert_eq!(look(&place, BOOT).0, Verdict::NewEpoch(Reason::Damaged));
}

#[test]
fn whatever_stands_in_the_files_a_start_ends_with_a_verdict() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    let contents = (any::<Vec<u8>>(), prop::collection::vec(any::<u8>(), 0..200), any::<bool>());
    let result = runner.run(&contents, |(lives, push, keeps_lives)| {
        let mut place = Place::interval();
        drop(place.start(BOOT));
        if !keeps_lives {
            fs::write(place.log.directory.join("lives"), &lives).unwrap();
        }
        let file = place.push_files().pop().unwrap();
        fs::write(file, &push).unwrap();
        prop_assert!(matches!(place.start(BOOT).found.verdict, Verdict::NewEpoch(_)));
        prop_assert_eq!(place.start(BOOT).found.verdict, Verdict::Continued);
        Ok(())
    });
    result.unwrap();
}

/// Each of them claims all that follows as its body.
#[test]
fn a_file_that_would_take_for_ever_to_search_is_damaged() {
    let mut place = Place::always();
    place.start(BOOT).push(1);
    let path = place.push_files().pop().unwrap();
    let mut file = fs::read(&path).unwrap();
    let end = 1_u32 << 20;
    file.push(0);
    while file.len() < end as usize {
        let length = (end - file.len() as u32).saturating_sub(12).max(1).to_le_bytes();
        file.extend_from_slice(&[length, crc32_of(length), [0; 4]].concat());
    }
    fs::write(&path, file).unwrap();
    assert_eq!(look(&place, OTHER_BOOT).0, Verdict::NewEpoch(Reason::Damaged));
}

fn crc32_of(bytes: [u8; 4]) -> [u8; 4] {
    // A frame of four bytes has their checksum in its head.
    let mut file = Vec::new();
    turted_core::record::frame::append(&mut file, |body| body.extend_from_slice(&bytes)).unwrap();
    file[8..12].try_into().unwrap()
}
