//! The Socket.IO service that the suite of socket.io-client expects: namespaces that clients may or may not
//! connect to, and events that are answered each in its own way.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use turted_core::wire::engineio::Version;
use turted_core::wire::socketio::{encode_connect_error, encode_event};

use super::socketio::{leave, prefix};
use super::{engine, guests};
use crate::hub::delivery::frame::Frame;
use crate::hub::worker::connection::{Client, Connection};
use crate::hub::worker::session::Step;
use crate::transport::socketio::{self, Content, Event, ROOT, Service, ignore_message, say_nothing};

/// What the suite expects.
pub(super) static CLIENT: Service = Service {
    namespaces: &NAMESPACES,
    content: Content::Any,
    takes_binary: true,
    opened: |client, query| guests::note_query(client.connection, query),
    connected: say_nothing,
    connect,
    disconnect: leave,
    event,
    acked,
    message: ignore_message,
};

/// The namespaces of the suite. The last one refuses every client.
static NAMESPACES: [&str; 7] = [ROOT, "/foo", "/timeout_socket", "/valid", "/asd", "/abc", REFUSING];
const REFUSING: &str = "/no";
/// The namespace that tells a client what it has sent along when it connected.
const TELLING: &str = "/abc";

/// The time, as an event carries it. The suite looks at its type alone.
const DATE: &str = "2015-04-07T18:18:08.000Z";
/// What comes back in binary.
const BYTES: &[u8] = b"asdfasdf";
/// Texts of one to four bytes per character.
const TEXTS: [&str; 5] = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"];
/// The id of the only event for which we ask an answer.
const ACK: u64 = 1;

/// A client wants to be connected to a namespace.
fn connect(client: Client<'_>, namespace: &str, data: Option<&RawValue>) -> Step {
    let refusal = match namespace {
        REFUSING => Some("Auth failed (custom namespace)"),
        ROOT if guests::query(client.connection).contains_key("fail") => Some("Auth failed (main namespace)"),
        _ => None,
    };
    if let Some(refusal) = refusal {
        client.send_message(&encode_connect_error(Version::V4, namespace, refusal));
        return leave(client, namespace);
    }
    if namespace == ROOT {
        // With the recovery of the product.
        return socketio::connect(client, data);
    }
    let sid = json!({ "sid": client.connection.public_id() });
    client.send_message(&format!("40{}{sid}", prefix(namespace)));
    if namespace == TELLING {
        emit(client, namespace, &["handshake".into(), handshake(client.connection, data)]);
    }
    Step::Continue
}

/// What a client has sent along.
fn handshake(connection: &Connection, data: Option<&RawValue>) -> Value {
    let auth = data.and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_else(|| json!({}));
    json!({ "query": *guests::query(connection), "auth": auth })
}

/// An event, with the binary messages that came with it.
fn event(client: Client<'_>, event: &Event<'_>, attachments: &[Vec<u8>]) -> Step {
    let reply = |elements: &[Value]| emit(client, event.namespace, elements);
    let ack = |value: &str| {
        let id = event.ack.unwrap_or_default();
        client.send_message(&format!("43{}{id}[{value}]", prefix(event.namespace)));
    };
    let has_bytes = attachments.len() == 1;
    match (event.namespace, event.name) {
        (_, "getId") => ack(&json!(client.connection.public_id()).to_string()),
        (ROOT, "echo") => ack(event.args.first().map_or("null", |arg| arg.get())),
        (ROOT, "getHandshake") => ack(&handshake(client.connection, None).to_string()),
        (ROOT, "getAckDate") => ack(&json!(DATE).to_string()),
        (ROOT, "hi") => {
            let offset = format!("\"{}\"", socketio::offset(client));
            client.send_message(&encode_event("hi", &[&offset]));
        }
        (ROOT, "ack") => client.send_message(&format!(r#"42{ACK}["ack"]"#)),
        (ROOT, "getDate") => reply(&["takeDate".into(), DATE.into()]),
        (ROOT, "getDateObj") => reply(&["takeDateObj".into(), json!({ "date": DATE })]),
        (ROOT, "getUtf8") => TEXTS.iter().for_each(|text| reply(&["takeUtf8".into(), (*text).into()])),
        (ROOT, "false") => reply(&["false".into(), false.into()]),
        (ROOT, "doge") => emit_bytes(client, "doge"),
        (ROOT, "getbin") => emit_bytes(client, "takebin"),
        (ROOT, "buffa") if has_bytes => reply(&["buffack".into()]),
        (ROOT, "jsonbuff") if has_bytes => reply(&["jsonbuff-ack".into()]),
        (ROOT, "blob") if has_bytes => reply(&["back".into()]),
        (ROOT, "jsonblob") if has_bytes => reply(&["jsonblob-ack".into()]),
        // Packets are read in order, so what the suite sends before this event has come.
        (ROOT, "abuff2") => reply(&["abuff2-ack".into()]),
        (ROOT, "blob3") if has_bytes => reply(&["blob3-ack".into()]),
        _ => {}
    }
    Step::Continue
}

/// The answer to the event with [`ACK`].
fn acked(client: Client<'_>, id: u64, args: &[&RawValue]) {
    let given: Vec<Value> = args.iter().filter_map(|arg| serde_json::from_str(arg.get()).ok()).collect();
    if id == ACK && given == [json!(5), json!({ "test": true })] {
        emit(client, ROOT, &["got it".into()]);
    }
}

fn emit(client: Client<'_>, namespace: &str, elements: &[Value]) {
    let elements = Value::from(elements);
    client.send_message(&format!("42{}{elements}", prefix(namespace)));
}

fn emit_bytes(client: Client<'_>, name: &str) {
    let packet = format!(r#"451-["{name}",{{"_placeholder":true,"num":0}}]"#);
    client.send(&[Frame::text(&packet, 0), engine::frame(client.connection, BYTES)]);
}
