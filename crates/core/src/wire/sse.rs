//! Event streams (HTML, "Server-sent events"): dispatches as fields, encoded so that no name or payload can
//! begin a field of its own. The HTTP response around them is not made here.
//!
//! A stream begins with [`encode_start`]. Events follow as [`encode_event`], or as [`encode_envelope`] to
//! clients that ask for it.
//!
//! An `EventSource` dispatches an event under its name to the page's listeners, and it uses the names `error`
//! and `open` itself to tell about the connection. So events of these names are sent with `turted:` before
//! them. Names that begin with `turted:` get it once more. So every name on the wire stands for one event,
//! and no event can be mistaken for [`encode_gap`], [`encode_left`] or [`encode_presence`].

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use crate::cursor::Cursor;
use crate::dispatch::{Dispatch, Via};
use crate::name::Name;
use crate::wire::json;

/// The `Content-Type` of a stream. Its encoding is always UTF-8.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// Stands before names that an `EventSource` uses itself, and before our own.
const RESERVED_PREFIX: &str = "turted:";

/// Bytes of an event beside its name and payload, rounded up, and room for what makes it a chunk.
const EVENT_OVERHEAD_BYTES: usize = 96;

/// The start of a stream: how long a client waits before it reconnects, and the position from which it then
/// resumes if it has received nothing.
///
/// ```
/// use std::time::Duration;
/// use turted_core::{cursor::Cursor, wire::sse::encode_start};
/// let cursor = Cursor { epoch: 255, sequence: 36 };
/// assert_eq!(encode_start(Duration::from_secs(3), Some(cursor)), "retry: 3000\nid: ff-36\n\n");
/// ```
#[must_use]
pub fn encode_start(retry: Duration, cursor: Option<Cursor>) -> String {
    let mut stream = format!("retry: {}\n", retry.as_millis());
    push_id(&mut stream, cursor);
    stream.push('\n');
    stream
}

/// Changes how long a client waits before it reconnects.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(turted_core::wire::sse::encode_retry(Duration::from_secs(3)), "retry: 3000\n\n");
/// ```
#[must_use]
pub fn encode_retry(retry: Duration) -> String {
    encode_start(retry, None)
}

/// A sign of life. It reaches no listener, and gives the client the cursor.
///
/// ```
/// use turted_core::{cursor::Cursor, wire::sse::encode_heartbeat};
/// let cursor = Cursor { epoch: 255, sequence: 36 };
/// assert_eq!(encode_heartbeat(Some(cursor)), ":\nid: ff-36\n\n");
/// ```
#[must_use]
pub fn encode_heartbeat(cursor: Option<Cursor>) -> String {
    let mut comment = String::from(":\n");
    push_id(&mut comment, cursor);
    comment.push('\n');
    comment
}

/// A sign of life as turted for reactphp sent it; its clients listen for it.
///
/// ```
/// assert_eq!(turted_core::wire::sse::encode_ping(None), "event: ping\ndata: {}\n\n");
/// ```
#[must_use]
pub fn encode_ping(cursor: Option<Cursor>) -> String {
    let mut event = String::from("event: ping\ndata: {}\n");
    push_id(&mut event, cursor);
    event.push('\n');
    event
}

/// A dispatch under its name, with the payload as it was pushed. Line breaks between the tokens of a payload
/// arrive as line feeds; inside of strings JSON has none.
///
/// ```
/// use turted_core::dispatch::{Dispatch, Targets};
/// use turted_core::{name::Name, wire::sse::encode_event};
/// let payload = serde_json::from_str(r#"{"id":7}"#)?;
/// let dispatch = Dispatch { event: Name::new("MESSAGE:NEW").unwrap(), payload, targets: Targets::broadcast() };
/// assert_eq!(encode_event(&dispatch, None), "event: MESSAGE:NEW\ndata: {\"id\":7}\n\n");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn encode_event(dispatch: &Dispatch, cursor: Option<Cursor>) -> String {
    let name = event_name(&dispatch.event);
    let mut event = String::with_capacity(name.len() + dispatch.payload.get().len() + EVENT_OVERHEAD_BYTES);
    push_id(&mut event, cursor);
    event.push_str("event: ");
    event.push_str(&name);
    event.push('\n');
    push_data(&mut event, dispatch.payload.get());
    event.push('\n');
    event
}

/// A dispatch as an event named `message`, for which `onmessage` listens. Its data hold the name and the
/// reason for the delivery: `{"event":E,"payload":P,"via":{..}}`.
#[must_use]
pub fn encode_envelope(dispatch: &Dispatch, via: Via<'_>, cursor: Option<Cursor>) -> String {
    event_of(&envelope(dispatch, via), cursor)
}

/// An event of the history of a channel as an [envelope](encode_envelope). It has no id: a client would resume from it.
#[must_use]
pub fn encode_history_envelope(dispatch: &Dispatch, via: Via<'_>) -> String {
    let mut envelope = envelope(dispatch, via);
    envelope.pop();
    envelope.push_str(r#","replayed":true}"#);
    event_of(&envelope, None)
}

fn envelope(dispatch: &Dispatch, via: Via<'_>) -> String {
    let (name, payload) = (dispatch.event.as_str(), dispatch.payload.get());
    let bytes = name.len() + payload.len() + json::via_bytes(via) + EVENT_OVERHEAD_BYTES;
    let mut envelope = String::with_capacity(bytes);
    json::push_envelope(&mut envelope, dispatch, via);
    envelope
}

fn event_of(data: &str, cursor: Option<Cursor>) -> String {
    let mut event = String::with_capacity(data.len() + EVENT_OVERHEAD_BYTES);
    push_id(&mut event, cursor);
    push_data(&mut event, data);
    event.push('\n');
    event
}

/// What an id begins with that says that everything up to the position behind it may be lost.
const LOSS: &str = "gap-";

/// Gives a client an id that is no position: what it has seen is not all, perhaps. When it shows the id it is told of a gap, by a
/// node of a cluster that has read up to `cursor`.
///
/// ```
/// use turted_core::{cursor::Cursor, wire::sse::{encode_loss, loss}};
/// let cursor = Cursor { epoch: 255, sequence: 36 };
/// assert_eq!(encode_loss(Some(cursor)), "id: gap-ff-36\n\n");
/// assert_eq!(loss("gap-ff-36"), Some(cursor));
/// assert_eq!((encode_loss(None), loss("ff-36")), ("id: gap-\n\n".to_owned(), None));
/// ```
#[must_use]
pub fn encode_loss(cursor: Option<Cursor>) -> String {
    let at = cursor.map(|cursor| cursor.to_string()).unwrap_or_default();
    format!("id: {LOSS}{at}\n\n")
}

/// The position of an id that tells a loss.
#[must_use]
pub fn loss(id: &str) -> Option<Cursor> {
    id.strip_prefix(LOSS)?.parse().ok()
}

/// Tells a client that came back that it has missed the events between its `Last-Event-ID` and `cursor`. The
/// name of the event is `turted:gap`; the page should fetch anew what it shows.
///
/// ```
/// use turted_core::{cursor::Cursor, wire::sse::encode_gap};
/// let cursor = Cursor { epoch: 255, sequence: 36 };
/// assert_eq!(encode_gap(Some(cursor)), "id: ff-36\nevent: turted:gap\ndata: {}\n\n");
/// ```
#[must_use]
pub fn encode_gap(cursor: Option<Cursor>) -> String {
    let mut event = String::new();
    push_id(&mut event, cursor);
    event.push_str("event: turted:gap\ndata: {}\n\n");
    event
}

/// Who is in a channel: `told` is the object of [`presence`](crate::presence). The name of the event is `turted:presence`. It
/// has no id: it stands in no log.
///
/// ```
/// use turted_core::wire::sse::encode_presence;
/// assert_eq!(encode_presence(r#"{"channel":"chat"}"#), "event: turted:presence\ndata: {\"channel\":\"chat\"}\n\n");
/// ```
#[must_use]
pub fn encode_presence(told: &str) -> String {
    let mut event = String::with_capacity(told.len() + EVENT_OVERHEAD_BYTES);
    event.push_str("event: turted:presence\n");
    push_data(&mut event, told);
    event.push('\n');
    event
}

/// Tells a client out of which channels an operator has taken it. The name of the event is `turted:left`. It has no
/// id, because it is at no position of the log.
///
/// ```
/// use turted_core::{name::Name, wire::sse::encode_left};
/// let told = encode_left(&[Name::new("chat").unwrap()]);
/// assert_eq!(told, "event: turted:left\ndata: {\"channels\":[\"chat\"]}\n\n");
/// ```
#[must_use]
pub fn encode_left(channels: &[Name]) -> String {
    let mut event = String::from("event: turted:left\ndata: {\"channels\":");
    json::push_names(&mut event, channels);
    event.push_str("}\n\n");
    event
}

/// The name of an event as it stands in a stream.
///
/// ```
/// use turted_core::{name::Name, wire::sse::event_name};
/// for (name, sent) in [("MESSAGE:NEW", "MESSAGE:NEW"), ("error", "turted:error"), ("turted:gap", "turted:turted:gap")] {
///     assert_eq!(event_name(&Name::new(name).unwrap()), sent);
/// }
/// ```
#[must_use]
pub fn event_name(name: &Name) -> Cow<'_, str> {
    let name = name.as_str();
    if matches!(name, "error" | "open") || name.starts_with(RESERVED_PREFIX) {
        return Cow::Owned(format!("{RESERVED_PREFIX}{name}"));
    }
    Cow::Borrowed(name)
}

fn push_id(out: &mut String, cursor: Option<Cursor>) {
    if let Some(cursor) = cursor {
        writeln!(out, "id: {cursor}").expect("writing to a string does not fail");
    }
}

/// Appends a field for each line; CR, LF and CRLF all end a line. A parser removes one space after the colon,
/// so that spaces at the start of a line survive.
fn push_data(out: &mut String, data: &str) {
    let mut rest = data;
    while let Some(at) = rest.find(['\r', '\n']) {
        push_line(out, &rest[..at]);
        let crlf = rest[at..].starts_with("\r\n");
        rest = &rest[at + if crlf { 2 } else { 1 }..];
    }
    push_line(out, rest);
}

fn push_line(out: &mut String, line: &str) {
    out.push_str("data: ");
    out.push_str(line);
    out.push('\n');
}
