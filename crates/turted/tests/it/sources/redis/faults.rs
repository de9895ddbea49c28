//! A broker that is killed, frozen, emptied, or lets nobody in; and a server that is killed.

use std::collections::BTreeSet;

use turted::config::ConfigFile;

use super::{GAPS, Setup, UP, add, listener, outcome, pending, push};
use crate::support::accepting::{Accepting, EVENT};
use crate::support::redis::RedisServer;
use crate::support::{TestServer, eventually};

#[test]
fn a_broker_that_is_killed_and_started_again_has_lost_nothing_and_is_told_once() {
    let mut redis = RedisServer::start();
    let child = Setup::stream(&redis, "").child();
    let accepted = outcome("accepted");
    add(&mut redis.client(), &["push", &push("A")]);
    eventually("one is accepted", || child.metric(&accepted) == 1);
    eventually("it is acknowledged", || pending(&redis) == 0);
    redis.kill();
    eventually("it is down", || child.metric(UP) == 0);
    assert_eq!(child.admin().get("/ready").status, 200);
    redis.restart();
    add(&mut redis.client(), &["push", &push("B")]);
    eventually("it goes on", || child.metric(&accepted) == 2);
    assert_eq!((child.metric(UP), child.metric(&outcome("duplicate"))), (1, 0));
    let log = child.stop();
    let count = |text: &str| log.matches(text).count();
    assert_eq!((count("the source is down"), count("the source is back")), (1, 1), "{log}");
}

#[test]
fn a_server_starts_without_its_broker_and_finds_it_later() {
    let mut redis = RedisServer::start();
    redis.kill();
    let server = TestServer::start(Setup::stream(&redis, "").config());
    let mut client = listener(&server);
    assert_eq!(server.metric(UP), 0);
    redis.restart();
    add(&mut redis.client(), &["push", &push("E")]);
    assert_eq!(client.event().name, "E");
}

#[test]
fn a_frozen_broker_is_noticed_by_its_silence() {
    let redis = RedisServer::start();
    let stream = Setup::stream(&redis, "heartbeat = \"200ms\"").server();
    let pubsub = Setup::pubsub(&redis, "channels = [\"push\"]\nheartbeat = \"200ms\"").server();
    let (mut of_stream, mut of_pubsub) = (listener(&stream), listener(&pubsub));
    redis.freeze();
    for server in [&stream, &pubsub] {
        eventually("it is noticed", || server.metric(UP) == 0);
    }
    redis.thaw();
    for server in [&stream, &pubsub] {
        eventually("it is back", || server.metric(UP) == 1);
    }
    add(&mut redis.client(), &["push", &push("A")]);
    redis.client().ask(&["PUBLISH", "push", &push("B")]);
    assert_eq!((of_stream.event().name, of_pubsub.event().name), ("A".to_owned(), "B".to_owned()));
}

#[test]
fn a_killed_connection_to_a_stream_loses_and_doubles_nothing() {
    let redis = RedisServer::start();
    let server = Setup::stream(&redis, "prefetch = 7").server();
    let mut connection = redis.client();
    for round in 0..20 {
        for number in 0..50 {
            add(&mut connection, &["push", &push(&format!("{round}-{number}"))]);
        }
        connection.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    eventually("all are accepted", || server.metric(&outcome("accepted")) == 1_000);
    let sum = |name| server.metric(&outcome(name));
    assert_eq!((sum("accepted"), sum("refused"), sum("gap")), (1_000, 0, 0));
}

#[test]
fn a_broker_that_is_emptied_gets_its_group_back_and_no_entry_is_skipped() {
    let redis = RedisServer::start();
    let setup = Setup::new("redis-stream", &redis.url(), "stream = \"events\"");
    let server = setup.server();
    let mut client = listener(&server);
    let mut connection = redis.client();
    add(&mut connection, &["push", &push("A")]);
    assert_eq!(client.event().name, "A");
    connection.ask_all(&[
        vec!["MULTI"],
        vec!["FLUSHALL"],
        vec!["XADD", "events", "*", "event", "B", "users", "u"],
        vec!["EXEC"],
    ]);
    assert_eq!(client.event().name, "B");
    assert!(server.metric(GAPS) >= 1);
}

#[test]
fn a_wrong_password_is_told_without_it_and_tried_again() {
    let redis = RedisServer::start();
    let mut connection = redis.client();
    let rights = ["~events", "+@all"];
    connection.ask(&[&["ACL", "SETUSER", "turted", "on", ">right-pass"], &rights[..]].concat());
    let url = |password: &str| redis.url().replace("://", &format!("://turted:{password}@"));
    let setup = Setup::new("redis-stream", &url("canary-secret"), "stream = \"events\"");
    let (code, text) = setup.check(&["--connect"]);
    assert!(code == 1 && text.contains("WRONGPASS"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    let (code, text) = setup.check(&[]);
    assert!(code == 0 && !text.contains("canary"), "{text}");
    let child = setup.child();
    let failure = || child.admin().get("/api/v1/sources").json()["sources"][0]["failure"].clone();
    eventually("it is told", || failure().as_str().is_some_and(|failure| failure.contains("WRONGPASS")));
    connection.ask(&["ACL", "SETUSER", "turted", ">canary-secret"]);
    eventually("it is let in", || child.metric(UP) == 1);
    let page = [child.admin().get("/api/v1/sources").text(), child.admin().get("/metrics").text()].concat();
    let log = child.stop();
    assert!(log.contains("the source is down") && log.contains("WRONGPASS"), "{log}");
    assert!(!log.contains("canary") && !page.contains("canary"), "{log}{page}");
    assert!(log.contains("trusted"), "{log}");
    let right = Setup::new("redis-stream", &url("right-pass"), "stream = \"events\"");
    let (code, text) = right.check(&["--connect"]);
    assert!(code == 0 && text.starts_with("source redis, redis-stream: can be reached\n"), "{text}");
    assert!(text.contains("holds a secret and is open to other users"), "{text}");
}

/// What is documented, as words, with another password.
fn documented_rights() -> Vec<String> {
    let docs = include_str!("../../../../../../docs/sources.md");
    let line = docs.lines().find(|line| line.starts_with("ACL SETUSER turted ")).expect("a line");
    line.replace("PASSWORD", "pass").split(' ').map(str::to_owned).collect()
}

#[test]
fn the_rights_in_the_documentation_are_enough_for_a_stream() {
    let redis = RedisServer::start();
    redis.client().ask(&documented_rights());
    let url = redis.url().replace("://", "://turted:pass@");
    let lines = "stream = \"events\"\ndead_stream = \"events:dead\"";
    let setup = Setup::new("redis-stream", &url, lines);
    let server = setup.server();
    let mut client = listener(&server);
    add(&mut redis.client(), &["push", "no JSON"]);
    add(&mut redis.client(), &["push", &push("E")]);
    assert_eq!(client.event().name, "E");
    eventually("all are settled", || pending(&redis) == 0);
    assert_eq!((server.metric(UP), redis.client().number(&["XLEN", "events:dead"])), (1, 1));
    let (code, text) = setup.check(&["--connect"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_server_that_repeats_what_it_does_not_know_makes_us_show_no_password() {
    // As a server of another kind may, which has no AUTH.
    let redis = RedisServer::with(&["--rename-command", "AUTH", "HIDDEN"]);
    let url = redis.url().replace("://", "://canary-user:canary-secret@");
    let (code, text) = Setup::new("redis-stream", &url, "stream = \"events\"").check(&["--connect"]);
    assert!(code == 1 && text.contains("the server refuses user and password: ERR"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn what_cannot_work_is_told_when_it_is_tried() {
    let redis = RedisServer::start();
    redis.client().ask(&["SET", "events", "a text"]);
    redis.client().ask(&["ACL", "SETUSER", "nobody", "on", "nopass", "+ping"]);
    for (url, expected) in [
        (redis.url(), "\"events\" is no stream, but a string"),
        (redis.url().replace("://", "://nobody:x@"), "NOPERM"),
        ("redis://127.0.0.1:1".to_owned(), "cannot connect to 127.0.0.1:1"),
    ] {
        let (code, text) = Setup::new("redis-stream", &url, "stream = \"events\"").check(&["--connect"]);
        assert!(code == 1 && text.contains(expected), "{url}: {text}");
    }
}

#[test]
fn a_killed_server_loses_nothing_and_doubles_no_more_than_it_had_read() {
    kill_servers(&Kills { rounds: 3, each: 4_000 });
}

#[test]
#[ignore = "half a minute: just soak-sources"]
fn soak_a_server_killed_ten_times_in_100_000_entries_loses_none() {
    kill_servers(&Kills { rounds: 10, each: 10_000 });
}

struct Kills {
    rounds: usize,
    /// Entries of a round.
    each: usize,
}

/// Adds numbered entries, and kills the server when about half of them are accepted, in each round.
fn kill_servers(kills: &Kills) {
    const PREFETCH: usize = 20;
    let redis = RedisServer::start();
    let setup = Setup::stream(&redis, &format!("prefetch = {PREFETCH}\nconsumer = \"me\""));
    let ConfigFile::Named(config) = setup.file() else { unreachable!("it has a name") };
    let file = setup.directory.path().join("accepted");
    let all = kills.rounds * kills.each;
    for round in 0..kills.rounds {
        let entry = |number: usize| {
            let parts = ["XADD", "events", "*", "event", EVENT, "users", "u", "payload", &number.to_string()];
            parts.map(str::to_owned).to_vec()
        };
        let numbers = round * kills.each..(round + 1) * kills.each;
        redis.client().ask_all(&numbers.map(entry).collect::<Vec<_>>());
        let server = Accepting::start(&config, &file);
        let half = round * kills.each + kills.each / 2;
        eventually("half of them are accepted", || server.accepted().len() >= half);
        server.kill();
    }
    let server = Accepting::start(&config, &file);
    let seen = || server.accepted().into_iter().collect::<BTreeSet<_>>();
    eventually("none is lost", || seen().len() == all);
    let doubled = server.accepted().len() - all;
    println!("{doubled} of {all} were accepted twice in {} kills", kills.rounds);
    assert!(doubled <= PREFETCH * kills.rounds, "{doubled}");
    eventually("all are acknowledged", || pending(&redis) == 0);
}
