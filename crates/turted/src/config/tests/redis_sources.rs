//! `[[sources]]` in Redis.

use std::time::Duration;

use super::{Place, check};
use crate::config::{MessageFormat, SourceKind, StartAt};

const STREAM: &str = "[[sources]]\nname = \"a\"\ntype = \"redis-stream\"\n";
const PUBSUB: &str = "[[sources]]\nname = \"a\"\ntype = \"redis-pubsub\"\n";

/// The only source.
fn source(toml: &str) -> SourceKind {
    let sources = Place::new(toml).load(&[], &[]).unwrap().config.sources;
    let [source] = <[_; 1]>::try_from(sources).unwrap();
    source.kind
}

#[test]
fn a_stream_has_its_defaults_and_what_is_set() {
    let SourceKind::RedisStream(stream) = source(&format!("{STREAM}url = \"redis://h\"\nstream = \"s\""))
    else {
        panic!("no stream")
    };
    assert_eq!(
        (&*stream.stream, &*stream.group, stream.prefetch, stream.from),
        ("s", "turted", 100, StartAt::End)
    );
    assert_eq!((stream.server.database, stream.server.heartbeat), (0, Duration::from_secs(10)));
    assert!(stream.consumer.ends_with(":7117") && stream.consumer.len() > 5, "{}", stream.consumer);
    assert_eq!(SourceKind::RedisStream(stream.clone()).address(), "redis://h:6379/0 s");
    assert!(SourceKind::RedisStream(stream).is_open());
    let toml = format!(
        "{STREAM}url = \"rediss://u:p@[::1]:7/3\"\nstream = \"s\"\ngroup = \"g\"\nconsumer = \"c\"\nprefetch = 7\n\
         dead_stream = \"d\"\nfrom = \"start\"\nheartbeat = \"1s\""
    );
    let SourceKind::RedisStream(stream) = source(&toml) else { panic!("no stream") };
    assert_eq!((&*stream.group, &*stream.consumer, stream.prefetch), ("g", "c", 7));
    assert_eq!((stream.dead_stream.as_deref(), stream.from), (Some("d"), StartAt::Start));
    assert_eq!(SourceKind::RedisStream(stream.clone()).address(), "rediss://[::1]:7/3 s");
    assert!(!SourceKind::RedisStream(stream).is_open());
}

#[test]
fn pub_sub_has_channels_and_patterns() {
    let toml = format!(
        "{PUBSUB}url = \"redis://h\"\nchannels = [\"a\"]\npatterns = [\"b.*\"]\nformat = \"socketio-emitter\""
    );
    let SourceKind::RedisPubSub(pubsub) = source(&toml) else { panic!("no channels") };
    assert_eq!((pubsub.channels, pubsub.patterns), (vec!["a".to_owned()], vec!["b.*".to_owned()]));
    assert_eq!(pubsub.format, MessageFormat::SocketioEmitter);
}

#[test]
fn a_password_is_never_shown() {
    let toml = format!("{STREAM}url = \"redis://u:canary@h\"\nstream = \"s\"");
    let loaded = Place::new(&toml).load(&[], &[]).unwrap();
    let shown =
        format!("{:?}{:?}{}", loaded.config, loaded.config.sources[0].kind.address(), loaded.effective());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("url = \"***\""), "{shown}");
}

#[test]
fn what_a_source_in_redis_needs_and_what_does_not_fit_is_told() {
    let expected = "redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss:// for TLS";
    check(
        STREAM,
        &[],
        "turted.toml:1:1: a source of type \"redis-stream\" needs `url` or `url_file`\n\
         turted.toml:1:1: a source of type \"redis-stream\" needs `stream`",
    );
    for (lines, fault) in [
        ("url = \"canary\"", format!("4:7: `sources.url`: expected {expected}: there is no ://")),
        (
            "url = \"redis://h/x\"",
            "4:7: `sources.url`: behind the host comes the number of a database, 0 to 65535".into(),
        ),
        (
            "url = \"redis://h\"\nurl_file = \"f\"",
            "5:12: `sources.url` and `sources.url_file` are both set; keep one of the two".into(),
        ),
        (
            "url = \"redis://h\"\nca = \"f\"",
            "5:6: `sources.ca` has no effect without TLS: `url` begins with rediss:// then".into(),
        ),
        (
            "url = \"rediss://h\"\ntls_key = \"f\"",
            "5:11: `sources.tls_cert` and `sources.tls_key` belong together".into(),
        ),
        (
            "url = \"redis://h\"\nprefetch = 0",
            "5:12: `sources.prefetch`: expected a whole number from 1 to 10000, found 0".into(),
        ),
        (
            "url = \"redis://h\"\nchannels = []",
            "5:1: `sources.channels` is a key of sources of type \"redis-pubsub\"".into(),
        ),
        (
            "url = \"redis://h\"\nheartbeat = \"99ms\"",
            "5:13: `sources.heartbeat`: at least 100ms, so that a server far away can answer in time".into(),
        ),
        (
            "url = \"redis://h\"\ndead_stream = \"s\"",
            "5:15: `sources.dead_stream` is `stream`: refused entries would come again without end".into(),
        ),
    ] {
        check(&format!("{STREAM}{lines}\nstream = \"s\""), &[], &format!("turted.toml:{fault}"));
    }
    check(
        &format!("{PUBSUB}url = \"redis://h\""),
        &[],
        "turted.toml:1:1: a source of type \"redis-pubsub\" needs `channels` or `patterns`",
    );
    check(
        &format!(
            "{PUBSUB}url = \"redis://h\"\nchannels = [\"a\"]\nformat = \"socketio-emitter\"\nmap = {{ event = \"E\", broadcast = true }}"
        ),
        &[],
        "turted.toml:6:10: `sources.map` has no effect with `format` = \"socketio-emitter\"",
    );
}

#[test]
fn subscriptions_that_overlap_are_warned_of() {
    let warnings = |lines: &str| {
        Place::new(&format!("{PUBSUB}url = \"redis://h\"\n{lines}")).load(&[], &[]).unwrap().warnings
    };
    let twice = warnings("channels = [\"log.a\"]\npatterns = [\"log.*\"]");
    assert_eq!(
        twice,
        ["source \"a\": the pattern \"log.*\" matches \"log.a\" as well, so its messages arrive twice"]
    );
    assert!(warnings("channels = [\"log\"]\npatterns = [\"log.*\"]").is_empty());
}
