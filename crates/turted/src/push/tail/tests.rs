//! What takes a minute in a server: files that are gone, and checkpoints that are not of this machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::checkpoint::{Checkpoint, Head, KnownFile, Previous, StateDir};
use super::files::Files;
use crate::config::{StartAt, TailSource};
use crate::push::intake::Refusal;

/// The files of a directory, of which nothing was read.
fn files(directory: &Path) -> Files {
    let settings = TailSource {
        paths: vec![directory.join("*.log*")],
        from: StartAt::Start,
        state_dir: directory.join("state"),
        line_bytes: 100,
    };
    Files::new(&settings, None).unwrap()
}

/// The lines that are there, and the rules of those that are refused.
fn read(files: &mut Files) -> Vec<String> {
    files.scan();
    let messages = files.read(100);
    messages.iter().for_each(|message| files.settle(message.tag));
    let text = |body: &Result<bytes::Bytes, Refusal>| match body {
        Ok(line) => String::from_utf8_lossy(line).into_owned(),
        Err(refusal) => refusal.rule.to_owned(),
    };
    messages.iter().map(|message| text(&message.body)).collect()
}

#[test]
fn a_file_that_is_gone_is_read_for_a_minute_and_its_half_line_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (log, away) = (directory.path().join("a.log"), directory.path().join("away"));
    fs::write(&log, "one\ntwo").unwrap();
    let mut files = files(directory.path());
    assert_eq!(read(&mut files), ["one"]);
    fs::rename(&log, &away).unwrap();
    fs::write(&away, "one\ntwo and\nhalf").unwrap();
    assert_eq!(read(&mut files), ["two and"]);
    files.age(Duration::from_secs(59));
    assert_eq!(read(&mut files), [""; 0]);
    files.age(Duration::from_secs(2));
    assert_eq!(read(&mut files), ["line-unfinished"]);
    assert_eq!(read(&mut files), [""; 0]);
    assert_eq!(files.count(), 0, "it is let go");
    fs::rename(&away, &log).unwrap();
    assert_eq!(read(&mut files), [""; 0], "it is remembered when it comes back");
}

#[test]
fn a_short_log_that_begins_like_another_one_is_read_a_little_later() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.log"), "started\n").unwrap();
    let mut files = files(directory.path());
    assert_eq!(read(&mut files), ["started"]);
    fs::write(directory.path().join("b.log"), "started\n").unwrap();
    assert_eq!(read(&mut files), [""; 0]);
    files.age(Duration::from_secs(2));
    assert_eq!(read(&mut files), ["started"]);
    fs::write(directory.path().join("c.log"), "started\nother\n").unwrap();
    assert_eq!(read(&mut files), ["started", "other"], "it has something else at once");
}

#[test]
fn a_line_without_an_end_does_not_keep_other_files_from_their_turn() {
    let directory = tempfile::tempdir().unwrap();
    let large = fs::File::create(directory.path().join("a.log")).unwrap();
    large.set_len(20 * 1024 * 1024).unwrap();
    fs::write(directory.path().join("b.log"), "one\n").unwrap();
    let mut files = files(directory.path());
    assert_eq!(read(&mut files), ["one"]);
    assert!(files.has_more(), "the other file is read in pieces");
    fs::write(directory.path().join("b.log"), "one\ntwo\n").unwrap();
    assert_eq!(read(&mut files), ["two"]);
    assert!(files.has_more());
    assert_eq!(read(&mut files), [""; 0]);
    assert!(!files.has_more(), "all is read");
}

#[test]
fn a_short_log_that_is_like_one_that_is_gone_is_no_copy_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("job-1.log"), "done\n").unwrap();
    let mut files = files(directory.path());
    assert_eq!(read(&mut files), ["done"]);
    // Kept open, so that its inode is not used again.
    let _kept = fs::File::open(path("job-1.log")).unwrap();
    fs::remove_file(path("job-1.log")).unwrap();
    assert_eq!(read(&mut files), [""; 0]);
    files.age(Duration::from_secs(61));
    assert_eq!(read(&mut files), [""; 0]);
    assert_eq!(files.count(), 0);
    fs::write(path("job-2.log"), "done\n").unwrap();
    assert_eq!(read(&mut files), ["done"]);
}

/// Lines of ten bytes.
fn lines(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("line {number:04}")).collect()
}

fn text(numbers: std::ops::Range<usize>) -> String {
    lines(numbers).iter().map(|line| format!("{line}\n")).collect()
}

/// What is between two lines is what happens between two scans: the numbers of lines of `a.log` and of the bytes of its
/// copy `b.log.1`, of which none comes twice.
#[test]
fn a_copy_is_read_from_where_its_original_was_read_whenever_that_is_seen() {
    // Read before the copy, there at the copy, and read after it and before the truncation.
    for (before, copied, after) in
        [(150, 150, 150), (150, 180, 180), (150, 180, 190), (30, 30, 30), (30, 50, 50), (30, 150, 150)]
    {
        for scans in 0..8 {
            let directory = tempfile::tempdir().unwrap();
            let (log, copy) = (directory.path().join("a.log"), directory.path().join("a.log.1"));
            let mut files = files(directory.path());
            let mut seen = Vec::new();
            let mut scan = |files: &mut Files, at: u32| {
                if scans & (1 << at) != 0 {
                    seen.extend(read(files));
                }
            };
            fs::write(&log, text(0..before)).unwrap();
            let first = read(&mut files);
            fs::write(&log, text(0..copied)).unwrap();
            scan(&mut files, 0);
            // It ends in the midst of a line where more was written meanwhile.
            let half = if after > copied { 5 } else { 0 };
            fs::write(&copy, &text(0..copied)[..copied * 10 - half]).unwrap();
            scan(&mut files, 1);
            fs::write(&log, text(0..after)).unwrap();
            scan(&mut files, 2);
            fs::write(&log, text(9_000..9_003)).unwrap();
            (0..3).for_each(|_| seen.extend(read(&mut files)));
            let mut all = [first, seen].concat();
            all.sort_unstable();
            // What is not in the copy is lost unless it was read in time.
            let kept = match scans {
                4.. => after,
                1.. => copied,
                _ if half > 0 => before.max(copied - 1),
                _ => copied,
            };
            let expected = [lines(0..kept), lines(9_000..9_003)].concat();
            assert_eq!(all, expected, "{before}, {copied}, {after} lines, scans {scans:03b}");
        }
    }
}

#[test]
fn more_files_than_are_remembered_are_not_read_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..10_200 {
        fs::write(directory.path().join(format!("{number:05}.log")), "old\n").unwrap();
    }
    let settings = TailSource {
        paths: vec![directory.path().join("*.log")],
        from: StartAt::End,
        state_dir: directory.path().join("state"),
        line_bytes: 100,
    };
    let mut files = Files::new(&settings, None).unwrap();
    for _ in 0..3 {
        assert_eq!(read(&mut files), [""; 0]);
    }
    fs::write(directory.path().join("00000.log"), "old\nnew\n").unwrap();
    assert_eq!(read(&mut files), ["new"]);
}

#[test]
fn a_checkpoint_of_as_many_files_as_there_may_be_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::lock(directory.path(), "app").unwrap();
    let head = Head::of(&[0; 1024]);
    let file = |inode| KnownFile {
        name: "\u{1}".repeat(255),
        device: u64::MAX,
        inode,
        head: head.clone(),
        generation: 0,
        offset: u64::MAX,
        previous: Some(Previous { head: head.clone(), offset: u64::MAX }),
        seen: 0,
    };
    let checkpoint = Checkpoint::new("id".to_owned(), (0..10_128).map(file).collect());
    state.write(&checkpoint).unwrap();
    assert_eq!(state.read(), Ok(Some(checkpoint)));
}

#[test]
fn a_checkpoint_is_taken_up_only_for_the_file_that_it_is_of() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("a.log");
    fs::write(&log, "one\ntwo\n").unwrap();
    let mut first = files(directory.path());
    assert_eq!(read(&mut first), ["one", "two"]);
    let checkpoint = first.checkpoint();
    let again = |text: &str| {
        // In the same inode.
        fs::write(&log, text).unwrap();
        let settings = TailSource {
            paths: vec![log.clone()],
            from: StartAt::End,
            state_dir: directory.path().join("state"),
            line_bytes: 100,
        };
        read(&mut Files::new(&settings, Some(checkpoint.clone())).unwrap())
    };
    assert_eq!(again("one\ntwo\nthree\n"), ["three"]);
    assert_eq!(again("uno\ndue\ntre\n"), ["uno", "due", "tre"], "another content");
    assert_eq!(again("one\n"), ["one"], "it was truncated");
    let ids = |checkpoint: &super::checkpoint::Checkpoint| checkpoint.id.clone();
    assert_ne!(
        ids(&checkpoint),
        ids(&files(directory.path()).checkpoint()),
        "ids differ from machine to machine"
    );
}

#[test]
fn directories_that_a_pattern_stands_for_are_watched() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("web")).unwrap();
    fs::write(directory.path().join("web/a.log"), "").unwrap();
    let settings = TailSource {
        paths: vec![directory.path().join("*/a.log")],
        from: StartAt::Start,
        state_dir: directory.path().join("state"),
        line_bytes: 100,
    };
    let mut files = Files::new(&settings, None).unwrap();
    files.scan();
    assert!(files.directories().any(|watched| watched == directory.path().join("web")));
}

impl Files {
    /// Makes all files seem to have been quiet for longer.
    fn age(&mut self, by: Duration) {
        let earlier = |at: Instant| at.checked_sub(by).unwrap();
        for file in self.tracked() {
            file.grown = earlier(file.grown);
            file.gone = file.gone.map(earlier);
        }
    }
}
