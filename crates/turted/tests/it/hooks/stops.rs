//! A server that stops while a backend hangs.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use super::backend::{Backend, Reaction};
use super::faults::child_with;
use crate::support::{Kind, eventually};

/// What says whether the log has a clean end.
fn lives(directory: &Path) -> Vec<u8> {
    std::fs::read(directory.join("log/lives")).unwrap()
}

#[test]
fn the_log_has_its_clean_end_before_a_backend_has_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (backend, before) = (Backend::new(), Arc::new(Mutex::new(Vec::new())));
    let child = child_with(&backend, directory.path(), "[log]\ndirectory = \"log\"\n");
    backend.up_to("synced");
    *before.lock().unwrap() = lives(directory.path());
    let (path, open) = (directory.path().to_owned(), Arc::clone(&before));
    backend.react(move |_, _| {
        eventually("the clean end", || lives(&path) != *open.lock().unwrap());
        Reaction::Answer(200)
    });
    let mut client = child.client(Kind::V4_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"adam"}"#);
    eventually("a batch that is not answered", || backend.batches().len() == 2);
    child.signal(Signal::TERM);
    let log = child.finish();
    assert!(!log.contains("were not sent before the stop"), "{log}");
    assert_eq!(backend.up_to("user-online adam").len(), 3);
}
