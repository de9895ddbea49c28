//! The backend decides: what it is asked, what it may answer (`answers`), and what it cannot do to others.

mod answers;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turted::config::{ClientAuth, Config, Join};
use turted::server::Server;

use crate::backend::{Backend, reply, user};
use crate::support::{Client, bind, config, error, joined, ok, poll, rules, serve};

const NOT_NOW: &str = "IDENT cannot be verified now";

/// A configuration whose backend has this long.
fn patient(method: ClientAuth, timeout: Duration) -> Config {
    let mut config = config(method);
    config.auth.timeout = timeout;
    config
}

#[test]
fn the_backend_is_asked_with_what_the_client_sent_and_names_the_user() {
    let backend = Backend::start(|_, stream| reply(stream, r#"{"user":"alice","id":7}"#));
    let server = serve(backend.method());
    let mut client = Client::connect(server.address());
    let ident = json!({"session": "1f0c", "nested": {"a": [1]}, "username": "mallory"});
    client.ident(&ident, "alice");
    server.dispatcher().notify_user("mallory", "NO", &1).unwrap();
    server.dispatcher().notify_user("alice", "YES", &1).unwrap();
    assert_eq!(client.dispatched(), "YES");
    let (head, question) = backend.requests().remove(0);
    assert!(head.starts_with("POST /auth?app=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    assert!(head.contains("host: 127.0.0.1:"), "{head}");
    assert_eq!(question, json!({"ident": ident, "transport": "socketio", "address": "127.0.0.1"}));
}

#[test]
fn a_user_may_be_a_number_and_the_reply_repeats_it() {
    let backend = Backend::start(|_, stream| reply(stream, r#"{"user":7}"#));
    let server = serve(backend.method());
    let mut client = Client::connect(server.address());
    assert_eq!(client.ask("IDENT", &json!({})), ok(json!({"username": 7})));
    assert_eq!(client.ask("IDENT", &json!({"username": "7"})), ok(json!({"username": "7"})));
}

#[test]
fn the_handshakes_of_both_versions_are_verified_before_what_follows() {
    let backend = Backend::start(|question, stream| {
        std::thread::park_timeout(Duration::from_millis(100));
        reply(stream, &user(&question["ident"]["token"]))
    });
    let mut config = config(backend.method());
    config.channels = rules(&[("members", Join::Identified)]);
    let server = bind(config);
    let mut client = Client::connect_with(server.address(), &json!({"token": "alice"}));
    client.emit("JOIN", &json!({"channel": "members"}));
    assert_eq!(client.event(), ok(json!({"username": "alice"})));
    assert_eq!(client.event(), joined("members"));

    let mut old = Client::open(server.address(), "EIO=3&token=bob");
    old.emit("JOIN", &json!({"channel": "members"}));
    assert_eq!(old.packet(), "40");
    assert_eq!(old.event(), ok(json!({"username": "bob"})));
    assert_eq!(old.event(), joined("members"));

    Client::connect_with(server.address(), &json!({"other": 1})).nothing();
    assert_eq!(backend.requests().len(), 2, "a handshake without a name or token is no IDENT");
}

#[test]
fn packets_by_polling_wait_as_well() {
    let backend = Backend::start(|question, stream| {
        std::thread::park_timeout(Duration::from_millis(100));
        reply(stream, &user(&question["ident"]["token"]))
    });
    let mut config = config(backend.method());
    config.channels = rules(&[("members", Join::Identified)]);
    let server = bind(config);
    let address = server.address();
    let sid = |handshake: &str| {
        let begin = handshake.find(r#""sid":""#).unwrap() + 7;
        handshake[begin..].split('"').next().unwrap().to_owned()
    };
    let join = r#"42["JOIN",{"channel":"members"}]"#;

    let old = sid(&poll(address, "EIO=3&token=bob", None));
    let query = format!("EIO=3&sid={old}");
    assert_eq!(poll(address, &query, Some(&format!("{}:{join}", join.len()))), "ok");
    let replies = poll(address, &query, None);
    let order =
        [r#"["OK",{"username":"bob"}]"#, r#"["OK",{"channel":"members"}]"#].map(|text| replies.find(text));
    assert!(order[0].is_some(), "{replies}");
    assert!(order[0] < order[1], "{replies}");

    let new = sid(&poll(address, "EIO=4", None));
    let query = format!("EIO=4&sid={new}");
    let ident = r#"42["IDENT",{"token":"alice"}]"#;
    assert_eq!(poll(address, &query, Some(&format!("40\u{1e}{ident}\u{1e}{join}"))), "ok");
    let replies = poll(address, &query, None);
    let order =
        [r#"["OK",{"username":"alice"}]"#, r#"["OK",{"channel":"members"}]"#].map(|text| replies.find(text));
    assert!(order[0].is_some(), "{replies}");
    assert!(order[0] < order[1], "{replies}");
}

#[test]
fn later_packets_wait_for_the_verdict_in_their_order() {
    let backend = Backend::start(|question, stream| {
        std::thread::park_timeout(Duration::from_millis(50));
        reply(stream, &user(&question["ident"]["username"]))
    });
    let server = serve(backend.method());
    let mut client = Client::connect(server.address());
    for number in 0..5 {
        client.emit("IDENT", &json!({"username": format!("user{number}")}));
        client.emit("ECHO", &json!(number));
    }
    for number in 0..5 {
        assert_eq!(client.event(), ok(json!({"username": format!("user{number}")})));
        assert_eq!(client.event(), ("ECHO".to_owned(), json!(number)));
    }
    let order: Vec<Value> =
        backend.requests().into_iter().map(|(_, body)| body["ident"]["username"].clone()).collect();
    assert_eq!(order, ["user0", "user1", "user2", "user3", "user4"]);
}

#[test]
fn connections_to_the_backend_are_kept_and_replaced_when_they_end() {
    let backend = Backend::trusting();
    let server = serve(backend.method());
    let mut client = Client::connect(server.address());
    for _ in 0..20 {
        client.ident(&json!({"username": "alice"}), "alice");
    }
    assert!(backend.connections() <= 3, "{}", backend.connections());

    let once = Backend::start(|_, stream| {
        // Promises to keep the connection, and does not.
        reply(stream, r#"{"user":"alice"}"#);
        false
    });
    let server = serve(once.method());
    let mut client = Client::connect(server.address());
    for _ in 0..20 {
        client.ident(&json!({"username": "alice"}), "alice");
    }
}

#[test]
fn a_slow_backend_holds_up_nobody_else() {
    let may_answer = Arc::new(Barrier::new(2));
    let answers = Arc::clone(&may_answer);
    let backend = Backend::start(move |question, stream| {
        if question["ident"]["username"] == "slow" {
            answers.wait();
        }
        reply(stream, &user(&question["ident"]["username"]))
    });
    let mut config = patient(backend.method(), Duration::from_secs(600));
    config.workers = 1;
    let server = bind(config);
    let mut others: Vec<Client> = (0..5).map(|_| Client::connect(server.address())).collect();
    let mut slow = Client::connect(server.address());
    slow.emit("IDENT", &json!({"username": "slow"}));
    slow.emit("ECHO", &json!("after"));
    for (number, client) in others.iter_mut().enumerate() {
        let name = format!("user{number}");
        client.ident(&json!({"username": name}), &name);
        client.nothing();
    }
    server.dispatcher().broadcast("HELLO", &1).unwrap();
    assert_eq!(slow.dispatched(), "HELLO", "its events do not wait");
    may_answer.wait();
    assert_eq!(slow.event(), ok(json!({"username": "slow"})));
    assert_eq!(slow.event(), ("ECHO".to_owned(), json!("after")));
}

#[test]
fn no_more_questions_than_places() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let in_most = Arc::clone(&most);
    let backend = Backend::start(move |question, stream| {
        in_most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::park_timeout(Duration::from_millis(100));
        now.fetch_sub(1, Ordering::SeqCst);
        reply(stream, &user(&question["ident"]["username"]))
    });
    let mut config = patient(backend.method(), Duration::from_secs(10));
    config.auth.concurrency = 3;
    let server = bind(config);
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(server.address())).collect();
    for client in &mut clients {
        client.emit("IDENT", &json!({"username": "alice"}));
    }
    for client in &mut clients {
        assert_eq!(client.event(), ok(json!({"username": "alice"})));
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn who_finds_no_place_in_time_is_refused() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    const CLIENTS: u32 = 10;
    let backend = Backend::start(|_, _| {
        std::thread::park_timeout(Duration::from_secs(60));
        false
    });
    let mut config = patient(backend.method(), TIMEOUT);
    config.auth.concurrency = 1;
    let server = bind(config);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(server.address())).collect();
    let begun = Instant::now();
    for client in &mut clients {
        client.emit("IDENT", &json!({"username": "alice"}));
    }
    for client in &mut clients {
        assert_eq!(client.event(), error(NOT_NOW));
    }
    // One after the other they would take ten times as long as together.
    assert!(begun.elapsed() < TIMEOUT * CLIENTS / 2, "{:?}", begun.elapsed());
}

#[test]
fn a_client_that_leaves_while_it_is_verified_belongs_to_nobody() {
    let backend = Backend::start(|question, stream| {
        std::thread::park_timeout(Duration::from_millis(200));
        reply(stream, &user(&question["ident"]["username"]))
    });
    let server = serve(backend.method());
    let mut client = Client::connect(server.address());
    client.emit("IDENT", &json!({"username": "alice"}));
    client.send("41");
    drop(client);
    let mut other = Client::connect(server.address());
    other.ident(&json!({"username": "bob"}), "bob");
    other.nothing();
}

#[test]
fn a_server_that_stops_waits_for_no_backend() {
    let backend = Backend::start(|_, _| {
        std::thread::park_timeout(Duration::from_secs(60));
        false
    });
    let server = Server::bind(patient(backend.method(), Duration::from_secs(600))).unwrap();
    let mut client = Client::connect(server.address());
    client.emit("IDENT", &json!({"username": "alice"}));
    crate::support::eventually(|| !backend.requests().is_empty());
    let stopping = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(server.run(async {}))
    });
    assert!(client.is_ended());
    // From here on no client holds the server up, and it panics if a task does not end.
    drop(client);
    stopping.join().expect("no question is left").unwrap();
}
