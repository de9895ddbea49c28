//! Clients that come back: `Last-Event-ID`, gaps, and everything once and in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{named, open, open_with, streams};
use crate::support::{EventSource, TestServer, eventually};

const LAST: &str = "Last-Event-ID";

/// The numbers of events up to `last`.
fn numbers(source: &mut EventSource) -> Vec<u64> {
    let events = std::iter::repeat_with(|| source.event());
    events.take_while(|event| event.name != "last").map(|event| event.data.parse().unwrap()).collect()
}

fn say(server: &TestServer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        server.dispatcher().notify_channel("c", "e", &number).unwrap();
        server.dispatcher().notify_channel("other", "e", &"not for it").unwrap();
    }
}

#[test]
fn a_client_that_comes_back_gets_what_it_missed_and_then_what_is_new() {
    let server = TestServer::new();
    let user = [("Authorization", "Basic YWxpY2U6")];
    let mut source = open_with(&server, "?channel=c", &user);
    say(&server, 0..1);
    source.event();
    let id = source.last_id().to_owned();
    drop(source);
    say(&server, 1..3);
    server.dispatcher().notify_user("alice", "e", &3).unwrap();
    server.dispatcher().notify_user("bob", "e", &"not for it").unwrap();
    server.dispatcher().broadcast("e", &4).unwrap();
    let header = [user[0], (LAST, id.as_str())];
    let by_query = format!("?channel=c&lastEventId={id}");
    for mut source in [open_with(&server, "?channel=c", &header), open_with(&server, &by_query, &user)] {
        let events: Vec<_> = (1..=4).map(|_| source.event().data).collect();
        assert_eq!(events, ["1", "2", "3", "4"]);
    }
    let mut source = open_with(&server, "?channel=c", &header);
    say(&server, 5..6);
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(numbers(&mut source), [1, 2, 3, 4, 5]);
    let page = server.admin().get("/metrics");
    assert!(page.text().contains("turted_recoveries_total{outcome=\"resumed\"} 3"), "{}", page.text());
}

#[test]
fn the_latest_position_counts_of_those_that_a_client_has_added_to_its_address() {
    let server = TestServer::new();
    let mut source = open(&server, "?channel[]=c");
    say(&server, 0..3);
    let ids: Vec<_> = (0..3).map(|_| source.event().id).collect();
    server.dispatcher().broadcast("last", &0).unwrap();
    let (first, second) = (&ids[0], &ids[1]);
    for (query, header) in [
        (format!("lastEventId={first}&lastEventId={second}"), None),
        (format!("lastEventId={second}&lastEventId={first}"), None),
        (format!("lastEventId=0-1&lastEventId={second}"), None),
        (format!("lastEventId={second}"), Some(first)),
        (format!("lastEventId={first}"), Some(second)),
    ] {
        let headers: Vec<_> = header.iter().map(|id| (LAST, id.as_str())).collect();
        let mut source = open_with(&server, &format!("?channel=c&{query}"), &headers);
        assert_eq!(numbers(&mut source), [2], "{query} {header:?}");
    }
}

#[test]
fn a_client_that_received_nothing_resumes_from_where_it_began() {
    let server = TestServer::new();
    say(&server, 0..2);
    let mut source = open(&server, "?channel=c");
    source.start();
    let id = source.last_id().to_owned();
    assert!(id.ends_with("-4"), "{id}");
    drop(source);
    say(&server, 2..4);
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(numbers(&mut open_with(&server, "?channel=c", &[(LAST, &id)])), [2, 3]);
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_while_a_client_comes_and_goes() {
    const PUSHES: u64 = 3_000;
    let server = TestServer::with(|config| config.workers = 3);
    let mut source = open(&server, "?channel=c");
    source.start();
    let (mut seen, mut connects, received) = (Vec::new(), 0, AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..PUSHES {
                // Not further ahead than is replayed.
                while number > received.load(Ordering::Acquire) + 200 {
                    std::thread::yield_now();
                }
                server.dispatcher().notify_channel("c", "e", &number).unwrap();
            }
            server.dispatcher().notify_channel("c", "last", &0).unwrap();
        });
        loop {
            let event = source.event();
            assert_ne!(event.name, "turted:gap");
            if event.name == "last" {
                break;
            }
            seen.push(event.data.parse::<u64>().unwrap());
            received.fetch_add(1, Ordering::Release);
            if seen.len() % 37 == 0 {
                let id = source.last_id().to_owned();
                source = open_with(&server, "?channel=c", &[(LAST, &id)]);
                connects += 1;
            }
        }
    });
    assert_eq!(seen, (0..PUSHES).collect::<Vec<_>>());
    assert!(connects > 50, "{connects}");
}

#[test]
fn a_client_that_cannot_be_told_all_is_told_so_first() {
    let server = TestServer::with(|config| config.recovery.replay = 5);
    let mut source = open(&server, "?channel=c");
    source.start();
    let start = source.last_id().to_owned();
    let epoch = start.split('-').next().unwrap().to_owned();
    say(&server, 0..6);
    for position in [&start, "constructor", "0-0", &format!("{epoch}-99"), &format!("{epoch}-x")] {
        let mut source = open_with(&server, "?channel=c", &[(LAST, position)]);
        assert_eq!(named(&source.event()), ("turted:gap", "{}"), "{position}");
        assert_eq!(source.last_id(), format!("{epoch}-12"), "it goes on from here");
    }
    let mut source = open_with(&server, "?channel=c", &[(LAST, &format!("{epoch}-2"))]);
    let replayed: Vec<_> = (0..5).map(|_| source.event().data).collect();
    assert_eq!(replayed, ["1", "2", "3", "4", "5"], "as many as may be replayed");
    let mut source = open_with(&server, "?channel=c", &[(LAST, "")]);
    source.start();
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(source.event().name, "last", "no position is no gap");
}

#[test]
fn without_recovery_there_are_no_positions_and_who_shows_one_is_told() {
    let server = TestServer::with(|config| config.recovery.enabled = false);
    let mut source = open(&server, "?channel=c");
    server.dispatcher().notify_channel("c", "e", &1).unwrap();
    assert_eq!((source.event().id.as_str(), source.last_id()), ("", ""));
    let mut source = open_with(&server, "?channel=c", &[(LAST, "0-1")]);
    assert_eq!(named(&source.event()), ("turted:gap", "{}"));
    server.dispatcher().notify_channel("c", "e", &2).unwrap();
    assert_eq!(named(&source.event()), ("e", "2"));
}

#[test]
fn a_slow_reader_is_cut_alone_and_resumes() {
    let server = TestServer::with(|config| {
        config.limits.outbox_bytes = 64 * 1024;
        config.limits.outbox_stall = Duration::from_millis(500);
    });
    let mut slow = open(&server, "?channel=c");
    slow.start();
    let mut healthy = open(&server, "?channel=c");
    let payload = "x".repeat(20 * 1024);
    let mut pushed = 0;
    while streams(&server) == 2 {
        server.dispatcher().notify_channel("c", "e", &format!("{pushed}:{payload}")).unwrap();
        assert!(healthy.event().data.starts_with(&format!("\"{pushed}:")));
        pushed += 1;
        assert!(pushed < 2_000, "a client that does not read is not cut");
    }
    let number = |data: &str| data[1..].split(':').next().unwrap().parse::<usize>().unwrap();
    let mut seen = 0;
    while let Some(event) = slow.next() {
        assert_eq!(number(&event.data), seen);
        seen += 1;
    }
    let mut back = open_with(&server, "?channel=c", &[(LAST, slow.last_id())]);
    let first = back.event();
    if first.name != "turted:gap" {
        assert_eq!(number(&first.data), seen, "where it was cut");
    }
    server.dispatcher().notify_channel("c", "last", &0).unwrap();
    assert_eq!(healthy.event().name, "last");
    eventually("the others are served", || streams(&server) == 2);
}
