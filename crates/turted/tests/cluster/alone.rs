//! The checker, the clients and the proxy, tried where there is one server or none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use turted_core::cursor::Cursor;

use crate::clients::backends::{Manner, Outcome, Push};
use crate::clients::journal::{Journal, Step};
use crate::clients::{Backends, Crowd, Findings, Member, Target, check};
use crate::harness::{Directory, Node, Proxy, Way};
use crate::support::redis::{Redis, RedisServer};
use crate::support::{Random, eventually, pause};

#[test]
fn clients_of_one_server_that_are_cut_miss_nothing() {
    let directory = Arc::new(Directory::default());
    let _node = Node::start(0, Proxy::to(9), Vec::new(), &directory);
    let crowd = Crowd::start(&directory, 40);
    let mut backends = Backends::start(&directory, crowd.len(), 200, Manner::Mixed);
    let mut random = Random::new(1);
    for _ in 0..6 {
        crowd.cut_some(&mut random, 30);
        pause(Duration::from_millis(200));
    }
    backends.stop();
    backends.reach(&crowd, Duration::from_secs(10));
    let returns = crowd.losses();
    let findings = check(&backends.finish(), &crowd.finish());
    findings.assert_nothing_told();
    assert!(returns > 40 && findings.deliveries > 500, "{returns} {}", findings.figures());
}

/// A run with one client and four pushes to everyone, whose steps are given as numbers of events, and others.
fn judge(steps: &[Result<u64, &str>]) -> Findings {
    let began = Instant::now();
    let at = |number: u64| Cursor { epoch: 1, sequence: 10 + number };
    let push = |number| Push {
        number,
        target: Target::Everyone,
        begun: began + Duration::from_millis(1 + number),
        outcome: Outcome::Accepted(Some(at(number))),
        sent: 1,
    };
    let mut journal = Journal::new(Member::of(0, 8));
    journal.add(Step::In { at: began });
    for (number, step) in (5..).zip(steps) {
        journal.add(match *step {
            Ok(number) => Step::Event { number, via: Some(Target::Everyone), position: Some(at(number)) },
            Err("gap") => {
                let before = journal.steps.iter().rev().find_map(|step| match step {
                    Step::Event { position, .. } => *position,
                    _ => None,
                });
                Step::Gap { at: began + Duration::from_secs(100), before, code: String::new() }
            }
            Err(_) => Step::In { at: began + Duration::from_secs(100 + number) },
        });
    }
    check(&[0, 1, 2, 3].map(push), &[journal])
}

#[test]
fn the_checker_finds_each_fault() {
    judge(&[Ok(0), Ok(1), Ok(2), Ok(3)]).assert_nothing_told();
    assert_eq!(judge(&[Ok(0), Ok(1), Ok(3)]).count("lost"), 1);
    assert_eq!(judge(&[Ok(0), Ok(1), Ok(1), Ok(2), Ok(3)]).count("doubled"), 1);
    assert_eq!(judge(&[Ok(0), Ok(2), Ok(1), Ok(3)]).count("reordered"), 1);
    assert_eq!(judge(&[Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]).count("invented"), 1);
    let told = judge(&[Ok(0), Err("gap"), Err("in")]);
    assert_eq!((told.assert_sound().gaps, told.false_gaps), (1, 0));
    let untold = judge(&[Ok(1), Err("gap"), Err("in")]);
    assert_eq!(untold.count("lost"), 1, "what is long before the gap is not excused");
    let vain = judge(&[Ok(0), Ok(1), Ok(2), Ok(3), Err("gap"), Err("in")]);
    assert_eq!((vain.assert_sound().gaps, vain.false_gaps), (1, 1));
}

#[test]
fn the_checker_finds_two_events_under_one_position_unless_a_gap_is_between() {
    let began = Instant::now();
    let at = Cursor { epoch: 1, sequence: 10 };
    let push = |number| Push {
        number,
        target: Target::Everyone,
        begun: began + Duration::from_millis(1 + number),
        outcome: Outcome::Accepted(Some(at)),
        sent: 1,
    };
    let event = |number| Step::Event { number, via: Some(Target::Everyone), position: Some(at) };
    for (is_told, found) in [(false, 1), (true, 0)] {
        let mut journal = Journal::new(Member::of(0, 8));
        journal.add(Step::In { at: began });
        journal.add(event(0));
        if is_told {
            journal.add(Step::Gap { at: began, before: Some(at), code: String::new() });
        }
        journal.add(event(1));
        let findings = check(&[0, 1].map(push), &[journal]);
        assert_eq!(findings.count("position used twice"), found);
    }
}

fn length(redis: &RedisServer) -> i64 {
    redis.client().number(&["XLEN", "l"])
}

#[test]
fn the_proxy_delivers_late_what_an_abandoned_connection_had_sent() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port());
    let mut old = Redis::connect(proxy.port());
    old.ask(&["XADD", "l", "*", "d", "1"]);
    let held = proxy.hold_back();
    let abandoned = std::thread::spawn(move || old.try_ask(&["XADD", "l", "*", "d", "2"]));
    pause(Duration::from_millis(100));
    held.end_for_node();
    assert_eq!(abandoned.join().unwrap(), None, "its connection has ended");
    Redis::connect(proxy.port()).ask(&["XADD", "l", "*", "d", "3"]);
    assert_eq!(length(&redis), 2);
    held.deliver_late();
    eventually("it comes late", || length(&redis) == 3);
}

#[test]
fn the_proxy_stalls_one_direction_and_cuts_both() {
    let redis = RedisServer::start();
    let proxy = Proxy::to(redis.port());
    let mut client = Redis::connect(proxy.port());
    client.ask(&["PING"]);
    proxy.stall(Way::ToNode);
    let waiting = std::thread::spawn(move || client.try_ask(&["XADD", "l", "*", "d", "1"]));
    eventually("Redis has it", || length(&redis) == 1);
    assert!(!waiting.is_finished());
    proxy.flow();
    assert!(waiting.join().unwrap().is_some());
    proxy.cut();
    assert_eq!(Redis::connect(proxy.port()).try_ask(&["PING"]), None);
    proxy.mend();
    Redis::connect(proxy.port()).ask(&["PING"]);
}
