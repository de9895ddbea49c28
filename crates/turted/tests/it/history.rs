//! The history of channels: what a client hears that joins later, over each wire, and how it goes on from there.

mod disk;

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use turted::config::{ChannelPattern, Config, Depth, HistoryRules, Secret};

use crate::model::variable;
use crate::support::{EventSource, Kind, Metrics, TestServer, eventually};
use crate::v1::Client;

const HOUR: Duration = Duration::from_secs(3_600);

fn keep(config: &mut Config, events: usize) {
    let pattern = ChannelPattern::parse("c*").unwrap();
    config.history = HistoryRules::new([(pattern, Depth { events, age: HOUR })]);
}

/// A server where channels that begin with `c` keep so many events.
fn server(events: usize) -> TestServer {
    TestServer::with(|config| keep(config, events))
}

fn say(server: &TestServer, channel: &str, numbers: std::ops::RangeInclusive<usize>) {
    numbers.for_each(|number| drop(server.dispatcher().notify_channel(channel, "e", &number).unwrap()));
}

fn join(channel: &str, history: usize) -> Value {
    json!({"id": "h", "do": "join", "channel": channel, "history": history})
}

/// The reply to a join with history.
fn reply(channel: &str, replayed: usize, complete: bool) -> Value {
    json!({"reply": "h", "ok": true, "channel": channel, "replayed": replayed, "complete": complete})
}

fn payloads(client: &mut Client, count: usize) -> Vec<Value> {
    (0..count).map(|_| client.receive()["payload"].take()).collect()
}

/// The number of a position.
fn number(position: &Value) -> u64 {
    position.as_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap()
}

/// Waits until all workers have resolved what was pushed, so that a join comes behind it. A counted push has gone
/// through all of them when it is answered.
fn settled(server: &TestServer) {
    let push = r#"{"event":"settled","targets":{"users":["nobody"]},"payload":0}"#;
    let answer = server.http().request("POST", "/push/", &[("Accept", "application/json")], push.as_bytes());
    assert_eq!((answer.status, &answer.json()["delivered"]), (200, &json!(0)), "{}", answer.text());
}

#[test]
fn a_client_that_joins_gets_the_last_events_and_then_what_is_new() {
    let server = server(5);
    say(&server, "c", 1..=7);
    say(&server, "other", 1..=7);
    settled(&server);
    let mut client = Client::new(&server);
    let cursor = client.welcome["cursor"].clone();
    assert_eq!(client.ask(&join("c", 3)), reply("c", 3, true));
    let first = client.receive();
    let position = first["position"].clone();
    let via = json!({"channel": "c"});
    assert_eq!(
        first,
        json!({"event": "e", "payload": 5, "via": via, "position": position, "replayed": true})
    );
    assert_eq!(payloads(&mut client, 2), [6, 7]);
    say(&server, "c", 8..=8);
    let live = client.receive();
    assert_eq!(live, json!({"event": "e", "payload": 8, "via": via, "cursor": live["cursor"]}));
    assert!(number(&live["cursor"]) > number(&cursor));
    assert_eq!(client.ask(&join("c", 3)), reply("c", 0, false), "it is in the channel already");
    let mut other = Client::new(&server);
    assert_eq!(other.ask(&join("c", 100)), reply("c", 5, true), "as many as the rule keeps");
    assert_eq!(payloads(&mut other, 5), [4, 5, 6, 7, 8]);
    let mut third = Client::new(&server);
    let since = json!({"id": "h", "do": "join", "channel": "c", "since": position});
    assert_eq!(third.ask(&since), reply("c", 3, true));
    assert_eq!(payloads(&mut third, 3), [6, 7, 8]);
}

#[test]
fn a_client_is_told_when_events_may_be_missing() {
    let server = server(2);
    let mut client = Client::new(&server);
    let start = client.welcome["cursor"].clone();
    say(&server, "c", 1..=1);
    settled(&server);
    assert_eq!(
        client.ask(&join("c", 2)),
        reply("c", 1, false),
        "an earlier life of the server may have had one"
    );
    assert_eq!(payloads(&mut client, 1), [1]);
    assert_eq!(client.ask(&join("other", 2)), reply("other", 0, false), "it has no history");
    say(&server, "c2", 1..=3);
    settled(&server);
    let since = |cursor: &Value| json!({"id": "h", "do": "join", "channel": "c2", "since": cursor});
    let mut client = Client::new(&server);
    assert_eq!(client.ask(&since(&start)), reply("c2", 2, false), "the first one is gone");
    let mut client = Client::new(&server);
    assert_eq!(client.ask(&since(&json!("1-1"))), reply("c2", 2, false), "a position of another log");
    assert_eq!(payloads(&mut client, 2), [2, 3]);
    for wrong in [json!(1_001), json!("5"), json!(1.5)] {
        let asked = json!({"id": 1, "do": "join", "channel": "c", "history": wrong});
        assert_eq!(client.ask(&asked)["error"]["code"], "history-invalid", "{wrong}");
    }
    let list = json!({"id": 1, "do": "join", "channels": ["c"], "history": 1});
    assert_eq!(client.ask(&list)["error"]["code"], "channels-invalid");
}

#[test]
fn the_rule_of_a_channel_also_decides_who_gets_its_history() {
    use turted::config::{ChannelRules, Join};
    let server = TestServer::with(|config| {
        keep(config, 5);
        config.channels = ChannelRules::new([(ChannelPattern::parse("c").unwrap(), Join::Identified)]);
    });
    say(&server, "c", 1..=1);
    settled(&server);
    let mut client = Client::new(&server);
    assert_eq!(client.ask(&join("c", 1))["error"]["code"], "join-refused");
    client.ask(&json!({"id": 1, "do": "ident", "data": {"username": "alice"}}));
    assert_eq!(client.ask(&join("c", 1)), reply("c", 1, true));
    assert_eq!(payloads(&mut client, 1), [1]);
    let refused = server.http().get("/sse?channel=c&history=1");
    assert_eq!(refused.status, 403);
}

#[test]
fn a_client_of_socketio_gets_history_from_which_it_does_not_resume() {
    let server = server(5);
    say(&server, "c", 1..=3);
    settled(&server);
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        let told = client.ask("JOIN", r#"{"channel":"c","history":2}"#);
        assert!(told.contains(r#""OK",{"channel":"c","replayed":2,"complete":true}"#), "{kind:?}: {told}");
        for payload in [2, 3] {
            let event = client.receive().unwrap();
            let expected = format!(
                r#"42["EVENT",{{"event":"e","payload":{payload},"via":{{"channel":"c"}},"replayed":true}}]"#
            );
            assert_eq!(event, expected, "{kind:?}");
        }
    }
}

#[test]
fn a_stream_has_an_id_only_behind_its_history() {
    let server = server(5);
    say(&server, "c", 1..=3);
    say(&server, "c2", 4..=4);
    settled(&server);
    let open = |query: &str| EventSource::connect(server.address(), &format!("/sse?{query}"), &[]).unwrap();
    let mut source = open("channel=c&channel=c2&history=2");
    let events: Vec<_> = (0..3).map(|_| source.event()).collect();
    assert_eq!(events.iter().map(|event| &*event.data).collect::<Vec<_>>(), ["2", "3", "4"]);
    assert!(events.iter().all(|event| event.id.is_empty()), "{events:?}");
    say(&server, "c", 5..=5);
    let live = source.event();
    assert_eq!((&*live.data, live.id.is_empty()), ("5", false));
    let mut back = open(&format!("channel=c&channel=c2&history=2&lastEventId={}", live.id));
    say(&server, "c", 6..=6);
    assert_eq!(back.event().data, "6", "one that comes back gets no history");
    let mut enveloped = open("channel=c&history=1&envelope=1");
    let data: Value = serde_json::from_str(&enveloped.event().data).unwrap();
    assert_eq!(data, json!({"event": "e", "payload": 6, "via": {"channel": "c"}, "replayed": true}));
    assert_eq!(server.http().get("/sse?channel=c&history=1001").status, 400);
    assert_eq!(server.refusals("sse-history"), 1);
}

#[test]
fn a_stream_that_was_only_told_history_has_a_position_to_come_back_with() {
    let server = server(5);
    say(&server, "c", 1..=2);
    settled(&server);
    let mut source = EventSource::connect(server.address(), "/sse?channel=c&history=5", &[]).unwrap();
    (0..2).for_each(|_| assert!(source.event().id.is_empty()));
    say(&server, "c", 3..=3);
    let id = source.event().id;
    let mut position = id.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
    position -= 1;
    assert!(source.last_id().ends_with(&(position + 1).to_string()));
}

/// Clients leave and join while others push, and each sees every event of the channel from the first one that it gets.
/// `TURTED_TEST_JOINS` is how often all of them together do so.
#[test]
fn between_history_and_what_is_new_nothing_is_missing_and_nothing_comes_twice() {
    const CLIENTS: usize = 4;
    let joins_each = variable("TURTED_TEST_JOINS").unwrap_or(10_000) / CLIENTS;
    let server = TestServer::with(|config| {
        keep(config, 200);
        (config.limits.message_rate, config.limits.message_burst) = (1_000_000, 1_000_000);
        // These clients answer no ping.
        config.websocket.ping_interval = Duration::from_secs(3_600);
    });
    let replayed: usize = thread::scope(|scope| {
        let joins = (0..CLIENTS).map(|_| scope.spawn(|| join_and_leave(&server, joins_each)));
        let joins: Vec<_> = joins.collect();
        joins.into_iter().map(|joins| joins.join().unwrap()).sum()
    });
    println!("{} joins, {replayed} events of history", CLIENTS * joins_each);
    assert!(replayed > CLIENTS * joins_each, "{replayed} events of history");
}

/// Joins and leaves again and again. Returns how many events of history came.
fn join_and_leave(server: &TestServer, joins: usize) -> usize {
    let mut client = Client::new(server);
    let mut all = 0;
    for _ in 0..joins {
        client.send(&join("c", 10));
        server.dispatcher().notify_channel("c", "e", &1).unwrap();
        client.send(&json!({"id": "l", "do": "leave", "channel": "c"}));
        let told = client.receive();
        let replayed = told["replayed"].as_u64().unwrap_or_else(|| panic!("{told} is no answer to a join"));
        let replayed = usize::try_from(replayed).unwrap();
        let (mut last, mut count) = (None, 0);
        loop {
            let message = client.receive();
            if message["reply"] == "l" {
                break;
            }
            let is_history = message["replayed"] == true;
            assert_eq!(is_history, count < replayed, "{message} is number {count} of {told}");
            let own = number(&message[if is_history { "position" } else { "cursor" }]);
            if let Some(last) = last {
                assert_eq!(own, last + 1, "{message}");
            }
            (last, count) = (Some(own), count + 1);
        }
        assert!(count >= replayed, "{count} of {told}");
        all += replayed;
    }
    all
}

#[test]
fn a_client_that_asks_for_much_again_and_again_holds_a_portion_of_it() {
    const CLIENTS: usize = 20;
    const EVENTS: usize = 50;
    let server = server(EVENTS);
    let large = "x".repeat(1_000_000);
    (0..EVENTS).for_each(|_| drop(server.dispatcher().notify_channel("c", "e", &large).unwrap()));
    settled(&server);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::new(&server)).collect();
    for client in &mut clients {
        for _ in 0..10 {
            client.send(&join("c", EVENTS));
            client.send(&json!({"do": "leave", "channel": "c"}));
        }
    }
    let delivered = || Metrics::read(&mut server.admin()).sum("turted_deliveries_total");
    eventually("every client is sent its first history", || delivered() >= CLIENTS * EVENTS);
    let waiting = server.metric("turted_backlog_bytes");
    assert!(waiting < 10_000_000, "{waiting} bytes wait");
    // One of them reads all of it, twice.
    let mut client = clients.remove(0);
    for _ in 0..2 {
        assert_eq!(client.receive(), reply("c", EVENTS, true));
        (0..EVENTS)
            .for_each(|_| assert_eq!(client.receive()["payload"].as_str().unwrap().len(), large.len()));
    }
    server.assert_alive();
}

#[test]
fn operators_read_the_history_of_a_channel_and_its_payloads_with_a_token_alone() {
    let server = server(5);
    say(&server, "c/1", 1..=3);
    let page = server.admin().get("/api/v1/channels/c%2F1/history?limit=2").json();
    assert_eq!(
        (&page["name"], &page["more"], &page["complete"]),
        (&json!("c/1"), &json!(true), &json!(false))
    );
    let events = page["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(
        events[0],
        json!({"position": events[0]["position"], "event": "e", "age_seconds": events[0]["age_seconds"], "bytes": 1})
    );
    let token = "a-token-of-22-characters-";
    let server = TestServer::with(|config| {
        keep(config, 5);
        config.admin.token = Some(Secret::from(token));
    });
    say(&server, "c", 1..=3);
    let bearer = format!("Bearer {token}");
    let get = |query: &str| {
        let target = format!("/api/v1/channels/c/history{query}");
        server.admin().request("GET", &target, &[("Authorization", &bearer)], b"")
    };
    let payloads = |page: &Value| {
        let events = page["events"].as_array().unwrap().iter();
        events.map(|event| event["payload"].clone()).collect::<Vec<_>>()
    };
    let page = get("?limit=2").json();
    assert_eq!((payloads(&page), &page["more"]), (vec![json!(3), json!(2)], &json!(true)));
    let last = page["events"][1]["position"].as_str().unwrap();
    let page = get(&format!("?before={last}")).json();
    assert_eq!((payloads(&page), &page["more"]), (vec![json!(1)], &json!(false)));
    assert_eq!(get("?before=1-1").status, 404, "a position of another log");
    let large = "x".repeat(600_000);
    (0..3).for_each(|_| drop(server.dispatcher().notify_channel("c2", "e", &large).unwrap()));
    let answer =
        server.admin().request("GET", "/api/v1/channels/c2/history", &[("Authorization", &bearer)], b"");
    let page = answer.json();
    assert_eq!((page["events"].as_array().unwrap().len(), &page["more"]), (2, &json!(true)));
}
