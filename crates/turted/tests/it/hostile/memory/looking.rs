//! History, presence and the live view, filled by those who want to fill them: what a server takes stays below the sum that the
//! documentation has.

use std::process::Command;

use serde_json::{Value, json};
use turted::config::{Config, ConfigFile, Sources};

use super::{Child, Http, WebSocket, assert_alive, eventually, push, raise_descriptors, settle};

const MIB: usize = 1 << 20;
const CONNECTIONS: usize = 400;
const HISTORY: usize = 24 * MIB;
const BACKLOG: usize = 16 * MIB;
/// Users that come and go.
const CHURN: usize = 10_000;
/// Who asks for 20 MiB of history, again and again, and reads nothing.
const GREEDY: usize = 40;
const WATCHERS: usize = 8;
const EVENT_BYTES: usize = 500_000;
const RULES: &str = "[[channels]]\nprefix = \"c\"\njoin = \"open\"\nhistory = 40\npresence = true\n";
const LIMITS: [(&str, &str); 8] = [
    ("TURTED_LIMITS_CONNECTIONS", "400"),
    ("TURTED_LIMITS_OUTBOX_BYTES", "4MiB"),
    ("TURTED_LIMITS_BACKLOG_BYTES", "16MiB"),
    // A busy machine takes longer to fill them than those that do not read may stay.
    ("TURTED_LIMITS_OUTBOX_STALL", "10m"),
    ("TURTED_LIMITS_HISTORY_BYTES", "24MiB"),
    ("TURTED_LIMITS_BODIES_BYTES", "8MiB"),
    ("TURTED_RECOVERY_LOG_BYTES", "8MiB"),
    ("TURTED_RECOVERY_SESSION_BYTES", "2MiB"),
];

fn send(client: &mut WebSocket, message: &Value) {
    client.send_text(message.to_string());
}

fn open(child: &Child) -> WebSocket {
    let mut client = WebSocket::over(Http::connect_narrow(child.address()), "/ws", &[]).unwrap();
    client.text().expect("welcome");
    client
}

/// A client that wants all of the history, again and again, and reads nothing.
fn greedy(child: &Child) -> WebSocket {
    let mut client = open(child);
    for _ in 0..20 {
        send(&mut client, &json!({"id": 1, "do": "join", "channel": "c", "history": 40, "presence": true}));
        send(&mut client, &json!({"id": 2, "do": "leave", "channel": "c"}));
    }
    client
}

/// A watcher that reads nothing behind its head.
fn watcher(child: &Child) -> Http {
    let mut http = Http::connect_narrow(child.admin_address());
    http.send_request("GET", "/api/v1/events", &[], b"");
    assert_eq!(http.read_head().expect("an answer").status, 200);
    http
}

/// Users with long names that join channels with presence, and are lost.
fn churn(child: &Child, count: usize) {
    let mut clients: Vec<_> = (0..100).map(|_| open(child)).collect();
    for number in 0..count {
        let turn = number % clients.len();
        let client = &mut clients[turn];
        send(client, &json!({"id": 1, "do": "ident", "data": {"username": format!("{number:0>255}")}}));
        send(client, &json!({"id": 2, "do": "join", "channel": format!("c{turn}"), "presence": true}));
        if number % 3 == 0 {
            clients[turn] = open(child);
        }
    }
}

#[test]
fn history_presence_and_watchers_that_are_filled_take_less_than_the_sum() {
    raise_descriptors();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("turted.toml");
    std::fs::write(&path, RULES).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("exec \"$0\" \"$@\" --config {}", path.display())]);
    let child = Child::start_by(shell, &LIMITS);

    let watchers: Vec<_> = (0..WATCHERS).map(|_| watcher(&child)).collect();
    // In two channels, of which the busy one gives way: together they have as much as there may be.
    for number in 0..120 {
        let channel = if number % 4 == 0 { "c-quiet" } else { "c" };
        assert_eq!(push(&child, &json!({"channels": [channel]}), EVENT_BYTES), 200);
    }
    let full = |gauge: &str, limit: usize| child.metric(gauge) > limit * 9 / 10;
    assert!(full("turted_history_bytes", HISTORY), "{}", child.metric("turted_history_bytes"));
    assert!(child.metric("turted_history_bytes") <= HISTORY);
    let mut clients: Vec<_> = (0..GREEDY).map(|_| greedy(&child)).collect();
    eventually("histories wait", || child.metric("turted_backlog_bytes") > EVENT_BYTES / 2);
    churn(&child, CHURN);
    // They ask once more, while nobody has read.
    clients
        .iter_mut()
        .for_each(|client| send(client, &json!({"id": 3, "do": "join", "channel": "c", "history": 40})));
    settle(&child);
    let waiting = child.metric("turted_backlog_bytes");
    assert!(waiting <= BACKLOG, "{waiting} bytes wait");

    let variables = LIMITS.map(|(name, value)| (name.into(), value.into()));
    let sources = Sources { file: ConfigFile::Named(path), variables: variables.into(), flags: Vec::new() };
    let (taken, sum) = (child.most_memory(), Config::load(&sources).unwrap().memory_max(CONNECTIONS));
    println!("{} MiB taken of {}, {waiting} bytes wait", taken / MIB, sum / MIB);
    assert!(taken > HISTORY + 8 * MIB, "{taken} bytes: something is not filled");
    assert!(taken < sum, "{taken} bytes of {sum}");
    drop((watchers, clients));
    assert_alive(&child);
    child.stop();
}
