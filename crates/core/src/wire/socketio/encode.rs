//! Packets for clients, as Engine.IO message packets: the leading `4` belongs to Engine.IO.

use std::fmt::Write as _;

use super::ROOT;
use crate::cursor::Cursor;
use crate::dispatch::{Dispatch, Via};
use crate::name::Name;
use crate::wire::engineio::Version;
use crate::wire::json;

/// Bytes of a dispatch packet beside event, payload and via, rounded up, and room for the header of its frame.
const DISPATCH_OVERHEAD_BYTES: usize = 96;

/// Bytes of the packet that accepts a connection, with two ids of 20 characters.
const CONNECT_BYTES: usize = 64;

/// An event with arguments that are JSON texts already: `42["OK",{"channel":"news"}]`.
///
/// ```
/// use turted_core::wire::socketio::encode_event;
/// assert_eq!(encode_event("ECHO", &["null"]), r#"42["ECHO",null]"#);
/// ```
#[must_use]
pub fn encode_event(name: &str, args: &[&str]) -> String {
    let bytes = args.iter().map(|arg| arg.len() + 1).sum::<usize>() + name.len() + 6;
    let mut packet = String::with_capacity(bytes);
    packet.push_str("42[");
    json::push_string(&mut packet, name);
    for arg in args {
        packet.push(',');
        packet.push_str(arg);
    }
    packet.push(']');
    packet
}

/// Tells a client out of which channels an operator has taken it.
///
/// ```
/// use turted_core::{name::Name, wire::socketio::encode_left};
/// assert_eq!(encode_left(&[Name::new("chat").unwrap()]), r#"42["LEFT",{"channels":["chat"]}]"#);
/// ```
#[must_use]
pub fn encode_left(channels: &[Name]) -> String {
    let mut packet = String::from(r#"42["LEFT",{"channels":"#);
    json::push_names(&mut packet, channels);
    packet.push_str("}]");
    packet
}

/// The answer to an event that asked for one: `437[{"ok":true}]`, with one argument of JSON text.
#[must_use]
pub fn encode_ack(id: u64, arg: &str) -> String {
    format!("43{id}[{arg}]")
}

/// The acceptance of a connection to the root namespace.
///
/// Version 3 carries nothing. In version 4 `pid` names the state that a later connection may
/// recover (socket.io protocol v5, "Connection to a namespace").
#[must_use]
pub fn encode_connect(version: Version, sid: &str, pid: Option<&str>) -> String {
    if version == Version::V3 {
        return "40".to_owned();
    }
    let mut packet = String::with_capacity(CONNECT_BYTES);
    packet.push_str(r#"40{"sid":"#);
    json::push_string(&mut packet, sid);
    if let Some(pid) = pid {
        packet.push_str(r#","pid":"#);
        json::push_string(&mut packet, pid);
    }
    packet.push('}');
    packet
}

/// The refusal of a connection to `namespace`: in version 3 the message alone, in version 4 an
/// object with it.
#[must_use]
pub fn encode_connect_error(version: Version, namespace: &str, message: &str) -> String {
    let mut packet = String::from("44");
    if namespace != ROOT {
        packet.push_str(namespace);
        packet.push(',');
    }
    match version {
        Version::V3 => json::push_string(&mut packet, message),
        Version::V4 => {
            packet.push_str(r#"{"message":"#);
            json::push_string(&mut packet, message);
            packet.push('}');
        }
    }
    packet
}

/// An event of the history of a channel. It has no offset: a client would resume from it.
///
/// ```
/// use turted_core::dispatch::{Dispatch, Targets, Via};
/// use turted_core::{name::Name, wire::socketio::encode_history};
/// let (payload, chat) = (serde_json::from_str("7")?, Name::new("chat").unwrap());
/// let dispatch = Dispatch { event: Name::new("E").unwrap(), payload, targets: Targets::channel(chat.clone()) };
/// let packet = encode_history(&dispatch, Via::Channel(&chat));
/// assert_eq!(packet, r#"42["EVENT",{"event":"E","payload":7,"via":{"channel":"chat"},"replayed":true}]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn encode_history(dispatch: &Dispatch, via: Via<'_>) -> String {
    let mut packet = encode_dispatch(dispatch, via, None);
    packet.truncate(packet.len() - "}]".len());
    packet.push_str(r#","replayed":true}]"#);
    packet
}

/// Who is in a channel: `told` is the object of [`presence`](crate::presence).
///
/// ```
/// use turted_core::wire::socketio::encode_presence;
/// assert_eq!(encode_presence(r#"{"channel":"chat"}"#), r#"42["PRESENCE",{"channel":"chat"}]"#);
/// ```
#[must_use]
pub fn encode_presence(told: &str) -> String {
    encode_event("PRESENCE", &[told])
}

/// A dispatch for the connections that receive it for one reason. The payload goes out byte for byte.
///
/// `offset` becomes the last argument. A client that reconnects sends the last offset it saw (socket.io,
/// "Connection state recovery"); listeners that do not expect it ignore it.
#[must_use]
pub fn encode_dispatch(dispatch: &Dispatch, via: Via<'_>, offset: Option<Cursor>) -> String {
    let (event, payload) = (dispatch.event.as_str(), dispatch.payload.get());
    let bytes = event.len() + payload.len() + json::via_bytes(via);
    let mut packet = String::with_capacity(bytes + DISPATCH_OVERHEAD_BYTES);
    packet.push_str(r#"42["EVENT","#);
    json::push_envelope(&mut packet, dispatch, via);
    if let Some(offset) = offset {
        write!(packet, ",\"{offset}\"").expect("writing to a string does not fail");
    }
    packet.push(']');
    packet
}
