//! The Engine.IO protocol, versions 3 and 4: packets and polling payloads. It does not decide what a session
//! does with them.
//!
//! | file | what |
//! |---|---|
//! | `packet`, `handshake` | one packet; the packet that opens a session |
//! | `payload`, `v3`, `v4` | polling payloads, and how each version frames the packets in them |
//! | `jsonp` | payloads in scripts and forms |

mod packet;
mod handshake;
mod payload;
mod v3;
mod v4;
mod jsonp;
#[cfg(test)]
mod tests;

pub use handshake::{Handshake, Upgrades};
pub use jsonp::{AFTER_SCRIPT, before_script, decode_jsonp_form, encode_jsonp, escape_for_script};
pub use packet::{Packet, PacketType, encode_binary};
pub use payload::{PayloadEncoder, before_packet, decode_payload, escape_non_ascii};
pub use v3::{
    before_text_in_bytes, decode_binary_payload, decode_payload_of_bytes, encode_binary_payload,
    undo_second_utf8,
};

/// The version of the protocol a client asked for with `EIO=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `EIO=3`, socket.io 1 and 2.
    V3,
    /// `EIO=4`, socket.io 3 and 4.
    V4,
}

/// The rule that a packet, a payload or a form breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No type, or a payload without packets.
    #[error("a packet must not be empty")]
    Empty,
    /// Neither `0` to `6` nor a binary packet.
    #[error("a packet type is a digit from 0 to 6")]
    UnknownType,
    /// Data on open, close, upgrade or noop.
    #[error("only ping, pong and message packets carry data")]
    UnexpectedData,
    /// Data on a packet of type open, close, upgrade or noop.
    #[error("a binary packet in a text must be base64")]
    InvalidBase64,
    /// A version 3 binary packet that is not a message.
    #[error("a binary packet must be a message")]
    BinaryType,
    /// The length is missing, negative, padded with zeros, of ten digits or more, or not a number.
    #[error("a packet needs its length before it")]
    InvalidLength,
    /// The length reaches beyond the payload.
    #[error("a packet must have the length that stands before it")]
    Truncated,
    /// The length ends between the two code units of one character.
    #[error("a packet must not end inside a character")]
    SplitCharacter,
    /// Text of a binary payload or a form.
    #[error("text must be utf-8")]
    InvalidText,
    /// More packets than are allowed.
    #[error("a payload has too many packets (limits.polling_packets)")]
    TooManyPackets,
    /// A form without the field `d`.
    #[error("a jsonp form needs the field d")]
    MissingField,
    /// A percent sign without two hexadecimal digits.
    #[error("a form must be percent-encoded")]
    InvalidEscape,
}
