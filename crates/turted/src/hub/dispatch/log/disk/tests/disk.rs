//! A disk that is full, or does not take what it took before.

use std::env;
use std::process::Command;
use std::sync::Arc;

use super::super::begin::{Anew, begin_anew};
use super::*;

/// Where the inner test finds a disk of 1 MiB.
const SMALL_DISK: &str = "TURTED_TEST_SMALL_DISK";

/// Runs the test `inner` of this file on a file system of 1 MiB, which only it sees.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn on_a_small_disk(inner: &str) {
    let directory = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=1m,mode=700 small \"$1\" || exit 77; exec \"$2\" --exact --ignored \"$3\"";
    let name = format!("hub::dispatch::log::disk::tests::disk::{inner}");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(directory.path())
        .arg(env::current_exe().unwrap())
        .arg(name)
        .env(SMALL_DISK, directory.path())
        .output();
    let Ok(output) = output else { return eprintln!("skipped: unshare is not installed") };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) || err.contains("unshare:") {
        return eprintln!("skipped: this user may not mount a file system: {err}");
    }
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

fn small_disk() -> Place {
    let path = env::var_os(SMALL_DISK).expect("the outer test says where");
    let mut place = Place::interval();
    place.limits.segment_bytes = 64 * 1024;
    place.log.directory = PathBuf::from(path).join("log");
    place
}

/// Fills the rest of the disk.
fn fill(place: &Place) -> PathBuf {
    let filler = place.log.directory.parent().unwrap().join("filler");
    assert!(fs::write(&filler, vec![1; 2 << 20]).is_err(), "the disk is small");
    filler
}

/// A push of some kilobytes.
fn large(life: &mut Life) -> io::Result<()> {
    let key = PushKey { owner: "", key: &[7; 9_000], body: [0; 32], answer: AnswerForm::Plain };
    life.add(1, Duration::ZERO, Some(key));
    life.store.write()
}

#[test]
fn a_full_disk_takes_all_of_a_push_or_nothing_and_can_be_marked() {
    on_a_small_disk("inner_full_while_it_runs");
}

#[test]
#[ignore = "another test runs it on a small disk"]
fn inner_full_while_it_runs() {
    let mut place = small_disk();
    let mut life = place.start(BOOT);
    let mut written = 0;
    let error = loop {
        match large(&mut life) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(written > 50, "{written}");
    fill(&place);
    assert_eq!(place.copy().start(BOOT).found.last, written, "nothing of the last push stands there");
    life.store.mark_left_behind().unwrap();
    drop(life);
    // The disk is full still, of files that nobody needs any more.
    let life = place.start(BOOT);
    assert_eq!((life.found.verdict, life.found.keys.len()), (Verdict::NewEpoch(Reason::LeftBehind), 1));
    drop(life);
    place.start(BOOT).push(1);
    assert_eq!(place.start(BOOT).found.verdict, Verdict::Continued);
}

#[test]
fn a_start_on_a_full_disk_knows_the_log_and_can_mark_it() {
    on_a_small_disk("inner_full_at_the_start");
}

#[test]
#[ignore = "another test runs it on a small disk"]
fn inner_full_at_the_start() {
    let mut place = small_disk();
    place.start(BOOT).push(20);
    fill(&place);
    for start in 2..4 {
        let begun = place.open(BOOT).unwrap().begin(start, 0);
        assert_eq!(begun.store.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!((begun.found.verdict, begun.found.last), (Verdict::Continued, 20));
        assert_eq!(
            (begun.found.dispatches.len(), begun.found.epochs.current().epoch),
            (20, u64::from(start))
        );
        if start == 3 {
            begun.directory.mark_left_behind().unwrap();
        }
    }
    assert_eq!(place.open(BOOT).unwrap().verdict, Verdict::NewEpoch(Reason::LeftBehind));
    let names = place.push_files();
    assert_eq!(names.len(), 1, "no start left a file: {names:?}");
}

#[test]
fn a_disk_that_became_read_only_is_a_failing_one() {
    on_a_small_disk("inner_read_only");
}

#[test]
#[ignore = "another test runs it on a small disk"]
fn inner_read_only() {
    let mut place = small_disk();
    place.start(BOOT).push(3);
    let disk = place.log.directory.parent().unwrap().to_owned();
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&disk).status().unwrap().success());
    };
    remount("ro");
    let refusal = place.open(BOOT).unwrap_err();
    assert!(matches!(refusal, OpenRefusal::Failing { .. }), "{refusal}");
    remount("rw");
    assert_eq!(place.start(BOOT).numbers(), [1, 2, 3]);
}

#[test]
fn a_sync_that_failed_is_final() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.push(1);
    life.store.open_segment().fail_syncs();
    life.push(1);
    assert!(!life.store.is_broken());
    assert!(life.store.sync().is_err());
    assert!(life.store.is_broken());
    life.add(1, Duration::ZERO, None);
    for refused in [life.store.write(), life.store.sync(), life.store.forget_before(1, Duration::ZERO)] {
        assert_eq!(refused.unwrap_err().to_string(), "the log on disk is given up");
    }
    assert!(life.store.end(3, Duration::ZERO).is_err());
}

/// It was handed to nobody, and may be refused now: then its key must not answer for it after a restart.
#[test]
fn what_could_not_be_synced_before_it_was_answered_leaves_no_key() {
    for (mut place, knows) in [(Place::always(), false), (Place::interval(), true)] {
        let mut life = place.start(BOOT);
        life.push(1);
        life.store.sync().unwrap();
        life.store.open_segment().fail_syncs();
        large(&mut life).unwrap();
        assert!(life.store.sync().is_err());
        drop(life);
        let life = place.start(BOOT);
        assert_eq!(life.found.verdict, Verdict::Continued);
        assert_eq!((life.found.keys.len() == 1, life.found.last == 2), (knows, knows));
    }
}

/// A device cannot be cut, so that what stands there is not known any more.
#[test]
fn a_write_that_cannot_be_taken_back_breaks_the_store() {
    let mut place = Place::interval();
    let mut life = place.start(BOOT);
    life.store.open_segment().fill();
    life.add(1, Duration::ZERO, None);
    assert_eq!(life.store.write().unwrap_err().kind(), ErrorKind::StorageFull);
    assert!(life.store.is_broken());
}

/// A life whose disk failed after five pushes, and who went on in memory until number 9.
fn left_behind(place: &mut Place) -> (Arc<Directory>, Epochs) {
    let directory = Arc::new(place.lock().unwrap());
    drop(directory);
    let begun = place.open(BOOT).unwrap().begin(1, 0);
    let mut life = Life { found: begun.found, store: begun.store.unwrap(), next: 1 };
    life.push(5);
    life.store.mark_left_behind().unwrap();
    let mut epochs = life.found.epochs;
    epochs.begin(turted_core::epochs::Epoch { epoch: 50, after: 5 });
    epochs.begin(turted_core::epochs::Epoch { epoch: 60, after: 9 });
    (begun.directory, epochs)
}

fn anew(place: &Place, epochs: Epochs, first: u64) -> Anew {
    Anew { epochs, first, uptime: Duration::from_secs(70), sync: place.log.sync, limits: place.limits }
}

fn add(store: &mut dyn Store, numbers: std::ops::RangeInclusive<u64>) -> io::Result<()> {
    for first in numbers {
        let dispatches = [dispatch(&text(first))];
        let uptime = Duration::from_secs(60);
        let push = PushRecord { first, uptime, synced: 0, key: None, dispatches: &dispatches };
        store.add(Record::Push(push)).map_err(io::Error::other)?;
    }
    store.write()
}

#[test]
fn a_log_that_is_written_anew_goes_on_with_all_its_positions() {
    let mut place = Place::interval();
    let (directory, epochs) = left_behind(&mut place);
    fs::write(place.log.directory.join("session-00000001-0.log"), "of before").unwrap();
    let mut store = begin_anew(&directory, anew(&place, epochs, 3), |store| add(store, 3..=9)).unwrap();
    add(&mut store, 10..=11).unwrap();
    drop((store, directory));
    assert_eq!(place.push_files().len(), 1);
    assert!(!place.files().iter().any(|file| file.ends_with("session-00000001-0.log")));
    place.starts = 60;
    let boot = super::super::directory::boot_id();
    let life = place.start(boot.as_deref());
    assert_eq!((life.found.verdict, life.numbers()), (Verdict::Continued, (3..=11).collect()));
    assert!(life.knows(1, 5) && !life.knows(1, 6) && life.knows(50, 9) && life.knows(60, 11));
    assert_eq!(life.found.uptime, Duration::from_secs(70));
}

#[test]
fn on_a_full_disk_former_files_make_room_for_a_log_that_is_written_anew() {
    let mut place = Place::interval();
    let (directory, epochs) = left_behind(&mut place);
    let mut attempts = 0;
    let store = begin_anew(&directory, anew(&place, epochs, 6), |store| {
        attempts += 1;
        let is_full = place.push_files().len() > 1;
        if is_full { Err(ErrorKind::StorageFull.into()) } else { add(store, 6..=9) }
    });
    drop((store.unwrap(), directory));
    assert_eq!((attempts, place.push_files().len()), (2, 1));
}

#[test]
fn an_attempt_that_fails_leaves_the_directory_as_it_was() {
    let mut place = Place::interval();
    let (directory, epochs) = left_behind(&mut place);
    let before = place.files();
    let failed = begin_anew(&directory, anew(&place, epochs.clone(), 1), |store| {
        add(store, 1..=200)?;
        add(store, 201..=400)?;
        Err(ErrorKind::TimedOut.into())
    });
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(place.files(), before);
    let store = begin_anew(&directory, anew(&place, epochs, 6), |store| add(store, 6..=9)).unwrap();
    drop((store, directory));
    assert_eq!(place.push_files().len(), 1);
}
