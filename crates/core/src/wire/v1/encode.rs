//! The messages that a client receives.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::value::RawValue;

use super::PROTOCOL;
use super::error::Error;
use super::request::Id;
use crate::auth::IdentRefusal;
use crate::cursor::Cursor;
use crate::dispatch::{Dispatch, Via};
use crate::name::Name;
use crate::reply::{Identified, Reply};
use crate::wire::json;

/// Bytes of an event beside name, payload and via, rounded up, and room for the header of its frame.
const EVENT_OVERHEAD_BYTES: usize = 96;

/// The first message on a connection.
///
/// ```
/// use std::time::Duration;
/// use turted_core::wire::v1::Welcome;
/// let welcome = Welcome {
///     session: "lv_VI97HAXpY6yYWAAAB",
///     connection: "tGzv3JOkF0XG5Qx2TlKW",
///     cursor: None,
///     identified: None,
///     ping_interval: Duration::from_secs(25),
///     message_bytes: 65536,
/// };
/// assert_eq!(
///     welcome.to_json(),
///     r#"{"welcome":{"protocol":"turted.v1","session":"lv_VI97HAXpY6yYWAAAB","connection":"tGzv3JOkF0XG5Qx2TlKW","ping_interval_ms":25000,"message_bytes_max":65536}}"#
/// );
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Welcome<'a> {
    /// The secret by which a later connection resumes this one.
    pub session: &'a str,
    /// The name of the connection for operators.
    pub connection: &'a str,
    /// The position of the client in the log before its first event; `None` if it cannot resume.
    pub cursor: Option<Cursor>,
    /// Who the client is, if its request for the connection proved it.
    pub identified: Option<&'a Identified>,
    /// How often the server sends a sign of life.
    pub ping_interval: Duration,
    /// Bytes of the largest message that the server takes.
    pub message_bytes: usize,
}

impl Welcome<'_> {
    /// The message. Durations are sent in whole milliseconds.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut message = format!(r#"{{"welcome":{{"protocol":"{PROTOCOL}","session":"#);
        json::push_string(&mut message, self.session);
        push_text(&mut message, "connection", self.connection);
        push_cursor(&mut message, self.cursor);
        if let Some(Identified { identity, expires_in, .. }) = self.identified {
            message.push_str(&format!(r#","username":{}"#, identity.username_json));
            push_expiry(&mut message, *expires_in);
        }
        let (interval, bytes) = (self.ping_interval.as_millis(), self.message_bytes);
        message.push_str(&format!(r#","ping_interval_ms":{interval},"message_bytes_max":{bytes}}}}}"#));
        message
    }
}

/// The reply to a command that succeeded; `None` if the client asked for none. Refusals are encoded by
/// [`encode_error`]: [`Reply::Refused`] has no code, so it is `None` here.
///
/// ```
/// use turted_core::{name::Name, reply::Reply};
/// use turted_core::wire::v1::{decode, encode_reply};
/// let id = decode(r#"{"id":"a","do":"ping"}"#).unwrap().id;
/// let chat = Name::new("chat").unwrap();
/// let reply = encode_reply(id, &Reply::Joined(&chat));
/// assert_eq!(reply.as_deref(), Some(r#"{"reply":"a","ok":true,"channel":"chat"}"#));
/// assert_eq!(encode_reply(None, &Reply::Joined(&chat)), None);
/// ```
#[must_use]
pub fn encode_reply(id: Option<Id<'_>>, reply: &Reply<'_>) -> Option<String> {
    let id = id?;
    if matches!(reply, Reply::Refused(_)) {
        return None;
    }
    let mut message = format!(r#"{{"reply":{},{}"#, id.as_json(), reply.ack().strip_prefix('{')?);
    if let Reply::Identified(Identified { expires_in, left, .. }) = reply {
        message.pop();
        push_expiry(&mut message, *expires_in);
        push_left(&mut message, left);
        message.push('}');
    }
    Some(message)
}

/// The reply to a `ping`; `None` if the client asked for none. Everything up to `cursor` that concerns the
/// client was sent before it.
///
/// ```
/// use turted_core::wire::v1::{decode, encode_pong};
/// let id = decode(r#"{"id":1,"do":"ping"}"#).unwrap().id;
/// assert_eq!(encode_pong(id, "ff-36".parse().ok()).as_deref(), Some(r#"{"reply":1,"ok":true,"cursor":"ff-36"}"#));
/// ```
#[must_use]
pub fn encode_pong(id: Option<Id<'_>>, cursor: Option<Cursor>) -> Option<String> {
    let mut message = format!(r#"{{"reply":{},"ok":true"#, id?.as_json());
    push_cursor(&mut message, cursor);
    message.push('}');
    Some(message)
}

/// What came of one of several channels that a client wanted to join: the channel as it was sent, and why it
/// was not joined.
pub type Joined<'a> = (&'a RawValue, Result<(), Error>);

/// The reply to a `join` of several channels. Without an id it is sent only if one of them was refused, and is
/// a reply to `null`.
#[must_use]
pub fn encode_joined(id: Option<Id<'_>>, channels: &[Joined<'_>]) -> Option<String> {
    if id.is_none() && channels.iter().all(|(_, outcome)| outcome.is_ok()) {
        return None;
    }
    let (mut joined, mut refused) = (Vec::new(), Vec::new());
    for (channel, outcome) in channels {
        match outcome {
            Ok(()) => joined.push(channel.get()),
            Err(error) => {
                let mut item = format!(r#"{{"channel":{},"#, channel.get());
                push_error(&mut item, error);
                item.push('}');
                refused.push(item);
            }
        }
    }
    let (id, joined, refused) = (id.map_or("null", Id::as_json), joined.join(","), refused.join(","));
    Some(format!(r#"{{"reply":{id},"ok":true,"channels":[{joined}],"refused":[{refused}]}}"#))
}

/// The refusal of a request. Without an id it is a reply to `null`.
#[must_use]
pub fn encode_error(id: Option<Id<'_>>, error: &Error) -> String {
    let mut message = format!(r#"{{"reply":{},"ok":false,"#, id.map_or("null", Id::as_json));
    push_error(&mut message, error);
    message.push('}');
    message
}

/// Tells a client that its token has expired, and which channels it has lost by that.
///
/// ```
/// use turted_core::{name::Name, wire::v1::encode_expired};
/// let told = encode_expired(&[Name::new("chat").unwrap()]);
/// assert!(told.starts_with(r#"{"reply":null,"ok":false,"error":{"code":"token-expired","#));
/// assert!(told.ends_with(r#"},"left":["chat"]}"#));
/// ```
#[must_use]
pub fn encode_expired(left: &[Name]) -> String {
    let mut message = encode_error(None, &IdentRefusal::Expired.into());
    message.pop();
    push_left(&mut message, left);
    message.push('}');
    message
}

/// Tells a client out of which channels an operator has taken it.
///
/// ```
/// use turted_core::{name::Name, wire::v1::encode_left};
/// assert_eq!(encode_left(&[Name::new("chat").unwrap()]), r#"{"left":["chat"]}"#);
/// ```
#[must_use]
pub fn encode_left(channels: &[Name]) -> String {
    let mut message = String::from("{\"left\":");
    json::push_names(&mut message, channels);
    message.push('}');
    message
}

/// What a client is again after a `resume` that succeeded.
///
/// ```
/// use turted_core::wire::v1::{Resumed, decode, encode_resumed};
/// let id = decode(r#"{"id":1,"do":"resume","session":"S","cursor":"ff-36"}"#).unwrap().id.unwrap();
/// let resumed = Resumed { session: "S", replayed: 3, connection: "C", username: None, expires_in: None, left: &[] };
/// assert_eq!(encode_resumed(id, &resumed), r#"{"reply":1,"ok":true,"session":"S","replayed":3,"connection":"C"}"#);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Resumed<'a> {
    /// The session of the client from now on.
    pub session: &'a str,
    /// How many old events follow, before new ones.
    pub replayed: usize,
    /// The name of the connection for operators from now on.
    pub connection: &'a str,
    /// The user that the client is.
    pub username: Option<&'a Name>,
    /// How long its proof is good by its own word; `None` if it does not expire.
    pub expires_in: Option<Duration>,
    /// The channels of the session that the connection has lost.
    pub left: &'a [Name],
}

/// The reply to a `resume` that succeeded.
#[must_use]
pub fn encode_resumed(id: Id<'_>, resumed: &Resumed<'_>) -> String {
    let mut message = format!(r#"{{"reply":{},"ok":true,"session":"#, id.as_json());
    json::push_string(&mut message, resumed.session);
    message.push_str(&format!(r#","replayed":{}"#, resumed.replayed));
    push_text(&mut message, "connection", resumed.connection);
    if let Some(user) = resumed.username {
        push_text(&mut message, "username", user.as_str());
    }
    push_expiry(&mut message, resumed.expires_in);
    push_left(&mut message, resumed.left);
    message.push('}');
    message
}

/// A dispatch for the connections that receive it for one reason. The payload goes out byte for byte.
///
/// ```
/// use turted_core::dispatch::{Dispatch, Targets, Via};
/// use turted_core::{cursor::Cursor, name::Name, wire::v1::encode_dispatch};
/// let payload = serde_json::from_str(r#"{"id":7}"#)?;
/// let dispatch = Dispatch { event: Name::new("MESSAGE:NEW").unwrap(), payload, targets: Targets::broadcast() };
/// let event = encode_dispatch(&dispatch, Via::Broadcast, Some(Cursor { epoch: 255, sequence: 36 }));
/// assert_eq!(
///     event,
///     r#"{"event":"MESSAGE:NEW","payload":{"id":7},"via":{"broadcast":true},"cursor":"ff-36"}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn encode_dispatch(dispatch: &Dispatch, via: Via<'_>, cursor: Option<Cursor>) -> String {
    let (event, payload) = (dispatch.event.as_str(), dispatch.payload.get());
    let bytes = event.len() + payload.len() + json::via_bytes(via) + EVENT_OVERHEAD_BYTES;
    let mut message = String::with_capacity(bytes);
    json::push_envelope(&mut message, dispatch, via);
    if let Some(cursor) = cursor {
        message.pop();
        write!(message, r#","cursor":"{cursor}"}}"#).expect("writing to a string does not fail");
    }
    message
}

/// An event of the history of a channel, as [`encode_dispatch`] has it but for its position, from which a client does not
/// resume.
///
/// ```
/// use turted_core::dispatch::{Dispatch, Targets, Via};
/// use turted_core::{cursor::Cursor, name::Name, wire::v1::encode_history};
/// let (payload, chat) = (serde_json::from_str("7")?, Name::new("chat").unwrap());
/// let dispatch = Dispatch { event: Name::new("E").unwrap(), payload, targets: Targets::channel(chat.clone()) };
/// assert_eq!(
///     encode_history(&dispatch, Via::Channel(&chat), Cursor { epoch: 255, sequence: 36 }),
///     r#"{"event":"E","payload":7,"via":{"channel":"chat"},"position":"ff-36","replayed":true}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn encode_history(dispatch: &Dispatch, via: Via<'_>, position: Cursor) -> String {
    let mut message = encode_dispatch(dispatch, via, None);
    message.pop();
    message.push_str(&format!(r#","position":"{position}","replayed":true}}"#));
    message
}

/// Who is in a channel: `told` is the object of [`presence`](crate::presence).
///
/// ```
/// use turted_core::wire::v1::encode_presence;
/// assert_eq!(encode_presence(r#"{"channel":"chat"}"#), r#"{"presence":{"channel":"chat"}}"#);
/// ```
#[must_use]
pub fn encode_presence(told: &str) -> String {
    [r#"{"presence":"#, told, "}"].concat()
}

/// Appends the member `error`.
fn push_error(message: &mut String, error: &Error) {
    message.push_str(&format!(r#""error":{{"code":"{}","reason":"#, error.code.as_str()));
    json::push_string(message, &error.reason);
    message.push_str(&format!(r#","rule":"{}"}}"#, error.code.rule()));
}

/// Appends a member behind another one.
fn push_text(message: &mut String, name: &'static str, text: &str) {
    message.push_str(&format!(r#","{name}":"#));
    json::push_string(message, text);
}

/// Appends `cursor`, if there is one.
fn push_cursor(message: &mut String, cursor: Option<Cursor>) {
    if let Some(cursor) = cursor {
        message.push_str(&format!(r#","cursor":"{cursor}""#));
    }
}

/// Appends `expires_in_ms`, in whole milliseconds, if the proof expires.
fn push_expiry(message: &mut String, expires_in: Option<Duration>) {
    if let Some(left) = expires_in {
        message.push_str(&format!(r#","expires_in_ms":{}"#, left.as_millis()));
    }
}

/// Appends `left`, if channels were lost.
fn push_left(message: &mut String, left: &[Name]) {
    if !left.is_empty() {
        message.push_str(r#","left":"#);
        json::push_names(message, left);
    }
}
