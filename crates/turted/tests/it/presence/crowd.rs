//! Many users that come and go, and clients that want more than they get: how much is told, and that it adds up.

use std::time::{Duration, Instant};

use serde_json::json;

use super::watcher::CHANNEL;
use super::{HOUR, Watcher, Way, allow, server};
use crate::support::{TestServer, eventually, pause};
use crate::v1;

/// Connections that are other users again and again, and how often each is.
const CONNECTIONS: usize = 100;
const IDENTS: usize = 100;
/// Those who hear of it.
const OBSERVERS: usize = 10;

/// A name as long as a name may be.
fn long(number: usize) -> String {
    format!("{number:\"<255}")
}

#[test]
fn ten_thousand_users_that_come_and_go_are_told_within_the_bounds() {
    let server = server(Duration::from_millis(200));
    let mut observers: Vec<_> = (0..OBSERVERS).map(|_| Watcher::v1(&server, "observer")).collect();
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| v1::Client::new(&server)).collect();
    clients.iter_mut().for_each(|client| client.join(CHANNEL));
    let before = observers.iter().map(|observer| observer.messages).sum::<usize>();
    let started = Instant::now();
    for round in 0..IDENTS {
        for (number, client) in clients.iter_mut().enumerate() {
            let user = format!("user-{}", round * CONNECTIONS + number);
            let ident = json!({"id": 1, "do": "ident", "data": {"username": user}});
            assert_eq!(client.ask(&ident)["ok"], true);
        }
    }
    // They are lost, and come back, and are lost.
    let last: Vec<_> = (0..CONNECTIONS).map(|number| (IDENTS - 1) * CONNECTIONS + number).collect();
    let mut last: Vec<_> = last.iter().map(|number| format!("user-{number}")).collect();
    last.push("observer".to_owned());
    let last: Vec<_> = last.iter().map(String::as_str).collect();
    observers.iter_mut().for_each(|observer| observer.until(&last, 0));
    drop(clients);
    observers.iter_mut().for_each(|observer| observer.until(&["observer"], 0));
    let seconds = started.elapsed().as_secs() as usize + 2;
    let messages = observers.iter().map(|observer| observer.messages).sum::<usize>() - before;
    assert!(messages <= OBSERVERS * seconds, "{messages} messages to {OBSERVERS} in {seconds} s");
    let deliveries = server.metric("turted_presence_deliveries_total");
    assert!(deliveries <= OBSERVERS * (seconds + 5), "{deliveries}");
}

#[test]
fn many_clients_in_many_channels_are_all_told_though_it_takes_more_than_a_second_has() {
    // 128 channels with 100 listeners: 12,800 messages for one who comes, and one who leaves, in each.
    let server = TestServer::with(|config| {
        allow(config);
        config.presence.grace = HOUR;
    });
    let channels: Vec<_> = (0..128).map(|number| format!("c{number}")).collect();
    let join = json!({"id": 1, "do": "join", "channels": channels, "presence": true});
    let listen = |number: usize| {
        let mut client = v1::Client::new(&server);
        let user = format!("user-{number}");
        client.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}));
        client.send(&join);
        client
    };
    let started = Instant::now();
    let mut clients: Vec<_> = (0..100).map(listen).collect();
    let mut told = vec![std::collections::BTreeMap::<String, u64>::new(); clients.len()];
    for (client, told) in clients.iter_mut().zip(&mut told) {
        while told.len() < channels.len() || told.values().any(|count| *count < 100) {
            let message = client.receive();
            if let Some(channel) = message["presence"]["channel"].as_str() {
                told.insert(channel.to_owned(), message["presence"]["count"].as_u64().unwrap());
            }
        }
    }
    let deliveries = server.metric("turted_presence_deliveries_total");
    let seconds = started.elapsed().as_secs() as usize + 2;
    assert!(deliveries >= 128 * 100 && deliveries <= 10_000 * seconds, "{deliveries} in {seconds} s");
    assert!(server.metric("turted_presence_postponed_total") > 0);
}

#[test]
fn a_client_that_does_not_read_makes_little_wait_and_is_told_all_when_it_reads() {
    let server = server(HOUR);
    // 128 channels of 200 users with the longest names: 7 MB if all of it waited.
    let channels: Vec<_> = (0..128).map(|number| format!("c{number}")).collect();
    let mut members: Vec<_> = (0..200).map(|_| v1::Client::new(&server)).collect();
    for (number, client) in members.iter_mut().enumerate() {
        client.ask(&json!({"id": 1, "do": "ident", "data": {"username": long(number)}}));
        let reply = client.ask(&json!({"id": 1, "do": "join", "channels": channels}));
        assert_eq!(reply["refused"], json!([]));
    }
    let mut slow = v1::Client::new(&server);
    slow.send(&json!({"id": 1, "do": "join", "channels": channels, "presence": true}));
    let mut most = 0;
    for _ in 0..100 {
        most = most.max(server.metric("turted_outbox_bytes"));
        pause(Duration::from_millis(10));
    }
    assert!(most < 512 * 1024, "{most} bytes wait");
    assert_eq!(slow.receive()["ok"], true);
    let mut told = std::collections::BTreeMap::new();
    while told.len() < channels.len() || told.values().any(|count| *count != 200) {
        let message = slow.receive()["presence"].take();
        told.insert(message["channel"].as_str().unwrap().to_owned(), message["count"].as_u64().unwrap());
    }
}

#[test]
fn a_channel_with_very_many_users_is_told_by_numbers() {
    let server = server(HOUR);
    let mut observer = Watcher::new(&server, Way::V1, None);
    let mut clients: Vec<_> = (0..60).map(|_| v1::Client::new(&server)).collect();
    // A connection that is one user after the other, lost each time, leaves them there for an hour.
    let mut number = 0;
    let mut grow = |to: usize| {
        while number < to {
            for client in &mut clients {
                let user = format!("user-{number}");
                let mut fresh = v1::Client::new(&server);
                fresh.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}));
                fresh.join(CHANNEL);
                *client = fresh;
                number += 1;
            }
        }
        number
    };
    let users = grow(1_020) as u64;
    eventually("only numbers are told", || {
        let told = observer.hear();
        told["users"].is_null() && told["joined"].is_null() && told["count"] == users
    });
    let mut late = v1::Client::new(&server);
    late.ask(&json!({"id": 1, "do": "join", "channel": CHANNEL, "presence": true}));
    let told = late.receive()["presence"].clone();
    assert_eq!((&told["users"], &told["count"]), (&json!(null), &json!(users)));
}
