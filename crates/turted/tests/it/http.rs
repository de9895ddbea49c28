//! The answers to HTTP requests: pushes in both forms, batches, keys, and what old backends send.

mod deadline;
mod demo;
mod life;
mod origins;
mod pages;

use serde_json::{Value, json};

use turted::config::AdminListen;

use crate::support::{Http, Kind, TestServer, config};

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
    let options = http.request("OPTIONS", "/push/", &[], b"");
    assert_eq!((options.status, options.header("access-control-allow-origin")), (200, None));
    assert_eq!(options.header("access-control-allow-headers"), Some("*"));
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
            assert!(problem["title"].is_string());
            assert!(problem["detail"].is_string());
            assert!(problem["type"].is_string());
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
        assert!(statuses.contains(&200), "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
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
    let request = format!(
        "POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{BROADCAST}",
        BROADCAST.len()
    );
    let bad = "POST /push/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
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
        "POST /push/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{BROADCAST}"
    ));
    assert_eq!(php.read().unwrap().header("connection"), Some("close"));
    assert!(php.is_ended());
    let mut careful = server.http();
    careful.send(format!(
        "POST /push/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(careful.read_head().unwrap().status, 100);
    careful.send(BROADCAST);
    assert_eq!(careful.read().unwrap().text(), "OK");
    let mut refused = server.http();
    refused.send(
        "POST /push/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
    );
    assert_eq!(refused.read().unwrap().status, 413, "and not 100 first");
    let mut chunked = server.http();
    chunked.send(format!("POST /push/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{BROADCAST}\r\n0\r\n\r\n"));
    assert_eq!(chunked.read().unwrap().text(), "OK");
    assert_eq!(chunked.post("/push", &[], BROADCAST).text(), "OK", "the connection goes on");
}

#[test]
fn all_addresses_of_ipv6_are_those_of_ipv4_too() {
    let mut all = config();
    all.listen = "[::]:0".parse().unwrap();
    all.admin.listen = AdminListen::At(all.listen);
    all.limits.wrong_passwords = 1;
    all.push.password = Some("tiger".into());
    let server = TestServer::start(all);
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    let places = ["127.0.0.1", "::1"].into_iter().take(1 + usize::from(has_ipv6));
    for (port, place) in [server.address().port(), server.admin_address().port()]
        .into_iter()
        .flat_map(|port| places.clone().map(move |place| (port, place)))
    {
        let mut http = Http::connect((place.parse::<std::net::IpAddr>().unwrap(), port).into());
        assert_eq!(http.get("/health").text(), "ok\n", "{place}");
    }
    // A client of IPv4 is counted as one, whatever the socket calls it.
    let push = |place: std::net::IpAddr| {
        let mut http = Http::connect((place, server.address().port()).into());
        http.post("/push/", &[("Authorization", "Bearer lion")], BROADCAST).status
    };
    assert_eq!([push([127, 0, 0, 1].into()), push([127, 0, 0, 1].into())], [401, 429]);
    if has_ipv6 {
        assert_eq!(push(std::net::Ipv6Addr::LOCALHOST.into()), 401);
    }
}

#[test]
fn a_fragment_in_a_target_is_refused_and_nowhere_else() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_WEBSOCKET);
    let head = |target: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{BROADCAST}",
            BROADCAST.len()
        )
    };
    for target in ["/push#x", "/push/#", "/push?a#b", "/push#", "http://localhost/push#x"] {
        // As the first request, as a later one, and byte by byte.
        let (mut first, mut later, mut slow) = (server.http(), server.http(), server.http());
        assert_eq!(later.post("/health", &[], "").status, 200);
        first.send(head(target));
        later.send(head(target));
        for byte in head(target).bytes().take_while(|byte| *byte != b'\r') {
            slow.send([byte]);
        }
        slow.send("\r\n\r\n");
        for http in [&mut first, &mut later, &mut slow] {
            assert_eq!(http.read().unwrap().status, 400, "{target}");
            assert!(http.is_ended());
        }
    }
    let payload = r##"{"event":"e","targets":{"broadcast":true},"payload":"POST /push#x HTTP/1.1"}"##;
    let mut http = server.http();
    assert_eq!(http.post("/push?%23", &[("X-Mark", "#")], payload).text(), "OK");
    // The body comes behind an answer, 100, as a request would.
    http.send(format!(
        "POST /push HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        payload.len()
    ));
    assert_eq!(http.read_head().unwrap().status, 100);
    http.send(payload);
    assert_eq!(http.read().unwrap().text(), "OK");
    for _ in 0..2 {
        assert_eq!(client.event().payload, "POST /push#x HTTP/1.1");
    }
}
