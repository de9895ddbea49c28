//! The server's side of the WebSocket protocol (RFC 6455): the key of the opening handshake, frames out,
//! messages in. No extensions, no I/O, and no HTTP.
//!
//! | file | what |
//! |---|---|
//! | `header`, `decode` | headers of clients' frames; messages put together from them |
//! | `encode` | frames of the server |

mod header;
mod decode;
mod encode;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

pub use decode::{Decoded, Decoder, DecoderLimits, Message, Violation};
pub use encode::{encode_close, encode_frame, encode_header, prepend_header};

/// Payload bytes of a control frame (RFC 6455 5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// Appended to the client's key before it is hashed (RFC 6455 1.3).
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a frame is, as the server sends it (RFC 6455 5.2). A server does not fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A message of UTF-8 text.
    Text,
    /// A message of bytes.
    Binary,
    /// Begins or answers the closing handshake.
    Close,
    /// Asks for a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

/// The value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key` (RFC 6455 4.2.2).
///
/// ```
/// use turted_core::wire::websocket::accept_key;
/// assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_GUID).finalize();
    STANDARD.encode(digest)
}

/// Whether `key` is a `Sec-WebSocket-Key`: the base64 form of 16 bytes (RFC 6455 4.1).
///
/// The four bits behind the last byte may be set: clients that choose 24 random characters set them, and the
/// value is never decoded.
#[must_use]
pub fn is_valid_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.strip_suffix("==").is_some_and(|digits| digits.len() == 22 && digits.bytes().all(is_base64))
}
