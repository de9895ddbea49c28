//! A server that is killed: what was accepted and not acknowledged comes again, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::setup::{Setup, source};
use super::tap::Tap;
use crate::support::accepting::{Accepting, EVENT};
use crate::support::amqp::publish_many;
use crate::support::rabbitmq::RabbitMq;
use crate::support::{Random, eventually, pause};

/// Messages that are delivered and not acknowledged: the default.
const PREFETCH: usize = 100;

#[test]
fn a_killed_server_loses_nothing_and_doubles_at_most_its_prefetch() {
    kill(5_000, 2);
}

#[test]
#[ignore = "half a minute: just soak-sources"]
fn soak_ten_kills_in_100_000_messages_lose_nothing() {
    kill(100_000, 10);
}

/// Publishes so many numbered messages, kills the server so often meanwhile, and counts what was accepted.
fn kill(messages: usize, kills: usize) {
    let broker = RabbitMq::start();
    let publisher = broker.publisher();
    publisher.declare_queue("numbers", None);
    let setup = Setup::new(&broker);
    let tap = Tap::start(broker.address());
    setup.set_url(&broker.url().replace(&broker.address().to_string(), &tap.address().to_string()));
    let config = setup.write(&source("numbers", "queue = \"numbers\""));
    let accepted = setup.path("accepted");
    let random = &mut Random::new(7);
    let mut server = Some(Accepting::start(&config, &accepted));
    for round in 0..=kills {
        let (from, to) = (messages * round / (kills + 1), messages * (round + 1) / (kills + 1));
        let body = |number: usize| {
            format!(r#"{{"event":"{EVENT}","payload":{number},"targets":{{"users":["u"]}}}}"#)
        };
        let numbers = |server: &Option<Accepting>| server.as_ref().unwrap().accepted();
        let before = numbers(&server).len();
        std::thread::scope(|scope| {
            scope.spawn(|| publish_many(&broker.url(), "numbers", (from..to).map(body)));
            if round < kills {
                // In the middle of them.
                eventually("some of them are accepted", || numbers(&server).len() > before);
                pause(Duration::from_millis(random.next() % 50));
                server.take().unwrap().kill();
                server = Some(Accepting::start(&config, &accepted));
            }
        });
    }
    let server = server.unwrap();
    let mut waiting = usize::MAX;
    while waiting > 0 {
        // As long as there is progress: the backlog is larger the more often the server was killed.
        let before = waiting;
        eventually("more are acknowledged", || {
            waiting = usize::try_from(publisher.count("numbers").0).unwrap();
            waiting == 0 || waiting < before
        });
    }
    let mut counts = BTreeMap::<usize, usize>::new();
    eventually("all are accepted", || {
        counts.clear();
        server.accepted().iter().for_each(|number| *counts.entry(number.parse().unwrap()).or_default() += 1);
        counts.len() == messages
    });
    eventually("all are acknowledged", || publisher.count("numbers") == (0, 1));
    let doubled: usize = counts.values().map(|count| count - 1).sum();
    println!("{messages} messages, {kills} kills: lost 0, doubled {doubled}");
    assert!(doubled <= kills * PREFETCH, "{doubled} of {messages} came twice after {kills} kills");
    let twice = counts.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect();
    assert_marked(&tap, &twice);
}

/// The broker marked each message that came once more, those that were accepted twice among them.
fn assert_marked(tap: &Tap, twice: &BTreeSet<usize>) {
    let (mut seen, mut marked) = (BTreeSet::new(), BTreeSet::new());
    for delivered in tap.delivered() {
        let push: serde_json::Value = serde_json::from_slice(&delivered.body).unwrap();
        let number = usize::try_from(push["payload"].as_u64().unwrap()).unwrap();
        let is_first = seen.insert(number);
        assert!(is_first || delivered.is_redelivered, "{number} came again without a mark");
        if delivered.is_redelivered {
            marked.insert(number);
        }
    }
    println!("{} came again from the broker, each with its mark", marked.len());
    assert!(marked.is_superset(twice), "{:?}", twice.difference(&marked));
}
