//! `[[sources]]`: where pushes are fetched from.

use super::*;
use crate::config::{ExchangeKind, HeaderValue, PushSource, RabbitmqSource, SourceKind, StartAt};

const TAIL: &str =
    "[[sources]]\nname = \"app\"\ntype = \"tail\"\npaths = [\"log/*.log\"]\nstate_dir = \"state\"\n";

/// The problems of a source of type `tail` with these further lines, which begin at line 6.
fn check_tail(lines: &str, message: &str) {
    check(&format!("{TAIL}{lines}"), &[], message);
}

fn sources(toml: &str) -> Vec<PushSource> {
    Place::new(toml).load(&[], &[]).unwrap().config.sources
}

#[test]
fn a_source_is_read_and_shown_again() {
    let toml = format!(
        "{TAIL}from = \"start\"\nline_bytes = \"1KiB\"\n[sources.map]\nmatch = '^(?<level>\\w+) '\n\
         event = \"LOG:{{level}}\"\nchannels = [\"log.{{file}}\"]\nbroadcast = true\npayload = \"captures\"\n"
    );
    let place = Place::new(&toml);
    let loaded = place.load(&[], &[]).unwrap();
    let [source] = &*loaded.config.sources else { panic!("{:?}", loaded.config.sources) };
    let SourceKind::Tail(tail) = &source.kind else { panic!("{:?}", source.kind) };
    assert_eq!((&*source.name, tail.from, tail.line_bytes), ("app", StartAt::Start, 1024));
    assert_eq!(place.strip(&source.kind.address()), "log/*.log");
    let map = source.map.as_ref().unwrap();
    assert_eq!((map.event.to_string(), map.payload), ("LOG:{level}".into(), PayloadForm::Captures));
    let effective = loaded.effective();
    assert_eq!(sources(&effective), loaded.config.sources, "{effective}");
}

#[test]
fn a_source_without_a_map_takes_pushes_and_a_line_is_a_text_by_default() {
    let [source] = &*sources(TAIL) else { panic!("one source") };
    assert_eq!((source.map.clone(), source.require_auth), (None, false));
    let [source] = &*sources(&format!("{TAIL}map = {{ event = \"E\", users = [\"u\"] }}")) else {
        panic!("one source")
    };
    assert_eq!(source.map.as_ref().unwrap().payload, PayloadForm::Text);
}

#[test]
fn a_type_or_key_that_does_not_exist_is_told_with_what_is_near() {
    let list = "`sources` is a list: write [[sources]] and the keys of one source below";
    check("[sources]\nname = \"a\"", &[], &format!("turted.toml:1:1: {list}"));
    check(
        "[[sources]]\nname = \"a\"",
        &[],
        "turted.toml:1:1: a source needs `type`: \"tail\", \"redis-stream\", \"redis-pubsub\", \"rabbitmq\"",
    );
    check(
        "[[sources]]\ntype = \"tial\"",
        &[],
        "turted.toml:2:8: `sources.type`: expected one of \"tail\", \"redis-stream\", \"redis-pubsub\", \"rabbitmq\", found \"tial\"; did you mean `tail`?",
    );
    check_tail(
        "lime_bytes = 1",
        "turted.toml:6:1: unknown key `sources.lime_bytes`; did you mean `line_bytes`?",
    );
    check_tail(
        "map = { event = \"E\", chanels = [\"a\"] }",
        "turted.toml:6:22: unknown key `sources.map.chanels`; did you mean `channels`?",
    );
    check("[source]\na = 1", &[], "turted.toml:1:2: unknown section [source]; did you mean [[sources]]?");
}

#[test]
fn what_a_source_needs_and_what_does_not_fit_is_told() {
    check(
        "[[sources]]\ntype = \"tail\"",
        &[],
        "turted.toml:1:1: a source needs `name`\n\
         turted.toml:1:1: a source of type \"tail\" needs `paths`\n\
         turted.toml:1:1: a source of type \"tail\" needs `state_dir`, a directory in which it remembers how far it has read",
    );
    check_tail(
        "from = \"middle\"",
        "turted.toml:6:8: `sources.from`: expected \"end\" or \"start\", found \"middle\"",
    );
    check_tail(
        "line_bytes = \"2MiB\"",
        "turted.toml:6:14: `sources.line_bytes` = 2097152 is above `limits.push_body_bytes` = 1048576: a line is one push",
    );
    check_tail(
        "require_auth = true",
        "turted.toml:6:16: `sources.require_auth` needs `push.password_file` or [[push.keys]]: there is no password to ask for",
    );
    check_tail(TAIL, "turted.toml:7:8: there is a source \"app\" at turted.toml:1:1; choose another name");
    for (name, what) in [
        ("rest", "`sources.name`: \"rest\" counts dispatches that come from no source"),
        ("a b", r#"`sources.name`: expected at most 63 letters, digits, "-" and "_", found "a b""#),
    ] {
        check(&TAIL.replace("app", name), &[], &format!("turted.toml:2:8: {what}"));
    }
    let deep = TAIL.replace("log/*.log", "log/**/a.log");
    let error = Place::new(&deep).load(&[], &[]).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(
        error,
        "turted.toml:4:9: `sources.paths`: `**` in log/**/a.log is not supported; list each directory"
    );
}

#[test]
fn a_map_that_makes_no_sense_is_told_with_its_place() {
    for (map, message) in [
        (
            "{ }",
            "turted.toml:6:1: `sources.map` needs `event`\nturted.toml:6:1: `sources.map` needs `users`, `channels` or `broadcast`",
        ),
        (
            "{ event = \"{levle}\", users = [\"u\"], match = '(?<level>.)' }",
            "turted.toml:6:17: `sources.map.event`: nothing fills {levle}; did you mean `level`?",
        ),
        (
            "{ event = \"E\", channels = [\"{key}\"] }",
            "turted.toml:6:33: `sources.map.channels`: nothing fills {key}",
        ),
        (
            "{ event = \"E}\", broadcast = true }",
            "turted.toml:6:17: `sources.map.event`: a single '}' belongs to no placeholder; a brace itself is written twice",
        ),
        (
            "{ event = \"{a}\", users = [\"u\"], match = '(' }",
            "turted.toml:6:47: `sources.map.match`: unclosed group",
        ),
        (
            "{ event = \"E\", users = [\"u\"], payload = \"captures\", match = '(.)' }",
            "turted.toml:6:47: `sources.map.payload` = \"captures\" needs `match` with named groups: (?<name>..)",
        ),
    ] {
        check_tail(&format!("map = {map}"), message);
    }
    let password = ("TURTED_PUSH_PASSWORD", "s3cret");
    check(
        &format!("{TAIL}require_auth = true\nmap = {{ event = \"E\", users = [\"u\"] }}"),
        &[password],
        "turted.toml:6:16: `sources.require_auth` has no effect with `map`: only the body of a push has a password",
    );
}

#[test]
fn there_is_a_limit_to_sources() {
    let many: String = (0..65).map(|number| TAIL.replace("app", &format!("s{number}"))).collect();
    check(&many, &[], "turted.toml:321:1: a server has at most 64 sources");
}

const RABBITMQ: &str =
    "[[sources]]\nname = \"q\"\ntype = \"rabbitmq\"\nurl = \"amqp://scott:tiger@broker\"\nqueue = \"q\"\n";

/// The problems of a source of type `rabbitmq` with these further lines, which begin at line 6.
fn check_rabbitmq(lines: &str, message: &str) {
    check(&format!("{RABBITMQ}{lines}"), &[], message);
}

fn rabbitmq(toml: &str) -> RabbitmqSource {
    match &*sources(toml) {
        [PushSource { kind: SourceKind::Rabbitmq(source), .. }] => source.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_queue_of_rabbitmq_is_read_and_shown_again_without_its_password() {
    let toml = format!(
        "{RABBITMQ}exchange = \"x\"\nkind = \"headers\"\nprefetch = 7\nheartbeat = \"5 s\"\n\
         headers = {{ \"x-match\" = \"any\", level = 3, urgent = true }}\n"
    );
    let loaded = Place::new(&toml).load(&[], &[]).unwrap();
    let source = rabbitmq(&toml);
    assert_eq!((source.prefetch, source.heartbeat.as_secs(), source.message_bytes), (7, 5, 1 << 20));
    let binding = source.binding.as_ref().unwrap();
    assert_eq!((binding.kind, &*binding.keys), (ExchangeKind::Headers, &[String::new()][..]));
    let headers = [
        ("level".to_owned(), HeaderValue::Integer(3)),
        ("urgent".to_owned(), HeaderValue::Flag(true)),
        ("x-match".to_owned(), HeaderValue::Text("any".to_owned())),
    ];
    let mut read = binding.headers.clone();
    read.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(read, headers);
    let kind = &loaded.config.sources[0].kind;
    assert_eq!((kind.address(), kind.is_open()), ("amqp://broker:5672 q".to_owned(), false));
    let effective = loaded.effective();
    assert!(!effective.contains("tiger") && !format!("{:?}", loaded.config).contains("tiger"), "{effective}");
    assert_eq!(rabbitmq(&effective.replace("\"***\"", "\"amqp://scott:tiger@broker\"")), source);
}

#[test]
fn a_url_of_rabbitmq_names_the_virtual_host_that_people_mean() {
    let host = |url: &str| rabbitmq(&RABBITMQ.replace("amqp://scott:tiger@broker", url)).virtual_host;
    for (url, expected) in [
        ("amqp://broker", "/"),
        ("amqp://broker/", "/"),
        ("amqps://broker/%2F", "/"),
        ("amqp://broker:1/shop", "shop"),
        ("amqp://u:p@[::1]/a%20b", "a b"),
    ] {
        assert_eq!(host(url), expected, "{url}");
    }
    let example = "expected amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps:// for TLS";
    let unknown = RABBITMQ.replace("@broker", "@broker/?heartbeat=5");
    let what = "? and # have no meaning in it; in a password write %3F and %23";
    check(&unknown, &[], &format!("turted.toml:4:7: `sources.url`: {example}: {what}"));
}

#[test]
fn what_does_not_fit_a_queue_of_rabbitmq_is_told_with_its_place() {
    check(
        &RABBITMQ.replace("queue = \"q\"\n", ""),
        &[],
        "turted.toml:1:1: a source of type \"rabbitmq\" needs `queue`",
    );
    let long = format!("exchange = \"{}\"\nkind = \"fanout\"", "x".repeat(256));
    for (lines, message) in [
        ("heartbeat = \"500ms\"", "6:13: `sources.heartbeat`: AMQP counts whole seconds, 1 to 65535"),
        ("keys = [\"a\"]", "6:8: `sources.keys` has no effect without `exchange`"),
        ("exchange = \"x\"", "6:12: `sources.exchange` needs `keys`: which messages of it go into the queue"),
        (&*long, "6:12: `sources.exchange`: expected at most 255 bytes"),
        (
            "exchange = \"x\"\nkind = \"fanout\"\nkeys = [\"a\"]",
            "8:8: `sources.keys` has no effect with this `kind`: its messages are not chosen by their routing keys",
        ),
        (
            "exchange = \"x\"\nkind = \"headers\"",
            "6:12: `sources.kind` = \"headers\" needs `headers`: what those of a message must be",
        ),
        (
            "exchange = \"x\"\nkeys = [\"a\"]\nheaders = { a = 1 }",
            "8:11: `sources.headers` has no effect without `kind` = \"headers\"",
        ),
        (
            "exchange = \"x\"\nkind = \"topics\"",
            "7:8: `sources.kind`: expected \"direct\", \"topic\", \"fanout\" or \"headers\", found \"topics\"",
        ),
        (
            "headers = { a = [1] }",
            "6:11: `sources.headers`: expected a table of strings, integers and booleans, found a value of type table",
        ),
        ("prefetch = 0", "6:12: `sources.prefetch`: expected a whole number from 1 to 10000, found 0"),
        ("stream = \"s\"", "6:1: `sources.stream` is a key of sources of type \"redis-stream\""),
    ] {
        check_rabbitmq(lines, &format!("turted.toml:{message}"));
    }
}
