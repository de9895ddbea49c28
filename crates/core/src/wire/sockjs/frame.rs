//! Frames: what the server tells a client, before a transport wraps it.

use super::quote::push_quoted;

/// Begins a session.
pub const OPEN: &str = "o";
/// Shows that the session is alive.
pub const HEARTBEAT: &str = "h";

/// Bytes around the messages of a frame, and room for the escapes of a JSON message.
const FRAME_OVERHEAD_BYTES: usize = 32;

/// A frame with messages, each of which is any text.
///
/// ```
/// use turted_core::wire::sockjs::encode_messages;
/// assert_eq!(encode_messages(["a", r#"{"b":1}"#]), r#"a["a","{\"b\":1}"]"#);
/// ```
#[must_use]
pub fn encode_messages<'a>(messages: impl IntoIterator<Item = &'a str>) -> String {
    let mut frame = String::from("a[");
    for (index, message) in messages.into_iter().enumerate() {
        if index > 0 {
            frame.push(',');
        }
        frame.reserve(message.len() + FRAME_OVERHEAD_BYTES);
        push_quoted(&mut frame, message);
    }
    frame.push(']');
    frame
}

/// Merges the messages of several frames into one, so that a client that polls gets everything that waits for
/// it at once. Frames of other kinds are left out.
#[must_use]
pub fn merge_messages<'a>(frames: impl IntoIterator<Item = &'a str>) -> String {
    let mut merged = String::from("a[");
    for list in frames.into_iter().filter_map(messages).filter(|list| !list.is_empty()) {
        if merged.len() > "a[".len() {
            merged.push(',');
        }
        merged.push_str(list);
    }
    merged.push(']');
    merged
}

/// The messages of a frame, encoded as they stand in it.
#[must_use]
pub fn messages(frame: &str) -> Option<&str> {
    frame.strip_prefix("a[")?.strip_suffix(']')
}

/// The frame that ends a session.
///
/// ```
/// use turted_core::wire::sockjs::encode_close;
/// assert_eq!(encode_close(3000, "Go away!"), r#"c[3000,"Go away!"]"#);
/// ```
#[must_use]
pub fn encode_close(code: u16, reason: &str) -> String {
    let mut frame = format!("c[{code},");
    push_quoted(&mut frame, reason);
    frame.push(']');
    frame
}
