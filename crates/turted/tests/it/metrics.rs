//! What the server counts, and what it says of it on `/metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turted::config::Secret;

use super::sources::support::Logs;
use super::support::redis::RedisServer;
use super::support::{Client, Kind, PATIENCE, TestServer, eventually};

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
pub(crate) fn expect(server: &TestServer, expected: &[(&str, f64)]) {
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
    assert!(page["turted_writes_total"] >= 2.0, "{page:?}");
    assert!(page["turted_written_bytes_total"] > 100.0, "{page:?}");
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

#[test]
fn a_server_that_is_left_alone_forgets_what_is_too_old() {
    let server = TestServer::with(|config| {
        config.recovery.max_age = Duration::from_secs(1);
        config.limits.idempotency_age = Duration::from_secs(1);
    });
    drop(server.client(Kind::V4_WEBSOCKET));
    let push = r#"{"event":"E","targets":{"broadcast":true}}"#;
    server.http().post("/push/", &[("Idempotency-Key", "k"), ("Connection", "close")], push);
    let kept = |count| {
        let names = ["turted_lost_sessions", "turted_log_dispatches", "turted_idempotency_keys"];
        names.map(|name| (name, count))
    };
    expect(&server, &kept(1.0));
    expect(&server, &kept(0.0));
    expect(&server, &[("turted_log_bytes", 0.0)]);
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
    let (logs, redis) = (Logs::new(), RedisServer::start());
    let source = "[[sources]]\nname = \"redis\"\ntype = \"redis-stream\"\nstream = \"s\"";
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "the-secret-of-a-hook").unwrap();
    let hook = "[[hooks]]\nname = \"app\"\nurl = \"http://127.0.0.1:1/\"\nclients = [\"joined\"]";
    let hook = format!("{hook}\nsecret_file = {:?}", secret.path());
    let url = redis.url();
    let server = logs.server(&format!("{source}\nurl = {url:?}\n{hook}\n[cluster]\nurl = {url:?}"));
    server.push("{");
    let page = || server.admin().get("/metrics").text().to_owned();
    eventually("the broker has counted", || page().contains("\nturted_source_lag_messages{"));
    assert_eq!(shown(&page()), documented());
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
    assert!(page.text().contains("turted_users 1\n"), "{}", page.text());
    assert!(!page.text().contains("canary"), "{}", page.text());
}
