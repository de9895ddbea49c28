//! Frames (section 4.2.3 of the specification): kind, channel, length, payload, and an octet that marks the end.

use super::Violation;
use super::read::Reader;

/// Bytes of a frame that are not its payload: a header of seven and the end mark.
pub const FRAME_OVERHEAD_BYTES: usize = 8;
/// Bytes of the longest frame that is agreed on, overhead included: what RabbitMQ proposes. The headers of a message
/// are one frame.
pub const FRAME_BYTES_MAX: usize = 128 * 1024;

const HEADER_BYTES: usize = 7;
const END: u8 = 0xCE;

/// What the payload of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A [`Method`](super::Method).
    Method,
    /// A [`ContentHeader`](super::ContentHeader).
    Header,
    /// A part of a body.
    Body,
    /// A sign of life, without payload.
    Heartbeat,
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// The channel, 0 for the connection.
    pub channel: u16,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Decodes the frame at the start of `input`, and says how many bytes it takes. `None` if it is not complete yet.
    /// It is at most `most` bytes long, overhead included.
    ///
    /// ```
    /// use turted_core::wire::amqp::{Frame, FrameKind};
    /// let (frame, bytes) = Frame::decode(b"\x08\0\0\0\0\0\0\xce rest", 4096)?.expect("complete");
    /// assert_eq!((frame.kind, frame.channel, bytes), (FrameKind::Heartbeat, 0, 8));
    /// # Ok::<(), turted_core::wire::amqp::Violation>(())
    /// ```
    ///
    /// # Errors
    /// The rule that `input` breaks, as soon as it is broken.
    pub fn decode(input: &'a [u8], most: usize) -> Result<Option<(Self, usize)>, Violation> {
        let Some(first) = input.first() else { return Ok(None) };
        let kind = match first {
            1 => FrameKind::Method,
            2 => FrameKind::Header,
            3 => FrameKind::Body,
            8 => FrameKind::Heartbeat,
            // A broker of another version answers with the protocol header that it wants.
            _ => return Err(Violation::NotAmqp),
        };
        let Some((header, rest)) = input.split_at_checked(HEADER_BYTES) else { return Ok(None) };
        let mut reader = Reader::new(&header[1..], "frame");
        let (channel, length) = (reader.u16()?, reader.u32()?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let most = most.saturating_sub(FRAME_OVERHEAD_BYTES);
        if length > most {
            return Err(Violation::FrameTooLong { bytes: length, most });
        }
        let (Some(payload), Some(end)) = (rest.get(..length), rest.get(length)) else { return Ok(None) };
        if *end != END {
            return Err(Violation::Malformed("frame"));
        }
        Ok(Some((Self { kind, channel, payload }, length + FRAME_OVERHEAD_BYTES)))
    }
}

/// Appends a frame whose payload `write` appends.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, channel: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    let length_at = out.len();
    out.extend([0; 4]);
    write(out);
    let length = u32::try_from(out.len() - length_at - 4).expect("a client says nothing that long");
    out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    out.push(END);
}
