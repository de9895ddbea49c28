//! A Socket.IO client by hand: Engine.IO 3 and 4, over WebSocket, polling, or first one then the other.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use super::{Http, Response, WebSocket};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Polling,
    Upgraded,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) version: u8,
    pub(crate) transport: Transport,
}

impl Kind {
    pub(crate) const V3_WEBSOCKET: Self = Self { version: 3, transport: Transport::WebSocket };
    pub(crate) const V4_WEBSOCKET: Self = Self { version: 4, transport: Transport::WebSocket };
    pub(crate) const V3_POLLING: Self = Self { version: 3, transport: Transport::Polling };
    pub(crate) const V4_POLLING: Self = Self { version: 4, transport: Transport::Polling };
    pub(crate) const V3_UPGRADED: Self = Self { version: 3, transport: Transport::Upgraded };
    pub(crate) const V4_UPGRADED: Self = Self { version: 4, transport: Transport::Upgraded };
    pub(crate) const PLAIN: [Self; 4] =
        [Self::V3_WEBSOCKET, Self::V4_WEBSOCKET, Self::V3_POLLING, Self::V4_POLLING];
    pub(crate) const ALL: [Self; 6] = [
        Self::V3_WEBSOCKET,
        Self::V4_WEBSOCKET,
        Self::V3_POLLING,
        Self::V4_POLLING,
        Self::V3_UPGRADED,
        Self::V4_UPGRADED,
    ];

    /// The target of a request.
    pub(crate) fn target(self, transport: &str, sid: &str) -> String {
        let sid = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
        format!("/socket.io/?EIO={}&transport={transport}{sid}", self.version)
    }
}

/// A dispatch as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) payload: Value,
    pub(crate) via: Value,
    pub(crate) offset: Option<String>,
}

impl Event {
    fn parse(packet: &str) -> Self {
        let mut parts: Vec<Value> = serde_json::from_str(&packet[2..]).unwrap();
        assert!(parts.len() <= 3, "{packet}");
        let offset = parts.get(2).map(|offset| offset.as_str().unwrap().to_owned());
        let [name, payload, via] = ["event", "payload", "via"].map(|key| parts[1][key].take());
        Self { name: name.as_str().unwrap().to_owned(), payload, via, offset }
    }
}

#[derive(Debug)]
enum Link {
    WebSocket(WebSocket),
    /// Requests for packets, and those that carry them.
    Polling(Box<[Http; 2]>),
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) kind: Kind,
    /// The id of the Engine.IO session.
    pub(crate) sid: String,
    /// What the server said to the connect packet: `40...`.
    pub(crate) connected: String,
    link: Link,
    waiting: VecDeque<String>,
    events: VecDeque<Event>,
    ended: bool,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr, kind: Kind) -> Self {
        Self::connect_with(address, kind, "40")
    }

    /// Connects, with a connect packet of one's own if the version sends one.
    pub(crate) fn connect_with(address: SocketAddr, kind: Kind, packet: &str) -> Self {
        Self::connect_in_turn(&[address], kind, packet)
    }

    /// The same where servers take turns: each request goes to the next one.
    pub(crate) fn connect_in_turn(servers: &[SocketAddr], kind: Kind, packet: &str) -> Self {
        let mut client = Self::open_in_turn(servers, kind);
        if kind.version == 4 {
            client.send(packet);
        }
        client.connected = client.receive().expect("the answer to the connect packet");
        assert!(client.connected.starts_with("40"), "{}", client.connected);
        if kind.transport == Transport::Upgraded {
            client.upgrade(*servers.last().expect("a server"));
        }
        client
    }

    /// An Engine.IO session without Socket.IO on it.
    pub(crate) fn open(address: SocketAddr, kind: Kind) -> Self {
        Self::open_in_turn(&[address], kind)
    }

    fn open_in_turn(servers: &[SocketAddr], kind: Kind) -> Self {
        let link = if kind.transport == Transport::WebSocket {
            Link::WebSocket(WebSocket::connect(servers[0], &kind.target("websocket", ""), &[]).unwrap())
        } else {
            Link::Polling(Box::new([Http::connect_in_turn(servers), Http::connect_in_turn(servers)]))
        };
        let (waiting, events) = Default::default();
        let (sid, connected) = Default::default();
        let mut client = Self { kind, sid, connected, link, waiting, events, ended: false };
        let packet = client.receive().expect("a handshake");
        let handshake: Value = serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
        client.sid = handshake["sid"].as_str().unwrap().to_owned();
        client
    }

    /// Moves from polling to a WebSocket.
    pub(crate) fn upgrade(&mut self, address: SocketAddr) {
        let target = self.kind.target("websocket", &self.sid);
        let mut socket = WebSocket::connect(address, &target, &[]).unwrap();
        socket.send_text("2probe");
        assert_eq!(socket.text().as_deref(), Some("3probe"));
        socket.send_text("5");
        self.link = Link::WebSocket(socket);
    }

    pub(crate) fn emit(&mut self, event: &str, argument: &str) {
        self.send(&format!(r#"42["{event}",{argument}]"#));
    }

    /// Sends a command and waits for its answer. Events that come before it are kept.
    pub(crate) fn ask(&mut self, event: &str, argument: &str) -> String {
        self.emit(event, argument);
        self.reply().expect("a reply")
    }

    /// The next packet that is no event; `None` if the session ended.
    pub(crate) fn reply(&mut self) -> Option<String> {
        loop {
            let packet = self.receive()?;
            if !packet.starts_with(r#"42["EVENT","#) {
                return Some(packet);
            }
            self.events.push_back(Event::parse(&packet));
        }
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Event {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        let packet = self.receive().expect("an event");
        assert!(packet.starts_with(r#"42["EVENT","#), "no event: {packet}");
        Event::parse(&packet)
    }

    /// All events up to the one named `last`, which is not among them.
    pub(crate) fn events_until(&mut self, last: &str) -> Vec<Event> {
        std::iter::repeat_with(|| self.event()).take_while(|event| event.name != last).collect()
    }

    /// Sends one Engine.IO packet.
    pub(crate) fn send(&mut self, packet: &str) {
        match &mut self.link {
            Link::WebSocket(socket) => socket.send_text(packet),
            Link::Polling(_) => {
                let response = self.post(payload(self.kind.version, &[packet]));
                assert_eq!(response.text(), "ok", "{}", response.head);
            }
        }
    }

    /// Sends the body of a polling request.
    pub(crate) fn post(&mut self, body: impl AsRef<[u8]>) -> Response {
        let target = self.kind.target("polling", &self.sid);
        let Link::Polling(https) = &mut self.link else { panic!("not polling") };
        https[1].refresh();
        https[1].post(&target, &[("Content-Type", "text/plain;charset=UTF-8")], body)
    }

    /// Asks for packets and does not wait for the answer.
    pub(crate) fn send_poll(&mut self) -> &mut Http {
        let target = self.kind.target("polling", &self.sid);
        let Link::Polling(https) = &mut self.link else { panic!("not polling") };
        https[0].send_request("GET", &target, &[], b"");
        &mut https[0]
    }

    pub(crate) fn socket(&mut self) -> &mut WebSocket {
        let Link::WebSocket(socket) = &mut self.link else { panic!("not a websocket") };
        socket
    }

    /// The next packet but for heartbeats, which are answered; `None` if the session ended.
    pub(crate) fn receive(&mut self) -> Option<String> {
        while !self.ended {
            let packet = match self.waiting.pop_front() {
                Some(packet) => packet,
                None => self.receive_some()?,
            };
            match (packet.as_str(), self.kind.version) {
                ("1", _) => self.ended = true,
                ("2", 4) => self.send("3"),
                ("6", _) => {}
                _ => return Some(packet),
            }
        }
        None
    }

    fn receive_some(&mut self) -> Option<String> {
        if let Link::WebSocket(socket) = &mut self.link {
            let text = socket.text();
            self.ended = text.is_none();
            return text;
        }
        let version = self.kind.version;
        if let Link::Polling(https) = &mut self.link {
            https[0].refresh();
        }
        let response = self.send_poll().read()?;
        if response.status != 200 {
            self.ended = true;
            return None;
        }
        let is_bytes = response.header("content-type") == Some("application/octet-stream");
        self.waiting =
            if is_bytes { packets_in_bytes(&response.body) } else { packets(version, response.text()) };
        self.waiting.pop_front()
    }

    /// Says good-bye and waits until the server has let go.
    pub(crate) fn leave(mut self) {
        self.send("41");
        if let Link::WebSocket(socket) = &mut self.link {
            assert_eq!(socket.close_code(), Some(1000));
        }
    }

    /// How many packets come before the session ends.
    pub(crate) fn receive_all(&mut self) -> usize {
        std::iter::from_fn(|| self.receive()).count()
    }

    /// Whether the session is over: nothing but its end comes.
    pub(crate) fn is_ended(&mut self) -> bool {
        self.reply().is_none()
    }
}

/// The body of a polling request with these packets.
pub(crate) fn payload(version: u8, packets: &[&str]) -> String {
    if version == 4 {
        return packets.join("\u{1e}");
    }
    packets.iter().map(|packet| format!("{}:{packet}", packet.encode_utf16().count())).collect()
}

/// The packets in the body of an answer to polling.
fn packets(version: u8, body: &str) -> VecDeque<String> {
    if version == 4 {
        return body.split('\u{1e}').map(str::to_owned).collect();
    }
    let mut packets = VecDeque::new();
    let mut rest: Vec<u16> = body.encode_utf16().collect();
    while let Some(colon) = rest.iter().position(|&unit| unit == u16::from(b':')) {
        let length: usize = String::from_utf16(&rest[..colon]).unwrap().parse().unwrap();
        let end = colon + 1 + length;
        packets.push_back(String::from_utf16(&rest[colon + 1..end]).unwrap());
        rest.drain(..end);
    }
    assert!(rest.is_empty());
    packets
}

/// The packets, all of them text, in a body of bytes (engine.io protocol v3, "Payload").
pub(crate) fn packets_in_bytes(mut body: &[u8]) -> VecDeque<String> {
    let mut packets = VecDeque::new();
    while let Some((0, rest)) = body.split_first() {
        let end = rest.iter().position(|&byte| byte == 0xFF).unwrap();
        let length = rest[..end].iter().fold(0, |length, &digit| length * 10 + usize::from(digit));
        let (packet, behind) = rest[end + 1..].split_at(length);
        packets.push_back(String::from_utf8(packet.to_owned()).unwrap());
        body = behind;
    }
    assert!(body.is_empty());
    packets
}
