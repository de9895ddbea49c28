//! What the small server says and hears in each protocol.

use std::io::{Read, Write};
use std::net::TcpStream;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json as value};
use turted_core::wire::chunked::encode_chunk;
use turted_core::wire::websocket::{Decoder, DecoderLimits, Message, Opcode, encode_frame};

use crate::server::{Fault, Head, State, answer, json};

/// The password of pushes.
pub(crate) const PASSWORD: &str = "publisher";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Centrifugo,
    CentrifugoSse,
    ActionCable,
    Mercure,
}

/// What was pushed.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) channel: String,
    data: Value,
    /// Its place among all that was pushed, from 1 on.
    pub(crate) position: usize,
}

impl Update {
    fn publication(&self) -> Value {
        value!({"data": self.data, "offset": self.position})
    }
}

/// The state of a channel as Centrifugo tells it: with what was missed since the position that the client shows, which
/// is 0 for one that did not ask.
fn subscribed(state: &State, channel: &str, asked: &Value) -> Value {
    if asked["recover"] == true && asked["epoch"] != EPOCH {
        state.note(format!("asked {asked}"));
    }
    let missed = match asked["recover"] == true {
        true => state.missed(channel, asked["offset"].as_u64().unwrap_or_default() as usize),
        false => vec![],
    };
    let publications: Vec<_> = missed.iter().map(Update::publication).collect();
    value!({"recoverable": true, "epoch": EPOCH, "offset": 0, "publications": publications})
}

const EPOCH: &str = "eP";

type Reader<'a> = std::io::BufReader<&'a TcpStream>;

impl Dialect {
    /// Serves a client until it or the server ends the connection.
    pub(crate) fn client(self, state: &State, head: &Head, reader: Reader<'_>) {
        match self {
            Self::Centrifugo if head.target == "/connection/websocket" => centrifugo(state, reader),
            Self::ActionCable if head.target == "/cable" => action_cable(state, head, reader),
            Self::CentrifugoSse | Self::Mercure => self.stream(state, head, reader),
            _ => {
                state.note(format!("path {}", head.target));
                answer(reader.get_ref(), "404 Not Found", "");
            }
        }
    }

    /// Reads a push.
    pub(crate) fn push(self, head: &Head, body: &str) -> Result<Update, String> {
        let expect = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let field = |name: &str| head.fields.get(name).map_or("", String::as_str);
        let json = json(body);
        let (kind, path, channel, data) = match self {
            Self::Centrifugo | Self::CentrifugoSse => {
                expect(field("x-api-key") == PASSWORD, "no API key")?;
                (
                    "application/json",
                    "/api/publish",
                    json["channel"].as_str().map(str::to_owned),
                    json["data"].clone(),
                )
            }
            Self::ActionCable => {
                let data = json["data"].as_str().ok_or("the data is no string")?;
                (
                    "application/json",
                    "/_broadcast",
                    json["stream"].as_str().map(str::to_owned),
                    self::json(data),
                )
            }
            Self::Mercure => {
                expect(field("authorization") == format!("Bearer {PASSWORD}"), "no token")?;
                let data = form(body, "data").unwrap_or_default();
                let kind = "application/x-www-form-urlencoded";
                (kind, "/.well-known/mercure", form(body, "topic"), self::json(&data))
            }
        };
        expect(field("content-type") == kind, "wrong type")?;
        expect(head.target == path, "wrong path")?;
        expect(data.is_string(), "no data")?;
        Ok(Update { channel: channel.ok_or("no channel")?, data, position: 0 })
    }

    /// An event, as subscribers receive it.
    pub(crate) fn event(self, update: &Update) -> Vec<u8> {
        let Update { channel, data, position } = update;
        match self {
            // A sign of life and an event in one frame.
            Self::Centrifugo => text(&format!(
                "{{}}\n{}",
                value!({"push": {"channel": channel, "pub": update.publication()}})
            )),
            Self::CentrifugoSse => chunk(&format!(
                "data: {{}}\n\ndata: {}\n\n",
                value!({"channel": channel, "pub": update.publication()})
            )),
            Self::ActionCable => {
                let ping = text(r#"{"type":"ping","message":1}"#);
                [ping, text(&value!({"identifier": identifier(channel), "message": data}).to_string())]
                    .concat()
            }
            Self::Mercure => chunk(&format!(":\n\nid: urn:uuid:{position}\ndata: {data}\n\n")),
        }
    }

    /// An event stream.
    fn stream(self, state: &State, head: &Head, reader: Reader<'_>) {
        let mut stream = *reader.get_ref();
        let (path, query) = head.target.split_once('?').unwrap_or_default();
        let mut asked = Value::Null;
        let channel = match self {
            Self::Mercure if path == "/.well-known/mercure" => form(query, "topic"),
            _ if path == "/connection/uni_sse" => {
                let connect = json(&form(query, "cf_connect").unwrap_or_default());
                let sub = connect["subs"].as_object().and_then(|subs| subs.iter().next());
                sub.map(|(channel, sub)| {
                    asked = sub.clone();
                    channel.clone()
                })
            }
            _ => None,
        };
        let is_accepted = head.fields.get("accept").is_some_and(|kind| kind == "text/event-stream");
        let Some(channel) = channel.filter(|_| is_accepted) else {
            state.note(format!("stream {}", head.target));
            return answer(stream, "400 Bad Request", "");
        };
        match state.fault {
            Fault::Refuses if self == Self::Mercure => return answer(stream, "403 Forbidden", ""),
            Fault::IsSilent if self == Self::Mercure => return wait_for_end(reader),
            _ => {}
        }
        state.subscribe(&channel, stream);
        let last =
            head.fields.get("last-event-id").map(|id| id.trim_start_matches("urn:uuid:").parse().unwrap());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let first = match state.fault {
            Fault::Refuses => value!({"disconnect": {"code": 3501, "reason": "bad request"}}),
            _ => {
                value!({"connect": {"client": "x", "ping": 25, "subs": {&*channel: subscribed(state, &channel, &asked)}}})
            }
        };
        for update in last.map_or(vec![], |last| state.missed(&channel, last)) {
            stream.write_all(&self.event(&update)).unwrap();
        }
        if self == Self::CentrifugoSse && state.fault != Fault::IsSilent {
            stream.write_all(&chunk(&format!("data: {first}\n\n"))).unwrap();
        }
        wait_for_end(reader);
    }
}

/// Keeps a connection open until the client ends it.
fn wait_for_end(mut reader: Reader<'_>) {
    reader.read_to_end(&mut Vec::new()).ok();
}

fn centrifugo(state: &State, mut reader: Reader<'_>) {
    let mut stream = *reader.get_ref();
    switch(stream, "");
    listen(&mut reader, |said| {
        let lines: Vec<Value> = said.split('\n').map(json).collect();
        let (channel, asked) = match &lines[..] {
            [pong] if *pong == value!({}) => return state.note("pong"),
            [connect, subscribe] if *connect == value!({"id": 1, "connect": {}}) && subscribe["id"] == 2 => {
                let asked = &subscribe["subscribe"];
                (asked["channel"].as_str().unwrap_or_default().to_owned(), asked)
            }
            _ => return state.note(format!("said {said}")),
        };
        let reply = match state.fault {
            Fault::IsSilent => return,
            Fault::Refuses => value!({"id": 2, "error": {"code": 103, "message": "permission denied"}}),
            _ => {
                state.subscribe(&channel, stream);
                value!({"id": 2, "subscribe": subscribed(state, &channel, asked)})
            }
        };
        let connected = r#"{"id":1,"connect":{"client":"x","ping":25,"pong":true}}"#;
        stream.write_all(&text(&format!("{connected}\n{reply}\n"))).ok();
    });
}

fn action_cable(state: &State, head: &Head, mut reader: Reader<'_>) {
    let mut stream = *reader.get_ref();
    if head.fields.get("sec-websocket-protocol").map(String::as_str) != Some("actioncable-v1-json") {
        return answer(stream, "400 Bad Request", "");
    }
    switch(stream, "Sec-WebSocket-Protocol: actioncable-v1-json\r\n");
    // A sign of life may come first.
    stream.write_all(&text(r#"{"type":"ping","message":1}"#)).unwrap();
    stream.write_all(&text(r#"{"type":"welcome","sid":"x"}"#)).unwrap();
    listen(&mut reader, |said| {
        let said = json(said);
        let identifier = json(said["identifier"].as_str().unwrap_or_default());
        let channel = identifier["stream_name"].as_str().unwrap_or_default();
        if said["command"] != "subscribe" || identifier["channel"] != "$pubsub" || channel.is_empty() {
            return state.note(format!("said {said}"));
        }
        let kind = match state.fault {
            Fault::IsSilent => return,
            Fault::Refuses => "reject_subscription",
            _ => {
                state.subscribe(channel, stream);
                "confirm_subscription"
            }
        };
        stream.write_all(&text(&value!({"type": kind, "identifier": said["identifier"]}).to_string())).ok();
    });
}

fn identifier(channel: &str) -> String {
    value!({"channel": "$pubsub", "stream_name": channel}).to_string()
}

fn switch(mut stream: &TcpStream, fields: &str) {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    write!(stream, "{head}{fields}\r\n").unwrap();
}

/// Passes on every text of a WebSocket.
fn listen(reader: &mut Reader<'_>, mut heard: impl FnMut(&str)) {
    let mut decoder = Decoder::new(DecoderLimits { message_bytes: 65_536, fragments: 1 });
    let (mut rest, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(bytes @ 1..) = reader.read(&mut buffer) {
        rest.extend_from_slice(&buffer[..bytes]);
        while let Some(decoded) = decoder.decode(&mut rest).unwrap() {
            if let Some(Message::Text(text)) = decoded.message {
                heard(text);
            }
            let consumed = decoded.consumed;
            rest.drain(..consumed);
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    encode_frame(Opcode::Text, text.as_bytes()).to_vec()
}

fn chunk(text: &str) -> Vec<u8> {
    let mut chunk = Vec::new();
    encode_chunk(text.as_bytes(), &mut chunk);
    chunk
}

/// A value of a form or a query.
fn form(text: &str, name: &str) -> Option<String> {
    let value = text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    percent_decode_str(value).decode_utf8().ok().map(Into::into)
}
