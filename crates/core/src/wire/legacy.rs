//! The protocol of turted 0.1 over SockJS: one JSON object per message, `{"type":T,"data":D}` both
//! ways. A client may ask for [`v1`] instead, by its first message.
//!
//! The name of an event is the type of its message. So an event named `IDENTIFIED`, `ERR`, `message` or
//! `welcome` cannot be told from an answer; in `v1` it can.

use serde_json::value::RawValue;

use crate::command::{Command, CommandRefusal};
use crate::dispatch::{Dispatch, Via};
use crate::json::{self as input, Members};
use crate::reply::Reply;
use crate::wire::{json, v1};

/// The answer to an `ident` whose user is not accepted, whatever the reason: clients compare it. An `ident`
/// that breaks a rule of [`decode`] is answered with that rule.
pub const UNIDENTIFIED: &str = r#"{"type":"ERR","data":{"ERR":"UNIDENTIFIED"}}"#;
/// The answer to [`Request::Message`].
pub const WELCOME: &str = r#"{"type":"welcome"}"#;

/// Bytes of a dispatch beside event, payload and via, rounded up, and room for the header of its frame.
const DISPATCH_OVERHEAD_BYTES: usize = 48;

/// What a client asks.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// `ident`, `join`, `leave` or `echo`.
    Command(Command<'a>),
    /// `message`, answered by [`WELCOME`].
    Message,
    /// `hello`, as a first message: everything after it is [`v1`], both ways.
    HelloV1,
}

/// Decodes a message. The case of ASCII letters in its type does not matter.
///
/// ```
/// use turted_core::command::Command;
/// use turted_core::wire::legacy::{Request, decode};
/// let request = decode(r#"{"type":"Join","data":{"channel":"chat"}}"#);
/// assert!(matches!(request, Ok(Request::Command(Command::Join(name))) if name.as_str() == "chat"));
/// assert!(matches!(decode(r#"{"type":"hello","protocol":"turted.v1"}"#), Ok(Request::HelloV1)));
/// ```
///
/// # Errors
/// The rule that `text` breaks.
///
/// # Limits
/// The caller limits the bytes of `text`; its depth does not matter.
pub fn decode(text: &str) -> Result<Request<'_>, Malformed> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let members = Members::read(text, ["type", "data", "protocol"]).ok_or(Malformed::NotAnObject)?;
    if let Some(name) = members.duplicate {
        return Err(Malformed::DuplicateKey(name));
    }
    let [kind, data, protocol] = members.values;
    let kind = input::text(kind.ok_or(Malformed::TypeMissing)?).ok_or(Malformed::TypeNotAString)?;
    match &*kind.to_ascii_lowercase() {
        "ident" => command("IDENT", data),
        "join" => command("JOIN", data),
        "leave" => command("LEAVE", data),
        "echo" => command("ECHO", data),
        "message" => Ok(Request::Message),
        "hello" => hello(protocol),
        _ => Err(Malformed::UnknownType),
    }
}

fn command<'a>(name: &'static str, data: Option<&'a RawValue>) -> Result<Request<'a>, Malformed> {
    let command = Command::decode(name, data.as_slice()).map_err(Malformed::Command)?;
    // Its messages cannot say that an event is an old one, or who is in a channel.
    Ok(Request::Command(match command {
        Command::JoinWith(channel, _) => Command::Join(channel),
        command => command,
    }))
}

fn hello<'a>(protocol: Option<&RawValue>) -> Result<Request<'a>, Malformed> {
    match protocol.and_then(input::text).as_deref() {
        Some(v1::PROTOCOL) => Ok(Request::HelloV1),
        _ => Err(Malformed::UnknownProtocol),
    }
}

/// The message that answers a command. Joining and leaving are answered only when refused. An `ident` whose
/// user is not accepted is answered with [`UNIDENTIFIED`] instead.
///
/// ```
/// use turted_core::{reply::Reply, wire::legacy::encode_reply};
/// let refusal = encode_reply(&Reply::Refused("channel missing"));
/// assert_eq!(refusal.as_deref(), Some(r#"{"type":"ERR","data":{"ERR":"channel missing"}}"#));
/// ```
#[must_use]
pub fn encode_reply(reply: &Reply<'_>) -> Option<String> {
    match reply {
        Reply::Identified(_) => Some(r#"{"type":"IDENTIFIED","data":{}}"#.to_owned()),
        Reply::Echo(None) => Some(r#"{"type":"message"}"#.to_owned()),
        Reply::Echo(Some(data)) => Some(format!(r#"{{"type":"message","data":{}}}"#, data.get())),
        Reply::Refused(_) => Some(format!(r#"{{"type":"ERR","data":{{"ERR":{}}}}}"#, reply.argument())),
        Reply::Joined(_) | Reply::JoinedFrom(..) | Reply::Left(_) | Reply::Present(_) | Reply::Pong(_) => {
            None
        }
    }
}

/// A dispatch for the connections that receive it for one reason. The payload goes out byte for byte.
///
/// ```
/// use turted_core::dispatch::{Dispatch, Targets, Via};
/// use turted_core::{name::Name, wire::legacy::encode_dispatch};
/// let payload = serde_json::from_str(r#"{"id":7}"#)?;
/// let dispatch = Dispatch { event: Name::new("MESSAGE:NEW").unwrap(), payload, targets: Targets::broadcast() };
/// let message = encode_dispatch(&dispatch, Via::Broadcast);
/// assert_eq!(message, r#"{"type":"MESSAGE:NEW","data":{"id":7},"via":{"broadcast":true}}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn encode_dispatch(dispatch: &Dispatch, via: Via<'_>) -> String {
    let (event, payload) = (dispatch.event.as_str(), dispatch.payload.get());
    let bytes = event.len() + payload.len() + json::via_bytes(via) + DISPATCH_OVERHEAD_BYTES;
    let mut message = String::with_capacity(bytes);
    message.push_str(r#"{"type":"#);
    json::push_string(&mut message, event);
    message.push_str(r#","data":"#);
    message.push_str(payload);
    message.push_str(r#","via":"#);
    json::push_via(&mut message, via);
    message.push('}');
    message
}

/// The rule that a message breaks. [`Reply::Refused`] sends the text to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No JSON, or of another type.
    #[error("a message must be a json object")]
    NotAnObject,
    /// The object has a member twice; readers disagree which of the two counts.
    #[error("duplicate key {0}")]
    DuplicateKey(&'static str),
    /// No `type`.
    #[error("type missing")]
    TypeMissing,
    /// `type` is no string.
    #[error("type must be a string")]
    TypeNotAString,
    /// No request has this type.
    #[error("unknown type")]
    UnknownType,
    /// `hello` without `turted.v1`.
    #[error("the only protocol to ask for is {}", v1::PROTOCOL)]
    UnknownProtocol,
    /// The command is refused.
    #[error(transparent)]
    Command(CommandRefusal),
}
