//! Backends that are slow or broken: nothing is lost that can be sent again, and nothing grows.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use turted::config::{ChannelPattern, Hook};

use super::backend::{Backend, Reaction};
use super::{Says, hook, server};
use crate::support::{Child, Kind, Pair, TestServer, eventually};

/// A server whose hook hears all dispatches, beside users.
pub(super) fn listening(backend: &Backend) -> TestServer {
    let mut hook = hook(backend);
    hook.dispatches = vec![ChannelPattern::parse("*").unwrap()];
    server(hook)
}

/// The first batch is answered like this and comes again: the same bytes, signed anew. What comes behind is in order.
fn assert_sent_again(first: Reaction) {
    let backend = Backend::that(move |_, before| if before == 0 { first } else { Reaction::Answer(204) });
    let server = listening(&backend);
    eventually("the first batch", || !backend.batches().is_empty());
    for number in 0..300 {
        server.dispatcher().broadcast("e", &number).unwrap();
    }
    eventually("all", || backend.records().len() == 302);
    let batches = backend.batches();
    assert_eq!(batches[0].body, batches[1].body, "{first:?}");
    assert!(batches[1].seconds > batches[0].seconds, "signed anew, a second later at least: {first:?}");
    let mut next = 1;
    for batch in &batches[1..] {
        assert_eq!(batch.json["sequence"], next, "one batch at a time, in order: {first:?}");
        next += batch.json["records"].as_array().unwrap().len();
    }
    assert_eq!(server.metric("turted_hook_failures_total{hook=\"app\"}"), 1);
    assert_eq!(server.metric("turted_hook_dropped_total{hook=\"app\"}"), 0);
    eventually("the last answer", || server.metric("turted_hook_sent_total{hook=\"app\"}") == 302);
}

#[test]
fn a_batch_that_is_answered_500_is_sent_again() {
    assert_sent_again(Reaction::Answer(500));
}

#[test]
fn a_batch_that_no_page_takes_yet_is_sent_again() {
    assert_sent_again(Reaction::Answer(404));
}

#[test]
fn a_batch_without_an_answer_is_sent_again() {
    assert_sent_again(Reaction::Silence);
}

#[test]
fn a_batch_whose_answer_breaks_off_is_sent_again() {
    assert_sent_again(Reaction::Half);
}

#[test]
fn a_redirect_is_not_followed() {
    let other = Backend::new();
    assert_sent_again(Reaction::Redirect(other.port()));
    assert!(other.batches().is_empty());
}

#[test]
fn a_backend_that_is_not_there_yet_hears_everything_later() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let backend = Backend::new();
    let mut hook = hook(&backend);
    // Plain HTTP is broken TLS.
    hook.url = format!("https://127.0.0.1:{}/turted", backend.port()).parse().unwrap();
    let mut closed = hook.clone();
    closed.name = "closed".to_owned();
    closed.url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    drop(listener);
    let mut config = crate::support::config();
    config.hooks = vec![hook, closed];
    let server = TestServer::start(config);
    for name in ["app", "closed"] {
        let series = format!("turted_hook_failures_total{{hook=\"{name}\"}}");
        eventually("two tries", || server.metric(&series) >= 2);
        assert_eq!(server.metric(&format!("turted_hook_up{{hook=\"{name}\"}}")), 0);
        assert_eq!(server.metric(&format!("turted_hook_ended{{hook=\"{name}\"}}")), 0);
    }
    server.assert_alive();
}

#[test]
fn a_backend_over_tls_is_trusted_by_its_authority_alone() {
    let pair = Pair::new();
    let backend = Backend::with_tls(&pair.files());
    let url = format!("https://localhost:{}/turted?app=1", backend.port()).parse().unwrap();
    let trusted = Hook { url, ca: Some(pair.files().cert), ..hook(&backend) };
    let other = Pair::new();
    let untrusted = Hook { name: "untrusted".to_owned(), ca: Some(other.files().cert), ..trusted.clone() };
    let mut config = crate::support::config();
    config.hooks = vec![trusted, untrusted];
    let server = TestServer::start(config);
    eventually("a failure", || server.metric("turted_hook_failures_total{hook=\"untrusted\"}") > 0);
    eventually("a batch", || server.metric("turted_hook_sent_total{hook=\"app\"}") == 2);
    assert_eq!(backend.up_to("synced"), ["started", "synced"], "once");
    assert_eq!(server.metric("turted_hook_failures_total{hook=\"app\"}"), 0);
}

#[test]
fn a_hook_whose_backend_answers_410_ends() {
    let backend = Backend::that(|_, _| Reaction::Answer(410));
    let server = listening(&backend);
    eventually("the answer", || server.metric("turted_hook_failures_total{hook=\"app\"}") == 1);
    for number in 0..20_000 {
        // On a busy machine the inbox may be full.
        eventually("it is accepted", || server.dispatcher().broadcast("e", &number).is_ok());
    }
    server.assert_alive();
    assert_eq!(server.metric("turted_hook_waiting_records{hook=\"app\"}"), 0, "nothing is kept for it");
    assert_eq!(server.metric("turted_hook_ended{hook=\"app\"}"), 1);
    assert_eq!(backend.batches().len(), 1);
}

#[test]
fn an_answer_of_a_gigabyte_takes_no_memory() {
    const SLACK_BYTES: usize = 32 << 20;
    let backend = Backend::that(|_, _| Reaction::Huge);
    let directory = tempfile::tempdir().unwrap();
    let child = child(&backend, directory.path());
    let before = child.memory();
    child.forget_most_memory();
    eventually("two tries", || backend.batches().len() >= 2);
    assert!(backend.sent() < 100_000_000, "{} bytes were taken", backend.sent());
    assert!(child.most_memory() < before + SLACK_BYTES, "{} and {before}", child.most_memory());
    child.stop();
}

#[test]
fn a_backend_that_takes_its_time_delays_no_delivery() {
    let gate = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&gate);
    let backend = Backend::that(move |_, _| {
        eventually("the gate is opened", || is_open.load(Ordering::Acquire));
        Reaction::Answer(200)
    });
    let server = listening(&backend);
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.join("chat");
    for number in 0..2_000 {
        server.dispatcher().notify_channel("chat", "e", &number).unwrap();
    }
    server.dispatcher().notify_channel("chat", "last", &0).unwrap();
    assert_eq!(client.events_until("last").len(), 2_000);
    assert!(
        backend.batches().iter().all(|batch| batch.json["sequence"] == 1),
        "it has not taken the first one"
    );
    gate.store(true, Ordering::Release);
    eventually("all in order", || backend.records().len() == 2_003);
}

/// The program with a configuration file that has this hook.
pub(super) fn child(backend: &Backend, directory: &Path) -> Child {
    child_with(backend, directory, "200ms", "")
}

/// The same with this grace, and with more in its configuration file.
pub(super) fn child_with(backend: &Backend, directory: &Path, grace: &str, more: &str) -> Child {
    super::write_secrets(directory, &super::SECRETS);
    let file = directory.join("turted.toml");
    let text = format!(
        "{more}[[hooks]]\nname = \"app\"\nurl = \"{}\"\nsecret_file = \"hook.secret\"\nnode = \"one\"\ngrace = \"{grace}\"\n\
         clients = [\"user-online\", \"user-offline\", \"joined\", \"left\"]\n",
        backend.url()
    );
    std::fs::write(&file, text).unwrap();
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "exec \"$@\" --config \"$FILE\"", "sh"]);
    Child::start_by(shell, &[("FILE", file.to_str().unwrap())])
}
