//! Files that are finished, deleted, missing or torn.

use std::fs::OpenOptions;
use std::path::Path;

use turted_core::record::frame::HEAD_BYTES;

use super::*;

/// The verdict of a start, the numbers that it found, and whether each said what it was written with. Nothing is changed.
pub(super) fn look(place: &Place, boot: Option<&str>) -> (Verdict, Vec<u64>) {
    let opening = place.open(boot).unwrap();
    let found = opening.reading.dispatches.iter();
    let numbers = found.map(|found| {
        assert_eq!(found.dispatch.payload.get(), format!("\"{}\"", text(found.sequence)));
        found.sequence
    });
    (opening.verdict, numbers.collect())
}

pub(super) fn bytes(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// A life of several files whose last ends with pushes that were not synced; and the number of the last that was.
pub(super) fn several_files(place: &mut Place) -> u64 {
    let mut life = place.start(BOOT);
    for _ in 0..60 {
        life.push(1);
        life.store.sync().unwrap();
    }
    let synced = life.next - 1;
    life.push(4);
    drop(life);
    assert!(place.push_files().len() >= 3, "{:?}", place.push_files());
    synced
}

#[test]
fn a_log_of_several_files_goes_on_over_several_lives() {
    let mut place = Place::interval();
    for life in 1..4 {
        let mut life = { place.start(BOOT) }.check(60 * (life - 1));
        life.push(60);
    }
    assert_eq!(place.start(BOOT).numbers(), (1..=180).collect::<Vec<_>>());
}

impl Life {
    /// The log must go on with this number.
    fn check(self, last: u64) -> Self {
        assert_eq!(self.found.last, last);
        assert_eq!(self.numbers(), (1..=last).collect::<Vec<_>>());
        self
    }
}

#[test]
fn a_start_takes_over_what_the_log_in_memory_would_keep() {
    let mut place = Place::interval();
    place.start(BOOT).push(100);
    let log = place.limits.log;
    place.limits.log.dispatches = 10;
    assert_eq!(look(&place, BOOT).1, (91..=100).collect::<Vec<_>>());
    place.limits.log =
        LogLimits { bytes: 5 * crate::hub::dispatch::log::bytes_of(&dispatch(&text(100))), ..log };
    assert_eq!(look(&place, BOOT).1, (96..=100).collect::<Vec<_>>());
}

/// The log does not age while no server runs, and the next server counts on from where the last one was.
#[test]
fn dispatches_age_by_the_uptime_of_servers() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    for second in 0..100 {
        life.add(1, Duration::from_secs(second), None);
    }
    life.store.write().unwrap();
    drop(life);
    let mut life = place.start(BOOT);
    assert_eq!((life.found.uptime, life.numbers().len()), (Duration::from_secs(99), 100));
    assert_eq!(life.found.dispatches[0].age, Duration::from_secs(99));
    life.add(1, Duration::from_secs(150), None);
    life.store.end(101, Duration::from_secs(160)).unwrap();
    drop(life);
    let life = place.start(OTHER_BOOT);
    assert_eq!((life.found.uptime, life.numbers()[0]), (Duration::from_secs(160), 41));
}

#[test]
fn files_whose_dispatches_are_not_kept_are_deleted() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    let mut most = 0;
    for _ in 0..500 {
        life.push(1);
        life.store.forget_before(life.next.saturating_sub(20), Duration::ZERO).unwrap();
        most = most.max(place.push_files().iter().map(|file| bytes(file)).sum());
    }
    // 20 dispatches of some 75 bytes, the file with the oldest of them, the one that is written, and their last writes.
    assert!(most <= 20 * 75 + 2 * place.limits.segment_bytes + 300, "{most}");
    drop(life);
    let life = place.start(BOOT);
    assert!(life.numbers().len() >= 20);
    assert_eq!((life.found.last, life.numbers().last()), (500, Some(&500)));
}

#[test]
fn a_log_whose_dispatches_are_all_forgotten_still_knows_its_last_number() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push(200);
    life.store.forget_before(201, Duration::ZERO).unwrap();
    drop(life);
    place.limits.log.dispatches = 0;
    for _ in 0..3 {
        let life = place.start(BOOT);
        assert_eq!((life.found.verdict, life.found.last), (Verdict::Continued, 200));
        assert!(life.knows(1, 200));
    }
}

#[test]
fn files_of_former_lives_go_with_their_dispatches() {
    let mut place = Place::interval();
    for _ in 0..5 {
        place.start(BOOT).push(10);
    }
    let mut life = place.start(BOOT);
    assert_eq!(place.push_files().len(), 6);
    life.store.forget_before(31, Duration::ZERO).unwrap();
    assert_eq!(place.push_files().len(), 3);
    drop(life);
    assert_eq!(place.start(BOOT).numbers(), (31..=50).collect::<Vec<_>>());
}

#[test]
fn after_a_crash_in_a_loop_the_log_is_written_anew() {
    let mut place = Place::interval();
    for _ in 0..64 {
        place.start(BOOT).push(1);
    }
    assert_eq!(place.push_files().len(), 64);
    let life = place.start(BOOT).check(64);
    assert!(place.push_files().len() <= 4, "{:?}", place.push_files());
    assert!(life.knows(2, 2) && life.knows(64, 64) && life.knows(65, 64));
    drop(life);
    drop(place.start(BOOT).check(64));
}

#[test]
fn a_missing_file_begins_a_new_epoch_unless_it_is_the_oldest() {
    let mut place = Place::interval();
    several_files(&mut place);
    let files = place.push_files();
    for (number, file) in files.iter().enumerate() {
        let hidden = file.with_extension("hidden");
        fs::rename(file, &hidden).unwrap();
        let (verdict, numbers) = look(&place, BOOT);
        if number == 0 {
            assert_eq!((verdict, numbers.last()), (Verdict::Continued, Some(&64)));
            assert!(numbers[0] > 1);
        } else {
            assert!(matches!(verdict, Verdict::NewEpoch(Reason::Missing | Reason::Damaged)), "{number}");
        }
        fs::rename(&hidden, file).unwrap();
    }
    assert_eq!(look(&place, BOOT).0, Verdict::Continued);
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    assert_eq!(look(&place, BOOT).0, Verdict::NewEpoch(Reason::Missing));
}

#[test]
fn a_missing_file_is_found_after_a_clean_end_too() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push(5);
    life.end();
    place.start(BOOT).end();
    let files = place.push_files();
    let file = OpenOptions::new().write(true).open(&files[0]).unwrap();
    file.set_len(bytes(&files[0]) - 1).unwrap();
    assert_eq!(look(&place, BOOT).0, Verdict::NewEpoch(Reason::Damaged), "what ended cleanly is not torn");
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push(5);
    life.end();
    let file = OpenOptions::new().write(true).open(&place.push_files()[0]).unwrap();
    file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    assert!(matches!(look(&place, BOOT).0, Verdict::NewEpoch(_)));
}

#[test]
fn a_kill_before_the_new_life_is_announced_changes_nothing() {
    let mut place = Place::interval();
    place.start(BOOT).push(3);
    let lives = fs::read(place.log.directory.join("lives")).unwrap();
    drop(place.start(BOOT));
    // As if the second start had been killed between its first file and `lives`.
    fs::write(place.log.directory.join("lives"), lives).unwrap();
    let life = place.start(BOOT).check(3);
    assert!(!life.knows(2, 3) && life.knows(1, 3));
    assert_eq!(place.push_files().len(), 2, "the file of the second start is gone");
}

#[test]
fn a_file_that_was_made_and_never_written_is_no_damage() {
    let mut place = Place::interval();
    several_files(&mut place);
    let next = place.push_files().len();
    for bytes in [&b""[..], &[26, 0]] {
        fs::write(place.log.directory.join(format!("push-00000001-{next}.log")), bytes).unwrap();
        let mut copy = place.copy();
        copy.starts = 1;
        drop(copy.start(BOOT).check(64));
        drop(copy.start(BOOT).check(64));
    }
}

/// A file is finished after the next one was made: a kill or a loss of power may come between.
#[test]
fn a_file_that_was_not_finished_before_an_empty_one_is_no_damage() {
    let mut place = Place::always();
    several_files(&mut place);
    let files = place.push_files();
    let (last, before) = (&files[files.len() - 1], &files[files.len() - 2]);
    let begin = HEAD_BYTES as u64 + 21;
    OpenOptions::new().write(true).open(last).unwrap().set_len(begin).unwrap();
    let whole = fs::read(before).unwrap();
    let finish = HEAD_BYTES + 9;
    let reached = look(&place, BOOT).1;
    for lost in 0..=finish {
        for (is_zero, boot) in [(false, BOOT), (false, OTHER_BOOT), (true, OTHER_BOOT)] {
            let mut file = whole[..whole.len() - lost].to_vec();
            file.resize(if is_zero { whole.len() } else { file.len() }, 0);
            fs::write(before, file).unwrap();
            assert_eq!(look(&place, boot), (Verdict::Continued, reached.clone()), "{lost} {is_zero}");
        }
    }
    let mut place = place.copy();
    place.starts = 1;
    let mut life = place.start(OTHER_BOOT);
    life.push(1);
    drop(life);
    assert_eq!(place.start(OTHER_BOOT).numbers().len(), reached.len() + 1);
}

#[test]
fn a_torn_end_is_cut_and_the_log_goes_on() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push(10);
    drop(life);
    let file = place.push_files().pop().unwrap();
    OpenOptions::new().write(true).open(&file).unwrap().set_len(bytes(&file) - 5).unwrap();
    let mut life = place.start(BOOT).check(9);
    assert!(life.knows(1, 9) && !life.knows(1, 10));
    life.push(1);
    drop(life);
    drop(place.start(BOOT).check(10));
}

#[test]
fn files_that_are_not_part_of_the_log_are_not_read_and_go_at_the_next_start() {
    let mut place = Place::interval();
    place.start(BOOT).push(3);
    fs::write(place.log.directory.join("push-000000ff-0.log"), b"anything").unwrap();
    fs::write(place.log.directory.join("push-ff-0.log"), b"not ours").unwrap();
    drop(place.start(BOOT).check(3));
    assert!(!place.log.directory.join("push-000000ff-0.log").exists());
    assert!(place.log.directory.join("push-ff-0.log").exists());
}

#[test]
fn a_new_epoch_leaves_no_file_of_former_lives() {
    let mut place = Place::new(LogSync::Never);
    several_files(&mut place);
    drop(place.start(OTHER_BOOT));
    assert_eq!(place.push_files().len(), 1);
}
