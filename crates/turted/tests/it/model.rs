//! Random clients and pushes against a reference model: nobody gets what is not theirs, nobody
//! misses anything, nothing comes twice or out of order, and everybody is told why.
//!
//! `TURTED_TEST_SEED` replays one run, `TURTED_TEST_STEPS` makes runs longer.

mod reference;
mod run;

use std::cell::Cell;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use turted::config::{ChannelPattern, Depth, DiskLog, HistoryRules, LogStart, LogStore, LogSync};

use self::reference::HISTORY;
use self::run::{MARKER, Run};
use crate::support::{Kind, TestServer};

/// Prints what repeats the run if it fails.
struct Replay(usize, u64, usize);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(workers, seed, steps) = self;
            println!("{workers} workers; repeat with TURTED_TEST_SEED={seed} TURTED_TEST_STEPS={steps}");
        }
    }
}

pub(crate) fn variable<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// A server that keeps some history of every channel.
fn server(workers: usize, log: LogStore) -> TestServer {
    TestServer::with(|config| {
        config.workers = workers;
        config.log = log;
        config.limits.message_rate = 1_000_000;
        let depth = Depth { events: HISTORY, age: Duration::from_secs(3_600) };
        config.history = HistoryRules::new([(ChannelPattern::prefix("").unwrap(), depth)]);
    })
}

fn run(workers: usize, log: impl Fn() -> LogStore) {
    let steps = variable("TURTED_TEST_STEPS").unwrap_or(600);
    let seeds = variable("TURTED_TEST_SEED").map_or(0..3, |seed| seed..seed + 1);
    for seed in seeds {
        let _replay = Replay(workers, seed, steps);
        let server = server(workers, log());
        let mut run = Run::new(&server.addresses(), seed);
        (0..steps).for_each(|_| run.step());
        run.end();
        server.stop();
    }
}

#[test]
fn one_worker_does_what_the_model_does() {
    run(1, || LogStore::Memory);
}

#[test]
fn two_workers_do_what_the_model_does() {
    run(2, || LogStore::Memory);
}

#[test]
fn three_workers_do_what_the_model_does() {
    run(3, || LogStore::Memory);
}

#[test]
fn pushes_that_wait_for_a_sync_do_what_the_model_does() {
    let directories = tempfile::tempdir().unwrap();
    let next = Cell::new(0);
    run(2, || {
        next.set(next.get() + 1);
        let directory = directories.path().join(next.get().to_string());
        let (sync, start) = (LogSync::Always, LogStart::Continue);
        LogStore::Disk(DiskLog { directory, sync, required: true, start })
    });
}

#[test]
fn every_connection_sees_the_same_order_whoever_pushes() {
    const PUSHES: usize = 300;
    let server = TestServer::with(|config| config.workers = 3);
    let mut clients: Vec<_> = Kind::ALL.iter().chain(&Kind::ALL).map(|kind| server.client(*kind)).collect();
    std::thread::scope(|scope| {
        for pusher in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let mut http = server.http();
                for number in 0..PUSHES / 4 {
                    let body =
                        json!({"event": "e", "targets": {"broadcast": true}, "payload": [pusher, number]});
                    assert_eq!(http.post("/push", &[], body.to_string()).status, 200);
                }
            });
        }
    });
    server.dispatcher().broadcast(MARKER, &0).unwrap();
    let received: Vec<Vec<Value>> = clients
        .iter_mut()
        .map(|client| client.events_until(MARKER).into_iter().map(|event| event.payload).collect())
        .collect();
    assert_eq!(received[0].len(), PUSHES);
    assert!(received.iter().all(|order| *order == received[0]));
    for pusher in 0..4 {
        let own: Vec<_> =
            received[0].iter().filter(|payload| payload[0] == pusher).map(|p| p[1].clone()).collect();
        assert_eq!(own, (0..PUSHES / 4).map(|number| json!(number)).collect::<Vec<_>>());
    }
}
