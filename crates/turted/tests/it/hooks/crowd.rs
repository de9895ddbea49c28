//! Many clients that leave and come back within the grace: no record.

use std::collections::BTreeSet;
use std::time::Duration;

use super::backend::Backend;
use super::reference::Reference;
use super::{Says, hook, server};
use crate::support::{Kind, TestServer, eventually, raise_descriptors};
use crate::v1;
use serde_json::json;

/// Connections in CI; `TURTED_TEST_CROWD` is another number.
const CLIENTS: usize = 1_000;
const USERS: usize = 100;

fn connect(server: &TestServer, number: usize) -> v1::Client {
    let mut client = v1::Client::new(server);
    let user = format!("user-{}", number % USERS);
    let reply = client.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}));
    assert_eq!(reply["ok"], true, "{reply}");
    client.join("chat");
    client
}

fn everyone(server: &TestServer) -> Vec<v1::Client> {
    raise_descriptors();
    let clients = std::env::var("TURTED_TEST_CROWD").map_or(CLIENTS, |clients| clients.parse().unwrap());
    (0..clients).map(|number| connect(server, number)).collect()
}

#[test]
fn a_crowd_that_leaves_and_comes_back_within_the_grace_causes_no_record() {
    let backend = Backend::new();
    let mut hook = hook(&backend);
    hook.grace = Duration::from_secs(60 * 60);
    let server = server(hook);
    backend.up_to("started");
    let clients = everyone(&server);
    eventually("all are online", || backend.records().len() == 1 + 2 * USERS);
    drop(clients);
    eventually("all are gone", || server.metric("turted_sockets") == 0);
    let clients = everyone(&server);
    let mut mark = server.client(Kind::V4_WEBSOCKET);
    mark.ident("mark");
    backend.up_to("user-online mark");
    let caused = backend.records().len() - (1 + 2 * USERS + 1);
    println!("{} connections left and came back: {caused} records", clients.len());
    assert_eq!(caused, 0);
    drop(clients);
}

#[test]
fn a_crowd_that_does_not_come_back_is_gone_user_by_user() {
    let backend = Backend::new();
    let server = server(hook(&backend));
    let clients = everyone(&server);
    let all: BTreeSet<_> = (0..USERS).map(|number| format!("user-{number}")).collect();
    eventually("all are online", || Reference::of(&backend.batches()).users() == all);
    assert_eq!(Reference::of(&backend.batches()).members("chat"), all);
    drop(clients);
    eventually("all are gone", || Reference::of(&backend.batches()).users().is_empty());
    let records = backend.records();
    for user in all {
        let own = records.iter().filter(|record| record["user"] == user);
        let last: Vec<_> = own.map(|record| record["type"].as_str().unwrap()).collect();
        assert_eq!(last[last.len() - 2..], ["left", "user-offline"], "{user}");
    }
}
