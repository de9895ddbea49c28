//! Ten thousand users in one channel who leave and return: bytes, messages and processor time stay in their bounds. The server
//! is the program itself, so that its time can be told from that of its clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turted_core::limits::{PRESENCE_BYTES_MAX, PRESENCE_DELIVERIES_MAX};

use super::watcher::CHANNEL;
use crate::model::variable;
use crate::support::{Child, Metrics, WebSocket, eventually, frame, raise_descriptors};
use crate::v1;

/// Users; `TURTED_TEST_CROWD` is another number.
const USERS: usize = 10_000;
/// Those with whom it is found out what a client costs without presence.
const FEWER: usize = 2_000;
/// What a client may cost with presence, in what it costs without: it connects, says who it is, joins and ends.
const COST_MAX: f64 = 4.0;

/// The program, where channels that begin with `c` have presence.
fn program(directory: &tempfile::TempDir) -> Child {
    let path = directory.path().join("turted.toml");
    let rules = "[[channels]]\nprefix = \"c\"\njoin = \"open\"\npresence = true\n";
    std::fs::write(&path, rules).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("exec \"$0\" \"$@\" --config {}", path.display())]);
    Child::start_by(shell, &[("TURTED_PRESENCE_GRACE", "200ms"), ("TURTED_WEBSOCKET_PING_INTERVAL", "1h")])
}

/// A user that has joined the channel: all that it asks is in one write, and it reads nothing behind the answers.
fn member(server: SocketAddr, channel: &str, number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut heard = String::new();
    read_until(&mut stream, &mut heard, r#""welcome""#);
    let ident = json!({"id": 1, "do": "ident", "data": {"username": format!("user-{number}")}});
    let mut join = json!({"id": "joined", "do": "join", "channel": channel});
    if channel == CHANNEL {
        join["presence"] = json!(true);
    }
    let asked = [ident, join].map(|message| frame(0x81, message.to_string().as_bytes())).concat();
    stream.write_all(&asked).unwrap();
    read_until(&mut stream, &mut heard, r#"{"reply":"joined","ok":true"#);
    stream
}

fn read_until(stream: &mut TcpStream, heard: &mut String, mark: &str) {
    let mut buffer = [0; 4096];
    while !heard.contains(mark) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the server ends the connection: {heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

/// Who has asked to be told, and hears how many users are there.
struct Observer {
    client: v1::Client,
    messages: usize,
}

impl Observer {
    fn new(server: &Child) -> Self {
        let mut client = v1::Client::over(WebSocket::connect(server.address(), "/ws", &[]).unwrap());
        client.ask(&json!({"id": 1, "do": "join", "channel": CHANNEL, "presence": true}));
        Self { client, messages: 0 }
    }

    /// Hears until so many users are in the channel.
    fn until(&mut self, users: usize) {
        loop {
            let told: Value = self.client.receive()["presence"].take();
            self.messages += 1;
            assert!(users == 0 || told["count"].as_u64() <= Some(users as u64), "{told}");
            if told["count"] == users {
                break;
            }
        }
    }
}

/// So many users join, and leave. Returns what one of them costs, in seconds of a processor.
fn come_and_go(server: &Child, channel: &str, users: usize, there: impl FnOnce()) -> f64 {
    let before = server.cpu();
    let members: Vec<_> = (0..users).map(|number| member(server.address(), channel, number)).collect();
    there();
    drop(members);
    eventually("all are gone", || server.metric("turted_sockets") <= 2);
    (server.cpu() - before).as_secs_f64() / users as f64
}

#[test]
fn ten_thousand_users_of_a_channel_who_leave_and_return_stay_in_the_bounds() {
    raise_descriptors();
    let users = variable("TURTED_TEST_CROWD").unwrap_or(USERS);
    let directory = tempfile::tempdir().unwrap();
    let server = program(&directory);
    let plain = come_and_go(&server, "plain", FEWER.min(users), || {});
    let mut observer = Observer::new(&server);
    let counted = || {
        let metrics = Metrics::read(&mut server.admin());
        ["turted_presence_deliveries_total", "turted_written_bytes_total"].map(|name| metrics.sum(name))
    };
    let ([deliveries, bytes], started) = (counted(), Instant::now());
    let mut each = Vec::new();
    for _ in 0..2 {
        each.push(come_and_go(&server, CHANNEL, users, || observer.until(users)));
        observer.until(0);
    }
    let seconds = started.elapsed().as_secs() as usize + 2;
    let [more_deliveries, more_bytes] = counted();
    let (deliveries, bytes) = (more_deliveries - deliveries, more_bytes - bytes);
    println!(
        "{users} users twice in {seconds} s: {deliveries} messages, {bytes} bytes, {} to the observer; a client \
         {:.0} and {:.0} us, {:.0} without presence",
        observer.messages,
        each[0] * 1e6,
        each[1] * 1e6,
        plain * 1e6
    );
    assert!(deliveries <= PRESENCE_DELIVERIES_MAX * seconds, "{deliveries} messages in {seconds} s");
    assert!(bytes <= PRESENCE_BYTES_MAX * seconds, "{bytes} bytes in {seconds} s");
    assert!(observer.messages <= seconds, "{} messages in {seconds} s", observer.messages);
    assert!(
        each.iter().all(|each| *each <= plain * COST_MAX),
        "{each:?} s for each, {plain} s without presence"
    );
    drop(observer);
    server.stop();
}
