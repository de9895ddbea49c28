//! A client comes back to another node with its session, whatever has become of the node that had it.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turted_core::cluster::head::{MARK, VERSION};
use turted_core::wire::resp::Reply;

use crate::harness::{BACK, Cluster, KEPT, Node, Way, until};
use crate::support::redis::Redis;
use crate::support::resuming::Resuming;
use crate::support::{Client, EventSource, Kind, WebSocket, pause};

/// A client of turted.v1.
struct Page {
    socket: WebSocket,
    session: Value,
    cursor: Value,
}

impl Page {
    fn open(address: SocketAddr) -> Self {
        let mut socket = WebSocket::connect(address, "/ws", &[]).unwrap();
        let welcome = read(&mut socket).expect("a welcome");
        let (session, cursor) = (welcome["welcome"]["session"].clone(), welcome["welcome"]["cursor"].clone());
        Self { socket, session, cursor }
    }

    /// A client that is a user and in a channel.
    fn member(address: SocketAddr, user: &str) -> Self {
        let mut page = Self::open(address);
        assert_eq!(page.ask(&json!({"id": 1, "do": "ident", "data": {"username": user}}))["ok"], true);
        assert_eq!(page.ask(&json!({"id": 2, "do": "join", "channels": ["news"]}))["ok"], true);
        page
    }

    fn ask(&mut self, message: &Value) -> Value {
        self.try_ask(message).expect("a reply")
    }

    /// The reply; `None` if the connection ends before.
    fn try_ask(&mut self, message: &Value) -> Option<Value> {
        self.socket.send_text(message.to_string());
        loop {
            let answer = self.read()?;
            if answer["reply"] == message["id"] {
                return Some(answer);
            }
        }
    }

    fn read(&mut self) -> Option<Value> {
        let message = read(&mut self.socket)?;
        if message.get("cursor").is_some() {
            self.cursor = message["cursor"].clone();
        }
        Some(message)
    }

    /// The payload of the next event.
    fn event(&mut self) -> Value {
        loop {
            let message = self.read().expect("an event");
            if message.get("event").is_some() {
                return message["payload"].clone();
            }
        }
    }

    /// Comes back to this node. The connection of before stays as it is.
    fn back(&self, address: SocketAddr) -> (Self, Value) {
        let mut page = Self::open(address);
        let asked = json!({"id": 9, "do": "resume", "session": self.session, "cursor": self.cursor});
        let reply = page.ask(&asked);
        page.session = self.session.clone();
        (page, reply)
    }

    /// The same, and it is what it was.
    fn resumed(&self, address: SocketAddr) -> Self {
        let (page, reply) = self.back(address);
        assert_eq!(reply["ok"], true, "{reply}");
        page
    }
}

fn read(socket: &mut WebSocket) -> Option<Value> {
    Some(serde_json::from_str(&socket.text()?).expect("a server sends JSON"))
}

/// Tells the channel and the user something, by this node.
fn say(node: &Node, number: u64) {
    let to = json!({"event": "said", "payload": {"n": number}, "targets": {"channels": ["news"]}});
    assert_eq!(node.push(&to).expect("an answer").status, 200);
}

/// Takes what comes next, which has to be this.
fn hear(page: &mut Page, number: u64) {
    assert_eq!(page.event()["n"], number);
}

#[test]
fn a_client_comes_back_to_another_node_with_all_that_it_missed_and_the_first_lets_go() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let [first, second] = [0, 1].map(|place| &cluster.nodes[place]);
    let mut page = Page::member(first.address(), "ann");
    say(second, 1);
    hear(&mut page, 1);
    // Its former connection is not known to be dead.
    let began = Instant::now();
    let mut back = page.resumed(second.address());
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    assert_eq!(page.socket.close_code(), Some(4001));
    say(first, 2);
    hear(&mut back, 2);
    drop(back.socket.stream.shutdown(std::net::Shutdown::Both));
    say(second, 3);
    let mut again = back.resumed(first.address());
    hear(&mut again, 3);
    say(second, 4);
    hear(&mut again, 4);
}

#[test]
fn a_session_is_taken_from_a_node_that_was_killed_and_what_was_left_is_not_joined_again() {
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    let mut page = Page::member(cluster.nodes[0].address(), "ann");
    assert_eq!(page.ask(&json!({"id": 3, "do": "join", "channels": ["other"]}))["ok"], true);
    assert_eq!(page.ask(&json!({"id": 4, "do": "ident", "data": {"username": "bob"}}))["ok"], true);
    assert_eq!(page.ask(&json!({"id": 5, "do": "leave", "channel": "other"}))["ok"], true);
    cluster.nodes[0].kill();
    let other = &cluster.nodes[1];
    let to_other = json!({"event": "said", "payload": {"n": 1}, "targets": {"channels": ["other"]}});
    let to_ann = json!({"event": "said", "payload": {"n": 2}, "targets": {"users": ["ann"]}});
    let to_bob = json!({"event": "said", "payload": {"n": 3}, "targets": {"users": ["bob"]}});
    for push in [to_other, to_ann, to_bob] {
        assert_eq!(other.push(&push).expect("an answer").status, 200);
    }
    let mut back = page.resumed(other.address());
    hear(&mut back, 3);
    say(other, 4);
    hear(&mut back, 4);
}

#[test]
fn the_newer_has_a_session_whose_node_stood_still() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let mut page = Page::member(cluster.nodes[0].address(), "ann");
    cluster.nodes[0].freeze();
    let began = Instant::now();
    let mut back = page.resumed(cluster.nodes[1].address());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    cluster.nodes[0].thaw();
    // It hears that it is to let go, or finds out when it writes.
    let _ = page.try_ask(&json!({"id": 6, "do": "leave", "channel": "news"}));
    while page.socket.text().is_some() {}
    cluster.await_ready();
    say(&cluster.nodes[0], 1);
    hear(&mut back, 1);
}

#[test]
fn a_session_that_cannot_be_looked_up_is_not_unknown() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let page = Page::member(cluster.nodes[0].address(), "ann");
    let [first, second] = [0, 1].map(|place| &cluster.nodes[place]);
    second.proxy.stall(Way::ToNode);
    let mut waiting = Page::open(second.address());
    let asked = json!({"id": 9, "do": "resume", "session": page.session, "cursor": page.cursor});
    let began = Instant::now();
    let reply = waiting.try_ask(&asked);
    assert!(reply.is_none() && began.elapsed() < Duration::from_secs(13), "{reply:?} {:?}", began.elapsed());
    second.proxy.flow();
    second.await_ready(BACK);
    say(first, 1);
    let mut back = page.resumed(second.address());
    hear(&mut back, 1);
}

/// The record of the only session that there is.
struct Record {
    redis: Redis,
    key: String,
}

impl Record {
    fn of(cluster: &Cluster) -> Self {
        let mut redis = cluster.redis.client();
        let Reply::Array(keys) = redis.ask(&["KEYS", &cluster.key("session:*")]) else { panic!("no list") };
        let [Reply::Text(key)] = &keys[..] else { panic!("{keys:?}") };
        let key = String::from_utf8_lossy(key).into_owned();
        Self { redis, key }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let Reply::Text(bytes) = self.redis.ask(&["GET", &self.key]) else { panic!("no record") };
        bytes.to_vec()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.redis.ask(&[b"SET", self.key.as_bytes(), bytes, b"PX", b"60000"]);
    }
}

/// The place of the version in a record: behind the process that owns it, and the mark.
const VERSION_AT: usize = 8 + MARK.len();

/// A record as a node of the next version writes it.
fn of_next_version(record: &[u8]) -> Vec<u8> {
    let mut later = record.to_vec();
    assert_eq!(std::mem::replace(&mut later[VERSION_AT], VERSION + 1), VERSION);
    later
}

/// Asks for the session of a client, and is told to try again.
fn assert_tries_again(page: &Page, address: SocketAddr) {
    let mut waiting = Page::open(address);
    let asked = json!({"id": 9, "do": "resume", "session": page.session, "cursor": page.cursor});
    waiting.socket.send_text(asked.to_string());
    assert_eq!(waiting.socket.close_code(), Some(4102));
}

#[test]
fn a_session_that_a_later_version_has_written_stays_whose_it_is_and_its_client_tries_again() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let [first, second] = [0, 1].map(|place| &cluster.nodes[place]);
    let mut page = Page::member(first.address(), "ann");
    let mut record = Record::of(&cluster);
    let before = record.bytes();
    let later = of_next_version(&before);
    record.write(&later);
    assert_tries_again(&page, second.address());
    assert_eq!(record.bytes(), later);
    say(second, 1);
    hear(&mut page, 1);
    record.write(&before);
    let mut back = page.resumed(second.address());
    say(first, 2);
    hear(&mut back, 2);
}

#[test]
fn a_session_that_a_later_version_has_written_is_unknown_once_no_node_has_it() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let page = Page::member(cluster.nodes[0].address(), "ann");
    let mut record = Record::of(&cluster);
    let mut later = of_next_version(&record.bytes());
    // The process that owned it.
    later[..8].fill(7);
    record.write(&later);
    let asked = json!({"id": 9, "do": "resume", "session": page.session, "cursor": page.cursor});
    let reply = Page::open(cluster.nodes[1].address()).ask(&asked);
    assert_eq!(reply["error"]["code"], "session-unknown", "{reply}");
}

#[test]
fn a_session_that_a_later_version_writes_while_it_is_asked_for_is_not_unknown() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let [first, second] = [0, 1].map(|place| &cluster.nodes[place]);
    let page = Page::member(first.address(), "ann");
    let mut record = Record::of(&cluster);
    let before = record.bytes();
    // It is waited for until it lets go, which it does not.
    first.freeze();
    thread::scope(|threads| {
        threads.spawn(|| assert_tries_again(&page, second.address()));
        pause(Duration::from_secs(1));
        record.write(&of_next_version(&before));
    });
    let owned = record.bytes();
    assert_ne!(owned[..8], before[..8], "it was taken meanwhile");
    assert_eq!(owned[8..], of_next_version(&before)[8..], "and is what it was");
    record.write(&before);
    say(second, 1);
    hear(&mut page.resumed(second.address()), 1);
    first.thaw();
}

#[test]
fn what_a_client_joins_while_redis_is_away_is_recorded_later() {
    let mut cluster = Cluster::with(KEPT, 2, &[]);
    let mut page = Page::member(cluster.nodes[0].address(), "ann");
    cluster.nodes[0].proxy.cut();
    pause(Duration::from_millis(500));
    let began = Instant::now();
    assert_eq!(page.ask(&json!({"id": 3, "do": "join", "channels": ["late"]}))["ok"], true);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    cluster.nodes[0].proxy.mend();
    cluster.nodes[0].await_ready(BACK);
    pause(Duration::from_secs(1));
    cluster.nodes[0].kill();
    let late = json!({"event": "said", "payload": {"n": 1}, "targets": {"channels": ["late"]}});
    assert_eq!(cluster.nodes[1].push(&late).expect("an answer").status, 200);
    hear(&mut page.resumed(cluster.nodes[1].address()), 1);
}

#[test]
fn a_socket_io_client_comes_back_to_another_node_by_its_pid_and_offset() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let [first, second] = [0, 1].map(|place| &cluster.nodes[place]);
    let mut before = Resuming::over(first.child().client(Kind::V4_WEBSOCKET));
    before.ask("JOIN", r#"{"channel":"news"}"#);
    say(second, 1);
    assert_eq!(before.event().payload["n"], 1);
    say(first, 2);
    let (mut back, recovered) = before.resume_over(Client::open(second.address(), Kind::V4_WEBSOCKET));
    assert!(recovered);
    assert_eq!(back.event().payload["n"], 2);
    say(first, 3);
    assert_eq!(back.event().payload["n"], 3);
}

#[test]
fn an_event_stream_goes_on_at_another_node_behind_its_last_id() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let [first, second] = [0, 1].map(|place| &cluster.nodes[place]);
    let mut stream = EventSource::connect(first.address(), "/sse?channel=news", &[]).unwrap();
    stream.start();
    say(second, 1);
    let last = stream.event().id;
    drop(stream);
    say(first, 2);
    let mut back =
        EventSource::connect(second.address(), "/sse?channel=news", &[("Last-Event-ID", &last)]).unwrap();
    assert!(back.event().data.contains('2'));
}

#[test]
fn a_loss_is_told_to_clients_that_can_come_back_and_they_keep_what_they_are() {
    let cluster = Cluster::with(KEPT, 2, &[]);
    let [first, second] = [0, 1].map(|place| &cluster.nodes[place]);
    let client = first.child().client(Kind::V4_WEBSOCKET);
    let mut before = Resuming::over(client);
    before.ask("JOIN", r#"{"channel":"news"}"#);
    say(second, 1);
    assert_eq!(before.event().payload["n"], 1);
    cluster.tell(&["FLUSHALL"]);
    until(|| "its connection ends".to_owned(), Duration::from_secs(35), || before.client.receive().is_none());
    cluster.await_ready();
    let (mut back, recovered) = before.resume_over(Client::open(second.address(), Kind::V4_WEBSOCKET));
    assert!(!recovered, "a gap is told");
    say(first, 2);
    assert_eq!(back.event().payload["n"], 2, "it is in its channel");
}
