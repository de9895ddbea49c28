//! What is published in channels.

use serde_json::json;

use super::{GAPS, Setup, UP, listener, outcome, push};
use crate::support::redis::RedisServer;
use crate::support::{Random, eventually};

#[test]
fn what_is_published_in_a_channel_or_a_pattern_is_a_push() {
    let redis = RedisServer::start();
    let server = Setup::pubsub(&redis, "channels = [\"push\"]\npatterns = [\"push.*\"]").server();
    let mut client = listener(&server);
    let mut connection = redis.client();
    for (channel, event) in [("push", "ONE"), ("other", "NONE"), ("push.a", "TWO")] {
        connection.ask(&["PUBLISH", channel, &push(event)]);
    }
    assert_eq!((client.event().name, client.event().name), ("ONE".to_owned(), "TWO".to_owned()));
    eventually("all are counted", || server.metric(&outcome("accepted")) == 2);
}

#[test]
fn a_message_is_mapped_by_its_channel() {
    let redis = RedisServer::start();
    let lines = "patterns = [\"log.*\"]\nmap = { match = '^(?<level>\\w+)', event = \"{level}\", channels = [\"c\", \"{channel}\"], \
                 payload = \"text\" }";
    let server = Setup::pubsub(&redis, lines).server();
    let mut client = listener(&server);
    redis.client().ask(&["PUBLISH", "log.a", "!"]);
    redis.client().ask(&["PUBLISH", "log.a", "WARN disk"]);
    let event = client.event();
    assert_eq!((&*event.name, event.payload), ("WARN", json!("WARN disk")));
    eventually("all are counted", || server.metric(&outcome("skipped")) == 1);
}

#[test]
fn a_message_that_breaks_a_rule_is_refused_and_the_next_one_is_delivered() {
    let redis = RedisServer::start();
    let server = Setup::pubsub(&redis, "patterns = [\"*\"]").server();
    let mut client = listener(&server);
    let mut connection = redis.client();
    let large = vec![b'x'; 10_000_000];
    let mut random = Random::new(7);
    let binary: Vec<u8> = (0..1_000).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    for message in [&b""[..], b"\0", br#"{"event":"\ud800"}"#, &large, &binary] {
        connection.ask(&[b"PUBLISH".as_slice(), b"c", message]);
    }
    connection.ask(&[b"PUBLISH".as_slice(), b"\xff", push("E").as_bytes()]);
    connection.ask(&["PUBLISH", "c", &push("NEXT")]);
    assert_eq!(client.event().name, "NEXT");
    eventually("all are counted", || server.metric(&outcome("refused")) == 6);
}

#[test]
fn what_emitters_publish_goes_to_the_channels_of_its_rooms() {
    let redis = RedisServer::start();
    let lines = "patterns = [\"socket.io#/#*\"]\nformat = \"socketio-emitter\"";
    let server = Setup::pubsub(&redis, lines).server();
    let mut client = listener(&server);
    let message = |data: &[u8], options: &[u8]| {
        [b"\x93\xa7emitter\x83\xa4type\x02\xa4data", data, b"\xa3nsp\xa1/", options].concat()
    };
    let rooms = b"\x82\xa5rooms\x92\xa1c\xa1d\xa5flags\x80";
    let publish = |channel: &str, message: &[u8]| {
        assert_eq!(redis.client().number(&[b"PUBLISH".as_slice(), channel.as_bytes(), message]), 1);
    };
    publish("socket.io#/#", &message(b"\x92\xa3ONE\x07", rooms));
    publish("socket.io#/#d#", &message(b"\x92\xa4NONE\x07", rooms));
    publish("socket.io#/#c#", &message(b"\x92\xa3TWO\x81\xa1a\xc3", rooms));
    publish("socket.io#/#", &message(b"\x93\xa3TOO\x01\x02", b"\x80"));
    publish("socket.io#/#", &message(b"\x91\xa3ALL", b"\x80"));
    let payloads: Vec<_> = (0..3).map(|_| client.event()).map(|event| (event.name, event.payload)).collect();
    let expected = [("ONE", json!(7)), ("TWO", json!({"a": true})), ("ALL", json!({}))];
    assert_eq!(payloads, expected.map(|(name, payload)| (name.to_owned(), payload)));
    assert_eq!((server.metric(&outcome("accepted")), server.metric(&outcome("refused"))), (4, 1));
}

#[test]
fn a_sample_of_an_emitter_is_one_message_whatever_its_bytes() {
    let lines = "patterns = [\"socket.io#/#*\"]\nformat = \"socketio-emitter\"";
    let setup = Setup::new("redis-pubsub", "redis://127.0.0.1", lines);
    let file = setup.directory.path().join("message");
    let sample = |data: &[u8], channel: &str| {
        let start = b"\x93\xa7emitter\x83\xa4type\x02\xa4data";
        std::fs::write(
            &file,
            [start, data, b"\xa3nsp\xa1/\x82\xa5rooms\x92\xa1c\xa1d\xa5flags\x80"].concat(),
        )
        .unwrap();
        let channel = format!("channel={channel}");
        setup.check(&["--sample", "redis", file.to_str().unwrap(), "--set", &channel])
    };
    // 10 is a line feed in MessagePack.
    let (code, text) = sample(b"\x92\xa3ONE\x0a", "socket.io#/#");
    let push = r#"{"event":"ONE","targets":{"channels":["c","d"]},"payload":10}"#;
    assert_eq!((code, text), (0, format!("1: {push}\n")));
    let (code, text) = sample(b"\x93\xa3ONE\x0a\x0b", "socket.io#/#");
    assert!(code == 1 && text.starts_with("1: refused, emitter-arguments: "), "{text}");
}

#[test]
fn a_connection_that_is_killed_is_a_gap_and_comes_back() {
    let redis = RedisServer::start();
    let server = Setup::pubsub(&redis, "channels = [\"push\"]").server();
    let mut client = listener(&server);
    let mut connection = redis.client();
    connection.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("it is noticed", || server.metric(GAPS) == 1);
    eventually("the source is back", || server.metric(UP) == 1);
    assert_eq!(connection.number(&["PUBLISH", "push", &push("E")]), 1);
    assert_eq!(client.event().name, "E");
    assert_eq!(server.metric(&outcome("gap")), 0, "how many were lost nobody knows");
}
