//! Messages of RabbitMQ: how they reach clients, and what becomes of those that break a rule.

mod full;
mod kills;
mod outages;
mod setup;
mod tap;

use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ExchangeKind};
use serde_json::json;

use self::setup::{Setup, messages, source, wait_until_up};
use crate::support::amqp::{Publisher, publish_raw};
use crate::support::authority::Authority;
use crate::support::rabbitmq::{PASSWORD, RabbitMq};
use crate::support::{Client, Kind, eventually};
use crate::v1;

/// A broker takes seconds to start, so one has to do for all of this.
#[test]
fn messages_of_rabbitmq_reach_clients_by_every_way() {
    let authority = Authority::new();
    let broker = RabbitMq::with_tls(&authority);
    let publisher = broker.publisher();
    a_message_is_a_push_and_a_refused_one_is_a_dead_letter(&broker, &publisher);
    a_message_is_dispatched_once_and_another_one_with_its_id_too(&broker, &publisher);
    each_kind_of_exchange_is_bound_and_mapped_by_key_and_headers(&broker, &publisher);
    a_certificate_is_demanded_and_shown(&broker, &publisher, &authority);
    each_source_can_be_tried(&broker, &publisher);
    a_user_needs_no_more_than_the_rights_that_the_documentation_names(&broker, &publisher);
}

fn a_message_is_a_push_and_a_refused_one_is_a_dead_letter(broker: &RabbitMq, publisher: &Publisher) {
    let setup = Setup::new(broker);
    publisher.declare_queue("pushes", Some("dead"));
    let server = setup.server(&source("pushes", "queue = \"pushes\""));
    let mut socketio = server.client(Kind::V4_WEBSOCKET);
    let mut old = server.client(Kind::V3_POLLING);
    let mut plain = v1::Client::new(&server);
    socketio.ask("IDENT", r#"{"username":"u"}"#);
    old.ask("IDENT", r#"{"username":"u"}"#);
    plain.join("c");
    // Each form of a push, and a batch.
    publisher.send("pushes", r#"{"event":"new","targets":{"users":["u"]},"payload":{"b" : 1.0}}"#);
    publisher.send("pushes", r#"{"event":"old","targets":{"users":["u"]},"data":"{\"data\":[1]}"}"#);
    let one = |name: &str| {
        format!(r#"{{"event":"{name}","targets":{{"users":["u"],"channels":["c"]}},"payload":0}}"#)
    };
    publisher.send("pushes", format!("[{},{}]", one("first"), one("second")));
    for client in [&mut socketio, &mut old] {
        let names: Vec<_> = (0..4).map(|_| client.event().name).collect();
        assert_eq!(names, ["new", "old", "first", "second"], "{:?}", client.kind);
    }
    assert_eq!(plain.receive()["event"], "first");
    // What breaks a rule is refused for good, and the next message is delivered.
    let long = "x".repeat(10_000_000);
    let bad: [&[u8]; 7] = [
        b"no JSON",
        b"",
        b"{\"event\":\"\xff\"}",
        b"{\"event\":\"a\\u0000\"}",
        b"{\"event\":\"\\ud800\"}",
        b"\x80\x04\x95 a binary message",
        long.as_bytes(),
    ];
    for body in bad {
        publisher.send("pushes", body);
    }
    // What no library publishes: an id that is no text, and headers that an honest decoder of tables would recurse into.
    let after = one("after");
    publish_raw(&broker.url(), "pushes", Some(b"\xff\xfe"), 0, one("any id").as_bytes());
    publish_raw(&broker.url(), "pushes", None, 15_000, one("any depth").as_bytes());
    publisher.send("pushes", &after);
    let names: Vec<_> = (0..3).map(|_| socketio.event().name).collect();
    assert_eq!(names, ["any id", "any depth", "after"]);
    for expected in bad {
        let mut dead = None;
        eventually("it is a dead letter", || {
            dead = publisher.take("dead");
            dead.is_some()
        });
        assert!(dead.unwrap() == expected, "{:?}", &expected[..expected.len().min(20)]);
    }
    assert_eq!(server.metric(&messages("pushes", "refused")), bad.len());
    assert_eq!(server.metric(&messages("pushes", "accepted")), 6);
    assert_eq!(server.metric(r#"turted_dispatches_total{source="pushes"}"#), 7);
    eventually("all is acknowledged", || publisher.count("pushes") == (0, 1));
    let answer = server.admin().get("/api/v1/sources").text().to_owned();
    assert!(answer.contains("amqp://127.0.0.1:") && !answer.contains(PASSWORD), "{answer}");
    server.stop();
    eventually("nothing comes back", || publisher.count("pushes") == (0, 0));
}

fn a_message_is_dispatched_once_and_another_one_with_its_id_too(broker: &RabbitMq, publisher: &Publisher) {
    let setup = Setup::new(broker);
    publisher.declare_queue("ids", None);
    let server = setup.server(&source("ids", "queue = \"ids\""));
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let push = |name: &str| format!(r#"{{"event":"{name}","targets":{{"broadcast":true}}}}"#);
    let named = |id: &str| BasicProperties::default().with_message_id(id.into());
    for (body, id) in [("a", "1"), ("a", "1"), ("b", "1"), ("a", "2")] {
        publisher.publish("", "ids", push(body), named(id));
    }
    // An id in the push counts instead, and without an id each message counts.
    for body in [r#"{"event":"c","id":"x","targets":{"broadcast":true}}"#; 2] {
        publisher.publish("", "ids", body, named(body.len().to_string().as_str()));
    }
    publisher.publish_all("", "ids", [push("d"), push("d")], &BasicProperties::default());
    let names: Vec<_> = (0..6).map(|_| client.event().name).collect();
    assert_eq!(names, ["a", "b", "a", "c", "d", "d"]);
    eventually("all are settled", || server.metric(&messages("ids", "accepted")) == 6);
    assert_eq!(server.metric(&messages("ids", "duplicate")), 2);
    server.stop();
}

fn each_kind_of_exchange_is_bound_and_mapped_by_key_and_headers(broker: &RabbitMq, publisher: &Publisher) {
    let setup = Setup::new(broker);
    let map =
        r#"map = { event = "{key}", channels = ["shop.{header.country}"], users = ["u{header.user}"] }"#;
    let bound = |kind: &str, rest: &str| {
        let lines =
            format!("queue = \"q-{kind}\"\nexchange = \"x-{kind}\"\nkind = \"{kind}\"\n{rest}\n{map}");
        source(kind, &lines)
    };
    let sources = [
        bound("direct", r#"keys = ["paid", "sent"]"#),
        bound("topic", r#"keys = ["order.*.new", "alarm.#"]"#),
        bound("fanout", ""),
        bound("headers", r#"headers = { x-match = "all", country = "at", level = 3, urgent = true }"#),
    ];
    // One exchange and one queue exist already, and are used as they are.
    publisher.declare_exchange("x-topic", ExchangeKind::Topic);
    publisher.declare_queue("q-topic", Some("dead-topic"));
    let server = setup.server(&sources.concat());
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("JOIN", r#"{"channel":"shop.at"}"#);
    wait_until_up(&server, &["direct", "topic", "fanout", "headers"]);
    let properties = |user: i64| {
        let mut headers = FieldTable::default();
        headers.insert("country".into(), AMQPValue::LongString("at".into()));
        headers.insert("level".into(), AMQPValue::LongLongInt(3));
        headers.insert("urgent".into(), AMQPValue::Boolean(true));
        headers.insert("user".into(), AMQPValue::LongLongInt(user));
        BasicProperties::default().with_headers(headers)
    };
    let mut came = |exchange: &str, key: &str| {
        publisher.publish(exchange, key, r#"{"n":1}"#, properties(7));
        let event = client.event();
        assert_eq!((&event.payload, &event.via), (&json!({"n": 1}), &json!({"channel": "shop.at"})));
        event.name
    };
    for (exchange, not, key) in [
        ("x-direct", Some("lost"), "sent"),
        ("x-topic", Some("order.new"), "order.7.new"),
        ("x-topic", Some("alarms"), "alarm.fire.1"),
        ("x-fanout", None, "whatever"),
        ("x-headers", None, "some key"),
    ] {
        if let Some(key) = not {
            publisher.publish(exchange, key, "{}", properties(7));
        }
        assert_eq!(came(exchange, key), key);
    }
    // Headers that do not match, and a mapped message that breaks a rule.
    publisher.publish("x-headers", "none", "{}", BasicProperties::default());
    publisher.publish("x-topic", "alarm.no-json", "{", properties(7));
    eventually("it is a dead letter", || publisher.take("dead-topic").is_some_and(|body| body == b"{"));
    assert_eq!(server.metric(&messages("headers", "accepted")), 1);
    is_durable(publisher, "q-fanout");
    server.stop();
}

/// A queue that is not durable could not be declared like this.
fn is_durable(publisher: &Publisher, queue: &str) {
    publisher.declare_queue(queue, None);
}

fn a_certificate_is_demanded_and_shown(broker: &RabbitMq, publisher: &Publisher, authority: &Authority) {
    let setup = Setup::new(broker);
    setup.set_url(&broker.tls_url());
    publisher.declare_queue("tls", None);
    let (cert, key) = authority.issue("client");
    let trusted = format!("queue = \"tls\"\nca = {:?}\n", authority.path("ca.pem"));
    let shown = format!("tls_cert = {cert:?}\ntls_key = {key:?}\n");
    let right = source("tls", &[trusted.as_str(), &shown].concat());
    assert_eq!(setup.check(&right), (0, "source tls, rabbitmq: can be reached\n".to_owned()));
    let stranger = Authority::new();
    let other = format!("queue = \"tls\"\nca = {:?}\n{shown}", stranger.path("ca.pem"));
    let (code, text) = setup.check(&source("tls", &other));
    assert!(code == 1 && text.contains("from no authority that is trusted here"), "{text}");
    let (code, text) = setup.check(&source("tls", &trusted));
    assert!(code == 1 && text.starts_with("source tls, rabbitmq: "), "without a certificate: {text}");
    let running = setup.server(&right);
    let mut listener = running.client(Kind::V4_WEBSOCKET);
    delivers(publisher, "tls", &mut listener, "over TLS");
    running.stop();
}

fn each_source_can_be_tried(broker: &RabbitMq, publisher: &Publisher) {
    let setup = Setup::new(broker);
    publisher.declare_queue("tried", None);
    publisher.send("tried", "{}");
    let tried = source("tried", "queue = \"tried\"");
    assert_eq!(setup.check(&tried), (0, "source tried, rabbitmq: can be reached\n".to_owned()));
    assert_eq!(publisher.count("tried"), (1, 0), "it takes no message");
    let (code, text) = setup.check(&source("tried", "queue = \"nowhere\""));
    assert!(code == 1 && text.contains("404 NOT_FOUND"), "{text}");
    let made =
        source("tried", "queue = \"nowhere\"\nexchange = \"amq.topic\"\nkind = \"topic\"\nkeys = [\"#\"]");
    assert_eq!(setup.check(&made).0, 0, "the server would make it");
    setup.set_url(&broker.url_with("wrong"));
    let (code, text) = setup.check(&tried);
    assert!(code == 1 && text.contains("403 ACCESS_REFUSED") && !text.contains("wrong"), "{text}");
    setup.set_url(&format!("{}nowhere", broker.url()));
    let (code, text) = setup.check(&tried);
    assert!(code == 1 && text.contains("530 NOT_ALLOWED") && !text.contains(PASSWORD), "{text}");
}

/// A message that is sent now reaches the client.
fn delivers(publisher: &Publisher, queue: &str, client: &mut Client, event: &str) {
    publisher.send(queue, format!(r#"{{"event":"{event}","targets":{{"broadcast":true}}}}"#));
    assert_eq!(client.event().name, event);
}

/// The table "rights" of docs/sources.md.
fn a_user_needs_no_more_than_the_rights_that_the_documentation_names(
    broker: &RabbitMq,
    publisher: &Publisher,
) {
    let docs = include_str!("../../../../../docs/sources.md");
    let setup = Setup::new(broker);
    broker.control(&["add_user", "few", "rights"]);
    setup.set_url(&broker.url().replace(&format!("turted:{PASSWORD}"), "few:rights"));
    publisher.declare_queue("turted", None);
    let bound = "queue = \"turted-shop\"\nexchange = \"shop\"\nkind = \"topic\"\nkeys = [\"#\"]";
    for (row, lines, exchange) in [
        ("a queue that exists", "queue = \"turted\"", ""),
        ("made by turted as well", bound, "shop"),
        ("a queue and an exchange that exist, bound by turted", bound, "shop"),
    ] {
        let row = docs.lines().find_map(|line| line.strip_prefix(&format!("| {row} | "))).expect(row);
        let rights: Vec<_> =
            row.split(" | ").map(|cell| cell.trim_matches(['`', ' ', '|']).replace("\\|", "|")).collect();
        broker.control(&["set_permissions", "few", &rights[0], &rights[1], &rights[2]]);
        let server = setup.server(&source("few", lines));
        let mut client = server.client(Kind::V4_WEBSOCKET);
        wait_until_up(&server, &["few"]);
        let body = r#"{"event":"E","targets":{"broadcast":true}}"#;
        publisher.publish(exchange, "turted", body, BasicProperties::default());
        assert_eq!(client.event().name, "E", "{rights:?}");
        server.stop();
    }
}
