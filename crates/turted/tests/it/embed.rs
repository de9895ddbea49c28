//! turted as a library: events dispatched and heard in the program that embeds it.

use std::sync::{Arc, Mutex};

use serde_json::json;
use turted::config::Config;
use turted::dispatcher::{DispatchRefusal, Receipt};
use turted::server::{Server, ServerError};
use turted_core::dispatch::{Dispatch, Targets};
use turted_core::name::Name;

use crate::support::{Kind, TestServer, config, eventually};

type Heard = Arc<Mutex<Vec<String>>>;

fn listener(heard: &Heard, label: &'static str) -> impl Fn(&Dispatch) + Send + Sync + 'static {
    let heard = Arc::clone(heard);
    move |dispatch| {
        let line = format!("{label} {} {}", dispatch.event.as_str(), dispatch.payload);
        heard.lock().unwrap().push(line);
    }
}

#[test]
fn an_embedding_program_reaches_users_channels_and_everyone() {
    let server = TestServer::new();
    let dispatcher = server.dispatcher();
    for kind in Kind::ALL {
        let mut client = server.client(kind);
        client.ask("IDENT", r#"{"username":"u"}"#);
        client.ask("JOIN", r#"{"channel":"c"}"#);
        let first = dispatcher.notify_user("u", "a", &json!({"n": 1})).unwrap();
        let second = dispatcher.notify_channel("c", "b", &[2]).unwrap();
        dispatcher.broadcast("c", &3).unwrap();
        let name = |text| Name::new(text).unwrap();
        let targets =
            Targets { users: vec![name("x"), name("u")], channels: vec![name("c")], broadcast: true };
        dispatcher.notify(targets, "d", &"4").unwrap();
        let number = |receipt: Receipt| receipt.wait().unwrap().first().sequence;
        assert_eq!(number(second), number(first) + 1);
        let events: Vec<_> = (0..4).map(|_| client.event()).collect();
        let seen: Vec<_> = events.iter().map(|event| json!([event.name, event.payload, event.via])).collect();
        assert_eq!(
            seen,
            [
                json!(["a", {"n": 1}, {"user": "u"}]),
                json!(["b", [2], {"channel": "c"}]),
                json!(["c", 3, {"broadcast": true}]),
                json!(["d", "4", {"user": "u"}]),
            ]
        );
        client.leave();
    }
}

#[test]
fn an_embedding_program_hears_what_backends_push() {
    let server = TestServer::new();
    let heard = Heard::default();
    let dispatcher = server.dispatcher();
    let on_new = dispatcher.on("MESSAGE:NEW", listener(&heard, "new"));
    dispatcher.on("*", listener(&heard, "any"));
    let push = |event: &str| {
        let body = json!({"event": event, "targets": {"users": "u"}, "payload": {"n": 1}});
        assert_eq!(server.push(body.to_string()).text(), "OK");
    };
    push("MESSAGE:NEW");
    push("MESSAGE:OLD");
    assert_eq!(server.push(r#"{"event":7}"#).status, 400, "what is refused is not heard");
    eventually("both are heard", || heard.lock().unwrap().len() == 3);
    dispatcher.off(on_new);
    push("MESSAGE:NEW");
    // It hears what was accepted before it ends.
    server.stop();
    let heard = heard.lock().unwrap().clone();
    let n = r#"{"n":1}"#;
    assert_eq!(
        heard,
        ["new MESSAGE:NEW", "any MESSAGE:NEW", "any MESSAGE:OLD", "any MESSAGE:NEW"]
            .map(|line| format!("{line} {n}"))
    );
}

#[test]
fn a_handler_may_dispatch_and_one_that_panics_harms_nobody() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let answering = server.dispatcher().clone();
    server.dispatcher().on("question", |_| panic!("a handler panics on purpose"));
    server.dispatcher().on("question", move |dispatch| {
        answering.broadcast("answer", &dispatch.payload).unwrap();
    });
    assert_eq!(server.push(r#"{"event":"question","targets":{"broadcast":true},"payload":42}"#).text(), "OK");
    assert_eq!((client.event().name, client.event().name), ("question".into(), "answer".into()));
    server.assert_alive();
}

#[test]
fn names_are_checked_and_nothing_is_taken_after_the_stop() {
    let server = TestServer::new();
    let dispatcher = server.dispatcher().clone();
    for (user, event) in [("", "e"), ("u", ""), ("a\nb", "e"), ("u", "a\0b"), (&"x".repeat(256), "e")] {
        assert!(matches!(dispatcher.notify_user(user, event, &0), Err(DispatchRefusal::Name(_))));
    }
    let unwritable = std::collections::BTreeMap::from([(vec![1], 1)]);
    assert_eq!(dispatcher.broadcast("e", &unwritable).unwrap_err(), DispatchRefusal::Payload);
    server.stop();
    assert_eq!(dispatcher.broadcast("e", &0).unwrap_err(), DispatchRefusal::Stopped);
}

#[test]
fn an_address_is_not_shared_with_another_server() {
    let first = TestServer::new();
    let second = Server::bind(Config { listen: first.address(), ..config() });
    assert!(matches!(second, Err(ServerError::Listen { .. })));
    first.assert_alive();
    let address = first.address();
    first.stop();
    TestServer::with(|config| config.listen = address).assert_alive();
}

#[test]
fn a_flood_of_dispatches_is_refused_and_not_queued_without_end() {
    let server = TestServer::with(|config| config.limits.inbox_dispatches = 16);
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let batch = |length: usize| vec![dispatch(); length];
    assert_eq!(server.dispatcher().dispatch_all(batch(17)).unwrap_err(), DispatchRefusal::Overload);
    let mut accepted = 0;
    for _ in 0..200 {
        match server.dispatcher().dispatch_all(batch(4)) {
            Ok(receipt) => accepted += receipt.wait().unwrap().len(),
            Err(refusal) => assert_eq!(refusal, DispatchRefusal::Overload),
        }
    }
    while server.dispatcher().broadcast("last", &0).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(client.events_until("last").len(), accepted, "what was accepted was delivered");
}

#[test]
fn payloads_times_targets_are_limited_for_every_source() {
    let most = 100;
    let server = TestServer::with(|config| config.limits.expansion_bytes = most);
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let dispatcher = server.dispatcher().clone();
    // The event has a byte, the payload 9 with its quotation marks.
    let to = |users: usize| {
        let users = (0..users).map(|number| Name::new(&format!("u{number}")).unwrap()).collect();
        let payload = serde_json::value::to_raw_value("1234567").unwrap();
        Dispatch { payload, targets: Targets { users, ..Targets::broadcast() }, ..dispatch() }
    };
    let refused = |bytes| DispatchRefusal::ExpansionTooLarge { bytes, most };
    assert_eq!(dispatcher.dispatch(to(10)).unwrap_err(), refused(110), "everyone is a target too");
    assert_eq!(
        dispatcher.dispatch_all(vec![to(5), to(4)]).unwrap_err(),
        refused(110),
        "all of them together"
    );
    assert_eq!(dispatcher.dispatch_counted(vec![to(10)]).unwrap_err(), refused(110));
    assert_eq!(dispatcher.broadcast("e", &"x".repeat(98)).unwrap_err(), refused(101));
    assert!(refused(110).to_string().contains("limits.expansion_bytes"));
    let first = dispatcher.dispatch(to(9)).and_then(Receipt::wait).unwrap();
    assert_eq!(first.first().sequence, 1, "what was refused left no trace");
    assert_eq!(client.event().payload, "1234567");
}

fn dispatch() -> Dispatch {
    let payload = serde_json::value::to_raw_value(&1).unwrap();
    Dispatch { event: Name::new("e").unwrap(), payload, targets: Targets::broadcast() }
}
