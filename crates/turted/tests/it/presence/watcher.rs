//! A client of any transport that wants to hear who is in its channel, and adds up what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sockjs::client::{Client as SockJs, Way as SockJsWay};
use crate::support::{Client, EventSource, Kind, TestServer, WebSocket, eventually, pause};

/// The channel of most tests.
pub(super) const CHANNEL: &str = "c";

/// How a client connects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    V1,
    SocketIo(Kind),
    Sse,
    SockJs(SockJsWay),
}

impl Way {
    /// Each transport, and each carrier of it.
    pub(super) fn all() -> Vec<Self> {
        let socketio = Kind::ALL.into_iter().map(Self::SocketIo);
        let sockjs = SockJsWay::ALL.into_iter().map(Self::SockJs);
        [Self::V1, Self::Sse].into_iter().chain(socketio).chain(sockjs).collect()
    }
}

enum Link {
    V1(WebSocket),
    SocketIo(Box<Client>),
    Sse(Box<EventSource>),
    SockJs(Box<SockJs>),
}

/// What a client was told of one channel, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) users: BTreeSet<String>,
    pub(super) count: u64,
    pub(super) anonymous: u64,
}

impl Told {
    /// Adds a message: all users, or what has changed. Nothing may come or go twice.
    fn add(&mut self, told: &Value) {
        let names = |member: &str| {
            let list = told[member].as_array().into_iter().flatten();
            list.map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        if told["users"].is_array() {
            let users = names("users");
            self.users = users.iter().cloned().collect();
            assert!(users.is_sorted() && self.users.len() == users.len(), "{told}");
        }
        for user in names("joined") {
            assert!(self.users.insert(user), "joined twice: {told}");
        }
        for user in names("left") {
            assert!(self.users.remove(&user), "left twice: {told}");
        }
        self.count = told["count"].as_u64().unwrap();
        self.anonymous = told["anonymous"].as_u64().unwrap();
        let is_named = told["users"].is_array() || told["joined"].is_array();
        assert!(!is_named || self.users.len() as u64 == self.count, "{told}");
    }
}

pub(super) struct Watcher {
    link: Link,
    channel: String,
    /// By channel.
    pub(super) told: BTreeMap<String, Told>,
    /// How many messages it was told by.
    pub(super) messages: usize,
}

impl Watcher {
    /// A client that is this user, or none, and wants to hear who is in [`CHANNEL`].
    pub(super) fn new(server: &TestServer, way: Way, user: Option<&str>) -> Self {
        Self::of(server, way, (user, CHANNEL))
    }

    /// The same in another channel.
    pub(super) fn of(server: &TestServer, way: Way, (user, channel): (Option<&str>, &str)) -> Self {
        Self::at(server.address(), way, (user, channel))
    }

    /// The same with the server at this address.
    pub(super) fn at(server: SocketAddr, way: Way, (user, channel): (Option<&str>, &str)) -> Self {
        let link = match way {
            Way::V1 => Link::V1(WebSocket::connect(server, "/ws", &[]).unwrap()),
            Way::SocketIo(kind) => Link::SocketIo(Box::new(Client::connect(server, kind))),
            Way::SockJs(way) => Link::SockJs(Box::new(SockJs::connect_to(server, way))),
            Way::Sse => {
                let header = user.map(|user| format!("Basic {}", STANDARD.encode(format!("{user}:x"))));
                let headers: Vec<_> =
                    header.iter().map(|header| ("Authorization", header.as_str())).collect();
                let target = format!("/sse?channel={channel}&presence=1");
                Link::Sse(Box::new(EventSource::connect(server, &target, &headers).unwrap()))
            }
        };
        let mut watcher = Self { link, channel: channel.to_owned(), told: BTreeMap::new(), messages: 0 };
        match &mut watcher.link {
            Link::V1(socket) => assert!(socket.text().unwrap().starts_with(r#"{"welcome""#)),
            Link::SockJs(client) => {
                let welcome = client.ask(r#"{"type":"hello","protocol":"turted.v1"}"#);
                assert!(welcome.starts_with(r#"{"welcome""#), "{welcome}");
            }
            Link::SocketIo(_) | Link::Sse(_) => {}
        }
        if !matches!(watcher.link, Link::Sse(_)) {
            if let Some(user) = user {
                watcher.ident(user);
            }
            watcher.join(channel);
        }
        watcher
    }

    /// A client of turted.v1.
    pub(super) fn v1(server: &TestServer, user: &str) -> Self {
        Self::new(server, Way::V1, Some(user))
    }

    pub(super) fn ident(&mut self, user: &str) {
        self.command("IDENT", &json!({"username": user}));
    }

    /// Shows who it is in another way.
    #[allow(dead_code, reason = "tests of several servers do")]
    pub(super) fn prove(&mut self, data: &Value) {
        self.command("IDENT", data);
    }

    pub(super) fn join(&mut self, channel: &str) {
        self.command("JOIN", &json!({"channel": channel, "presence": true}));
    }

    pub(super) fn leave(&mut self, channel: &str) {
        self.command("LEAVE", &json!({"channel": channel}));
    }

    /// Asks once who is in a channel, as soon as it may.
    pub(super) fn ask(&mut self, channel: &str) {
        eventually("it may ask", || {
            pause(Duration::from_millis(50));
            self.try_command("PRESENCE", &json!({"channel": channel}))
        });
    }

    /// Sends a command, which must succeed.
    fn command(&mut self, command: &str, data: &Value) {
        assert!(self.try_command(command, data), "{command} {data}");
    }

    /// Sends a command. Returns whether it succeeds.
    fn try_command(&mut self, command: &str, data: &Value) -> bool {
        let request = match command {
            "IDENT" => json!({"id": 1, "do": "ident", "data": data}),
            _ => {
                let mut request = data.clone();
                request["id"] = json!(1);
                request["do"] = json!(command.to_ascii_lowercase());
                request
            }
        };
        match &mut self.link {
            Link::V1(socket) => socket.send_text(request.to_string()),
            Link::SockJs(client) => client.say(&request.to_string()),
            Link::SocketIo(client) => client.emit(command, &data.to_string()),
            Link::Sse(_) => panic!("a stream has no commands"),
        }
        loop {
            let text = self.receive();
            match self.presence_in(&text) {
                Some(told) => self.add(&told),
                None => return text.contains(r#""ok":true"#) || text.starts_with(r#"42["OK""#),
            }
        }
    }

    fn receive(&mut self) -> String {
        match &mut self.link {
            Link::V1(socket) => socket.text().expect("a message"),
            Link::SockJs(client) => client.hear(),
            Link::SocketIo(client) => client.receive().expect("a packet"),
            Link::Sse(stream) => {
                let event = stream.event();
                assert_eq!((event.name.as_str(), event.id.contains('-')), ("turted:presence", true));
                event.data
            }
        }
    }

    /// What a message tells of who is in a channel, if it does.
    fn presence_in(&self, text: &str) -> Option<Value> {
        let parsed: Value = match &self.link {
            Link::SocketIo(_) => {
                serde_json::from_str(text.strip_prefix(r#"42["PRESENCE","#)?.strip_suffix(']')?)
            }
            Link::Sse(_) => serde_json::from_str(text),
            Link::V1(_) | Link::SockJs(_) => {
                let mut message: Value = serde_json::from_str(text).unwrap();
                return message.get_mut("presence").map(Value::take);
            }
        }
        .unwrap();
        Some(parsed)
    }

    fn add(&mut self, told: &Value) {
        self.messages += 1;
        self.told.entry(told["channel"].as_str().unwrap().to_owned()).or_default().add(told);
    }

    /// The next message that tells who is in a channel.
    pub(super) fn hear(&mut self) -> Value {
        let text = self.receive();
        let told = self.presence_in(&text).unwrap_or_else(|| panic!("no presence: {text}"));
        self.add(&told);
        told
    }

    /// Hears until these users, and so many connections without one, are in the channel.
    pub(super) fn until(&mut self, users: &[&str], anonymous: u64) {
        let users: BTreeSet<String> = users.iter().map(|user| (*user).to_owned()).collect();
        let expected = Told { count: users.len() as u64, users, anonymous };
        while self.told.get(&self.channel) != Some(&expected) {
            self.hear();
        }
    }

    /// Ends so that the server notices: one that lives by requests says so.
    pub(super) fn end(mut self) {
        match &mut self.link {
            Link::SocketIo(client) => client.send("41"),
            Link::SockJs(client) if SockJsWay::BY_REQUESTS.contains(&client.way) => {
                let channel = self.channel.clone();
                self.leave(&channel);
            }
            Link::V1(_) | Link::Sse(_) | Link::SockJs(_) => {}
        }
    }
}
