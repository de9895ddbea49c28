//! Redis as a source, with a real redis-server.

mod faults;
mod full;
mod pubsub;
mod stream;
mod tls;

use std::fs;
use std::process::Command;

use tempfile::TempDir;
use turted::config::{Config, ConfigFile, Sources};
use turted_core::wire::resp::Reply;

use crate::support::redis::{Redis, RedisServer};
use crate::support::{Child, Client, Kind, TestServer, eventually};

const UP: &str = r#"turted_source_up{source="redis"}"#;
const GAPS: &str = r#"turted_source_gaps_total{source="redis"}"#;

/// How many messages of the source ended like this.
fn outcome(name: &str) -> String {
    format!("turted_source_messages_total{{source=\"redis\",outcome=\"{name}\"}}")
}

/// A configuration with one source.
struct Setup {
    directory: TempDir,
    /// The lines of the source.
    lines: String,
}

impl Setup {
    /// A source of a stream on this server, that reads from its beginning.
    fn stream(redis: &RedisServer, lines: &str) -> Self {
        let lines = format!("stream = \"events\"\nfrom = \"start\"\n{lines}");
        Self::new("redis-stream", &redis.url(), &lines)
    }

    fn pubsub(redis: &RedisServer, lines: &str) -> Self {
        Self::new("redis-pubsub", &redis.url(), lines)
    }

    fn new(kind: &str, url: &str, lines: &str) -> Self {
        let lines = format!("type = {kind:?}\nurl = {url:?}\n{lines}\n");
        Self { directory: tempfile::tempdir().unwrap(), lines }
    }

    fn file(&self) -> ConfigFile {
        let path = self.directory.path().join("turted.toml");
        let listen = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nworkers = 2\n";
        fs::write(&path, format!("{listen}\n[[sources]]\nname = \"redis\"\n{}", self.lines)).unwrap();
        ConfigFile::Named(path)
    }

    fn config(&self) -> Config {
        Config::load(&Sources { file: self.file(), variables: Vec::new(), flags: Vec::new() }).unwrap()
    }

    /// A server that is connected.
    fn server(&self) -> TestServer {
        let server = TestServer::start(self.config());
        eventually("the source is up", || server.metric(UP) == 1);
        server
    }

    /// The program itself.
    fn child(&self) -> Child {
        let ConfigFile::Named(path) = self.file() else { unreachable!("it has a name") };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --config {}", path.display())]);
        Child::start_by(shell, &[])
    }

    /// What `turted check` says with these arguments, and how it ends.
    fn check(&self, arguments: &[&str]) -> (i32, String) {
        let ConfigFile::Named(path) = self.file() else { unreachable!("it has a name") };
        let output = Command::new(env!("CARGO_BIN_EXE_turted"))
            .args(["check", "--config", path.to_str().unwrap()])
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    }
}

/// A client that is told what is sent to the user `u` and the channel `c`.
fn listener(server: &TestServer) -> Client {
    let mut client = server.client(Kind::V4_WEBSOCKET);
    client.ask("IDENT", r#"{"username":"u"}"#);
    client.ask("JOIN", r#"{"channel":"c"}"#);
    client
}

/// The body of a push to the user `u`.
fn push(event: &str) -> String {
    format!(r#"{{"event":"{event}","targets":{{"users":["u"]}},"payload":1}}"#)
}

/// Adds an entry to the stream.
fn add(redis: &mut Redis, fields: &[&str]) {
    redis.ask(&[&["XADD", "events", "*"], fields].concat());
}

/// Entries that were delivered and not acknowledged.
fn pending(redis: &RedisServer) -> i64 {
    match redis.client().ask(&["XPENDING", "events", "turted"]) {
        Reply::Array(parts) => match parts[0] {
            Reply::Integer(count) => count,
            _ => panic!("{parts:?}"),
        },
        reply => panic!("{reply:?}"),
    }
}
