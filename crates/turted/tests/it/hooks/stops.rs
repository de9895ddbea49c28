//! A server that stops, also while a backend hangs, and starts again.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use super::Says;
use super::backend::{Backend, Reaction, short};
use super::faults::child_with;
use super::reference::Reference;
use crate::support::resuming::Resuming;
use crate::support::{Client, Kind, eventually};

/// What says whether the log has a clean end.
fn lives(directory: &Path) -> Vec<u8> {
    std::fs::read(directory.join("log/lives")).unwrap()
}

#[test]
fn the_log_has_its_clean_end_before_a_backend_has_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (backend, before) = (Backend::new(), Arc::new(Mutex::new(Vec::new())));
    let child = child_with(&backend, directory.path(), "200ms", "[log]\ndirectory = \"log\"\n");
    backend.up_to("synced");
    *before.lock().unwrap() = lives(directory.path());
    let (path, open) = (directory.path().to_owned(), Arc::clone(&before));
    backend.react(move |_, _| {
        eventually("the clean end", || lives(&path) != *open.lock().unwrap());
        Reaction::Answer(200)
    });
    let mut client = child.client(Kind::V4_WEBSOCKET);
    client.ident("adam");
    eventually("a batch that is not answered", || {
        backend.batches().last().is_some_and(|batch| batch.body.contains("adam"))
    });
    child.signal(Signal::TERM);
    let log = child.finish();
    assert!(!log.contains("were not sent before the stop"), "{log}");
    assert_eq!(backend.up_to("stopped"), ["started", "synced", "user-online adam", "stopped"]);
}

/// What a backend knows that keeps to the documentation, after each batch.
fn known(backend: &Backend) -> Vec<Reference> {
    let batches = backend.batches();
    (1..=batches.len()).map(|count| Reference::of(&batches[..count])).collect()
}

#[test]
fn a_restart_takes_nobody_offline_who_comes_back_within_the_grace() {
    let (directory, backend) = (tempfile::tempdir().unwrap(), Backend::new());
    let start = || child_with(&backend, directory.path(), "5s", "[log]\ndirectory = \"log\"\n");
    let child = start();
    let mut adam = Resuming::over(child.client(Kind::V4_WEBSOCKET));
    adam.ident("adam");
    adam.join("chat");
    let mut eve = child.client(Kind::V4_WEBSOCKET);
    eve.ident("eve");
    backend.up_to("joined adam chat");
    backend.up_to("user-online eve");
    child.stop();
    let told = backend.records();
    assert_eq!(short(told.last().unwrap()), "stopped");
    let mut stopped = known(&backend).pop().unwrap();
    assert_eq!(stopped.users().len(), 2, "they may come back");
    stopped.give_up();
    assert!(stopped.users().is_empty(), "the server does not come back");
    let child = start();
    let (_adam, is_recovered) = adam.resume_over(Client::open(child.address(), Kind::V4_WEBSOCKET));
    assert!(is_recovered);
    let second = told.len();
    eventually("all are told", || {
        backend.records()[second..].iter().any(|record| record["type"] == "synced")
    });
    let told: Vec<_> = backend.records()[second..].iter().map(short).collect();
    let expected =
        ["started", "user-online adam", "joined adam chat", "user-online adam", "joined adam chat", "synced"];
    assert_eq!(told, expected, "as changes, and as all who are online");
    let known = known(&backend);
    let online = known.iter().skip_while(|known| !known.users().contains("adam"));
    assert!(online.clone().all(|known| known.users().contains("adam")), "at no moment he is gone");
    assert!(online.clone().any(|known| known.users().contains("eve")));
    assert!(!known.last().unwrap().users().contains("eve"), "she did not come back");
    child.stop();
}
