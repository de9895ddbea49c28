//! A server on a free port, and a client of Socket.IO that speaks in packets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use socket2::{Domain, Socket, Type};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};
use turted::authenticator::{Algorithm, ClaimRules, JwtKeys, JwtRule, sign};
use turted::config::{ChannelPattern, ChannelRules, ClientAuth, Config, Join, Secret};
use turted::server::Server;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two workers on a free port, with this authenticator, and no end of wrong IDENTs.
pub(crate) fn config(method: ClientAuth) -> Config {
    let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), workers: 2, ..Config::default() };
    config.auth.method = method;
    config.limits.wrong_idents = 1_000;
    config
}

pub(crate) fn serve(method: ClientAuth) -> Serving {
    bind(config(method))
}

pub(crate) fn bind(config: Config) -> Serving {
    Serving::of(Server::bind(config).unwrap())
}

/// A server that is stopped at the end of its test. Its workers assert that they leave nothing behind, and end badly
/// otherwise.
pub(crate) struct Serving(Option<Server>);

impl Serving {
    pub(crate) fn of(server: Server) -> Self {
        Self(Some(server))
    }
}

impl Deref for Serving {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let server = self.0.take().unwrap();
        if !std::thread::panicking() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.run(async {})).expect("the server ends well and leaves nothing behind");
        }
    }
}

pub(crate) fn rules(rules: &[(&str, Join)]) -> ChannelRules {
    ChannelRules::new(rules.iter().map(|(text, join)| (ChannelPattern::parse(text).unwrap(), *join)))
}

pub(crate) const HMAC_SECRET: &str = "canary-0123456789abcdef0123456789";

/// Seconds since 1970, this many from now.
pub(crate) fn at(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}

/// Tokens by HMAC, with channels in the claim `channels`.
pub(crate) fn hmac_rule() -> JwtRule {
    let claims = ClaimRules { channels: Some("channels".to_owned()), ..ClaimRules::default() };
    let keys = JwtKeys::new(Algorithm::HS256, Secret::from(HMAC_SECRET)).unwrap();
    JwtRule { algorithm: Algorithm::HS256, keys, claims }
}

/// A genuine token of these claims; without an `exp` it is good for a minute.
pub(crate) fn token(claims: Value) -> String {
    let Value::Object(mut claims): Value = claims else { panic!("claims are an object") };
    claims.entry("exp").or_insert(at(60).into());
    sign(Algorithm::HS256, &Secret::from(HMAC_SECRET), &claims).unwrap()
}

/// One client on a WebSocket.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    /// What it shows when it comes back.
    pub(crate) pid: Option<String>,
    pub(crate) offset: Option<String>,
}

impl Client {
    /// Connects with version 4 of Engine.IO, and nothing in its handshake.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &Value::Null)
    }

    /// Connects and shows this in its handshake.
    pub(crate) fn connect_with(address: SocketAddr, auth: &Value) -> Self {
        Self::greet(Self::open(address, "EIO=4"), auth)
    }

    /// Connects from another address of this machine.
    pub(crate) fn connect_from(source: [u8; 4], address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::greet(Self::open_over(socket.into(), "EIO=4"), &Value::Null)
    }

    fn greet(mut client: Self, auth: &Value) -> Self {
        let connect = if auth.is_null() { "40".to_owned() } else { format!("40{auth}") };
        client.send(&connect);
        let connected = client.packet();
        let answer: Value = serde_json::from_str(connected.strip_prefix("40").unwrap()).unwrap();
        client.pid = answer["pid"].as_str().map(str::to_owned);
        client
    }

    /// Opens a session with this query.
    pub(crate) fn open(address: SocketAddr, query: &str) -> Self {
        Self::open_over(TcpStream::connect(address).unwrap(), query)
    }

    fn open_over(mut stream: TcpStream, query: &str) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET /socket.io/?{query}&transport=websocket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let socket = WebSocket::from_raw_socket(stream, Role::Client, None);
        let mut client = Self { socket, pid: None, offset: None };
        assert!(client.packet().starts_with('0'), "the handshake comes first");
        client
    }

    pub(crate) fn send(&mut self, packet: &str) {
        self.socket.send(Message::text(packet)).unwrap();
    }

    /// Sends an event with one argument.
    pub(crate) fn emit(&mut self, event: &str, argument: &Value) {
        self.send(&format!("42{}", json!([event, argument])));
    }

    /// The next packet that is no heartbeat.
    pub(crate) fn packet(&mut self) -> String {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) if text.as_str() == "2" => self.send("3"),
                Message::Text(text) => return text.as_str().to_owned(),
                other => panic!("not a packet: {other:?}"),
            }
        }
    }

    /// The next event: its name and its first argument, as JSON.
    pub(crate) fn event(&mut self) -> (String, Value) {
        let packet = self.packet();
        let event = packet.strip_prefix("42").unwrap_or_else(|| panic!("not an event: {packet}"));
        let mut event: Vec<Value> = serde_json::from_str(event).unwrap();
        if let Some(offset) = event.get(2..).and_then(|rest| rest.last()?.as_str()) {
            self.offset = Some(offset.to_owned());
        }
        (event.remove(0).as_str().unwrap().to_owned(), event.into_iter().next().unwrap_or(Value::Null))
    }

    /// The name of the event that was dispatched next.
    #[track_caller]
    pub(crate) fn dispatched(&mut self) -> String {
        let (event, argument) = self.event();
        assert_eq!(event, "EVENT", "{argument}");
        argument["event"].as_str().unwrap().to_owned()
    }

    /// What comes of an event: the reply's name and argument.
    pub(crate) fn ask(&mut self, event: &str, argument: &Value) -> (String, Value) {
        self.emit(event, argument);
        self.event()
    }

    /// Identifies as `user` with more members, which must succeed.
    #[track_caller]
    pub(crate) fn ident(&mut self, ident: &Value, user: &str) {
        assert_eq!(self.ask("IDENT", ident), ok(json!({ "username": user })));
    }

    #[track_caller]
    pub(crate) fn join(&mut self, channel: &str, reply: (String, Value)) {
        assert_eq!(self.ask("JOIN", &json!({ "channel": channel })), reply, "{channel}");
    }

    /// Asserts that nothing but the echo of a question comes.
    #[track_caller]
    pub(crate) fn nothing(&mut self) {
        assert_eq!(self.ask("ECHO", &json!("nothing?")), ("ECHO".to_owned(), json!("nothing?")));
    }

    /// Loses the connection, and returns what it would show to come back.
    pub(crate) fn lose(mut self) -> Value {
        let mut shown = Map::new();
        shown.extend(self.pid.take().map(|pid| ("pid".to_owned(), pid.into())));
        shown.extend(self.offset.take().map(|offset| ("offset".to_owned(), offset.into())));
        shown.into()
    }

    /// Whether the server ends the connection.
    pub(crate) fn is_ended(&mut self) -> bool {
        match self.socket.read() {
            Ok(Message::Close(_)) => true,
            Ok(_) => false,
            Err(tungstenite::Error::Io(error)) => error.kind() != ErrorKind::WouldBlock,
            Err(_) => true,
        }
    }
}

/// One request of a polling client: the body of the answer.
pub(crate) fn poll(address: SocketAddr, query: &str, body: Option<&str>) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.unwrap_or("");
    write!(
        stream,
        "{method} /socket.io/?{query}&transport=polling HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

pub(crate) fn ok(argument: Value) -> (String, Value) {
    ("OK".to_owned(), argument)
}

pub(crate) fn joined(channel: &str) -> (String, Value) {
    ok(json!({ "channel": channel }))
}

pub(crate) fn error(text: &str) -> (String, Value) {
    ("ERROR".to_owned(), text.into())
}

/// Waits until `is_so`.
#[track_caller]
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came");
        std::thread::yield_now();
    }
}
