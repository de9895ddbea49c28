//! What becomes of files: renamed, copied and truncated, deleted, linked otherwise, missing at first.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::support::pause;

use super::{Counting, Logs, NUMBERS, Numbered, assert_numbers};

/// Lines of one file, so many that two logs with the same lines would be copies: more than 1,024 bytes.
const MANY: usize = 500;

#[test]
fn a_file_that_is_renamed_is_read_on_and_so_is_the_new_one() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    for round in 0..20 {
        numbered.write("a.log", MANY);
        for older in (0..round).rev() {
            fs::rename(logs.path(&format!("a.log.{older}")), logs.path(&format!("a.log.{}", older + 1)))
                .unwrap();
        }
        fs::rename(logs.path("a.log"), logs.path("a.log.0")).unwrap();
        // The program that writes was not told yet.
        numbered.write("a.log.0", 3);
        numbered.assert_all(&counting);
    }
    assert_eq!(counting.gaps(), 0);
}

#[test]
fn a_file_that_is_renamed_to_a_name_of_no_pattern_is_read_to_its_end() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    for round in 0..5 {
        numbered.write("a.log", MANY);
        // It was seen once. What is written from here on is found in the file that is open.
        numbered.assert_all(&counting);
        let away = format!("away.{round}");
        fs::rename(logs.path("a.log"), logs.path(&away)).unwrap();
        numbered.write(&away, 3);
        numbered.assert_all(&counting);
    }
}

#[test]
fn logs_that_begin_alike_are_read_each_if_one_takes_the_name_of_the_other() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    for round in 1..=3 {
        Numbered::new(&logs).write("a.log", MANY);
        let numbers = counting.wait(round * MANY);
        assert_numbers(&numbers, (0..MANY).cycle().take(round * MANY).collect());
        fs::rename(logs.path("a.log"), logs.path(&format!("a.log.{round}"))).unwrap();
    }
}

/// Copies and truncates a file of so many lines `rounds` times. Nothing is written meanwhile.
fn copy_and_truncate(rounds: usize, lines: usize) {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    for round in 0..rounds {
        numbered.write("a.log", lines);
        if round % 2 == 0 {
            // Else what was not read of it is only in the copy, and may come late.
            counting.wait(numbered.next);
        }
        fs::copy(logs.path("a.log"), logs.path(&format!("a.log.{round}"))).unwrap();
        File::options().write(true).open(logs.path("a.log")).unwrap().set_len(0).unwrap();
    }
    numbered.write("a.log", lines);
    let mut numbers = counting.wait(numbered.next);
    numbers.sort_unstable();
    assert_numbers(&numbers, (0..numbered.next).collect());
    assert_eq!(counting.gaps(), 0);
}

#[test]
fn a_file_that_is_copied_and_truncated_is_read_once() {
    copy_and_truncate(10, MANY);
}

#[test]
#[ignore = "minutes: just soak-sources"]
fn soak_fifty_copies_of_20_000_lines() {
    copy_and_truncate(50, 20_000);
}

/// How much copytruncate itself loses: what is written between the end of the copy and the truncation.
#[test]
#[ignore = "minutes: just soak-sources"]
fn soak_the_window_of_copytruncate_is_measured() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut numbered = Numbered::new(&logs);
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                numbered.write("a.log", 10);
                pause(Duration::from_micros(500));
            }
            numbered.next
        });
        for round in 0..50 {
            pause(Duration::from_millis(200));
            fs::copy(logs.path("a.log"), logs.path(&format!("a.log.{round}"))).unwrap();
            File::options().write(true).open(logs.path("a.log")).unwrap().set_len(0).unwrap();
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap()
    });
    // The last copies are read late, and a busy machine takes its time for all of them.
    let mut before = 0;
    loop {
        pause(Duration::from_secs(5));
        let now = counting.accepted.lock().unwrap().len();
        if now == std::mem::replace(&mut before, now) {
            break;
        }
    }
    let mut numbers = counting.wait(1);
    let accepted = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    // What is in the files was not lost by the copies and truncations, so nothing of it may be missing.
    let files = fs::read_dir(logs.path("")).unwrap().map(|entry| entry.unwrap().path());
    let text: String =
        files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect();
    let kept: BTreeSet<usize> =
        text.lines().filter_map(|line| line.strip_prefix('n')?.parse().ok()).collect();
    let missing = kept.iter().filter(|number| numbers.binary_search(number).is_err()).count();
    println!(
        "{written} lines, 50 copies: {} in files, {} accepted, {missing} missing",
        kept.len(),
        numbers.len()
    );
    let doubled = accepted - numbers.len();
    println!("{doubled} came twice");
    assert_eq!(doubled, 0, "a copy is read from where its original was");
    assert_eq!(missing, 0, "what is in the files is accepted");
    assert_eq!(counting.outcome("skipped"), 0, "no half line");
}

#[test]
fn a_copy_is_no_new_file_until_it_has_lines_of_its_own() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    numbered.write("a.log", MANY);
    numbered.assert_all(&counting);
    fs::copy(logs.path("a.log"), logs.path("b.log")).unwrap();
    numbered.write("a.log", 3);
    numbered.assert_all(&counting);
    logs.append("b.log", "n777\n");
    let numbers = counting.wait(numbered.next + MANY + 1);
    assert_eq!((numbers.len(), numbers.last()), (numbered.next + MANY + 1, Some(&777)));
}

/// Truncates a file so many times and writes it anew: shorter than before, then longer.
fn truncate(rounds: usize, lines: usize) {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    numbered.write("a.log", lines);
    for round in 0..rounds {
        numbered.assert_all(&counting);
        fs::write(logs.path("a.log"), "").unwrap();
        numbered.write("a.log", if round % 2 == 0 { 3 } else { lines + round * 3 });
    }
    numbered.assert_all(&counting);
    assert_eq!(counting.gaps(), 0);
}

#[test]
fn a_file_that_is_truncated_and_written_anew_is_read_from_its_start() {
    truncate(10, MANY);
}

#[test]
#[ignore = "minutes: just soak-sources"]
fn soak_fifty_truncations_of_20_000_lines() {
    truncate(50, 20_000);
}

#[test]
fn lines_that_a_truncation_took_before_they_were_read_are_a_gap() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    logs.append("a.log", "n0\nn1 without an end");
    counting.wait(1);
    crate::support::eventually("all is read", || {
        counting.server.metric(r#"turted_source_lag_bytes{source="app"}"#) == "n1 without an end".len()
    });
    fs::write(logs.path("a.log"), "n2\n").unwrap();
    assert_eq!(counting.wait(2), [0, 2]);
    assert_eq!(counting.gaps(), 1);
}

/// Deletes a file so many times and makes it again. It was seen, else its lines are gone with it.
fn delete(rounds: usize, lines: usize) {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    for _ in 0..rounds {
        numbered.write("a.log", 3);
        numbered.assert_all(&counting);
        numbered.write("a.log", lines);
        fs::remove_file(logs.path("a.log")).unwrap();
        numbered.assert_all(&counting);
    }
    assert_eq!(counting.gaps(), 0);
}

#[test]
fn a_file_that_is_deleted_and_made_again_is_read_from_its_start() {
    delete(10, MANY);
}

#[test]
#[ignore = "minutes: just soak-sources"]
fn soak_fifty_deletions_of_20_000_lines() {
    delete(50, 20_000);
}

#[test]
fn a_link_that_leads_elsewhere_is_followed() {
    relink(5, MANY);
}

#[test]
#[ignore = "minutes: just soak-sources"]
fn soak_fifty_links_to_20_000_lines() {
    relink(50, 20_000);
}

/// Has a link lead to another file so many times, while lines are written to both.
fn relink(rounds: usize, lines: usize) {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    fs::create_dir(logs.path("days")).unwrap();
    for day in 0..rounds {
        let target = format!("days/{day}");
        numbered.write(&target, lines);
        symlink(logs.path(&target), logs.path("next")).unwrap();
        fs::rename(logs.path("next"), logs.path("current.log")).unwrap();
        numbered.write(&target, 3);
        numbered.assert_all(&counting);
        numbered.write("current.log", 3);
        numbered.assert_all(&counting);
    }
}

#[test]
fn a_directory_may_come_later_and_be_made_again() {
    let logs = Logs::new();
    let pattern = logs.path("later/*/x.log");
    let lines = format!(
        "{NUMBERS}[[sources]]\nname = \"later\"\ntype = \"tail\"\npaths = [{pattern:?}]\nstate_dir = \"state\"\n{NUMBERS}"
    );
    let counting = Counting::start(logs.config(&lines));
    let mut numbered = Numbered::new(&logs);
    for _ in 0..3 {
        fs::create_dir_all(logs.path("later/y")).unwrap();
        numbered.write("later/y/x.log", MANY);
        numbered.assert_all(&counting);
        fs::remove_dir_all(logs.path("later")).unwrap();
    }
}

#[test]
fn what_is_no_file_is_left_alone() {
    let logs = Logs::new();
    fs::create_dir(logs.path("directory.log")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(logs.path("pipe.log")).status().unwrap();
    assert!(pipe.success());
    let counting = Counting::start(logs.config(NUMBERS));
    let mut numbered = Numbered::new(&logs);
    numbered.write("a.log", 3);
    numbered.assert_all(&counting);
}

#[test]
fn more_files_than_may_be_open_are_all_read() {
    let logs = Logs::new();
    let counting = Counting::start(logs.config(NUMBERS));
    for round in 1..=2 {
        let mut numbered = Numbered::new(&logs);
        (0..300).for_each(|file| numbered.write(&format!("{file}.log"), 10));
        let mut numbers = counting.wait(3_000 * round);
        numbers.sort_unstable();
        assert_numbers(&numbers, (0..3_000).flat_map(|number| vec![number; round]).collect());
    }
}
