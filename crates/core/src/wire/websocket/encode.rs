//! Frames from the server: final, unmasked, without extensions (RFC 6455 5.2).

use super::{CONTROL_BYTES_MAX, Opcode};

/// Bytes of the longest header without a mask.
const HEADER_BYTES_MAX: usize = 10;
const FIN: u8 = 0x80;

/// Appends the header of a final, unmasked frame to `out`: at most 10 bytes.
///
/// For control frames the caller ensures that `payload_bytes` is at most 125.
pub fn encode_header(opcode: Opcode, payload_bytes: usize, out: &mut Vec<u8>) {
    out.push(FIN | opcode.bits());
    // RFC 6455 5.2: the minimal number of bytes must be used.
    if let Ok(length @ 0..=125) = u8::try_from(payload_bytes) {
        out.push(length);
    } else if let Ok(length) = u16::try_from(payload_bytes) {
        out.push(126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
    }
}

/// One frame: header and payload.
#[must_use]
pub fn encode_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES_MAX + payload.len());
    encode_header(opcode, payload.len(), &mut frame);
    frame.extend_from_slice(payload);
    frame
}

/// Makes a payload a final, unmasked frame: the header goes before it, into the same memory. Returns the bytes of the
/// header.
pub fn prepend_header(opcode: Opcode, payload: &mut Vec<u8>) -> usize {
    let payload_bytes = payload.len();
    encode_header(opcode, payload_bytes, payload);
    let header_bytes = payload.len() - payload_bytes;
    payload.rotate_right(header_bytes);
    header_bytes
}

/// A close frame. `reason` is cut to the 123 bytes that fit, at a character boundary.
#[must_use]
pub fn encode_close(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(CONTROL_BYTES_MAX - size_of::<u16>());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    encode_frame(Opcode::Close, &payload)
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}
