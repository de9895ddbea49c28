//! The log at level debug: the life of each connection, each push; and the table of all lines in `docs/logging.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{Child, Kind, WebSocket, eventually};

const DOCS: &str = include_str!("../../../../docs/logging.md");

/// The lines of the log with this message.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

#[track_caller]
fn assert_fields(line: &Value, expected: &Value) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key} of {line}");
    }
}

const VARIABLES: [(&str, &str); 3] =
    [("TURTED_LOGLEVEL", "debug"), ("TURTED_LOG_FORMAT", "json"), ("TURTED_AUTH_PASSWORD", "right")];

#[test]
fn each_step_in_the_life_of_a_connection_is_one_line_with_one_id() {
    let child = Child::start(&VARIABLES);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"adam","password":"wrong"}"#);
    client.ask("IDENT", r#"{"username":"adam","password":"right"}"#);
    client.ask("JOIN", r#"{"channel":"chat"}"#);
    client.ask("LEAVE", r#"{"channel":"chat"}"#);
    let connected: Value = serde_json::from_str(&client.connected[2..]).unwrap();
    let answer = child.admin().get("/api/v1/users/adam").json();
    let id = answer["connection_ids"][0].clone();
    client.leave();
    let log = child.stop();
    let steps = [
        (
            "connection opened",
            json!({"public_id": connected["sid"], "address": "127.0.0.1",
            "transport": "socketio", "version": "4", "carrier": "websocket"}),
        ),
        ("IDENT refused", json!({"user": "adam", "address": "127.0.0.1"})),
        ("identified", json!({"user": "adam", "method": "password"})),
        ("JOIN", json!({"channel": "chat"})),
        ("LEAVE", json!({"channel": "chat"})),
        ("connection closed", json!({"public_id": connected["sid"], "reason": "closed by the client"})),
    ];
    for (message, expected) in steps {
        let found = lines(&log, message);
        assert_eq!(found.len(), 1, "{message} in {log}");
        assert_fields(&found[0], &expected);
        assert_eq!((&found[0]["connection"], &found[0]["level"]), (&id, &json!("DEBUG")), "{message}");
    }
    let closed = &lines(&log, "connection closed")[0];
    assert!(closed["sent_bytes"].as_u64().unwrap() > 50, "{closed}");
    assert!(closed["seconds"].is_u64(), "{closed}");
}

#[test]
fn every_transport_opens_and_closes_with_its_agent_cut() {
    let child = Child::start(&[VARIABLES[0], VARIABLES[1]]);
    let agent = "a".repeat(129);
    let header = ("User-Agent", agent.as_str());
    let mut ends = Vec::new();
    for target in ["/ws", "/socket.io/?EIO=4&transport=websocket", "/turted/000/s/websocket"] {
        ends.push(WebSocket::connect(child.address(), target, &[header]).unwrap());
    }
    let mut stream = child.http();
    stream.send_request("GET", "/sse?channel=c", &[header], b"");
    stream.read_head().unwrap();
    let mut http = child.http();
    http.request("GET", "/socket.io/?EIO=4&transport=polling", &[header], b"");
    http.request("POST", "/turted/000/t/xhr", &[header], b"");
    drop((ends, stream, http));
    let log = child.stop();
    let opened = lines(&log, "connection opened");
    let transports: BTreeSet<_> = opened.iter().map(|line| line["transport"].as_str().unwrap()).collect();
    assert_eq!((opened.len(), transports.len()), (6, 4), "{log}");
    for line in &opened {
        assert_eq!(line["agent"], "a".repeat(128), "{line}");
        let same = |closed: &&Value| closed["connection"] == line["connection"];
        let closed = lines(&log, "connection closed");
        assert_eq!(closed.iter().filter(same).count(), 1, "{line}");
    }
    assert_eq!(lines(&log, "JOIN").len(), 1, "the event stream");
}

#[test]
fn a_push_is_one_line_whatever_its_answer_looks_like() {
    let child = Child::start(&[VARIABLES[0], VARIABLES[1]]);
    let mut client = child.client(Kind::V4_WEBSOCKET);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    let users: Vec<_> = (0..5).map(|number| format!("u{number}")).collect();
    let push = json!({"event": "E", "targets": {"users": users, "channels": ["c"]}, "payload": "hidden"});
    for headers in [&[][..], &[("Accept", "application/json")], &[("Idempotency-Key", "k")]] {
        assert_eq!(child.http().post("/push/", headers, push.to_string()).status, 200);
        client.event();
    }
    let refused = json!({"event": "E", "targets": {"users": ["u", ""]}});
    child.http().post("/push/", &[], refused.to_string());
    client.leave();
    let log = child.stop();
    let pushes = lines(&log, "push");
    assert_eq!(pushes.len(), 3, "{log}");
    for line in &pushes {
        assert_fields(
            line,
            &json!({"source": "rest", "address": "127.0.0.1", "event": "E", "users": 5,
            "channels": 1, "broadcast": false, "targets": r#""u0","u1","u2","c""#, "bytes": 8, "reached": 1}),
        );
    }
    let refused = lines(&log, "push refused");
    assert_eq!(refused.len(), 1, "{log}");
    assert_fields(
        &refused[0],
        &json!({"rule": "name-empty", "field": "/targets/users/1", "address": "127.0.0.1"}),
    );
    assert!(!log.contains("hidden"), "{log}");
}

#[test]
fn guesses_are_a_warning_that_floods_nothing() {
    let child = Child::start(&[
        ("TURTED_LOG_FORMAT", "json"),
        ("TURTED_PUSH_PASSWORD", "right"),
        ("TURTED_AUTH_METHOD", "jwt"),
        ("TURTED_AUTH_ALGORITHM", "HS256"),
        ("TURTED_AUTH_KEY", "a key that is thirty-two bytes at least"),
    ]);
    for _ in 0..20 {
        child.http().post("/push/", &[("Authorization", "Bearer wrong")], r#"{"event":"e"}"#);
    }
    let mut client = child.client(Kind::V4_WEBSOCKET);
    for _ in 0..20 {
        client.ask("IDENT", r#"{"token":"a.b.c"}"#);
    }
    client.leave();
    let log = child.stop();
    for message in [
        "wrong push password",
        "too many wrong passwords, no more from there are checked for a while",
        "JSON Web Token refused",
        "too many wrong IDENTs, no more from there are verified for a while",
    ] {
        let found = lines(&log, message);
        assert_eq!(found.len(), 1, "{message} in {log}");
        assert_fields(&found[0], &json!({"level": "WARN", "address": "127.0.0.1", "untold": 0}));
    }
}

#[test]
fn what_strangers_choose_cannot_look_like_another_line() {
    let child = Child::start(&[("TURTED_LOGLEVEL", "debug")]);
    let agent = "curl\" message=\"push refused\" \u{1b}[31m";
    let mut socket = child.http();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\nUser-Agent: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        agent.replace('\u{1b}', "\t")
    );
    socket.send(request);
    assert_eq!(socket.read_head().unwrap().status, 101);
    eventually("it is there", || child.admin().get("/api/v1/counts").json()["connections"]["websocket"] == 1);
    drop(socket);
    let log = child.stop();
    assert!(log.contains(r#"agent="curl\" message=\"push refused\" \t[31m""#), "{log}");
}

#[test]
fn connections_are_listed_page_by_page_with_their_addresses() {
    let child = Child::start(&[]);
    let clients: Vec<_> = (0..7).map(|_| child.client(Kind::V4_WEBSOCKET)).collect();
    let (mut admin, mut ids, mut after) = (child.admin(), Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/api/v1/connections?limit=3{after}")).json();
        let listed = page["connections"].as_array().unwrap();
        assert!(listed.len() <= 3);
        assert!(
            listed.iter().all(|entry| entry["address"] == "127.0.0.1" && entry["carrier"] == "websocket")
        );
        ids.extend(listed.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        if page["more"] == false {
            break;
        }
        after = format!("&after={}", ids.last().unwrap());
    }
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (7, 7), "{ids:?}");
    let one = admin.get(&format!("/api/v1/connections/{}", ids[0])).json();
    assert_eq!((&one["id"], &one["address"]), (&json!(ids[0]), &json!("127.0.0.1")));
    assert_eq!(admin.get("/api/v1/connections?after=x").status, 400);
    drop(clients);
}

const MACROS: [(&str, &str); 6] = [
    ("error", "error!("),
    ("warn", "warn!("),
    ("info", "info!("),
    ("debug", "debug!("),
    ("trace", "trace!("),
    ("seldom", "warn_seldom!("),
];

/// The last string literal before the parenthesis that `code` is in ends.
fn message(code: &str) -> Option<String> {
    let (mut depth, mut rest, mut last) = (1, code, None);
    while depth > 0 {
        let at = rest.find(['(', ')', '"'])?;
        let (found, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = behind;
        match found {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {
                let end = rest.find('"')?;
                // A line that is broken goes on behind its indentation.
                let parts: Vec<_> = rest[..end].split("\\\n").map(str::trim_start).collect();
                last = Some(parts.concat());
                rest = &rest[end + 1..];
            }
        }
    }
    last
}

/// What the code of a file logs: levels and messages.
fn logged(code: &str, found: &mut BTreeSet<(String, String)>) {
    let code = code.split("#[cfg(test)]").next().unwrap();
    for (level, name) in MACROS {
        for (at, _) in code.match_indices(name) {
            let is_other_word =
                code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
            // The macro that is defined of these has no message of its own.
            if let Some(message) = message(&code[at + name.len()..]).filter(|_| !is_other_word) {
                found.insert((level.to_owned(), message));
            }
        }
    }
}

fn read_all(directory: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            read_all(&entry.path(), found);
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "seldom.rs" {
            logged(&fs::read_to_string(entry.path()).unwrap(), found);
        }
    }
}

#[test]
fn the_table_of_the_log_has_every_line_and_no_other() {
    let mut there = BTreeSet::new();
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut there);
    let rows = DOCS.lines().filter_map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (level, line) = (cells.next()?, cells.next()?);
        let line = line.strip_prefix('`')?.strip_suffix('`')?;
        Some((level.to_owned(), line.to_owned()))
    });
    let documented: BTreeSet<_> = rows.collect();
    assert!(there.len() > 40);
    let missing: Vec<_> = there.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/logging.md does not have {missing:?}");
    let gone: Vec<_> = documented.difference(&there).collect();
    assert!(gone.is_empty(), "nothing logs {gone:?}");
}
