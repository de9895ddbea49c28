//! Sessions on disk: a client is who it was after its server was killed.

mod disk;
mod rewrite;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use turted::authenticator::{Algorithm, sign};
use turted::config::Secret;

use crate::support::resuming::Resuming;
use crate::support::{Child, Client, Kind, WebSocket};
use crate::v1;

/// A directory for one log.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("turted-it-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn start(&self) -> Child {
        Child::start(&[("TURTED_LOG_DIRECTORY", self.path())])
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let is_ours = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("session-");
        files.filter(is_ours).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn connect(server: &Child) -> Resuming {
    Resuming::over(server.client(Kind::V4_WEBSOCKET))
}

fn come_back(server: &Child, client: Resuming) -> Resuming {
    client.resume_over(Client::open(server.address(), Kind::V4_WEBSOCKET)).0
}

fn push(server: &Child, targets: &Value, payload: &str) {
    let body = json!({"event": "e", "targets": targets, "payload": payload}).to_string();
    assert_eq!(server.http().post("/push", &[], body).text(), "OK");
}

/// The payloads that reach a client of pushes to these users and channels.
fn hears(server: &Child, client: &mut Resuming, users: &[&str], channels: &[&str]) -> Vec<Value> {
    users.iter().for_each(|user| push(server, &json!({"users": [user]}), user));
    channels.iter().for_each(|channel| push(server, &json!({"channels": [channel]}), channel));
    let body = json!({"event": "last", "targets": {"broadcast": true}}).to_string();
    assert_eq!(server.http().post("/push", &[], body).text(), "OK");
    client.payloads_until("last")
}

fn ident(client: &mut Resuming, user: &str) {
    let answer = client.ask("IDENT", &json!({"username": user}).to_string());
    assert!(answer.starts_with(r#"42["OK""#), "{answer}");
}

fn ask(client: &mut Resuming, command: &str, channel: &str) {
    let answer = client.ask(command, &json!({"channel": channel}).to_string());
    assert!(answer.starts_with(r#"42["OK""#), "{answer}");
}

#[test]
fn a_client_is_who_it_was_whenever_its_server_is_killed_behind_an_answer() {
    let directory = Directory::new("answers");
    let mut server = directory.start();
    let mut client = connect(&server);
    ident(&mut client, "u");
    let mut channels = Vec::new();
    for round in 0..6 {
        let channel = format!("c{round}");
        ask(&mut client, "JOIN", &channel);
        server.kill();
        channels.push(channel);
        server = directory.start();
        client = come_back(&server, client);
        let names: Vec<&str> = channels.iter().map(String::as_str).collect();
        let heard = hears(&server, &mut client, &["u", "other"], &[&names[..], &["never"]].concat());
        assert_eq!(heard, [&["u"], &names[..]].concat(), "{round}");
    }
    server.stop();
}

#[test]
fn what_was_pushed_before_and_behind_a_kill_comes_once_and_in_order() {
    let directory = Directory::new("missed");
    let mut server = directory.start();
    let mut client = connect(&server);
    ask(&mut client, "JOIN", "c");
    let to_channel = json!({"channels": ["c"]});
    for round in 0..3 {
        push(&server, &to_channel, "heard");
        // A client that has heard nothing yet comes back as well.
        if round > 0 {
            assert_eq!(client.event().payload, "heard");
        }
        push(&server, &to_channel, "unread");
        server.kill();
        server = directory.start();
        push(&server, &to_channel, "missed");
        let unseen = if round > 0 { &["unread", "missed"][..] } else { &["heard", "unread", "missed"] };
        let opened = Client::open(server.address(), Kind::V4_WEBSOCKET);
        let (back, recovered) = client.resume_over(opened);
        assert!(recovered, "{round}");
        client = back;
        assert_eq!(hears(&server, &mut client, &[], &["c"]), [unseen, &["c"]].concat(), "{round}");
    }
    server.stop();
}

#[test]
fn what_a_client_gave_up_does_not_come_back_with_its_server() {
    let directory = Directory::new("left");
    let server = directory.start();
    let mut client = connect(&server);
    ident(&mut client, "before");
    ask(&mut client, "JOIN", "left");
    ask(&mut client, "JOIN", "kept");
    ident(&mut client, "now");
    ask(&mut client, "LEAVE", "left");
    server.kill();
    let server = directory.start();
    let mut client = come_back(&server, client);
    assert_eq!(hears(&server, &mut client, &["before", "now"], &["left", "kept"]), ["now", "kept"]);
    server.stop();
}

#[test]
fn a_client_that_joined_with_history_is_still_in_its_channel_after_a_kill() {
    let directory = Directory::new("history");
    let config = format!("{}.toml", directory.path());
    std::fs::write(&config, "[[channels]]\nprefix = \"c\"\njoin = \"open\"\nhistory = 5\n").unwrap();
    let start = || {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --config {config}")]);
        Child::start_by(shell, &[("TURTED_LOG_DIRECTORY", directory.path())])
    };
    let server = start();
    let mut client = connect(&server);
    push(&server, &json!({"channels": ["c1"]}), "early");
    for channel in ["c1", "c2"] {
        let answer = client.ask("JOIN", &json!({"channel": channel, "history": 1}).to_string());
        assert!(answer.contains(r#""OK""#), "{answer}");
    }
    assert_eq!(hears(&server, &mut client, &[], &["c1"]), ["early", "c1"]);
    server.kill();
    let server = start();
    push(&server, &json!({"channels": ["c2"]}), "missed");
    let mut client = come_back(&server, client);
    assert_eq!(hears(&server, &mut client, &[], &["c1", "c2"]), ["missed", "c1", "c2"]);
    server.stop();
    std::fs::remove_file(config).unwrap();
}

#[test]
fn a_token_that_expired_while_the_server_was_down_does_not_come_back() {
    let directory = Directory::new("expired");
    let secret = "a key that is thirty-two bytes at least";
    let variables = [
        ("TURTED_LOG_DIRECTORY", directory.path()),
        ("TURTED_AUTH_METHOD", "jwt"),
        ("TURTED_AUTH_ALGORITHM", "HS256"),
        ("TURTED_AUTH_KEY", secret),
        ("TURTED_AUTH_LEEWAY", "1ms"),
    ];
    let ends = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3;
    let token = |user: &str, exp: u64| {
        let claims = json!({"sub": user, "exp": exp});
        let token = sign(Algorithm::HS256, &Secret::from(secret), &claims).unwrap();
        json!({ "token": token }).to_string()
    };
    let server = Child::start(&variables);
    let mut clients = [("short", ends), ("long", ends + 3_600)].map(|(user, exp)| {
        let mut client = connect(&server);
        let answer = client.ask("IDENT", &token(user, exp));
        assert!(answer.starts_with(r#"42["OK""#), "{answer}");
        ask(&mut client, "JOIN", "open");
        client
    });
    server.kill();
    while SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() <= ends {
        std::thread::yield_now();
    }
    let server = Child::start(&variables);
    clients = clients.map(|client| come_back(&server, client));
    let [short, long] = &mut clients;
    assert_eq!(hears(&server, short, &["short", "long"], &["open"]), ["open"]);
    assert_eq!(long.payloads_until("last"), ["long", "open"]);
    server.stop();
}

#[test]
fn a_session_that_ended_has_ended_for_every_later_server() {
    let directory = Directory::new("ended");
    let server = directory.start();
    let mut client = connect(&server);
    ask(&mut client, "JOIN", "c");
    let packet = client.packet();
    client.client.send("41");
    client.client.socket().close_code();
    // A later change is on disk, so the end is.
    ask(&mut connect(&server), "JOIN", "another");
    server.kill();
    let server = directory.start();
    let late = Client::connect_with(server.address(), Kind::V4_WEBSOCKET, &packet);
    let mut late = Resuming::over(late);
    assert!(late.client.receive().unwrap().starts_with(r#"42["reconnect""#));
    assert!(hears(&server, &mut late, &[], &["c"]).is_empty());
    server.stop();
}

#[test]
fn two_kills_within_a_second_and_another_number_of_workers_cost_no_membership() {
    let directory = Directory::new("kills");
    let server = directory.start();
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let mut client = connect(&server);
            ident(&mut client, &format!("u{number}"));
            ask(&mut client, "JOIN", "c");
            client
        })
        .collect();
    server.kill();
    directory.start().kill();
    directory.start().kill();
    let mut shell = Command::new("/bin/sh");
    let script = r#"exec "$0" "$1" "$2" "$3" --workers 5"#;
    shell.args(["-c", script]);
    let server = Child::start_by(shell, &[("TURTED_LOG_DIRECTORY", directory.path())]);
    let mut clients: Vec<_> = clients.into_iter().map(|client| come_back(&server, client)).collect();
    let users: Vec<_> = (0..8).map(|number| format!("u{number}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let first = hears(&server, &mut clients[0], &users, &["c"]);
    let others = clients[1..].iter_mut().map(|client| client.payloads_until("last"));
    for (heard, user) in std::iter::once(first).chain(others).zip(users) {
        assert_eq!(heard, [user, "c"]);
    }
    server.stop();
}

#[test]
fn a_client_keeps_its_memberships_over_polling_and_in_turted_v1_its_session() {
    let directory = Directory::new("transports");
    let server = directory.start();
    let mut polling = Resuming::over(server.client(Kind::V4_POLLING));
    ask(&mut polling, "JOIN", "c");
    let all_v1 = [connect_v1(&server), connect_sockjs(&server)];
    server.kill();
    let server = directory.start();
    let mut polling = polling.resume_over(Client::open(server.address(), Kind::V4_POLLING)).0;
    assert_eq!(hears(&server, &mut polling, &[], &["c"]), ["c"]);
    for v1 in all_v1 {
        let (session, cursor) = (&v1.welcome["session"], &v1.welcome["cursor"]);
        let mut v1 = connect_v1(&server);
        let answer = v1.ask(&json!({"id": 1, "do": "resume", "session": session, "cursor": cursor}));
        assert_eq!(answer["ok"], true, "{answer}");
        assert_eq!(answer["session"], *session);
    }
    server.stop();
}

fn connect_v1(server: &Child) -> v1::Client {
    v1::Client::over(WebSocket::connect(server.address(), "/ws", &[]).unwrap())
}

/// A client of turted.v1 in SockJS.
fn connect_sockjs(server: &Child) -> v1::Client {
    let mut socket = WebSocket::connect(server.address(), "/turted/websocket", &[]).unwrap();
    socket.send_text(r#"{"type":"hello","protocol":"turted.v1"}"#);
    v1::Client::over(socket)
}

/// What stands in all files of sessions.
fn content(directory: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(directory).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}
