//! One Engine.IO packet: a WebSocket frame, or an element of a polling payload.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Malformed, Version};

/// The byte before the data of a version 3 binary frame: the type of a message.
const V3_BINARY_TYPE: u8 = 4;

/// What a packet is for (engine.io protocol, "Packet encoding").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketType {
    /// `0`, the handshake.
    Open,
    /// `1`, the end of the session.
    Close,
    /// `2`, the first half of a heartbeat; sent by the client in version 3, by the server in version 4.
    Ping,
    /// `3`, the second half.
    Pong,
    /// `4`, carries a message of the layer above.
    Message,
    /// `5`, completes the change to WebSocket.
    Upgrade,
    /// `6`, ends a poll.
    Noop,
}

impl PacketType {
    /// The digit that stands for it on the wire.
    #[must_use]
    pub const fn digit(self) -> char {
        match self {
            Self::Open => '0',
            Self::Close => '1',
            Self::Ping => '2',
            Self::Pong => '3',
            Self::Message => '4',
            Self::Upgrade => '5',
            Self::Noop => '6',
        }
    }

    /// The type a digit stands for.
    #[must_use]
    pub const fn from_digit(digit: char) -> Option<Self> {
        Some(match digit {
            '0' => Self::Open,
            '1' => Self::Close,
            '2' => Self::Ping,
            '3' => Self::Pong,
            '4' => Self::Message,
            '5' => Self::Upgrade,
            '6' => Self::Noop,
            _ => return None,
        })
    }
}

/// A packet and what it carries.
///
/// ```
/// use turted_core::wire::engineio::{Packet, Version};
/// assert_eq!(Packet::decode_text(Version::V4, "4hi"), Ok(Packet::Message("hi")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The handshake; no client sends it.
    Open,
    /// The end of the session.
    Close,
    /// The first half of a heartbeat, or `probe` on a WebSocket that wants to take over.
    Ping(&'a str),
    /// The second half.
    Pong(&'a str),
    /// A text message.
    Message(&'a str),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// The WebSocket takes over.
    Upgrade,
    /// Says nothing.
    Noop,
}

impl<'a> Packet<'a> {
    /// Decodes a WebSocket text frame or one element of a text payload.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn decode_text(version: Version, text: &'a str) -> Result<Self, Malformed> {
        if let Some(base64) = text.strip_prefix('b') {
            return decode_base64(version, base64);
        }
        let mut rest = text.chars();
        let digit = rest.next().ok_or(Malformed::Empty)?;
        let packet_type = PacketType::from_digit(digit).ok_or(Malformed::UnknownType)?;
        let data = rest.as_str();
        let bare = |packet| {
            if data.is_empty() { Ok(packet) } else { Err(Malformed::UnexpectedData) }
        };
        match packet_type {
            PacketType::Open => bare(Self::Open),
            PacketType::Close => bare(Self::Close),
            PacketType::Ping => Ok(Self::Ping(data)),
            PacketType::Pong => Ok(Self::Pong(data)),
            PacketType::Message => Ok(Self::Message(data)),
            PacketType::Upgrade => bare(Self::Upgrade),
            PacketType::Noop => bare(Self::Noop),
        }
    }

    /// Decodes a WebSocket binary frame: in version 3 the type byte 4 stands before the data.
    ///
    /// # Errors
    /// The rule that `bytes` breaks.
    pub fn decode_binary(version: Version, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let data = match (version, bytes) {
            (Version::V4, data) | (Version::V3, [V3_BINARY_TYPE, data @ ..]) => data,
            (Version::V3, []) => return Err(Malformed::Empty),
            (Version::V3, _) => return Err(Malformed::BinaryType),
        };
        Ok(Self::Binary(Cow::Borrowed(data)))
    }

    /// The packet as text; binary data as base64, `b4...` in version 3 and `b...` in version 4.
    #[must_use]
    pub fn encode_text(&self, version: Version) -> String {
        let with_data = |packet_type: PacketType, data: &str| format!("{}{data}", packet_type.digit());
        match self {
            Self::Open => with_data(PacketType::Open, ""),
            Self::Close => with_data(PacketType::Close, ""),
            Self::Ping(data) => with_data(PacketType::Ping, data),
            Self::Pong(data) => with_data(PacketType::Pong, data),
            Self::Message(data) => with_data(PacketType::Message, data),
            Self::Upgrade => with_data(PacketType::Upgrade, ""),
            Self::Noop => with_data(PacketType::Noop, ""),
            Self::Binary(data) => {
                let mut text = String::from(base64_prefix(version));
                STANDARD.encode_string(data, &mut text);
                text
            }
        }
    }
}

/// The payload of a WebSocket binary frame that carries `data`.
#[must_use]
pub fn encode_binary(version: Version, data: &[u8]) -> Vec<u8> {
    match version {
        Version::V3 => [&[V3_BINARY_TYPE], data].concat(),
        Version::V4 => data.to_vec(),
    }
}

/// In version 3 a type stands before binary data; in version 4 they are always messages (engine.io protocol).
const fn base64_prefix(version: Version) -> &'static str {
    match version {
        Version::V3 => "b4",
        Version::V4 => "b",
    }
}

fn decode_base64<'a>(version: Version, base64: &str) -> Result<Packet<'a>, Malformed> {
    let digits = match version {
        Version::V3 => base64.strip_prefix('4').ok_or(Malformed::BinaryType)?,
        Version::V4 => base64,
    };
    let data = STANDARD.decode(digits).map_err(|_| Malformed::InvalidBase64)?;
    Ok(Packet::Binary(Cow::Owned(data)))
}
