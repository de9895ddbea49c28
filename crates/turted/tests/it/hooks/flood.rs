//! One client that changes faster than its backend takes it: others stay known, and dispatches arrive.

use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use serde_json::json;
use turted::config::ChannelPattern;

use super::Says;
use super::backend::{Backend, Reaction};
use super::hook;
use super::reference::Reference;
use crate::support::{Kind, TestServer, config, eventually};
use crate::v1;

const CHANNELS: usize = 126;
/// Batches that the backend takes, and IDENTs before each of them: 254 records each.
const ROUNDS: usize = 60;
const IDENTS: usize = 12;
const WAITING_MAX: usize = 10_000;

#[test]
fn one_client_that_is_another_user_all_the_time_hides_no_other_user_and_no_dispatch() {
    // The backend takes one batch for each message.
    let (go_on, gate) = sync_channel(ROUNDS);
    let gate = Mutex::new(gate);
    let backend = Backend::that(move |_, _| {
        // At the end of the test it takes the rest.
        let _ = gate.lock().unwrap().recv();
        Reaction::Answer(200)
    });
    let mut config = config();
    config.hooks = vec![hook(&backend)];
    config.hooks[0].dispatches = vec![ChannelPattern::parse("order:*").unwrap()];
    config.limits.message_rate = 1_000_000;
    let server = TestServer::start(config);
    let mut honest = server.client(Kind::V4_WEBSOCKET);
    honest.ident("honest");
    let mut client = v1::Client::new(&server);
    (0..CHANNELS).for_each(|number| client.join(&format!("c{number}")));
    for round in 0..ROUNDS {
        for number in 0..IDENTS {
            let user = format!("flip-{}", number % 2);
            let reply = client.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}));
            assert_eq!(reply["ok"], true, "{reply}");
        }
        server.dispatcher().notify_channel("nobody", "order:new", &round).unwrap();
        assert!(server.metric("turted_hook_waiting_records{hook=\"app\"}") <= WAITING_MAX);
        eventually("the next batch", || backend.batches().len() > round);
        go_on.send(()).unwrap();
    }
    assert!(server.metric("turted_hook_dropped_total{hook=\"app\"}") > WAITING_MAX);
    let reference = Reference::of(&backend.batches());
    assert!(reference.synced >= 5, "all were told {} times", reference.synced);
    assert!(reference.users().contains("honest"));
    drop(go_on);
    eventually("every dispatch, in order", || {
        let records = backend.records();
        let numbers = records.iter().filter_map(|record| record["dispatch"]["payload"].as_u64());
        numbers.eq(0..ROUNDS as u64)
    });
}
