//! The header of a client's frame (RFC 6455 5.2): read byte by byte and refused at the first byte that breaks
//! a rule, so that the refusal does not depend on how the bytes arrive.

use super::CONTROL_BYTES_MAX;
use super::decode::Violation;

const MASK_BYTES: usize = 4;

/// The header of a frame, complete and valid by itself.
pub(super) struct Header {
    pub(super) first: FirstByte,
    /// Where the payload starts.
    pub(super) bytes: usize,
    pub(super) payload_bytes: u64,
    pub(super) mask: [u8; MASK_BYTES],
}

/// The first byte of a frame.
#[derive(Clone, Copy)]
pub(super) struct FirstByte {
    pub(super) kind: FrameKind,
    /// The last frame of its message.
    pub(super) is_final: bool,
}

/// What a client's frame is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// The first or only frame of a text message.
    Text,
    /// The first or only frame of a binary message.
    Binary,
    /// A further frame of the message begun before.
    Continuation,
    Close,
    Ping,
    Pong,
}

impl FrameKind {
    /// A control frame; it may stand between the frames of a message.
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl FirstByte {
    /// Decodes and checks FIN, RSV and opcode.
    pub(super) fn decode(byte: u8) -> Result<Self, Violation> {
        // RFC 6455 5.2: MUST be 0 unless an extension is negotiated. This server negotiates none.
        if byte & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        let kind = match byte & 0x0F {
            0x0 => FrameKind::Continuation,
            0x1 => FrameKind::Text,
            0x2 => FrameKind::Binary,
            0x8 => FrameKind::Close,
            0x9 => FrameKind::Ping,
            0xA => FrameKind::Pong,
            _ => return Err(Violation::ReservedOpcode),
        };
        let is_final = byte & 0x80 != 0;
        if kind.is_control() && !is_final {
            return Err(Violation::FragmentedControl);
        }
        Ok(Self { kind, is_final })
    }
}

impl Header {
    /// Decodes what follows `first`. `None`: more bytes are needed.
    pub(super) fn decode(first: FirstByte, input: &[u8]) -> Result<Option<Self>, Violation> {
        let Some(&second) = input.get(1) else {
            return Ok(None);
        };
        // RFC 6455 5.1: a server closes when it receives a frame that is not masked.
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & 0x7F;
        if first.kind.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(Violation::LongControl);
        }
        let Some((payload_bytes, mask_at)) = decode_length(short, &input[2..])? else {
            return Ok(None);
        };
        let Some(mask) = input.get(mask_at..).and_then(|rest| rest.first_chunk()) else {
            // The length is known before the mask: the caller can already check it.
            return Ok(Some(Self::without_mask(first, payload_bytes)));
        };
        Ok(Some(Self { first, bytes: mask_at + MASK_BYTES, payload_bytes, mask: *mask }))
    }

    /// A header without its mask. Its payload, which comes after the mask, cannot have arrived.
    fn without_mask(first: FirstByte, payload_bytes: u64) -> Self {
        Self { first, bytes: usize::MAX, payload_bytes, mask: [0; MASK_BYTES] }
    }
}

/// The payload length, and where the mask starts. `None`: more bytes are needed.
fn decode_length(short: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (length, least, bytes) = match short {
        126 => (rest.first_chunk().map(|&b| u64::from(u16::from_be_bytes(b))), 126, 2),
        127 => (rest.first_chunk().map(|&b| u64::from_be_bytes(b)), 0x1_0000, 8),
        short => (Some(u64::from(short)), 0, 0),
    };
    let Some(length) = length else {
        return Ok(None);
    };
    // RFC 6455 5.2: the most significant bit MUST be 0.
    if length > u64::MAX >> 1 {
        return Err(Violation::LengthOutOfRange);
    }
    if length < least {
        return Err(Violation::NonMinimalLength);
    }
    Ok(Some((length, 2 + bytes)))
}
