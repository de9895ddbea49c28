//! A client that loses its connection and comes back, as socket.io-client does.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Client, Event, Kind, TestServer};

pub(crate) const RECONNECT: &str = r#"42["reconnect","#;

/// A client as socket.io-client is one: it remembers the last string at the end of an event.
pub(crate) struct Resuming {
    pub(crate) client: Client,
    pub(crate) pid: String,
    pub(crate) offset: Option<String>,
}

impl Resuming {
    pub(crate) fn new(server: &TestServer) -> Self {
        Self::over(server.client(Kind::V4_WEBSOCKET))
    }

    pub(crate) fn over(client: Client) -> Self {
        let connected: Value = serde_json::from_str(&client.connected[2..]).unwrap();
        Self { client, pid: connected["pid"].as_str().expect("a pid").to_owned(), offset: None }
    }

    pub(crate) fn event(&mut self) -> Event {
        let event = self.client.event();
        self.offset = event.offset.clone();
        event
    }

    pub(crate) fn payloads_until(&mut self, last: &str) -> Vec<Value> {
        std::iter::repeat_with(|| self.event())
            .take_while(|event| event.name != last)
            .map(|event| event.payload)
            .collect()
    }

    pub(crate) fn ask(&mut self, event: &str, argument: &str) -> String {
        let reply = self.client.ask(event, argument);
        let parts: Vec<Value> = serde_json::from_str(&reply[2..]).unwrap();
        if let Some(offset) = parts.last().and_then(Value::as_str) {
            self.offset = Some(offset.to_owned());
        }
        reply
    }

    /// What it sends when it connects again.
    pub(crate) fn packet(&self) -> String {
        let offset = self.offset.as_ref().map(|offset| json!({"pid": self.pid, "offset": offset}));
        format!("40{}", offset.unwrap_or_else(|| json!({"pid": self.pid})))
    }

    /// Comes back over `client`, which has not connected yet.
    pub(crate) fn resume_over(self, mut client: Client) -> (Self, bool) {
        client.send(&self.packet());
        client.connected = client.receive().unwrap();
        let mut back = Self::over(client);
        let recovered = back.pid == self.pid;
        if recovered {
            assert_eq!(back.client.connected, self.client.connected, "the same session");
            back.offset.clone_from(&self.offset);
        } else {
            back.offset = Some(offset_of_reconnect(&back.client.receive().unwrap()));
        }
        (back, recovered)
    }

    /// Loses its connection and comes back.
    pub(crate) fn resume(self, server: &TestServer) -> Self {
        let client = Client::open(server.address(), Kind::V4_WEBSOCKET);
        let (back, recovered) = self.resume_over(client);
        assert!(recovered);
        back
    }
}

/// Dispatches some events to a channel.
pub(crate) fn say(server: &TestServer, channel: &str, events: usize) {
    for number in 0..events {
        server.dispatcher().notify_channel(channel, "e", &number).unwrap();
    }
}

/// The position that comes with the event `reconnect`.
pub(crate) fn offset_of_reconnect(packet: &str) -> String {
    let offset = packet.strip_prefix(RECONNECT).and_then(|rest| rest.strip_suffix(']'));
    serde_json::from_str(offset.expect("the event reconnect")).unwrap()
}

pub(crate) fn worker_of(sid: &str) -> u8 {
    URL_SAFE_NO_PAD.decode(sid).unwrap()[0]
}

/// A client that has not connected yet, on this worker.
pub(crate) fn open_on(server: &TestServer, worker: u8) -> Client {
    let clients = std::iter::repeat_with(|| Client::open(server.address(), Kind::V4_WEBSOCKET));
    clients.take(1_000).find(|client| worker_of(&client.sid) == worker).expect("a client on every worker")
}
