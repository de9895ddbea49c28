//! RESP, what Redis and Valkey speak: commands out, replies in. Version 2, which all of them speak and which has all that
//! a source needs (redis.io, "Redis serialization protocol specification").
//!
//! Decoding copies nothing: a reply shares the buffer that it was read into. A reply that comes in pieces is looked at
//! once: the decoder remembers what it has found.
//!
//! | file | what |
//! |---|---|
//! | `decode` | takes replies out of what was read |
//! | `head` | the line that a value begins with |
//! | `dropped` | what is read and not kept |

mod decode;
mod head;
mod dropped;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use decode::Decoder;
pub use dropped::Bounds;

/// Bytes of a bulk string: what Redis lets a client send at most, unless `proto-max-bulk-len` is raised.
const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of a line: an error with a long script in it.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one reply in all: an entry of a stream with one value as large as it can be, and its keys.
const REPLY_BYTES_MAX: usize = BULK_BYTES_MAX + 1024 * 1024;
/// Values of one reply in all, those in arrays included. While it is decoded, each takes up to twenty times as
/// much memory as it has bytes.
const VALUES_MAX: usize = 1024 * 1024;
/// How deep arrays are nested: the entries of `XREADGROUP` in a transaction are five deep. Each level is a call.
const DEPTH_MAX: usize = 8;

/// A reply, or what a subscriber is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple string or a bulk string.
    Text(Bytes),
    /// Why a command failed: `NOGROUP No such key`.
    Error(Bytes),
    /// A number.
    Integer(i64),
    /// Nothing.
    Nil,
    /// Several values.
    Array(Vec<Self>),
    /// A string or an array that is above the bound of a single one. It was read, and nothing of it was kept.
    TooLarge,
    /// A string for which the reply had no room left. It was read, and nothing of it was kept.
    NoRoom,
}

impl Reply {
    /// The values of an array; none for `Nil`, which stands for an empty one.
    #[must_use]
    pub fn into_values(self) -> Option<Vec<Self>> {
        match self {
            Self::Array(values) => Some(values),
            Self::Nil => Some(Vec::new()),
            _ => None,
        }
    }

    /// The bytes of a string.
    #[must_use]
    pub fn into_text(self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The server does not speak RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A value begins with a byte that has no meaning, or a number is none.
    #[error("it does not speak the protocol of Redis")]
    NotResp,
    /// A value is larger than it can be.
    #[error("a value of its reply is too large")]
    TooLarge,
    /// A reply is larger in all than it can be.
    #[error(
        "one reply of it has more than 513 MiB or {VALUES_MAX} values; `sources.prefetch` makes those of a stream smaller"
    )]
    ReplyTooLarge,
}

/// Appends a command.
///
/// ```
/// let mut out = Vec::new();
/// turted_core::wire::resp::push_command(&mut out, ["GET", "key"]);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
/// ```
pub fn push_command<P: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    parts: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
) {
    let parts = parts.into_iter();
    push_header(out, b'*', parts.len());
    for part in parts {
        let part = part.as_ref();
        push_header(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}
