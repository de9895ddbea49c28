//! Entries of a stream, in each form.

use serde_json::json;
use turted_core::wire::resp::Reply;

use super::{GAPS, Setup, UP, add, listener, outcome, pending, push};
use crate::support::redis::RedisServer;
use crate::support::{Kind, eventually};
use crate::v1;

#[test]
fn an_entry_is_a_push_in_one_field_or_in_several() {
    let redis = RedisServer::start();
    let server = Setup::stream(&redis, "").server();
    let (mut client, mut plain) = (listener(&server), v1::Client::new(&server));
    plain.join("c");
    let add = |fields: &[&str]| add(&mut redis.client(), fields);
    add(&["push", &push("ONE")]);
    add(&["event", "TWO", "channels", "c", "payload", r#"{"n": 2}"#]);
    add(&[
        "push",
        r#"[{"event":"THREE","targets":{"channel":"c"}},{"event":"FOUR","targets":{"broadcast":true}}]"#,
    ]);
    add(&["event", "FIVE", "users", r#"["u","x"]"#, "broadcast", "0"]);
    add(&["push", r#"{"cmd":"notifyAll","data":{"event":"SIX","payload":[6]}}"#]);
    let payloads: Vec<_> = (0..6).map(|_| client.event()).map(|event| (event.name, event.payload)).collect();
    let expected = [
        ("ONE", json!(1)),
        ("TWO", json!({"n": 2})),
        ("THREE", json!({})),
        ("FOUR", json!({})),
        ("FIVE", json!({})),
        ("SIX", json!([6])),
    ];
    assert_eq!(payloads, expected.map(|(name, payload)| (name.to_owned(), payload)));
    assert_eq!(plain.receive()["payload"], json!({"n": 2}));
    assert_eq!((server.metric(&outcome("accepted")), server.metric(GAPS)), (5, 0));
    eventually("all are acknowledged", || pending(&redis) == 0);
    assert_eq!(server.admin().get("/api/v1/sources").json()["sources"][0]["lag_messages"], 0);
}

#[test]
fn an_entry_is_mapped_by_its_fields() {
    let redis = RedisServer::start();
    let map = r#"map = { event = "LOG:{header.level}", channels = ["c", "{channel}"] }"#;
    let server = Setup::stream(&redis, map).server();
    let mut client = listener(&server);
    add(&mut redis.client(), &["level", "warn", "text", "disk \"full\""]);
    add(&mut redis.client(), &["level", "info", "payload", "[1,  2]"]);
    let (first, second) = (client.event(), client.event());
    assert_eq!(
        (&*first.name, first.payload),
        ("LOG:warn", json!({"level": "warn", "text": "disk \"full\""}))
    );
    assert_eq!((&*second.name, second.payload), ("LOG:info", json!([1, 2])));
}

#[test]
fn refused_entries_are_moved_to_the_dead_stream_and_the_next_one_is_delivered() {
    let redis = RedisServer::start();
    let server = Setup::stream(&redis, "dead_stream = \"dead\"").server();
    let mut client = listener(&server);
    let mut connection = redis.client();
    let large = "x".repeat(2_000_000);
    let refused: &[(&[&[u8]], &str)] = &[
        (&[b"push", b"\0"], "not-json"),
        (&[b"push", br#"{"event":"\ud800"}"#], "lone-surrogate"),
        (&[b"push", large.as_bytes()], "body-too-long"),
        (&[b"event", b"E", b"level", b"1"], "entry-unknown-field"),
        (&[b"event", b"E", b"payload", b"text"], "entry-payload-not-json"),
        (&[b"event", b"\xff\xfe"], "entry-not-text"),
        (&[b"event", b""], "name-empty"),
        (&[b"event", b"E", b"broadcast", b"yes"], "broadcast-not-a-boolean"),
    ];
    for (fields, _) in refused {
        connection.ask(&[&[b"XADD".as_slice(), b"events", b"*"], *fields].concat());
    }
    add(&mut connection, &["push", &push("NEXT")]);
    assert_eq!(client.event().name, "NEXT");
    eventually("all are settled", || pending(&redis) == 0);
    let Reply::Array(dead) = connection.ask(&["XRANGE", "dead", "-", "+"]) else { panic!("no entries") };
    let rules: Vec<_> = dead.into_iter().map(|entry| fields_of(entry)[5].clone()).collect();
    assert_eq!(rules, refused.iter().map(|(_, rule)| *rule).collect::<Vec<_>>());
    assert_eq!(server.metric(&outcome("refused")), refused.len());
}

#[test]
fn a_refused_entry_stays_while_the_dead_stream_is_a_key_of_another_type() {
    let redis = RedisServer::start();
    let server = Setup::stream(&redis, "dead_stream = \"dead\"").server();
    let mut connection = redis.client();
    connection.ask(&["SET", "dead", "text"]);
    add(&mut connection, &["push", "poison"]);
    eventually("the source is down", || server.metric(UP) == 0);
    assert_eq!(pending(&redis), 1, "it is not acknowledged");
    connection.ask(&["DEL", "dead"]);
    eventually("it is moved", || pending(&redis) == 0);
    assert_eq!(connection.number(&["XLEN", "dead"]), 1);
}

/// The fields and values of an entry.
fn fields_of(entry: Reply) -> Vec<String> {
    let fields = entry.into_values().unwrap().remove(1).into_values().unwrap();
    fields
        .into_iter()
        .map(|field| String::from_utf8_lossy(&field.into_text().unwrap()).into_owned())
        .collect()
}

#[test]
fn a_group_begins_at_the_end_or_at_the_start_of_its_stream() {
    let redis = RedisServer::start();
    add(&mut redis.client(), &["push", &push("OLD")]);
    let end = Setup::new("redis-stream", &redis.url(), "stream = \"events\"\ngroup = \"end\"").server();
    let start = Setup::stream(&redis, "group = \"start\"").server();
    let (mut of_end, mut of_start) = (listener(&end), listener(&start));
    add(&mut redis.client(), &["push", &push("NEW")]);
    assert_eq!(of_end.event().name, "NEW");
    assert_eq!(start.metric(&outcome("accepted")), 2);
    assert_eq!(of_start.event().name, "NEW");
}

#[test]
fn the_same_id_with_the_same_body_is_dispatched_once() {
    let redis = RedisServer::start();
    let server = Setup::stream(&redis, "").server();
    let mut client = listener(&server);
    let with_id = |event: &str| push(event).replacen('{', r#"{"id":"7","#, 1);
    for event in ["A", "A", "B"] {
        add(&mut redis.client(), &["push", &with_id(event)]);
    }
    assert_eq!((client.event().name, client.event().name), ("A".to_owned(), "B".to_owned()));
    assert_eq!((server.metric(&outcome("accepted")), server.metric(&outcome("duplicate"))), (2, 1));
}

#[test]
fn entries_that_were_trimmed_before_they_were_read_are_a_gap() {
    let redis = RedisServer::start();
    let setup = Setup::stream(&redis, "prefetch = 10");
    setup.server().stop();
    let mut connection = redis.client();
    let fill = |count: usize| -> Vec<Vec<String>> {
        let body = push("E");
        let parts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        (0..count).map(|_| parts(&["XADD", "events", "MAXLEN", "30", "*", "push", &body])).collect()
    };
    connection.ask_all(&fill(100));
    let server = setup.server();
    eventually("what is left is accepted", || server.metric(&outcome("accepted")) == 30);
    assert_eq!((server.metric(&outcome("gap")), server.metric(GAPS)), (70, 1));
    eventually("all are acknowledged", || pending(&redis) == 0);
}

#[test]
fn what_a_consumer_left_comes_again_and_what_was_trimmed_meanwhile_is_a_gap() {
    let redis = RedisServer::start();
    let setup = Setup::stream(&redis, "consumer = \"me\"");
    let mut connection = redis.client();
    connection.ask(&["XGROUP", "CREATE", "events", "turted", "0", "MKSTREAM"]);
    for event in ["GONE", "KEPT"] {
        add(&mut connection, &["push", &push(event)]);
    }
    connection.ask(&["XREADGROUP", "GROUP", "turted", "me", "STREAMS", "events", ">"]);
    connection.ask(&["XTRIM", "events", "MAXLEN", "1"]);
    assert_eq!(pending(&redis), 2);
    let server = setup.server();
    eventually("it is accepted", || server.metric(&outcome("accepted")) == 1);
    eventually("all are counted", || server.metric(&outcome("gap")) == 1);
    eventually("both are acknowledged", || pending(&redis) == 0);
}

#[test]
fn what_was_accepted_last_is_acknowledged_at_a_stop() {
    let redis = RedisServer::start();
    let child = Setup::stream(&redis, "").child();
    for count in 1..=3 {
        add(&mut redis.client(), &["push", &push("E")]);
        eventually("it is accepted", || child.metric(&outcome("accepted")) == count);
    }
    child.stop();
    assert_eq!(pending(&redis), 0);
}

#[test]
fn what_another_consumer_held_for_too_long_is_claimed() {
    let redis = RedisServer::start();
    let mut connection = redis.client();
    connection.ask(&["XGROUP", "CREATE", "events", "turted", "0", "MKSTREAM"]);
    for event in ["OLD", "YOUNG"] {
        add(&mut connection, &["push", &push(event)]);
        connection.ask(&["XREADGROUP", "GROUP", "turted", "dead", "COUNT", "1", "STREAMS", "events", ">"]);
    }
    let Reply::Array(entries) = connection.ask(&["XRANGE", "events", "-", "+"]) else { panic!("no entries") };
    let id = entries[0].clone().into_values().unwrap().remove(0).into_text().unwrap();
    // As if it had been delivered 61 s ago.
    let claim =
        [b"XCLAIM".as_slice(), b"events", b"turted", b"dead", b"0", &id, b"IDLE", b"61000", b"JUSTID"];
    connection.ask(&claim);
    let server = Setup::stream(&redis, "").server();
    eventually("one is acknowledged", || pending(&redis) == 1);
    eventually("all are counted", || server.metric(&outcome("accepted")) == 1);
}

#[test]
fn a_password_in_the_push_is_asked_for_if_the_source_wants_it() {
    let redis = RedisServer::start();
    let mut config = Setup::stream(&redis, "").config();
    config.push.password = Some("tiger".into());
    config.sources[0].require_auth = true;
    let server = crate::support::TestServer::start(config);
    for (event, fields) in [("A", &[][..]), ("B", &["password", "lion"]), ("C", &["password", "tiger"])] {
        add(&mut redis.client(), &[&["event", event, "users", "u"], fields].concat());
    }
    eventually("all are settled", || {
        server.metric(&outcome("refused")) == 2 && server.metric(&outcome("accepted")) == 1
    });
}

#[test]
fn redis_cli_pushes_through_a_stream() {
    let redis = RedisServer::start();
    let server = Setup::stream(&redis, "").server();
    let mut client = listener(&server);
    let port = redis.port().to_string();
    let cli = std::process::Command::new("redis-cli")
        .args(["-p", &port, "XADD", "events", "*", "push", &push("CLI")])
        .output();
    assert!(cli.unwrap().status.success());
    assert_eq!(client.event().name, "CLI");
}

#[test]
fn an_old_client_receives_what_a_stream_has() {
    let redis = RedisServer::start();
    let server = Setup::stream(&redis, "").server();
    let mut client = server.client(Kind::V3_POLLING);
    add(&mut redis.client(), &["event", "E", "broadcast", "true", "payload", "\"é\""]);
    assert_eq!(client.event().payload, json!("é"));
}
