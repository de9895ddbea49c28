//! The messages that a client receives.

use std::time::Duration;

use super::PROTOCOL;
use super::error::Error;
use super::request::Id;
use crate::auth::Identity;
use crate::cursor::Cursor;
use crate::dispatch::{Dispatch, Via};
use crate::reply::Reply;
use crate::wire::json;

/// Bytes of an event beside name, payload, via and cursor, rounded up.
const EVENT_OVERHEAD_BYTES: usize = 60;

/// The first message on a connection.
///
/// ```
/// use std::time::Duration;
/// use turted_core::wire::v1::Welcome;
/// let welcome = Welcome {
///     session: "lv_VI97HAXpY6yYWAAAB",
///     cursor: None,
///     identity: None,
///     ping_interval: Duration::from_secs(25),
///     message_bytes: 65536,
/// };
/// assert_eq!(
///     welcome.to_json(),
///     r#"{"welcome":{"protocol":"turted.v1","session":"lv_VI97HAXpY6yYWAAAB","ping_interval_ms":25000,"message_bytes_max":65536}}"#
/// );
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Welcome<'a> {
    /// The secret by which a later connection resumes this one.
    pub session: &'a str,
    /// The position of the client in the log before its first event; `None` if it cannot resume.
    pub cursor: Option<Cursor>,
    /// Who the client is, if its request for the connection proved it.
    pub identity: Option<&'a Identity>,
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
        if let Some(cursor) = self.cursor {
            message.push_str(&format!(r#","cursor":"{cursor}""#));
        }
        if let Some(identity) = self.identity {
            message.push_str(&format!(r#","username":{}"#, identity.username_json));
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
    match reply {
        Reply::Refused(_) => None,
        done => Some(format!(r#"{{"reply":{},{}"#, id.as_json(), done.ack().strip_prefix('{')?)),
    }
}

/// The refusal of a request. Without an id it is a reply to `null`.
#[must_use]
pub fn encode_error(id: Option<Id<'_>>, error: &Error) -> String {
    let id = id.map_or("null", Id::as_json);
    let (code, rule) = (error.code.as_str(), error.code.rule());
    let mut message = format!(r#"{{"reply":{id},"ok":false,"error":{{"code":"{code}","reason":"#);
    json::push_string(&mut message, &error.reason);
    message.push_str(&format!(r#","rule":"{rule}"}}}}"#));
    message
}

/// The reply to a `resume` that succeeded. After it come `replayed` old events, then new ones. From now on
/// the session of the client is `session`.
///
/// ```
/// use turted_core::wire::v1::{decode, encode_resumed};
/// let id = decode(r#"{"id":1,"do":"resume","session":"S","cursor":"ff-36"}"#).unwrap().id.unwrap();
/// assert_eq!(encode_resumed(id, "S", 3), r#"{"reply":1,"ok":true,"session":"S","replayed":3}"#);
/// ```
#[must_use]
pub fn encode_resumed(id: Id<'_>, session: &str, replayed: usize) -> String {
    let mut message = format!(r#"{{"reply":{},"ok":true,"session":"#, id.as_json());
    json::push_string(&mut message, session);
    message.push_str(&format!(r#","replayed":{replayed}}}"#));
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
        message.push_str(&format!(r#","cursor":"{cursor}"}}"#));
    }
    message
}
