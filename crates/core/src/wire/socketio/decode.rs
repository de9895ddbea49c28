//! Packets from clients: `2["ECHO",1]` is split into its parts (socket.io protocol, "Packet encoding").

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::ROOT;
use crate::limits::{ATTACHMENTS_MAX, NAME_BYTES_MAX};

/// Arguments kept of one event or ack. The commands use one; further ones are checked to be JSON and dropped.
const ARGS_MAX: usize = 16;
/// Digits of the largest `u64`.
const ACK_DIGITS_MAX: usize = 20;

/// A packet of a client. Arguments are JSON texts, including the placeholders of attachments.
#[derive(Clone, Debug)]
pub enum Packet<'a> {
    /// `0`: the client wants to be connected to a namespace.
    Connect {
        /// The namespace, without its query.
        namespace: &'a str,
        /// What stands behind `?` in the namespace; version 4 of the protocol sends it.
        query: Option<&'a str>,
        /// A JSON object; version 5 of the protocol sends it.
        data: Option<&'a RawValue>,
    },
    /// `1`: the client leaves a namespace.
    Disconnect {
        /// The namespace.
        namespace: &'a str,
    },
    /// `2`, or `5` with attachments.
    Event {
        /// The namespace.
        namespace: &'a str,
        /// The id of the answer, if the client wants one.
        ack: Option<u64>,
        /// The first element of the data.
        name: Cow<'a, str>,
        /// The other elements, at most 16.
        args: Vec<&'a RawValue>,
        /// Binary messages that follow.
        attachments: usize,
    },
    /// `3`, or `6` with attachments: the answer to an event.
    Ack {
        /// The namespace.
        namespace: &'a str,
        /// The id of the event.
        id: u64,
        /// The elements of the data, at most 16.
        args: Vec<&'a RawValue>,
        /// Binary messages that follow.
        attachments: usize,
    },
    /// `4`: the refusal of a connection; no client sends it.
    Error {
        /// The namespace.
        namespace: &'a str,
        /// The reason, any JSON.
        data: &'a RawValue,
    },
}

/// The rule that a packet breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first character is not one of these digits.
    #[error("a packet type is a digit from 0 to 6")]
    UnknownType,
    /// A packet type that announces attachments, without their number.
    #[error("a binary packet needs a number of attachments and a dash")]
    InvalidAttachments,
    /// More than [`ATTACHMENTS_MAX`].
    #[error("a packet has at most {ATTACHMENTS_MAX} attachments")]
    TooManyAttachments,
    /// The namespace is too long or has control characters.
    #[error("a namespace has at most {NAME_BYTES_MAX} bytes and no control characters")]
    InvalidNamespace,
    /// The ack id is above 64 bits or has more than 20 digits.
    #[error("an ack id must be a number of 64 bits")]
    InvalidAckId,
    /// An ack without an id.
    #[error("an ack needs an id")]
    MissingAckId,
    /// Data on a disconnect.
    #[error("a disconnect carries no data")]
    UnexpectedData,
    /// The data of a connect are something else.
    #[error("the data of a connect must be a json object")]
    ConnectNotObject,
    /// The data of an event or an ack are something else, or no JSON.
    #[error("the data of a packet must be a json array")]
    NotArray,
    /// The name of an event is something else.
    #[error("the name of an event must be a string")]
    NameNotString,
    /// The data of an error are no JSON.
    #[error("the data of an error must be json")]
    NotJson,
}

/// Decodes the text of one Engine.IO message.
///
/// # Errors
/// The rule that `text` breaks.
///
/// # Limits
/// JSON is checked without recursion, so its depth costs no stack; arguments are not copied.
pub fn decode(text: &str) -> Result<Packet<'_>, Malformed> {
    let mut rest = text.chars();
    let digit = rest.next().ok_or(Malformed::UnknownType)?;
    let rest = rest.as_str();
    match digit {
        '0' => decode_connect(rest),
        '1' => decode_disconnect(rest),
        '2' => decode_event(rest, 0),
        '3' => decode_ack(rest, 0),
        '4' => decode_error(rest),
        '5' => split_attachments(rest).and_then(|(count, rest)| decode_event(rest, count)),
        '6' => split_attachments(rest).and_then(|(count, rest)| decode_ack(rest, count)),
        _ => Err(Malformed::UnknownType),
    }
}

fn decode_connect(rest: &str) -> Result<Packet<'_>, Malformed> {
    let (namespace, rest) = split_namespace(rest)?;
    let (namespace, query) = match namespace.split_once('?') {
        Some((namespace, query)) => (namespace, Some(query)),
        None => (namespace, None),
    };
    let data = match rest {
        "" => None,
        json => Some(decode_object(json)?),
    };
    Ok(Packet::Connect { namespace, query, data })
}

fn decode_disconnect(rest: &str) -> Result<Packet<'_>, Malformed> {
    match split_namespace(rest)? {
        (namespace, "") => Ok(Packet::Disconnect { namespace }),
        _ => Err(Malformed::UnexpectedData),
    }
}

fn decode_event(rest: &str, attachments: usize) -> Result<Packet<'_>, Malformed> {
    let (namespace, rest) = split_namespace(rest)?;
    let (ack, json) = split_ack_id(rest)?;
    let Array { first, rest } = decode_array(json)?;
    let name = decode_name(first.ok_or(Malformed::NameNotString)?)?;
    Ok(Packet::Event { namespace, ack, name, args: rest, attachments })
}

fn decode_ack(rest: &str, attachments: usize) -> Result<Packet<'_>, Malformed> {
    let (namespace, rest) = split_namespace(rest)?;
    let (id, json) = split_ack_id(rest)?;
    let id = id.ok_or(Malformed::MissingAckId)?;
    let Array { first, rest } = decode_array(json)?;
    let args = first.into_iter().chain(rest).take(ARGS_MAX).collect();
    Ok(Packet::Ack { namespace, id, args, attachments })
}

fn decode_error(rest: &str) -> Result<Packet<'_>, Malformed> {
    let (namespace, json) = split_namespace(rest)?;
    let data = serde_json::from_str(json).map_err(|_| Malformed::NotJson)?;
    Ok(Packet::Error { namespace, data })
}

/// Splits `2-rest` into 2 and `rest`.
fn split_attachments(text: &str) -> Result<(usize, &str), Malformed> {
    let (digits, rest) = split_digits(text);
    let rest = rest.strip_prefix('-').ok_or(Malformed::InvalidAttachments)?;
    if digits.is_empty() {
        return Err(Malformed::InvalidAttachments);
    }
    match digits.parse() {
        Ok(count) if count <= ATTACHMENTS_MAX => Ok((count, rest)),
        _ => Err(Malformed::TooManyAttachments),
    }
}

/// Splits `/ns,rest` into `/ns` and `rest`; any other text is in the root namespace.
fn split_namespace(text: &str) -> Result<(&str, &str), Malformed> {
    if !text.starts_with('/') {
        return Ok((ROOT, text));
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    if namespace.len() > NAME_BYTES_MAX || namespace.chars().any(char::is_control) {
        return Err(Malformed::InvalidNamespace);
    }
    Ok((namespace, rest))
}

/// Splits `7[...]` into 7 and `[...]`.
fn split_ack_id(text: &str) -> Result<(Option<u64>, &str), Malformed> {
    let (digits, rest) = split_digits(text);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    if digits.len() > ACK_DIGITS_MAX {
        return Err(Malformed::InvalidAckId);
    }
    let id = digits.parse().map_err(|_| Malformed::InvalidAckId)?;
    Ok((Some(id), rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn decode_object(json: &str) -> Result<&RawValue, Malformed> {
    match serde_json::from_str::<&RawValue>(json) {
        Ok(data) if data.get().starts_with('{') => Ok(data),
        _ => Err(Malformed::ConnectNotObject),
    }
}

fn decode_name(raw: &RawValue) -> Result<Cow<'_, str>, Malformed> {
    let quoted = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted.ok_or(Malformed::NameNotString)? {
        escaped if escaped.contains('\\') => {
            serde_json::from_str(raw.get()).map(Cow::Owned).map_err(|_| Malformed::NameNotString)
        }
        plain => Ok(Cow::Borrowed(plain)),
    }
}

fn decode_array(json: &str) -> Result<Array<'_>, Malformed> {
    serde_json::from_str(json).map_err(|_| Malformed::NotArray)
}

/// A JSON array with its elements unparsed: the first one, and at most [`ARGS_MAX`] others.
struct Array<'a> {
    first: Option<&'a RawValue>,
    rest: Vec<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Array<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ArrayVisitor)
    }
}

struct ArrayVisitor;

impl<'de> Visitor<'de> for ArrayVisitor {
    type Value = Array<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Array<'de>, A::Error> {
        let first = elements.next_element()?;
        let mut rest = Vec::new();
        while rest.len() < ARGS_MAX {
            let Some(element) = elements.next_element()? else {
                return Ok(Array { first, rest });
            };
            rest.push(element);
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Array { first, rest })
    }
}
