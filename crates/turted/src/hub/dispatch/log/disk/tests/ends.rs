//! Which end lets the log go on.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// A life of five pushes that ends by `end`; what the next start finds.
fn after(sync: LogSync, end: impl FnOnce(Life), boot: Option<&str>) -> Life {
    let mut place = Place::new(sync);
    let mut life = place.start(BOOT);
    assert_eq!((life.found.verdict, life.found.last), (Verdict::Empty, 0));
    life.push(5);
    end(life);
    place.start(boot)
}

#[test]
fn after_a_kill_the_log_goes_on_whatever_was_synced() {
    for sync in [LogSync::Always, LogSync::Interval(Duration::from_secs(1)), LogSync::Never] {
        let life = after(sync, drop, BOOT);
        assert_eq!((life.found.verdict, life.found.last), (Verdict::Continued, 5));
        assert_eq!(life.numbers(), [1, 2, 3, 4, 5]);
        assert!(life.found.is_session_whole);
        assert!(life.knows(1, 3) && life.knows(1, 5) && life.knows(2, 5));
        assert!(!life.knows(1, 6), "number 6 is one of the second life");
    }
}

#[test]
fn after_a_loss_of_power_the_log_goes_on_only_if_all_was_synced() {
    for (sync, goes_on, has_sessions) in [
        (LogSync::Always, true, true),
        (LogSync::Interval(Duration::from_secs(1)), false, true),
        (LogSync::Never, false, false),
    ] {
        for boot in [OTHER_BOOT, None] {
            let life = after(sync, drop, boot);
            let lost = Verdict::NewEpoch(Reason::PowerLoss);
            assert_eq!(life.found.verdict, if goes_on { Verdict::Continued } else { lost }, "{sync:?}");
            assert_eq!(life.found.is_session_whole, has_sessions, "{sync:?}");
            assert_eq!(life.knows(1, 5), goes_on);
        }
    }
}

#[test]
fn a_boot_that_could_not_be_read_is_another_one() {
    let mut place = Place::interval();
    place.start(None).push(1);
    assert_eq!(place.start(None).found.verdict, Verdict::NewEpoch(Reason::PowerLoss));
}

#[test]
fn after_a_clean_end_the_log_goes_on_over_another_boot() {
    let life = after(LogSync::Never, Life::end, OTHER_BOOT);
    assert_eq!((life.found.verdict, life.found.last), (Verdict::Continued, 5));
    assert!(life.found.is_session_whole);
}

#[test]
fn a_new_epoch_begins_above_all_numbers_and_older_positions_are_gaps() {
    let mut life = after(LogSync::Never, drop, OTHER_BOOT);
    assert_eq!(life.found.last, 5 + (1 << 32));
    assert!((0..=6).all(|number| !life.knows(1, number)));
    assert!(life.numbers().is_empty());
    life.push(1);
    assert_eq!(life.next, 7 + (1 << 32));
}

#[test]
fn a_new_epoch_begins_above_the_numbers_that_sessions_know() {
    let mut place = Place::new(LogSync::Never);
    place.start(BOOT).push(1);
    let begun = place.open(OTHER_BOOT).unwrap().begin(2, 1_000);
    assert_eq!(begun.found.last, 1_000 + (1 << 32));
}

#[test]
fn starts_without_a_push_between_them_lose_nothing() {
    let mut place = Place::interval();
    place.start(BOOT).push(3);
    for start in 2..6 {
        let life = place.start(BOOT);
        assert_eq!((life.found.verdict, life.found.last), (Verdict::Continued, 3));
        assert_eq!(life.numbers(), [1, 2, 3]);
        assert!((1..=start).all(|epoch| life.knows(epoch, 3)));
    }
}

#[test]
fn an_epoch_that_is_known_is_not_given_again() {
    let mut place = Place::interval();
    place.start(BOOT).push(1);
    let begun = place.open(BOOT).unwrap().begin(1, 0);
    assert_eq!(begun.found.epochs.rows().map(|row| row.epoch).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_server_that_went_on_in_memory_leaves_a_directory_that_is_not_taken_for_whole() {
    let life = after(
        LogSync::Always,
        |mut life| {
            life.store.mark_left_behind().unwrap();
            life.store.mark_left_behind().unwrap();
            let push = PushRecord { first: 6, uptime: Duration::ZERO, synced: 0, key: None, dispatches: &[] };
            life.store.add(Record::Push(push)).unwrap();
            assert!(life.store.write().is_err() && life.store.sync().is_err());
            assert!(life.store.end(5, Duration::ZERO).is_err(), "it has no clean end");
        },
        BOOT,
    );
    assert_eq!(life.found.verdict, Verdict::NewEpoch(Reason::LeftBehind));
    assert!(!life.found.is_session_whole);
}

#[test]
fn the_mark_goes_when_a_new_life_has_begun() {
    let mut place = Place::always();
    let mut life = place.start(BOOT);
    life.store.mark_left_behind().unwrap();
    drop(life);
    place.start(BOOT).push(2);
    assert_eq!(place.start(BOOT).found.verdict, Verdict::Continued);
    assert!(!place.log.directory.join("left-behind").exists());
}

#[test]
fn an_operator_can_ask_for_a_new_epoch() {
    let mut place = Place::always();
    place.start(BOOT).push(2);
    place.log.start = LogStart::NewEpoch;
    let life = place.start(BOOT);
    assert_eq!(life.found.verdict, Verdict::NewEpoch(Reason::Asked));
    assert!(!life.found.is_session_whole && !life.knows(1, 2));
}

#[test]
fn a_copy_that_is_put_back_gives_no_position_a_second_time() {
    let mut place = Place::always();
    let mut life = place.start(BOOT);
    life.push(3);
    let mut copy = place.copy();
    life.push(3);
    let restored = copy.start(BOOT);
    assert_eq!(restored.found.verdict, Verdict::Continued);
    assert!(restored.knows(1, 3) && !restored.knows(1, 4));
}

#[test]
fn an_end_at_another_number_is_no_clean_one() {
    let mut place = Place::new(LogSync::Never);
    let mut life = place.start(BOOT);
    life.push(3);
    assert!(life.store.end(4, Duration::ZERO).is_err());
    drop(life);
    assert_eq!(place.start(OTHER_BOOT).found.verdict, Verdict::NewEpoch(Reason::PowerLoss));
}

#[test]
fn a_second_server_is_refused_and_told_who_has_the_directory() {
    let mut place = Place::interval();
    let _life = place.start(BOOT);
    let refusal = Directory::lock(&place.log.directory, "process 2", Duration::ZERO).unwrap_err();
    let directory = place.log.directory.display();
    assert_eq!(
        refusal.to_string(),
        format!(
            "log.directory {directory} is in use by another server (process 1, listen = 127.0.0.1:1): \
             each server needs a directory of its own"
        )
    );
}

#[test]
fn a_start_waits_for_the_server_before_it() {
    let place = Place::interval();
    let former = place.lock().unwrap();
    let path = place.log.directory.clone();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Directory::lock(&path, "process 2", Duration::from_secs(60)));
        drop(former);
        assert!(waiting.join().unwrap().is_ok());
    });
}

#[test]
fn files_of_a_later_version_are_refused() {
    let mut place = Place::interval();
    drop(place.start(BOOT));
    let mut lives = Vec::new();
    turted_core::record::frame::append(&mut lives, |body| body.extend_from_slice(&[2, 0, 9])).unwrap();
    let file = |name: &str| place.log.directory.join(name);
    fs::write(file("lives"), &lives).unwrap();
    let check = || {
        let refusal = place.open(BOOT).unwrap_err();
        assert!(refusal.to_string().contains("files of version 2, this one knows 1"), "{refusal}");
    };
    check();
    fs::rename(file("lives"), file("left-behind")).unwrap();
    check();
}

#[test]
fn a_part_of_a_directory_is_refused_and_a_first_start_that_was_killed_is_none() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    fs::remove_file(place.log.directory.join("lives")).unwrap();
    assert_eq!(place.copy().start(BOOT).found.verdict, Verdict::Empty);
    life.push(1);
    let refusal = place.copy().open(BOOT).unwrap_err().to_string();
    assert!(refusal.contains("has push-00000001-0.log and no file `lives`"), "{refusal}");
    let other = Place::interval();
    drop(other.lock().unwrap());
    fs::write(other.log.directory.join("session-00000001-0.log"), "").unwrap();
    assert!(other.open(BOOT).unwrap_err().to_string().contains("session-00000001-0.log"));
}

#[test]
fn a_directory_that_cannot_be_made_is_refused_with_the_reason() {
    let mut place = Place::interval();
    place.log.directory = place.directory.path().join("a/b");
    let refusal = place.open(BOOT).unwrap_err();
    assert!(refusal.to_string().ends_with("(os error 2); the directory above it is missing"), "{refusal}");
    fs::write(place.directory.path().join("file"), "").unwrap();
    place.log.directory = place.directory.path().join("file");
    assert!(matches!(place.open(BOOT), Err(OpenRefusal::Unusable { .. })));
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused() {
    for name in ["lives", "left-behind", "lives.new", "push-00000001-0.log", "session-00000001-0.log"] {
        let place = Place::interval();
        drop(place.lock().unwrap());
        let path = place.log.directory.join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let refusal = place.open(BOOT).unwrap_err().to_string();
        assert!(refusal.contains(&format!("has {name}, which is no file")), "{refusal}");
        fs::remove_file(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        assert!(matches!(place.open(BOOT), Err(OpenRefusal::NoFile { .. })), "{name}");
    }
}

#[test]
fn nobody_else_may_read_the_files_and_an_open_directory_is_told() {
    let mut place = Place::interval();
    let life = place.start(BOOT);
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.log.directory), 0o700);
    for file in place.files() {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert!(life.found.warnings.is_empty(), "{:?}", life.found.warnings);
    drop(life);
    fs::set_permissions(&place.log.directory, fs::Permissions::from_mode(0o755)).unwrap();
    let warnings = place.start(BOOT).found.warnings;
    assert!(warnings[0].contains("is open to other users"), "{warnings:?}");
}

#[test]
fn the_documentation_has_what_a_start_says() {
    let docs = include_str!("../../../../../../../../docs/log-on-disk.md");
    for verdict in [Verdict::Empty, Verdict::Continued, Verdict::NewEpoch(Reason::Missing)] {
        let said = verdict.to_string();
        let said = said.split(':').next().unwrap();
        assert!(docs.contains(&format!("| {said}")), "{said}");
    }
    for name in ["lock", "lives", "left-behind", "push-*.log", "session-*.log"] {
        assert!(docs.contains(&format!("`{name}`")), "{name}");
    }
}
