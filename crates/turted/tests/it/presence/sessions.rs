//! Sessions that outlive a connection, and a server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};
use turted::authenticator::{IdentRequest, UnixTime, Verified};
use turted::config::{DiskLog, LogStart, LogStore, LogSync};
use turted::server::Server;

use super::watcher::CHANNEL;
use super::{HOUR, Watcher, Way, server};
use crate::sockjs::client::Way as SockJsWay;
use crate::support::resuming::Resuming;
use crate::support::{Child, Client, Kind, TestServer, WebSocket, config, eventually};
use crate::v1;

/// A client of turted.v1 that is this user and wants to hear who is in the channel.
fn member(mut client: v1::Client, user: &str) -> v1::Client {
    client.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}));
    let joined = client.ask(&json!({"id": 1, "do": "join", "channel": CHANNEL, "presence": true}));
    assert_eq!(joined, json!({"reply": 1, "ok": true, "channel": CHANNEL}));
    client
}

fn resume_of(client: &v1::Client) -> Value {
    let [session, cursor] = ["session", "cursor"].map(|member| client.welcome[member].clone());
    json!({"id": 9, "do": "resume", "session": session, "cursor": cursor})
}

fn users(told: &Value) -> &Value {
    &told["presence"]["users"]
}

#[test]
fn a_resume_is_not_told_and_the_client_hears_all_of_it_behind_what_it_missed() {
    let server = server(HOUR);
    let mut observer = Watcher::v1(&server, "observer");
    let client = member(v1::Client::new(&server), "adam");
    observer.until(&["adam", "observer"], 0);
    let resume = resume_of(&client);
    drop(client);
    server.dispatcher().notify_user("adam", "missed", &1).unwrap();
    let mut other = Watcher::v1(&server, "eve");
    observer.until(&["adam", "eve", "observer"], 0);
    let mut back = v1::Client::new(&server);
    assert_eq!(back.ask(&resume)["replayed"], 1);
    assert_eq!(back.receive()["event"], "missed");
    assert_eq!(users(&back.receive()), &json!(["adam", "eve", "observer"]));
    other.leave(CHANNEL);
    let told = json!({"channel": CHANNEL, "joined": [], "left": ["eve"], "count": 2, "anonymous": 0});
    assert_eq!(observer.hear(), told, "the resume is not told");
    assert_eq!(back.receive(), json!({"presence": told}));
}

#[test]
fn a_client_of_socketio_that_resumes_is_told_again_also_behind_a_gap() {
    for replay in [300, 1] {
        let server = crate::support::TestServer::with(|config| {
            super::allow(config);
            config.recovery.replay = replay;
        });
        let mut client = Resuming::new(&server);
        client.ask("IDENT", r#"{"username":"adam"}"#);
        client.ask("JOIN", r#"{"channel":"c","presence":true}"#);
        let told = r#"42["PRESENCE",{"channel":"c","users":["adam"],"count":1,"anonymous":0}]"#;
        assert_eq!(client.client.receive().as_deref(), Some(told));
        for _ in 0..2 {
            server.dispatcher().notify_user("adam", "e", &1).unwrap();
        }
        let opened = Client::open(server.address(), Kind::V4_WEBSOCKET);
        let (mut back, recovered) = client.resume_over(opened);
        assert_eq!(recovered, replay > 1);
        let missed = if recovered { 2 } else { 0 };
        (0..missed).for_each(|_| drop(back.event()));
        assert_eq!(back.client.receive().as_deref(), Some(told), "{replay}");
    }
}

#[test]
fn who_has_left_is_told_nothing_behind_a_resume() {
    let server = server(HOUR);
    let mut client = member(v1::Client::new(&server), "adam");
    assert_eq!(users(&client.receive()), &json!(["adam"]));
    client.ask(&json!({"id": 1, "do": "leave", "channel": CHANNEL}));
    let resume = resume_of(&client);
    drop(client);
    let mut back = v1::Client::new(&server);
    assert_eq!(back.ask(&resume)["ok"], true);
    back.join(CHANNEL);
    let mut other = Watcher::v1(&server, "eve");
    other.until(&["adam", "eve"], 0);
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(back.receive()["event"], "last", "it joined without presence");
}

/// A program with a log on disk, and presence in channels that begin with `c`.
struct Program {
    directory: PathBuf,
}

impl Program {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("turted-it-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let rules = "[[channels]]\nprefix = \"c\"\njoin = \"open\"\npresence = true\n";
        std::fs::write(directory.join("turted.toml"), rules).unwrap();
        Self { directory }
    }

    fn start(&self) -> Child {
        let config = self.directory.join("turted.toml");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --config {}", config.display())]);
        let log = self.directory.join("log");
        Child::start_by(shell, &[("TURTED_LOG_DIRECTORY", log.to_str().unwrap())])
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn open(server: &Child) -> v1::Client {
    v1::Client::over(WebSocket::connect(server.address(), "/ws", &[]).unwrap())
}

#[test]
fn a_client_is_told_again_by_the_next_server_and_a_deploy_is_not_told() {
    let program = Program::new("presence");
    for signal in [Signal::KILL, Signal::TERM] {
        let server = program.start();
        let mut first = member(open(&server), "adam");
        while users(&first.receive()) != &json!(["adam"]) {}
        let second = member(open(&server), "eve");
        let told = json!({"channel": CHANNEL, "joined": ["eve"], "left": [], "count": 2, "anonymous": 0});
        assert_eq!(first.receive(), json!({"presence": told}));
        let resumes = [resume_of(&first), resume_of(&second)];
        if signal == Signal::KILL {
            server.kill();
        } else {
            server.signal(signal);
            assert_eq!(first.socket.close_code(), Some(1012), "nothing is told before");
            server.finish();
        }
        let server = program.start();
        let mut first = open(&server);
        assert_eq!(first.ask(&resumes[0])["ok"], true, "{signal:?}");
        assert_eq!(users(&first.receive()), &json!(["adam", "eve"]), "eve has not come back yet: {signal:?}");
        let mut second = open(&server);
        assert_eq!(second.ask(&resumes[1])["ok"], true, "{signal:?}");
        assert_eq!(users(&second.receive()), &json!(["adam", "eve"]));
        second.ask(&json!({"id": 1, "do": "leave", "channel": CHANNEL}));
        let told = json!({"channel": CHANNEL, "joined": [], "left": ["eve"], "count": 1, "anonymous": 0});
        assert_eq!(first.receive(), json!({"presence": told}), "{signal:?}");
        first.ask(&json!({"id": 1, "do": "leave", "channel": CHANNEL}));
        server.kill();
        let _ = std::fs::remove_dir_all(program.directory.join("log"));
    }
}

#[test]
fn a_user_is_listed_over_a_kill_and_over_a_deploy_whatever_its_transport() {
    let program = Program::new("transports");
    for way in [
        Way::SocketIo(Kind::V4_WEBSOCKET),
        Way::SocketIo(Kind::V4_POLLING),
        Way::SockJs(SockJsWay::WebSocket),
    ] {
        for signal in [Signal::KILL, Signal::TERM] {
            let server = program.start();
            let adam = Watcher::at(server.address(), way, (Some("adam"), CHANNEL));
            let mut eve = member(open(&server), "eve");
            let resume = resume_of(&eve);
            if signal == Signal::KILL {
                server.kill();
            } else {
                server.signal(signal);
                while eve.socket.text().is_some() {}
                drop(adam);
                server.finish();
            }
            let server = program.start();
            let mut eve = open(&server);
            assert_eq!(eve.ask(&resume)["ok"], true, "{way:?} {signal:?}");
            assert_eq!(users(&eve.receive()), &json!(["adam", "eve"]), "{way:?} {signal:?}");
            // The page is loaded anew, which is not told. Something that comes behind it is.
            let again = Watcher::at(server.address(), way, (Some("adam"), CHANNEL));
            let mark = member(open(&server), "mark");
            let told =
                json!({"channel": CHANNEL, "joined": ["mark"], "left": [], "count": 3, "anonymous": 0});
            assert_eq!(eve.receive(), json!({"presence": told}), "{way:?} {signal:?}");
            drop((again, mark));
            server.kill();
            let _ = std::fs::remove_dir_all(program.directory.join("log"));
        }
    }
}

/// A server with the log in this directory, where the user `adam` is verified until a time, and others for ever.
fn verifying(directory: &Path, adam: UnixTime) -> TestServer {
    let mut config = config();
    super::allow(&mut config);
    config.log = LogStore::Disk(DiskLog {
        directory: directory.to_owned(),
        sync: LogSync::Never,
        required: false,
        start: LogStart::Continue,
    });
    let server = Server::builder(config).authenticator(move |request: IdentRequest| async move {
        let name = request.user.map(|user| user.name).expect("a user");
        let expires = (name.as_str() == "adam").then_some(adam);
        Ok(Verified { expires, ..Verified::user(name) })
    });
    TestServer::run(server.bind().unwrap())
}

#[test]
fn who_has_expired_when_a_start_finds_the_session_is_not_listed() {
    let directory = tempfile::tempdir().unwrap();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let expires = now() + Duration::from_secs(3);
    let server = verifying(directory.path(), UnixTime(expires));
    let clients = ["adam", "eve"].map(|user| member(v1::Client::new(&server), user));
    let mut observer = Watcher::v1(&server, "observer");
    observer.until(&["adam", "eve", "observer"], 0);
    assert!(now() < expires, "all of them are stopped before");
    drop(server);
    drop(clients);
    eventually("it has expired", || now() > expires);
    let server = verifying(directory.path(), UnixTime(expires));
    let told = member(v1::Client::new(&server), "abel").receive();
    let mut listed = users(&told).as_array().unwrap().clone();
    // It may be missing in its first message.
    listed.retain(|user| user != "abel");
    assert_eq!(listed, ["eve", "observer"], "{told}");
}

#[test]
fn who_is_ended_by_an_operator_leaves_at_once_connected_or_away() {
    const BEARER: [(&str, &str); 1] = [("Authorization", "Bearer a token of 22 characters that writes")];
    let server = TestServer::with(|config| {
        super::allow(config);
        config.presence.grace = HOUR;
        config.admin.write_token = Some("a token of 22 characters that writes".into());
    });
    let mut observer = Watcher::v1(&server, "observer");
    let end = |come_back: bool| {
        let body = json!({"come_back": come_back}).to_string();
        let ended = server.admin().post("/api/v1/users/adam/disconnect", &BEARER, body);
        assert_eq!(ended.status, 200, "{}", ended.text());
        ended.json()
    };
    let mut connected = member(v1::Client::new(&server), "adam");
    observer.until(&["adam", "observer"], 0);
    assert_eq!(end(false), json!({"connections": 1, "sessions": 0}));
    observer.until(&["observer"], 0);
    assert_eq!(connected.socket.close_code(), Some(4000));
    let away = member(v1::Client::new(&server), "adam");
    observer.until(&["adam", "observer"], 0);
    assert_eq!(end(true), json!({"connections": 1, "sessions": 0}));
    let mut mark = Watcher::v1(&server, "mark");
    observer.until(&["adam", "mark", "observer"], 0);
    mark.leave(CHANNEL);
    observer.until(&["adam", "observer"], 0);
    assert_eq!(end(false), json!({"connections": 0, "sessions": 1}));
    observer.until(&["observer"], 0);
    drop(away);
}

#[test]
fn a_client_that_is_killed_is_there_for_its_grace() {
    let server = server(Duration::from_millis(300));
    let mut observer = Watcher::v1(&server, "observer");
    // Its socket is reset, as that of a process that was killed.
    let client = Watcher::v1(&server, "adam");
    observer.until(&["adam", "observer"], 0);
    client.end();
    observer.until(&["observer"], 0);
    assert_eq!(server.metric("turted_presence_lost"), 0);
}
