//! The answers to HTTP requests: pushes in both forms, CORS, files, and the life of a connection.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turted::config::AllowOrigins;

use crate::support::{Child, Client, Kind, PATIENCE, TestServer, Transport, WebSocket};

const BROADCAST: &str = r#"{"event":"e","targets":{"broadcast":true},"payload":1}"#;
const JSON: (&str, &str) = ("Accept", "application/json");

#[test]
fn a_push_is_answered_as_the_node_server_did() {
    let server = TestServer::with(|config| config.push.password = Some("tiger".into()));
    let mut http = server.http();
    let cases = [
        (r#"{"event":"e","auth":{"password":"tiger"}}"#, "HTTP/1.1 200 OK", "OK"),
        (r#"{"event":"e","auth":"tiger"}"#, "HTTP/1.1 200 OK", "OK"),
        ("nonsense", "HTTP/1.1 400 Bad Request", "Data was not json"),
        (r#"{"event":"e"}"#, "HTTP/1.1 401 Unauthorized", "Wrong auth data"),
    ];
    for (body, status_line, text) in cases {
        for content_type in
            ["application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"]
        {
            let response = http.post("/push/", &[("Content-Type", content_type)], body);
            assert_eq!((response.status_line(), response.text()), (status_line, text));
            assert_eq!(response.header("content-type"), None);
            assert_eq!(response.header("access-control-allow-origin"), None);
        }
    }
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let response = http.request(method, "/push/", &[], b"");
        assert_eq!(response.status_line(), "HTTP/1.1 405 Method not supported");
        let headers = (response.header("content-type"), response.header("allow"));
        assert_eq!(headers, (Some("text/html"), Some("OPTIONS, POST")));
        assert!(response.text().contains("<h1>Method not supported.</h1>"));
    }
    http.send_request("HEAD", "/push/", &[], b"");
    let head = http.read_head().unwrap();
    assert_eq!((head.status, head.header("allow")), (405, Some("OPTIONS, POST")));
    assert_eq!(http.get("/push/").status, 405, "an answer to HEAD has no body");
    let options = http.request("OPTIONS", "/push/", &[("Origin", "https://a.example")], b"");
    assert_eq!((options.status, options.header("access-control-allow-origin")), (200, None));
}

#[test]
fn a_push_that_asks_for_json_is_told_whom_it_reached_and_its_place() {
    let server = TestServer::new();
    let mut http = server.http();
    let clients: Vec<_> = Kind::ALL.iter().map(|kind| server.client(*kind)).collect();
    let first = http.post("/push", &[JSON], BROADCAST);
    assert_eq!((first.status, first.header("content-type")), (200, Some("application/json")));
    assert_eq!(first.json()["delivered"], clients.len());
    let id = |value: &Value| value["id"].as_str().unwrap().split_once('-').unwrap().1.parse::<u64>().unwrap();
    let batch = http.post(
        "/push",
        &[("Accept", "text/html, application/json;q=0.9")],
        format!("[{BROADCAST},{{\"event\":\"e\"}}]"),
    );
    let items = batch.json();
    assert_eq!(
        (items[0]["delivered"].clone(), items[1]["delivered"].clone()),
        (json!(clients.len()), json!(0))
    );
    assert_eq!((id(&items[0]), id(&items[1])), (id(&first.json()) + 1, id(&first.json()) + 2));
    let one = http.post("/push", &[JSON], format!("[{BROADCAST}]"));
    assert!(one.json().is_array(), "a batch of one is a batch");
    let plain = http.post("/push", &[("Accept", "*/*")], format!("[{BROADCAST}]"));
    assert_eq!(plain.text(), "OK");
}

#[test]
fn a_refused_push_that_asks_for_json_is_told_the_rule_and_the_field() {
    let server = TestServer::with(|config| config.push.password = Some("tiger".into()));
    let mut http = server.http();
    let cases = [
        ("x", 400, json!({"rule": "not-json"})),
        (r#"{"event":"e"}"#, 401, json!({"rule": "wrong-password"})),
        (r#"{"auth":"tiger"}"#, 400, json!({"rule": "event-missing", "field": "/event"})),
        (
            r#"{"auth":"tiger","event":"e","targets":{"users":["a",""]}}"#,
            400,
            json!({"rule": "name-empty", "field": "/targets/users/1"}),
        ),
        (
            r#"[{"auth":"tiger","event":"e"},{"auth":"tiger","event":7}]"#,
            400,
            json!({"rule": "event-not-a-string", "field": "/event", "index": 1}),
        ),
        (r#"{"cmd":"x"}"#, 401, json!({"rule": "data-missing"})),
    ];
    for accept in ["application/json", "application/problem+json"] {
        for (body, status, expected) in &cases {
            let response = http.post("/push", &[("Accept", accept)], body);
            assert_eq!(
                (response.status, response.header("content-type")),
                (*status, Some("application/problem+json"))
            );
            let problem = response.json();
            assert_eq!(problem["status"], *status);
            assert!(
                problem["title"].is_string() && problem["detail"].is_string() && problem["type"].is_string()
            );
            for key in ["rule", "field", "index"] {
                assert_eq!(problem[key], expected[key], "{problem}");
            }
        }
    }
}

#[test]
fn a_batch_is_dispatched_whole_or_not_at_all() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    for bad in [r#"{"event":7}"#, "7", "null", "{}", r#"{"event":"e","targets":7}"#] {
        assert_eq!(server.push(format!("[{BROADCAST},{bad},{BROADCAST}]")).status, 400, "{bad}");
    }
    assert_eq!(server.push("[]").status, 400);
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.events_until("last").len(), 0);
}

#[test]
fn a_bearer_token_is_as_good_as_the_field() {
    let server = TestServer::with(|config| config.push.password = Some("tiger".into()));
    let mut http = server.http();
    let mut push =
        |authorization: &str, body: &str| http.post("/push", &[("Authorization", authorization)], body);
    assert_eq!(push("Bearer tiger", BROADCAST).status, 200);
    assert_eq!(push("bearer  tiger", BROADCAST).status, 200);
    assert_eq!(push("Bearer tiger", &format!("[{BROADCAST},{BROADCAST}]")).status, 200);
    let wrong = push("Bearer lion", r#"{"event":"e","auth":"tiger"}"#);
    assert_eq!((wrong.status, wrong.header("www-authenticate")), (401, Some("Bearer")), "the header counts");
    assert_eq!(
        push("Basic dGlnZXI=", r#"{"event":"e","auth":"tiger"}"#).status,
        200,
        "another scheme is not ours"
    );
    assert_eq!(push("Bearer", BROADCAST).status, 401);
}

#[test]
fn a_push_that_is_repeated_under_its_key_is_dispatched_once() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let mut http = server.http();
    let mut push = |key: &str, body: &str| http.post("/push", &[JSON, ("Idempotency-Key", key)], body);
    let first = push("a", BROADCAST);
    for _ in 0..3 {
        let again = push("a", BROADCAST);
        assert_eq!((again.status, again.text()), (200, first.text()));
    }
    let other = push("a", r#"{"event":"e"}"#);
    assert_eq!((other.status, other.json()["rule"].clone()), (422, json!("idempotency-key-reused")));
    assert_eq!(push("b", "nonsense").status, 400);
    assert_eq!(push("b", BROADCAST).status, 200, "a refused push does not use up its key");
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.events_until("last").len(), 2);
}

#[test]
fn pushes_at_once_under_one_key_are_dispatched_once() {
    let server = TestServer::with(|config| config.workers = 3);
    let mut client = server.client(Kind::V4_WEBSOCKET);
    for round in 0..20 {
        let key = round.to_string();
        let statuses: Vec<_> = std::thread::scope(|scope| {
            let push = || server.http().post("/push", &[JSON, ("Idempotency-Key", &key)], BROADCAST).status;
            let pushes: Vec<_> = (0..6).map(|_| scope.spawn(push)).collect();
            pushes.into_iter().map(|push| push.join().unwrap()).collect()
        });
        assert!(
            statuses.contains(&200) && statuses.iter().all(|status| [200, 409].contains(status)),
            "{statuses:?}"
        );
        server.dispatcher().broadcast("last", &0).unwrap();
        assert_eq!(client.events_until("last").len(), 1);
    }
}

#[test]
fn one_connection_carries_many_requests_also_before_their_answers() {
    let server = TestServer::new();
    let mut http = server.http();
    for _ in 0..100 {
        assert_eq!(http.post("/push", &[], BROADCAST).text(), "OK");
    }
    let request =
        format!("POST /push/ HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{BROADCAST}", BROADCAST.len());
    let bad = "POST /push/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
    let mut client = server.client(Kind::V4_WEBSOCKET);
    http.send(format!("{}{bad}{request}", request.repeat(20)));
    let statuses: Vec<_> = (0..22).map(|_| http.read().unwrap().status).collect();
    let expected: Vec<u16> = std::iter::repeat_n(200, 20).chain([400, 200]).collect();
    assert_eq!(statuses, expected, "answers in order");
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.events_until("last").len(), 21);
}

#[test]
fn old_and_careful_backends_are_answered() {
    let server = TestServer::new();
    let length = BROADCAST.len();
    let mut old = server.http();
    old.send(format!("POST /push/ HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{BROADCAST}"));
    let response = old.read().unwrap();
    assert_eq!((response.status, response.text()), (200, "OK"));
    assert!(response.status_line().starts_with("HTTP/1.0 200"), "{}", response.head);
    assert!(old.is_ended(), "HTTP/1.0 has no keep-alive unless asked for");
    let mut php = server.http();
    php.send(format!(
        "POST /push/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{BROADCAST}"
    ));
    assert_eq!(php.read().unwrap().header("connection"), Some("close"));
    assert!(php.is_ended());
    let mut careful = server.http();
    careful.send(format!(
        "POST /push/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(careful.read_head().unwrap().status, 100);
    careful.send(BROADCAST);
    assert_eq!(careful.read().unwrap().text(), "OK");
    let mut refused = server.http();
    refused
        .send("POST /push/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    assert_eq!(refused.read().unwrap().status, 413, "and not 100 first");
    let mut chunked = server.http();
    chunked.send(format!("POST /push/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{BROADCAST}\r\n0\r\n\r\n"));
    assert_eq!(chunked.read().unwrap().text(), "OK");
    assert_eq!(chunked.post("/push", &[], BROADCAST).text(), "OK", "the connection goes on");
}

#[test]
fn any_page_may_connect_unless_the_operator_says_otherwise() {
    let origin = ("Origin", "https://page.example");
    let polling = Kind::V4_POLLING.target("polling", "");
    let server = TestServer::new();
    let response = server.http().request("GET", &polling, &[origin], b"");
    assert_eq!(response.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(response.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(response.header("vary"), Some("Origin"));
    let plain = server.http().get(&polling);
    assert_eq!(plain.header("access-control-allow-origin"), Some("*"));
    let refused = server.http().request("GET", "/socket.io/?EIO=4&transport=x", &[origin], b"");
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://page.example"), "errors too");
    let headers = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    let preflight = server.http().request("OPTIONS", &polling, &headers, b"");
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-headers")),
        (200, Some("content-type"))
    );
    assert!(
        WebSocket::connect(server.address(), &Kind::V4_WEBSOCKET.target("websocket", ""), &[origin]).is_ok()
    );
}

#[test]
fn only_pages_of_the_list_may_connect_also_by_websocket() {
    let server = TestServer::with(|config| {
        config.allow_origins = AllowOrigins::Only(vec!["https://good.example".into()]);
    });
    for kind in Kind::PLAIN {
        for (origin, good) in [
            ("https://good.example", true),
            ("https://GOOD.example", true),
            ("https://evil.example", false),
            ("https://good.example.evil.example", false),
            ("http://good.example", false),
            ("https://good.example:8443", false),
            ("null", false),
            ("", false),
        ] {
            let headers = [("Origin", origin)];
            let polled = server.http().request("GET", &kind.target("polling", ""), &headers, b"");
            assert_eq!(polled.status, if good { 200 } else { 403 }, "{origin}");
            assert_eq!(polled.header("access-control-allow-origin"), good.then_some(origin), "{origin}");
            let socket = WebSocket::connect(server.address(), &kind.target("websocket", ""), &headers);
            assert_eq!(socket.map_err(|refused| refused.status).err(), (!good).then_some(403), "{origin}");
            let preflight = server.http().request("OPTIONS", &kind.target("polling", ""), &headers, b"");
            assert_eq!(preflight.header("access-control-allow-origin"), good.then_some(origin), "{origin}");
        }
        let client = server.client(kind);
        let upgrade = WebSocket::connect(
            server.address(),
            &kind.target("websocket", &client.sid),
            &[("Origin", "https://evil.example")],
        );
        assert_eq!(upgrade.unwrap_err().status, 403);
    }
}

#[test]
fn pages_may_push_only_if_the_operator_says_so() {
    let origin = ("Origin", "https://page.example");
    let server = TestServer::with(|config| {
        config.push.allow_origins = AllowOrigins::Only(vec!["https://page.example".into()]);
    });
    let mut http = server.http();
    let pushed = http.post("/push/", &[origin], BROADCAST);
    assert_eq!(pushed.header("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(
        http.request("OPTIONS", "/push/", &[origin], b"").header("access-control-allow-origin"),
        Some("https://page.example")
    );
    let other = ("Origin", "https://evil.example");
    assert_eq!(http.post("/push/", &[other], BROADCAST).header("access-control-allow-origin"), None);
    assert_eq!(http.request("OPTIONS", "/push/", &[other], b"").status, 403);
}

#[test]
fn the_browser_client_is_served_from_the_directory_of_the_operator() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("socket.io.js"), "client").unwrap();
    std::fs::write(directory.path().join("socket.io.js.map"), "{}").unwrap();
    std::fs::write(directory.path().join(".secret.js"), "secret").unwrap();
    std::fs::create_dir(directory.path().join("inner")).unwrap();
    std::fs::write(directory.path().join("inner/a.js"), "secret").unwrap();
    std::fs::write(directory.path().parent().unwrap().join("turted-outside.js"), "secret").unwrap();
    let server = TestServer::with(|config| config.assets_dir = Some(directory.path().into()));
    let mut http = server.http();
    let script = http.get("/socket.io/socket.io.js");
    assert_eq!((script.status, script.text()), (200, "client"));
    assert_eq!(script.header("content-type"), Some("application/javascript; charset=utf-8"));
    assert_eq!(http.get("/socket.io/socket.io.js?x=1").text(), "client");
    assert_eq!(http.get("/socket.io/socket.io.js.map").header("content-type"), Some("application/json"));
    assert_eq!(http.get("/socket.io/missing.js").status, 404);
    for path in [
        "../turted-outside.js",
        "%2e%2e/turted-outside.js",
        "..%2fturted-outside.js",
        "..\\turted-outside.js",
        ".secret.js",
        "inner/a.js",
        "inner%2fa.js",
        "/etc/passwd",
        "%00.js",
        "..",
        "inner/../socket.io.js",
        "inner.js/",
    ] {
        let response = http.get(&format!("/socket.io/{path}"));
        assert!((400..500).contains(&response.status), "{path}: {}", response.status);
        assert!(!response.text().contains("secret"), "{path}");
    }
    std::fs::remove_file(directory.path().parent().unwrap().join("turted-outside.js")).unwrap();
    let without = TestServer::new().http().get("/socket.io/socket.io.js");
    assert_eq!(without.status, 404);
    assert!(without.text().contains("assets_dir"), "{}", without.text());
}

#[test]
fn paths_may_be_configured() {
    let server = TestServer::with(|config| {
        config.socketio.path = "/realtime/".into();
        config.push.path = "/internal/push".into();
    });
    let mut http = server.http();
    assert_eq!(http.get("/realtime/?EIO=4&transport=polling").status, 200);
    assert_eq!(http.get("/realtime?EIO=4&transport=polling").status, 200);
    assert_eq!(http.post("/internal/push/", &[], BROADCAST).status, 200);
    assert_eq!(http.get("/socket.io/?EIO=4&transport=polling").status, 404);
    assert_eq!(http.post("/push/", &[], BROADCAST).status, 404);
}

#[test]
fn an_idle_connection_does_not_hold_up_the_stop() {
    let server = TestServer::new();
    let mut http = server.http();
    assert_eq!(http.post("/push", &[], BROADCAST).text(), "OK");
    let mut poller = server.client(Kind::V4_POLLING);
    let waiting = poller.send_poll().stream.try_clone().unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| server.stop());
        assert!(http.is_ended(), "an idle connection is closed");
        let mut waiting = crate::support::Http::over(waiting);
        // The session ends before the request, or the request is answered with its end.
        let answer = waiting.read().expect("a waiting request is answered");
        assert!(answer.text() == "1" || answer.status == 400, "{}", answer.head);
        assert!(waiting.is_ended());
        drop((http, waiting, poller));
        stop.join().unwrap();
    });
    assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
}

#[test]
fn clients_are_told_to_come_back_when_the_server_stops() {
    let server = TestServer::new();
    let mut clients: Vec<_> = Kind::ALL.iter().map(|kind| server.client(*kind)).collect();
    // Whoever is in the middle of an upgrade has no WebSocket yet that could be told.
    clients.iter_mut().for_each(|client| drop(client.ask("PING", "1")));
    let stop = std::thread::spawn(move || server.stop());
    for client in &mut clients {
        if client.kind.transport == Transport::Polling {
            continue;
        }
        assert_eq!(client.socket().close_code(), Some(1012), "{:?}: and never packet 41", client.kind);
    }
    drop(clients);
    stop.join().unwrap();
}

#[test]
fn a_push_that_was_accepted_is_delivered_before_the_stop() {
    let server = TestServer::new();
    let mut clients: Vec<_> =
        [Kind::V3_WEBSOCKET, Kind::V4_WEBSOCKET].iter().map(|kind| server.client(*kind)).collect();
    for number in 0..200 {
        server.dispatcher().broadcast("e", &number).unwrap();
    }
    server.dispatcher().broadcast("last", &0).unwrap();
    let dispatcher = server.dispatcher().clone();
    let stop = std::thread::spawn(move || server.stop());
    for client in &mut clients {
        assert_eq!(client.events_until("last").len(), 200);
        assert_eq!(client.socket().close_code(), Some(1012));
    }
    drop(clients);
    stop.join().unwrap();
    assert!(dispatcher.broadcast("e", &0).is_err(), "nothing is accepted any more");
}

/// Waits until `count` says that everything is let go of.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

/// A client that connects, joins and leaves, or just vanishes.
fn come_and_go(child: &Child, number: usize) {
    // Polling costs four times as many connections.
    let kinds = if number.is_multiple_of(10) { &Kind::PLAIN[2..] } else { &Kind::PLAIN[..2] };
    let kind = kinds[number / 10 % 2];
    let mut client: Client = child.client(kind);
    client.send(r#"42["JOIN",{"channel":"c"}]"#);
    // A polling client that just vanishes is missed only by its heartbeat.
    if !number.is_multiple_of(3) || kind.transport == Transport::Polling {
        client.leave();
    }
}

#[test]
fn ten_thousand_clients_leave_nothing_behind() {
    let child = Child::start(&[("TURTED_RECOVERY_SESSIONS", "100")]);
    // Whatever is allocated once is allocated now.
    (0..100).for_each(|_| child.client(Kind::V4_WEBSOCKET).leave());
    let reached = || child.http().post("/push", &[JSON], BROADCAST).json()["delivered"].clone();
    wait_until("the first clients are gone", || reached() == 0);
    let (descriptors, memory) = (child.descriptors(), child.memory());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..5_000).for_each(|number| come_and_go(&child, number)));
        }
    });
    wait_until("every client is gone", || reached() == 0);
    wait_until("every descriptor is closed", || child.descriptors() <= descriptors);
    let grown = child.memory().saturating_sub(memory);
    assert!(grown < 8 << 20, "{grown} bytes more");
    child.stop();
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let server = TestServer::with(|config| config.limits.connections = Some(50));
    let clients: Vec<_> = (0..50).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    for _ in 0..200 {
        assert_eq!(server.http().read().unwrap().status, 503);
    }
    drop(clients);
    wait_until("there is room again", || server.http().post("/push", &[], BROADCAST).status == 200);
    server.assert_alive();
}
