//! Secrets that are exchanged while the server runs.

use rustix::process::Signal;

use super::backend::Backend;
use super::faults::child;
use super::{SECRETS, Says, write_secrets};
use crate::support::{Child, Client, Kind, eventually};

#[test]
fn a_secret_that_is_taken_out_of_its_file_signs_nothing_after_sighup() {
    let (backend, directory) = (Backend::new(), tempfile::tempdir().unwrap());
    let child = child(&backend, directory.path());
    backend.up_to("synced");
    assert_eq!(backend.batches()[0].signatures, SECRETS.len());
    write_secrets(directory.path(), &SECRETS[1..]);
    child.signal(Signal::HUP);
    let clients = until_signed_by(1, &child, &backend);
    // A file that cannot be used changes nothing.
    write_secrets(directory.path(), &[""]);
    child.signal(Signal::HUP);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    client.ident("last");
    backend.up_to("user-online last");
    drop((client, clients));
    let log = child.stop();
    assert!(!SECRETS.iter().any(|secret| log.contains(secret)), "{log}");
}

/// Has clients come until a batch has so many signatures.
fn until_signed_by(signatures: usize, child: &Child, backend: &Backend) -> Vec<Client> {
    let mut clients = Vec::new();
    eventually("a batch that is signed with other secrets", || {
        let mut client = child.client(Kind::V4_WEBSOCKET);
        let user = format!("user-{}", clients.len());
        client.ident(&user);
        clients.push(client);
        backend.up_to(&format!("user-online {user}"));
        backend.batches().last().is_some_and(|batch| batch.signatures == signatures)
    });
    clients
}

#[test]
fn sighup_warns_of_a_weak_secret_and_names_what_takes_a_restart() {
    let (backend, directory) = (Backend::new(), tempfile::tempdir().unwrap());
    let child = child(&backend, directory.path());
    backend.up_to("synced");
    write_secrets(directory.path(), &[SECRETS[0], SECRETS[1], "weak"]);
    let file = directory.path().join("turted.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("200ms", "300ms");
    let added = "[[hooks]]\nname = \"added\"\nurl = \"http://127.0.0.1:1/\"\nsecret_file = \"hook.secret\"\n\
                 clients = [\"connected\"]\n[[push.keys]]\nname = \"shop\"\npassword = \"a password of a shop\"\n";
    std::fs::write(&file, text + added).unwrap();
    child.signal(Signal::HUP);
    drop(until_signed_by(3, &child, &backend));
    let log = child.stop();
    assert!(log.contains("a secret in "), "{log}");
    assert!(log.contains("these changes of the configuration take a restart"), "{log}");
    assert!(log.contains("[[hooks]] app, [[hooks]] added, push.keys"), "{log}");
}
