//! The admin listener: what it counts, what it tells, and whom.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::Instant;

use serde_json::{Value, json};
use turted::config::{AdminListen, Secret};
use turted::server::{Server, ServerError};

use super::support::{Client, Http, Kind, PATIENCE, TestServer, config, eventually};

/// The samples of a scrape: name and labels as they are written, and the value.
fn scrape(server: &TestServer) -> BTreeMap<String, f64> {
    let page = server.admin().get("/metrics");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let samples = page.text().lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(k, v)| (k.to_owned(), v.parse().unwrap()))
        .collect()
}

/// Waits until these samples have these values. A client may see what a worker is about to count.
fn expect(server: &TestServer, expected: &[(&str, f64)]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = scrape(server);
        let wrong = expected.iter().find(|(name, value)| page.get(*name) != Some(value));
        let Some((name, value)) = wrong else { return };
        assert!(Instant::now() < deadline, "{name} is {:?}, not {value}", page.get(*name));
    }
}

fn push(server: &TestServer, targets: &str) {
    let body = format!(r#"{{"event":"canary-event","targets":{targets},"payload":"canary-payload"}}"#);
    assert_eq!(server.push(body).text(), "OK");
}

#[test]
fn metrics_move_with_what_happens() {
    let server = TestServer::new();
    expect(&server, &[("turted_users", 0.0), ("turted_sockets", 0.0), ("turted_draining", 0.0)]);
    let mut streaming = server.client(Kind::V4_WEBSOCKET);
    let mut polling = server.client(Kind::V3_POLLING);
    let upgraded = server.client(Kind::V4_UPGRADED);
    streaming.ask("IDENT", r#"{"username":"canary-user"}"#);
    polling.ask("IDENT", r#"{"username":"canary-user"}"#);
    polling.ask("JOIN", r#"{"channel":"canary-channel"}"#);
    expect(
        &server,
        &[
            (r#"turted_connections{transport="socketio",version="4",carrier="websocket"}"#, 2.0),
            (r#"turted_connections{transport="socketio",version="3",carrier="polling"}"#, 1.0),
            (r#"turted_connections{transport="socketio",version="4",carrier="polling"}"#, 0.0),
            ("turted_opens_total", 3.0),
            ("turted_users", 1.0),
            ("turted_channels", 1.0),
            (r#"turted_worker_responsive{worker="0"}"#, 1.0),
            (r#"turted_worker_responsive{worker="1"}"#, 1.0),
        ],
    );
    push(&server, r#"{"users":["canary-user"]}"#);
    push(&server, r#"{"channels":["canary-channel"]}"#);
    server.dispatcher().notify_user("canary-user", "E", &1).unwrap();
    assert_eq!((streaming.event().name, streaming.event().name), ("canary-event".into(), "E".into()));
    polling.events_until("E");
    expect(
        &server,
        &[
            (r#"turted_dispatches_total{source="rest"}"#, 2.0),
            (r#"turted_dispatches_total{source="embed"}"#, 1.0),
            (r#"turted_deliveries_total{transport="socketio",version="4",carrier="websocket"}"#, 2.0),
            (r#"turted_deliveries_total{transport="socketio",version="3",carrier="polling"}"#, 3.0),
            ("turted_push_duration_seconds_count", 2.0),
            (r#"turted_push_duration_seconds_bucket{le="+Inf"}"#, 2.0),
            ("turted_inbox_dispatches", 0.0),
            ("turted_outbox_bytes", 0.0),
        ],
    );
    let page = scrape(&server);
    assert!(page["turted_writes_total"] >= 2.0 && page["turted_written_bytes_total"] > 100.0, "{page:?}");
    assert!(page["turted_frames_encoded_total"] >= 3.0, "{page:?}");
    assert!(page[r#"turted_worker_busy_seconds_total{worker="0"}"#] > 0.0, "{page:?}");
    polling.send("1");
    drop((streaming, upgraded));
    expect(
        &server,
        &[
            (r#"turted_closes_total{reason="transport_lost"}"#, 3.0),
            (r#"turted_connections{transport="socketio",version="4",carrier="websocket"}"#, 0.0),
            (r#"turted_connections{transport="socketio",version="3",carrier="polling"}"#, 0.0),
            ("turted_users", 0.0),
            ("turted_channels", 0.0),
            ("turted_outbox_bytes", 0.0),
        ],
    );
}

#[test]
fn refusals_are_counted_by_rule() {
    let server = TestServer::with(|config| config.push.password = Some(Secret::from("s3cret")));
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("JOIN", r#"{"channel":5}"#);
    assert_eq!(server.push("{").status, 400);
    assert_eq!(server.push(r#"{"event":"E","targets":{"broadcast":true},"password":"x"}"#).status, 401);
    assert_eq!(server.http().get("/socket.io/?EIO=9&transport=polling").status, 400);
    expect(
        &server,
        &[
            (r#"turted_refusals_total{rule="command"}"#, 1.0),
            (r#"turted_refusals_total{rule="not-json"}"#, 1.0),
            (r#"turted_refusals_total{rule="wrong-password"}"#, 1.0),
            (r#"turted_refusals_total{rule="engine-version"}"#, 1.0),
        ],
    );
}

#[test]
fn a_recovery_is_counted_with_its_outcome() {
    let server = TestServer::new();
    let mut first = server.client(Kind::V4_WEBSOCKET);
    first.ask("IDENT", r#"{"username":"adam"}"#);
    push(&server, r#"{"users":["adam"]}"#);
    let offset = first.event().offset.unwrap();
    let connected: Value = serde_json::from_str(&first.connected[2..]).unwrap();
    let packet = format!("40{}", json!({"pid": connected["pid"], "offset": offset}));
    drop(first);
    let connect = |packet: &str| Client::connect_with(server.address(), Kind::V4_WEBSOCKET, packet);
    let _resumed = connect(&packet);
    let _anew = connect(r#"40{"pid":"AAAAAAAAAAAAAAAAAAAA","offset":"x"}"#);
    expect(
        &server,
        &[
            (r#"turted_recoveries_total{outcome="resumed"}"#, 1.0),
            (r#"turted_recoveries_total{outcome="anew"}"#, 1.0),
        ],
    );
}

#[test]
fn a_slow_reader_that_was_cut_is_counted() {
    let server = TestServer::with(|config| config.limits.outbox_bytes = 64 * 1024);
    let _stalled = server.client(Kind::V3_WEBSOCKET);
    let payload = "x".repeat(200_000);
    let cut = r#"turted_closes_total{reason="slow_reader"}"#;
    eventually("the stalled client is cut", || {
        server.dispatcher().broadcast("E", &payload).unwrap();
        scrape(&server)[cut] == 1.0
    });
    expect(&server, &[("turted_outbox_bytes", 0.0)]);
}

/// What a page or its documentation says of a metric: type and labels.
type Described = BTreeMap<String, (String, BTreeSet<String>)>;

fn shown(page: &str) -> Described {
    let mut metrics = Described::new();
    let mut last = String::new();
    for line in page.lines().filter(|line| !line.starts_with("# HELP ")) {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            name.clone_into(&mut last);
            let before = metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            assert_eq!(before, None, "{name} is declared twice");
            continue;
        }
        assert!(line.starts_with(&last), "{line} belongs to no metric");
        let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        metrics.get_mut(&last).unwrap().1.extend(labels.map(|(name, _)| name.to_owned()));
    }
    metrics
}

fn documented() -> Described {
    let docs = include_str!("../../../../docs/metrics.md");
    let rows = docs.lines().filter(|line| line.starts_with("| `turted_"));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    cells.map(|row| (row[0].trim_matches('`').to_owned(), (row[1].to_owned(), names(row[2])))).collect()
}

#[test]
fn the_documentation_lists_every_metric_with_its_type_and_labels() {
    let server = TestServer::new();
    server.push("{");
    let page = server.admin().get("/metrics");
    assert_eq!(shown(page.text()), documented());
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let dashboard: Value = serde_json::from_str(include_str!("../../../../packaging/grafana.json")).unwrap();
    let metrics = documented();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut asked = 0;
    for query in queries.map(|target| target["expr"].as_str().unwrap()) {
        for name in query.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
            if name.starts_with("turted_") {
                let family = name.trim_end_matches("_bucket");
                assert!(metrics.contains_key(family), "{name} in {query}");
                asked += 1;
            }
        }
    }
    assert!(asked > 10, "{asked}");
}

#[test]
fn no_name_and_no_secret_reaches_the_metrics() {
    let server = TestServer::with(|config| {
        config.push.password = Some(Secret::from("canary"));
        config.admin.token = Some(Secret::from("canary"));
    });
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"canary"}"#);
    client.ask("JOIN", r#"{"channel":"canary"}"#);
    client.ask("canary", "1");
    server.push(r#"{"event":"canary","targets":{"canary":["canary"]},"auth":{"password":"canary"}}"#);
    server.http().get("/socket.io/?EIO=canary&transport=canary");
    let page = server.admin().request("GET", "/metrics", &[("Authorization", "Bearer canary")], b"");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("turted_users 1\n") && !page.text().contains("canary"), "{}", page.text());
}

fn get(server: &TestServer, target: &str) -> Value {
    let answer = server.admin().get(target);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{target}");
    answer.json()
}

fn problem(server: &TestServer, target: &str) -> u16 {
    let answer = server.admin().get(target);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
    assert_eq!(answer.json()["status"], answer.status, "{target}");
    answer.status
}

/// Clients until both workers have one of them: each is a connection of `user`.
fn on_both_workers(server: &TestServer, user: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    eventually("both workers have a connection", || {
        let mut client = server.client(Kind::V4_WEBSOCKET);
        client.ask("IDENT", &json!({"username": user}).to_string());
        clients.push(client);
        let ids = get(server, &format!("/api/v1/users/{user}"))["connection_ids"].clone();
        let workers = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().as_bytes()[0]);
        workers.collect::<BTreeSet<_>>().len() == 2
    });
    clients
}

#[test]
fn a_user_on_two_workers_is_one_user() {
    let server = TestServer::new();
    let clients = on_both_workers(&server, "adam");
    let counts = get(&server, "/api/v1/counts");
    assert_eq!((&counts["users"], &counts["workers"]), (&json!(1), &json!(2)));
    assert_eq!(
        counts["connections"],
        json!({"socketio": clients.len(), "websocket": 0, "sse": 0, "sockjs": 0})
    );
    let listed = json!({"users": [{"name": "adam", "connections": clients.len()}], "more": false});
    assert_eq!(get(&server, "/api/v1/users"), listed);
    let adam = get(&server, "/api/v1/users/adam");
    assert_eq!((&adam["online"], &adam["connections"]), (&json!(true), &json!(clients.len())));
    let eve = json!({"name": "eve", "online": false, "connections": 0, "connection_ids": []});
    assert_eq!(get(&server, "/api/v1/users/eve"), eve);
    expect(&server, &[("turted_users", 1.0)]);
}

#[test]
fn lists_are_sorted_bounded_and_selected_by_prefix() {
    let server = TestServer::new();
    let mut clients: Vec<_> = (0..4).map(|_| server.client(Kind::V4_WEBSOCKET)).collect();
    for (number, channel) in ["b/2", "a", "b/1", "\u{e4} ", "b/3"].iter().enumerate() {
        clients[number % 4].ask("JOIN", &json!({"channel": channel}).to_string());
    }
    clients[3].ask("JOIN", r#"{"channel":"b/1"}"#);
    let list = |query: &str| {
        let list = get(&server, &format!("/api/v1/channels{query}"));
        let names = list["channels"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap());
        (names.map(str::to_owned).collect::<Vec<_>>(), list["more"] == true)
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(list(""), (names(&["a", "b/1", "b/2", "b/3", "\u{e4} "]), false));
    assert_eq!(list("?prefix=b%2f"), (names(&["b/1", "b/2", "b/3"]), false));
    assert_eq!(list("?prefix=b/&limit=2"), (names(&["b/1", "b/2"]), true));
    assert_eq!(list("?limit=1000&prefix=%C3%A4+"), (names(&["\u{e4} "]), false));
    assert_eq!(get(&server, "/api/v1/channels/b%2F1")["connections"], 2);
    assert_eq!(get(&server, "/api/v1/channels/%C3%A4%20")["connections"], 1);
    assert_eq!(get(&server, "/api/v1/channels/b")["connections"], 0);
}

#[test]
fn a_connection_is_described() {
    let server = TestServer::new();
    let mut client = server.client(Kind::V4_POLLING);
    client.ask("IDENT", r#"{"username":"adam"}"#);
    client.ask("JOIN", r#"{"channel":"chat"}"#);
    let adam = get(&server, "/api/v1/users/adam");
    let id = adam["connection_ids"][0].as_str().unwrap();
    let position = server.dispatcher().notify_user("adam", "E", &1).unwrap().to_string();
    let mut state = Value::Null;
    eventually("the event waits for the next request", || {
        state = get(&server, &format!("/api/v1/connections/{id}"));
        state["outbox_frames"] == 1
    });
    let connected: Value = serde_json::from_str(&client.connected[2..]).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(state["connected_since"].as_u64().unwrap().abs_diff(now) < 60, "{state}");
    assert!(state["outbox_bytes"].as_u64().unwrap() > 20, "{state}");
    for key in ["connected_since", "outbox_bytes"] {
        state[key].take();
    }
    assert_eq!(
        state,
        json!({
            "id": id, "public_id": connected["sid"], "transport": "socketio", "version": "4", "carrier": "polling",
            "users": ["adam"], "channels": ["chat"], "sent": position,
            "outbox_frames": 1, "outbox_bytes": null, "connected_since": null,
        })
    );
    let public_id = connected["sid"].as_str().unwrap();
    assert_eq!(get(&server, &format!("/api/v1/connections/{public_id}"))["id"], id);
    client.event();
    for gone in ["0-70000-0", "9-0-0", "x", client.sid.as_str()] {
        assert_eq!(problem(&server, &format!("/api/v1/connections/{gone}")), 404, "{gone}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let server = TestServer::new();
    for target in [
        "/api/v1/users/%zz",
        "/api/v1/users/%ff",
        "/api/v1/users/a%0Ab",
        "/api/v1/users/",
        "/api/v1/users?limit=1001",
        "/api/v1/users?limit=0",
        "/api/v1/channels?lmit=1",
        "/api/v1/counts?x",
    ] {
        assert_eq!(problem(&server, target), 400, "{target}");
    }
    for target in ["/", "/api/v1", "/api/v1/", "/api/v1/users/a/b", "/push/", "/socket.io/"] {
        assert_eq!(problem(&server, target), 404, "{target}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = server.admin().request(method, "/api/v1/counts", &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let mut head = server.admin();
    head.send_request("HEAD", "/api/v1/counts", &[], b"");
    assert_eq!(head.read_head().unwrap().status, 200);
    let foreign = server.admin().request("GET", "/api/v1/counts", &[("X", "1")], b"");
    assert_eq!(foreign.status, 200);
    let mut rebound = server.admin();
    rebound.send("GET /api/v1/users HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(rebound.read().unwrap().status, 421);
}

#[test]
fn a_token_protects_all_but_health() {
    let server = TestServer::with(|config| config.admin.token = Some(Secret::from("right")));
    let ask = |target: &str, authorization: &str| {
        let headers = [("Authorization", authorization)];
        let headers = if authorization.is_empty() { &[][..] } else { &headers };
        server.admin().request("GET", target, headers, b"")
    };
    for target in ["/metrics", "/api/v1/counts", "/api/v1/users", "/nothing"] {
        for wrong in ["", "Basic right", "Bearer", "right"] {
            let answer = ask(target, wrong);
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{wrong}");
        }
        assert_ne!(ask(target, "bearer right").status, 401);
    }
    for target in ["/health", "/ready"] {
        assert_eq!(ask(target, "").status, 200);
    }
    let statuses: Vec<_> = (0..12).map(|_| ask("/metrics", "Bearer wrong").status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(ask("/metrics", "Bearer right").status, 429, "a guesser learns nothing");
    assert_eq!(ask("/health", "Bearer wrong").status, 200);
}

#[test]
fn health_is_on_the_public_port_too_and_the_rest_is_not() {
    let server = TestServer::new();
    assert_eq!(server.http().get("/health").text(), "ok\n");
    for target in ["/metrics", "/ready", "/api/v1/counts", "/health/"] {
        assert_eq!(server.http().get(target).status, 404, "{target}");
    }
}

#[test]
fn a_taken_default_port_is_given_up_and_a_chosen_one_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let bind = |listen| {
        let mut config = config();
        config.admin.listen = listen;
        Server::bind(config)
    };
    assert_eq!(bind(AdminListen::IfFree(address)).unwrap().admin_address(), None);
    assert_eq!(bind(AdminListen::Off).unwrap().admin_address(), None);
    let error = bind(AdminListen::At(address)).unwrap_err();
    assert!(matches!(error, ServerError::Listen { address: refused, .. } if refused == address), "{error}");
    let server = bind(AdminListen::At(([127, 0, 0, 1], 0).into())).unwrap();
    let mut admin = Http::connect(server.admin_address().unwrap());
    assert_eq!(admin.get("/ready").status, 200, "served as soon as it is bound");
}
