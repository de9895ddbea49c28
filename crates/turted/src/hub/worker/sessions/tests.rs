//! What is recorded is found by the next start, whenever the server ends, and nothing else is.

mod power;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use turted_core::channel::{ChannelPattern, ChannelRules, Join};
use turted_core::membership::{Memberships, Since};
use turted_core::name::Name;

use super::*;
use crate::auth::ClientAuth;
use crate::config::LogSync;

/// A directory of its own for one test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("turted-sessions-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn place(&self) -> Place<'_> {
        Place { directory: &self.0, epoch: 7, sync: LogSync::Never, growth_bytes_min: u64::MAX }
    }

    fn find(&self) -> Found {
        Found::read(&self.0, &by_name()).unwrap()
    }

    /// A start.
    fn begin(&self) -> Sessions {
        begun(self.place(), &self.find())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn begun(place: Place<'_>, found: &Found) -> Sessions {
    let sessions = Sessions::default();
    sessions.begin(place, (&by_name(), found)).unwrap();
    sessions
}

fn by_name() -> Verification {
    Verification::of(&ClientAuth::Accept)
}

fn key(id: u32) -> SessionKey {
    SessionKey::of(&id.to_le_bytes())
}

fn held(names: &[&str]) -> Vec<(Name, Since)> {
    names.iter().map(|name| (Name::new(name).unwrap(), Since(3))).collect()
}

fn state(channels: &[&str]) -> SessionState {
    let memberships = Memberships { users: Vec::new(), channels: held(channels) };
    SessionState { memberships, ..SessionState::default() }
}

fn wait(recorded: Recorded) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(recorded.wait());
}

fn channels(found: &Found, key: SessionKey) -> Option<Vec<&str>> {
    let (_, state) = found.sessions.iter().find(|(found, _)| *found == key)?;
    Some(state.memberships.channels.iter().map(|(name, _)| name.as_str()).collect())
}

#[test]
fn without_a_directory_nothing_waits() {
    let sessions = Sessions::default();
    assert!(sessions.record(key(0), Effect::TakesAway, Change::Ended).is_now());
    sessions.note(key(0), || unreachable!("nothing is made for it"));
    sessions.end();
}

#[test]
fn what_is_recorded_is_found_as_soon_as_its_receipt_comes() {
    for sync in [LogSync::Always, LogSync::Interval(Duration::from_secs(60)), LogSync::Never] {
        let directory = Directory::new("receipts");
        let sessions = begun(Place { sync, ..directory.place() }, &Found::default());
        wait(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["a"]))));
        wait(sessions.record(key(0), Effect::Adds, Change::Joined(held(&["b"]))));
        assert_eq!(channels(&directory.find(), key(0)), Some(vec!["a", "b"]), "{sync:?}");
        wait(sessions.record(key(0), Effect::TakesAway, Change::Left(vec![Name::new("a").unwrap()])));
        assert_eq!(channels(&directory.find(), key(0)), Some(vec!["b"]), "{sync:?}");
        sessions.end();
        assert!(
            sessions.record(key(0), Effect::Adds, Change::Ended).is_now(),
            "nothing waits behind the end"
        );
        assert_eq!(directory.find().number, 3);
    }
}

#[test]
fn every_start_takes_over_what_it_finds_into_one_file_of_its_own() {
    let directory = Directory::new("starts");
    for start in 0..4 {
        let sessions = directory.begin();
        assert_eq!(directory.files().len(), 1);
        wait(sessions.record(key(start), Effect::Adds, Change::Whole(state(&["a"]))));
        sessions.succeeded(key(100 + start), key(start));
        // A server that is killed ends without a last word.
        wait(sessions.record(key(9), Effect::Adds, Change::Ended));
        sessions.end();
    }
    let found = directory.find();
    assert_eq!((found.sessions.len(), found.succeeded.len()), (4, 4));
    assert!((0..4).all(|start| channels(&found, key(start)) == Some(vec!["a"])));
}

#[test]
fn a_start_that_is_killed_while_it_writes_anew_costs_nothing() {
    let directory = Directory::new("twice");
    let sessions = directory.begin();
    for id in 0..3 {
        wait(sessions.record(key(id), Effect::Adds, Change::Whole(state(&["a"]))));
    }
    sessions.ended(key(2));
    sessions.end();
    let before = directory.files()[0].clone();
    let kept = fs::read(&before).unwrap();
    directory.begin().end();
    let after = directory.files()[0].clone();
    let whole = fs::read(&after).unwrap();
    // It had written so much of its file, and deleted nothing.
    for cut in 0..=whole.len() {
        fs::write(&before, &kept).unwrap();
        fs::write(&after, &whole[..cut]).unwrap();
        let found = directory.find();
        assert_eq!((found.sessions.len(), found.unknown), (2, None), "{cut}");
    }
}

#[test]
fn channels_that_the_rules_of_a_start_refuse_are_left() {
    let directory = Directory::new("rules");
    let sessions = directory.begin();
    wait(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["members", "open", "private"]))));
    let mut user = state(&["members", "open", "private"]);
    user.memberships.users = held(&["u"]);
    wait(sessions.record(key(1), Effect::Adds, Change::Whole(user)));
    sessions.end();
    let mut found = directory.find();
    let rule = |name: &str, join| (ChannelPattern::parse(name).unwrap(), join);
    let rules = [rule("members", Join::Identified), rule("private", Join::Claim)];
    found.leave_forbidden(&ChannelRules::new(rules));
    assert_eq!(channels(&found, key(0)), Some(vec!["open"]));
    assert_eq!(channels(&found, key(1)), Some(vec!["members", "open"]));
}

#[test]
fn a_file_that_ends_early_is_cut_and_one_with_other_bytes_is_not_believed() {
    let directory = Directory::new("damage");
    let sessions = directory.begin();
    wait(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["a"]))));
    wait(sessions.record(key(0), Effect::Adds, Change::Joined(held(&["b"]))));
    sessions.end();
    let file = directory.files()[0].clone();
    let whole = fs::read(&file).unwrap();
    for cut in 0..whole.len() {
        fs::write(&file, &whole[..cut]).unwrap();
        let found = directory.find();
        assert!(found.unknown.is_none(), "{cut}");
        assert_ne!(channels(&found, key(0)), Some(vec!["a", "b"]), "{cut}");
    }
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        fs::write(&file, flipped).unwrap();
        let found = directory.find();
        assert!(found.unknown.is_some() && found.sessions.is_empty(), "{at}");
    }
    let mut zeros = whole.clone();
    zeros.extend_from_slice(&[0; 512]);
    fs::write(&file, zeros).unwrap();
    assert!(directory.find().unknown.is_some());
}

#[test]
fn a_file_of_a_later_version_is_refused_and_other_files_are_left_alone() {
    let directory = Directory::new("version");
    directory.begin().end();
    let file = directory.files()[0].clone();
    let mut frames = Vec::new();
    turted_core::record::frame::append(&mut frames, |body| body.extend_from_slice(&[1, 2, 0])).unwrap();
    fs::write(&file, frames).unwrap();
    let refusal = Found::read(&directory.0, &by_name()).unwrap_err().to_string();
    assert!(
        refusal.contains("has version 2") && refusal.contains("this server knows version 1"),
        "{refusal}"
    );
    fs::remove_file(file).unwrap();
    for name in ["session-7-1.log", "session-00000007-01.log", "push-00000007-1.log", "session-x.log"] {
        fs::write(directory.0.join(name), "not ours").unwrap();
    }
    directory.begin().end();
    assert_eq!(directory.files().len(), 5);
}

/// Sessions whose files are written anew when they have grown by a kilobyte, and a message each time that all
/// sessions are asked for.
fn worn(directory: &Path) -> (Sessions, Receiver<()>) {
    let place = Place { directory, epoch: 7, sync: LogSync::Never, growth_bytes_min: 1_024 };
    let sessions = begun(place, &Found::default());
    let (asked, asks) = sync_channel(9);
    sessions.ask_by(move || asked.try_send(()).is_ok());
    (sessions, asks)
}

#[test]
fn files_that_are_out_of_date_are_written_anew_while_changes_go_on() {
    let directory = Directory::new("worn");
    let (sessions, asks) = worn(&directory.0);
    wait(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["kept"]))));
    wait(sessions.record(key(1), Effect::Adds, Change::Whole(state(&["ends"]))));
    let mut changes = 0;
    while asks.try_recv().is_err() {
        changes += 1;
        assert!(changes < 1_000, "so many bytes are worth to be written anew");
        let change = match changes % 2 {
            0 => Change::Left(vec![Name::new("c").unwrap()]),
            _ => Change::Joined(held(&["c"])),
        };
        wait(sessions.record(key(0), Effect::Adds, change));
    }
    assert_eq!(directory.files().len(), 2);
    // Of before, of meanwhile, and of those that were not asked yet: whatever is killed now, all of it is found.
    wait(sessions.record(key(2), Effect::Adds, Change::Whole(state(&["new"]))));
    wait(sessions.record(key(0), Effect::Adds, Change::Joined(held(&["late"]))));
    sessions.ended(key(1));
    wait(sessions.record(key(9), Effect::Adds, Change::Ended));
    let check = |found: &Found| {
        assert!(channels(found, key(0)).unwrap().starts_with(&["c", "kept"]) == (changes % 2 == 1));
        assert!(channels(found, key(0)).unwrap().contains(&"late"));
        assert_eq!((channels(found, key(1)), channels(found, key(2))), (None, Some(vec!["new"])));
    };
    check(&directory.find());
    let now: Vec<_> = channels(&directory.find(), key(0)).unwrap().iter().map(ToString::to_string).collect();
    sessions.note(key(0), || state(&now.iter().map(String::as_str).collect::<Vec<_>>()));
    sessions.noted_all();
    wait(sessions.record(key(9), Effect::Adds, Change::Ended));
    sessions.end();
    assert_eq!(directory.files().len(), 1);
    check(&directory.find());
    assert!(fs::metadata(&directory.files()[0]).unwrap().len() < 1_024);
}

#[test]
fn a_session_that_nobody_notes_is_gone_with_the_files_of_before() {
    let directory = Directory::new("unnoted");
    let (sessions, asks) = worn(&directory.0);
    wait(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["a"]))));
    while asks.try_recv().is_err() {
        wait(sessions.record(key(1), Effect::Adds, Change::Whole(state(&["a"]))));
    }
    assert!(channels(&directory.find(), key(0)).is_some());
    sessions.noted_all();
    sessions.end();
    assert!(channels(&directory.find(), key(0)).is_none());
}

#[test]
fn files_that_somebody_else_deleted_are_begun_again_with_all_sessions() {
    let directory = Directory::new("again");
    let (sessions, asks) = worn(&directory.0);
    wait(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["a"]))));
    for round in 0..3 {
        directory.files().iter().for_each(|file| fs::remove_file(file).unwrap());
        sessions.begin_again();
        asks.recv().unwrap();
        wait(sessions.record(key(1), Effect::Adds, Change::Whole(state(&["b"]))));
        sessions.note(key(0), || state(&["a"]));
        sessions.noted_all();
        wait(sessions.record(key(1), Effect::Adds, Change::Joined(held(&["c"]))));
        let found = directory.find();
        assert_eq!(channels(&found, key(0)), Some(vec!["a"]), "{round}");
        assert_eq!(channels(&found, key(1)), Some(vec!["b", "c"]), "{round}");
    }
    sessions.end();
    assert_eq!(directory.files().len(), 1);
}

#[test]
fn a_start_on_a_disk_that_fails_has_its_sessions_on_disk_when_it_works_again() {
    let directory = Directory::new("later");
    directory.begin().end();
    let sessions = Sessions::default();
    let found = directory.find();
    sessions.begin_without(directory.place(), (&by_name(), &found), "the disk failed".to_owned()).unwrap();
    let (asked, asks) = sync_channel(9);
    sessions.ask_by(move || asked.try_send(()).is_ok());
    assert_eq!(sessions.failure().as_deref(), Some("the disk failed"));
    assert!(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["a"]))).is_now());
    sessions.begin_again();
    asks.recv().unwrap();
    sessions.note(key(0), || state(&["a"]));
    sessions.noted_all();
    wait(sessions.record(key(1), Effect::Adds, Change::Whole(state(&["b"]))));
    assert_eq!(channels(&directory.find(), key(0)), Some(vec!["a"]));
    sessions.end();
    assert_eq!(directory.files().len(), 1);
}

#[test]
fn a_disk_that_takes_something_again_has_all_sessions_again() {
    let directory = Directory::new("repaired");
    let (sessions, asks) = worn(&directory.0);
    fs::remove_dir_all(&directory.0).unwrap();
    while sessions.failure().is_none() {
        wait(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["a"]))));
    }
    fs::create_dir_all(&directory.0).unwrap();
    // The log, which is in the same directory, says that it was written anew.
    sessions.begin_again();
    asks.recv().unwrap();
    sessions.note(key(0), || state(&["a"]));
    sessions.noted_all();
    wait(sessions.record(key(1), Effect::Adds, Change::Whole(state(&["b"]))));
    assert_eq!(sessions.failure(), None);
    assert_eq!(channels(&directory.find(), key(0)), Some(vec!["a"]));
    sessions.end();
}

#[test]
fn a_directory_that_is_gone_is_told_and_nobody_waits_for_it() {
    let directory = Directory::new("gone");
    let (sessions, _asks) = worn(&directory.0);
    fs::remove_dir_all(&directory.0).unwrap();
    let mut changes = 0;
    while sessions.failure().is_none() {
        changes += 1;
        assert!(changes < 10_000, "the new file cannot be made");
        wait(sessions.record(key(0), Effect::Adds, Change::Whole(state(&["a"]))));
    }
    assert!(sessions.record(key(0), Effect::TakesAway, Change::Ended).is_now());
    assert!(!sessions.end(), "this is no clean end");
}
