//! What clients send: arrays of messages, in bodies and WebSocket frames.

use std::borrow::Cow;

use crate::json;
use crate::limits::{MESSAGE_BYTES_MAX, SOCKJS_MESSAGES_MAX};
use crate::wire::form;

/// How much one body or frame may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// Bytes of each message.
    pub message_bytes: usize,
    /// Messages of one body or frame.
    pub messages: usize,
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self { message_bytes: MESSAGE_BYTES_MAX, messages: SOCKJS_MESSAGES_MAX }
    }
}

/// How a body carries its array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// The array is the body.
    Plain,
    /// The array is the field `d` of a form.
    Form,
}

impl BodyKind {
    /// The kind of a body with this `Content-Type`. Every type but that of a form is plain, because browsers
    /// send many types (sockjs-protocol 0.3.3, `test_content_types`).
    #[must_use]
    pub fn of(content_type: Option<&str>) -> Self {
        let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
        if essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::Form
        } else {
            Self::Plain
        }
    }
}

/// Decodes the body of `xhr_send` or `jsonp_send`: an array of messages, which may be empty.
///
/// ```
/// use turted_core::wire::sockjs::{BodyKind, MessageLimits, decode_body};
/// let messages = decode_body(b"d=%5B%22a%22%5D", BodyKind::Form, MessageLimits::default());
/// assert_eq!(messages, Ok(vec!["a".into()]));
/// ```
///
/// # Errors
/// The rule that `body` breaks.
///
/// # Limits
/// The caller limits the bytes of `body`.
pub fn decode_body(
    body: &[u8],
    kind: BodyKind,
    limits: MessageLimits,
) -> Result<Vec<Cow<'_, str>>, Malformed> {
    let field = match kind {
        BodyKind::Plain => return decode_array(utf8(body)?, limits),
        BodyKind::Form => form::field(body, b"d=").ok_or(Malformed::PayloadExpected)?,
    };
    let decoded = form::decode(field).ok_or(Malformed::Broken)?;
    let messages = decode_array(utf8(&decoded)?, limits)?;
    Ok(messages.into_iter().map(|message| Cow::Owned(message.into_owned())).collect())
}

/// Decodes a text frame of a WebSocket: an array of messages, a single message, or an empty text without
/// messages.
///
/// # Errors
/// The rule that `text` breaks.
///
/// # Limits
/// The WebSocket limits the bytes of `text`.
pub fn decode_websocket(text: &str, limits: MessageLimits) -> Result<Vec<Cow<'_, str>>, Malformed> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let text = trim(text);
    if text.starts_with('[') {
        return decode_array(text, limits);
    }
    let raw = serde_json::from_str(text).map_err(|_| Malformed::Broken)?;
    let message = json::text(raw).ok_or(Malformed::Broken)?;
    check_length(&message, limits)?;
    Ok(vec![message])
}

fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Malformed::Broken)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

fn decode_array(text: &str, limits: MessageLimits) -> Result<Vec<Cow<'_, str>>, Malformed> {
    let text = trim(text);
    if text.is_empty() {
        return Err(Malformed::PayloadExpected);
    }
    let (mut raws, mut length) = (Vec::new(), 0);
    if text.starts_with('[') {
        let syntax = json::each(text, |_, raw| {
            length += 1;
            if length <= limits.messages {
                raws.push(raw);
            }
        });
        syntax.map_err(|_| Malformed::Broken)?;
    } else {
        let any: Result<&serde_json::value::RawValue, _> = serde_json::from_str(text);
        return Err(any.map_or(Malformed::Broken, |_| Malformed::PayloadExpected));
    }
    if length > limits.messages {
        return Err(Malformed::TooManyMessages(limits.messages));
    }
    let messages = raws.into_iter().map(|raw| {
        let message = json::text(raw).ok_or(Malformed::Broken)?;
        check_length(&message, limits).map(|()| message)
    });
    messages.collect()
}

fn check_length(message: &str, limits: MessageLimits) -> Result<(), Malformed> {
    if message.len() > limits.message_bytes {
        return Err(Malformed::MessageTooLong(limits.message_bytes));
    }
    Ok(())
}

/// The rule that a body or a frame breaks. The protocol fixes the first two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// An empty body, a form without the field `d`, or JSON that is no array.
    #[error("Payload expected.")]
    PayloadExpected,
    /// No JSON, no UTF-8, or a message that is no text; a lone surrogate is no text.
    #[error("Broken JSON encoding.")]
    Broken,
    /// A message is above [`MessageLimits::message_bytes`].
    #[error("a message has at most {0} bytes (limits.message_bytes)")]
    MessageTooLong(usize),
    /// More messages than [`MessageLimits::messages`].
    #[error("at most {0} messages may come at once")]
    TooManyMessages(usize),
}

impl Malformed {
    /// The status of the answer to a request.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::PayloadExpected | Self::Broken => 500,
            Self::MessageTooLong(_) | Self::TooManyMessages(_) => 413,
        }
    }

    /// The code with which a WebSocket is closed. It is closed at once, without a SockJS frame before
    /// (sockjs-protocol 0.3.3, `test_broken_json`).
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::PayloadExpected | Self::Broken => 3000,
            Self::MessageTooLong(_) => 1009,
            Self::TooManyMessages(_) => 1008,
        }
    }
}
