//! turted.v1 over a WebSocket at `/ws`: each sentence of `docs/protocol-v1.md` that states what
//! happens.

mod behind;
mod joins;
pub(crate) mod members;
mod position;

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as URL_SAFE;
use serde_json::{Value, json};
use turted::authenticator::{IdentRefusal, IdentRequest, UnixTime, Verified};
use turted::config::{AllowOrigins, ClientAuth, Secret};
use turted::server::Server;

use crate::support::{TestServer, WebSocket, config, frame};

/// A client of turted.v1.
pub(crate) struct Client {
    pub(crate) socket: WebSocket,
    pub(crate) welcome: Value,
}

impl Client {
    pub(crate) fn new(server: &TestServer) -> Self {
        Self::with(server, &[])
    }

    pub(crate) fn with(server: &TestServer, headers: &[(&str, &str)]) -> Self {
        Self::over(WebSocket::connect(server.address(), "/ws", headers).unwrap())
    }

    pub(crate) fn over(mut socket: WebSocket) -> Self {
        let first: Value = serde_json::from_str(&socket.text().unwrap()).unwrap();
        Self { socket, welcome: first["welcome"].clone() }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.socket.send_text(message.to_string());
    }

    pub(crate) fn receive(&mut self) -> Value {
        serde_json::from_str(&self.socket.text().expect("a message")).unwrap()
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        self.receive()
    }

    pub(crate) fn join(&mut self, channel: &str) {
        let reply = self.ask(&json!({"id": "j", "do": "join", "channel": channel}));
        assert_eq!(reply, json!({"reply": "j", "ok": true, "channel": channel}));
    }

    fn code(&mut self, request: &Value) -> Value {
        self.ask(request)["error"]["code"].take()
    }

    /// Asks for a sign of life, and returns the position that comes with it.
    pub(crate) fn ping(&mut self) -> Value {
        let mut reply = self.ask(&json!({"id": "p", "do": "ping"}));
        let cursor = reply["cursor"].take();
        assert_eq!(reply, json!({"reply": "p", "ok": true, "cursor": null}));
        cursor
    }
}

#[test]
fn a_client_is_welcomed_joins_and_receives_events_byte_for_byte() {
    let server = TestServer::new();
    let mut client = Client::new(&server);
    let welcome = &client.welcome;
    assert_eq!(welcome["protocol"], "turted.v1");
    assert_eq!(
        (&welcome["ping_interval_ms"], &welcome["message_bytes_max"]),
        (&json!(25_000), &json!(65_536))
    );
    assert_eq!(welcome["session"].as_str().unwrap().len(), 20);
    assert!(welcome.get("username").is_none());
    let ident = json!({"id": 1, "do": "ident", "data": {"username": "alice"}});
    assert_eq!(client.ask(&ident), json!({"reply": 1, "ok": true, "username": "alice"}));
    client.join("chat");
    let payload = r#"{"b" : 1.0, "a":[1e400,"\u2028"], "b":2}"#;
    let targets = r#"{"users":["bob"],"channels":["chat"],"broadcast":true}"#;
    let push = format!(r#"{{"event":"MESSAGE:NEW","targets":{targets},"payload":{payload}}}"#);
    assert_eq!(server.push(push).text(), "OK");
    let event = client.socket.text().unwrap();
    let expected =
        format!(r#"{{"event":"MESSAGE:NEW","payload":{payload},"via":{{"channel":"chat"}},"cursor":""#);
    assert!(event.starts_with(&expected), "{event}");
}

#[test]
fn requests_without_an_id_are_silent_unless_refused() {
    let server = TestServer::new();
    let mut client = Client::new(&server);
    client.send(&json!({"do": "join", "channel": "c"}));
    client.send(&json!({"do": "echo", "data": 1}));
    client.send(&json!({"do": "ping"}));
    let refused = client.ask(&json!({"do": "join"}));
    assert_eq!((&refused["reply"], &refused["error"]["code"]), (&Value::Null, &json!("channel-missing")));
    server.dispatcher().notify_channel("c", "e", &1).unwrap();
    assert_eq!(client.receive()["payload"], 1);
    let echo = client.ask(&json!({"id": "x", "do": "echo", "data": {"a": [1]}}));
    assert_eq!(echo, json!({"reply": "x", "ok": true, "data": {"a": [1]}}));
    let echo = client.ask(&json!({"id": 1.5, "do": "echo", "data": 1}));
    assert_eq!(echo, json!({"reply": 1.5, "ok": true, "data": 1}));
    assert_eq!(client.ask(&json!({"id": 2, "do": "leave", "channel": "c"}))["ok"], true);
    server.dispatcher().notify_channel("c", "e", &2).unwrap();
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.receive()["event"], "last");
}

#[test]
fn an_event_is_never_mistaken_for_a_reply_whatever_its_name() {
    let server = TestServer::new();
    let mut client = Client::new(&server);
    for name in ["reply", "welcome", "event", "error", "__proto__"] {
        server.dispatcher().broadcast(name, &json!({"reply": 1, "ok": true})).unwrap();
        let event = client.receive();
        assert_eq!(event["event"], name);
        assert!(event.get("reply").is_none(), "{event}");
        assert!(event.get("welcome").is_none(), "{event}");
    }
}

#[test]
fn a_request_that_breaks_a_rule_is_refused_by_its_code_and_the_connection_goes_on() {
    let server = TestServer::with(|config| config.limits.channels_per_connection = 1);
    let mut client = Client::new(&server);
    let cases = [
        (json!([]), "not-an-object"),
        (json!({"id": 1}), "command-missing"),
        (json!({"id": 1, "do": "JOIN"}), "command-unknown"),
        (json!({"id": [1], "do": "ping"}), "id-invalid"),
        (json!({"id": 1, "do": "ident"}), "data-missing"),
        (json!({"id": 1, "do": "ident", "data": {}}), "user-missing"),
        (json!({"id": 1, "do": "join", "channel": 7}), "channel-invalid"),
        (json!({"id": 1, "do": "resume", "session": "x", "cursor": "zz"}), "cursor-invalid"),
        (json!({"id": 1, "do": "resume", "session": "x", "cursor": "1-1"}), "session-unknown"),
    ];
    for (request, code) in cases {
        assert_eq!(client.code(&request), code, "{request}");
    }
    client.socket.send_text("{");
    assert_eq!(client.receive()["error"]["code"], "not-json");
    client.join("one");
    assert_eq!(client.code(&json!({"id": 1, "do": "join", "channel": "two"})), "too-many-channels");
    client.ping();
}

#[test]
fn a_connection_ends_with_the_code_of_what_ended_it() {
    let server = TestServer::with(|config| config.limits.message_burst = 128);
    let ends = |send: &dyn Fn(&mut WebSocket)| {
        let mut client = Client::new(&server);
        send(&mut client.socket);
        while let Some(frame) = client.socket.read() {
            if frame.opcode == 8 {
                return frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
        None
    };
    assert_eq!(ends(&|socket| socket.send(frame(0x82, b"x"))), Some(1003), "binary");
    assert_eq!(ends(&|socket| socket.send(frame(0x81, b"\xff"))), Some(1007), "no UTF-8");
    assert_eq!(ends(&|socket| socket.send(frame(0xC1, b"{}"))), Some(1002), "RSV1");
    assert_eq!(ends(&|socket| socket.send(vec![0x81, 0x01, b'x'])), Some(1002), "unmasked");
    assert_eq!(ends(&|socket| socket.send_text(" ".repeat(65_537))), Some(1009), "too big");
    assert_eq!(ends(&|socket| (0..200).for_each(|_| socket.send_text("{}"))), Some(1008), "too many");
    assert_eq!(ends(&|socket| socket.send(frame(0x88, &1001_u16.to_be_bytes()))), Some(1001), "its own");
    server.assert_alive();
}

#[test]
fn a_client_that_answers_no_ping_is_cut_and_one_that_does_stays() {
    let server = TestServer::with(|config| {
        config.websocket.ping_interval = Duration::from_millis(60);
        config.websocket.ping_timeout = Duration::from_millis(50);
    });
    let (mut dead, mut alive) = (Client::new(&server), Client::new(&server));
    for _ in 0..4 {
        let ping = alive.socket.read().unwrap();
        assert_eq!(ping.opcode, 9);
        alive.socket.send(frame(0x8A, &ping.payload));
    }
    assert_eq!(alive.ask(&json!({"id": 1, "do": "ping"}))["ok"], true);
    assert_eq!(dead.socket.close_code(), None, "cut without a word: nobody would hear it");
}

#[test]
fn a_client_that_comes_back_is_who_it_was_and_gets_what_it_missed() {
    let server = TestServer::with(|config| config.workers = 3);
    let mut session = Value::Null;
    let mut cursor = Value::Null;
    for round in 0..6 {
        let mut client = Client::new(&server);
        if round == 0 {
            client.ask(&json!({"id": 1, "do": "ident", "data": {"username": "u"}}));
            client.join("c");
            session = client.welcome["session"].clone();
        } else {
            let reply = client.ask(&json!({"id": 1, "do": "resume", "session": session, "cursor": cursor}));
            let connection = &reply["connection"];
            let expected = json!({
                "reply": 1, "ok": true, "session": session, "replayed": 2, "connection": connection,
                "username": "u",
            });
            assert_eq!(reply, expected);
            for number in [1, 2] {
                let event = client.receive();
                assert_eq!(event["payload"], json!([round - 1, number]));
                assert_ne!(event["cursor"], cursor);
            }
        }
        server.dispatcher().notify_user("u", "e", &"seen").unwrap();
        let event = client.receive();
        assert_eq!(event["payload"], "seen");
        cursor = event["cursor"].clone();
        if round % 2 == 0 {
            client.socket.stream.shutdown(std::net::Shutdown::Both).unwrap();
        }
        server.dispatcher().notify_channel("c", "e", &[round, 1]).unwrap();
        server.dispatcher().notify_user("other", "e", &"not for it").unwrap();
        server.dispatcher().broadcast("e", &[round, 2]).unwrap();
    }
}

#[test]
fn a_gap_that_cannot_be_filled_is_told_and_the_client_is_nobody() {
    let server = TestServer::with(|config| config.recovery.log_dispatches = 3);
    let mut client = Client::new(&server);
    client.join("c");
    let resume = json!({
        "id": 1, "do": "resume", "session": client.welcome["session"], "cursor": client.welcome["cursor"],
    });
    drop(client);
    for number in 0..9 {
        server.dispatcher().notify_channel("c", "e", &number).unwrap();
    }
    let mut client = Client::new(&server);
    assert_eq!(client.code(&resume), "gap");
    assert_eq!(client.code(&resume), "session-unknown", "it is told once");
    server.dispatcher().notify_channel("c", "e", &9).unwrap();
    server.dispatcher().broadcast("last", &0).unwrap();
    assert_eq!(client.receive()["event"], "last");
}

#[test]
fn without_recovery_there_is_no_cursor_and_nothing_to_resume() {
    let server = TestServer::with(|config| config.recovery.enabled = false);
    let mut client = Client::new(&server);
    assert!(client.welcome.get("cursor").is_none());
    let resume = json!({"id": 1, "do": "resume", "session": client.welcome["session"], "cursor": "1-0"});
    assert_eq!(client.code(&resume), "session-unknown");
    server.dispatcher().broadcast("e", &1).unwrap();
    assert!(client.receive().get("cursor").is_none());
    assert_eq!(client.ask(&json!({"id": 2, "do": "ping"})), json!({"reply": 2, "ok": true}));
}

#[test]
fn who_a_client_is_may_come_with_its_request() {
    let server = TestServer::with(|config| config.auth.method = ClientAuth::Password(Secret::from("pass")));
    // alice:pass
    let basic = [("Authorization", "Basic YWxpY2U6cGFzcw==")];
    let subprotocol = URL_SAFE.encode(r#"{"username":"alice","password":"pass"}"#);
    let subprotocol = format!("turted.v1, turted.ident.{subprotocol}");
    for headers in [basic, [("Sec-WebSocket-Protocol", subprotocol.as_str())]] {
        let mut client = Client::with(&server, &headers);
        assert_eq!(client.welcome["username"], "alice");
        server.dispatcher().notify_user("alice", "e", &1).unwrap();
        assert_eq!(client.receive()["via"], json!({"user": "alice"}));
    }
    for wrong in ["Basic YWxpY2U6d3Jvbmc=", "Bearer pass", "Basic", "nonsense"] {
        let mut client = Client::with(&server, &[("Authorization", wrong)]);
        assert!(client.welcome.get("username").is_none());
        let told = client.receive();
        assert_eq!((&told["reply"], &told["ok"]), (&Value::Null, &json!(false)), "{wrong}: {told}");
        assert_eq!(client.ask(&json!({"id": 1, "do": "ping"}))["ok"], true, "and it stays open");
    }
}

#[test]
fn the_subprotocol_is_confirmed_if_it_is_asked_for() {
    let server = TestServer::new();
    let head = |headers: &[(&str, &str)]| {
        let mut http = server.http();
        let mut all = vec![
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        all.extend_from_slice(headers);
        http.send_request("GET", "/ws", &all, b"");
        http.read_head().unwrap()
    };
    let asked = head(&[("Sec-WebSocket-Protocol", "other, turted.v1")]);
    assert_eq!(asked.header("sec-websocket-protocol"), Some("turted.v1"));
    for not_asked in [&[][..], &[("Sec-WebSocket-Extensions", "permessage-deflate")]] {
        let head = head(not_asked);
        assert_eq!((head.status, head.header("sec-websocket-protocol")), (101, None));
        assert_eq!(head.header("sec-websocket-extensions"), None);
    }
}

#[test]
fn what_is_no_websocket_of_an_allowed_page_is_refused_before_it_is_one() {
    let server = TestServer::with(|config| {
        config.allow_origins = AllowOrigins::Only(vec!["https://a.example".into()])
    });
    let plain = server.http().request("GET", "/ws", &[], b"");
    assert_eq!((plain.status, plain.header("upgrade")), (426, Some("websocket")));
    let origin = |origin| WebSocket::connect(server.address(), "/ws", &[("Origin", origin)]);
    let refused = origin("https://b.example").unwrap_err();
    let asked = server.http().request("GET", "/ws", &[("Origin", "https://b.example")], b"");
    for refused in [refused, asked] {
        assert_eq!((refused.status, refused.header("vary")), (403, Some("Origin")));
        let readable = refused.header("access-control-allow-origin");
        assert_eq!(readable, Some("https://b.example"), "a page reads why by fetch");
        assert_eq!(refused.header("access-control-allow-credentials"), None);
    }
    assert!(origin("https://a.example").is_ok());
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
    assert_eq!(server.http().request("GET", "/ws", &upgrade, b"").status, 400, "without a key");
    assert_eq!(server.http().request("GET", "/ws/x", &[], b"").status, 404);
}

#[test]
fn clients_are_told_to_come_back_with_1012_when_the_server_stops() {
    let server = TestServer::new();
    let mut clients: Vec<_> = (0..3).map(|_| Client::new(&server)).collect();
    let stop = std::thread::spawn(move || server.stop());
    for client in &mut clients {
        assert_eq!(client.socket.close_code(), Some(1012));
    }
    stop.join().unwrap();
}

/// Who can be verified now, could be once, or cannot be asked about; who can is for a second.
async fn verify(request: IdentRequest) -> Result<Verified, IdentRefusal> {
    let user = request.user.ok_or(IdentRefusal::UserMissing)?;
    match user.name.as_str() {
        "old" => Err(IdentRefusal::Expired),
        "later" => Err(IdentRefusal::Unavailable),
        "nobody" => Err(IdentRefusal::NotVerified),
        _ => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let expires = Some(UnixTime(now + Duration::from_secs(1)));
            Ok(Verified { expires, ..Verified::user(user.name) })
        }
    }
}

#[test]
fn a_refused_ident_says_by_its_code_what_helps_and_an_expired_token_is_told_unasked() {
    let server = Server::builder(config()).authenticator(verify).bind().unwrap();
    let server = TestServer::run(server);
    let mut client = Client::new(&server);
    let ident = |user| json!({"id": 1, "do": "ident", "data": {"username": user}});
    for (user, code) in
        [("nobody", "ident-refused"), ("old", "token-expired"), ("later", "ident-unavailable")]
    {
        assert_eq!(client.code(&ident(user)), code);
    }
    assert_eq!(client.ask(&ident("alice"))["username"], "alice");
    let told = client.receive();
    assert_eq!((&told["reply"], &told["error"]["code"]), (&Value::Null, &json!("token-expired")));
    server.push(r#"{"event":"E","targets":{"users":["alice"]}}"#);
    client.ping();
}
