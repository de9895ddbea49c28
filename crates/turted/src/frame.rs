//! A frame: one message encoded for one wire, shared by every connection that receives it.

use std::rc::Rc;

use turted_core::wire::chunked::encode_chunk;
use turted_core::wire::websocket::{Opcode, encode_frame, encode_header};

/// Bytes behind the data of a chunk.
const CRLF_BYTES: u8 = 2;

/// Encoded once, cheap to clone: the bytes of a WebSocket frame or of an HTTP chunk. Where neither is
/// wanted, in answers to polling requests and to HTTP/1.0, the message in it goes out alone.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    bytes: Rc<[u8]>,
    header_bytes: u8,
    trailer_bytes: u8,
    is_binary: bool,
    sequence: u64,
}

impl Frame {
    /// One text message. `sequence` numbers the dispatch it carries, 0 if it carries none.
    pub(crate) fn text(packet: &str, sequence: u64) -> Self {
        let mut bytes = Vec::with_capacity(packet.len() + 10);
        encode_header(Opcode::Text, packet.len(), &mut bytes);
        let header_bytes = u8::try_from(bytes.len()).expect("a header has at most ten bytes");
        bytes.extend_from_slice(packet.as_bytes());
        Self { bytes: bytes.into(), header_bytes, trailer_bytes: 0, is_binary: false, sequence }
    }

    /// One binary message that carries no dispatch.
    pub(crate) fn binary(data: &[u8]) -> Self {
        let bytes = encode_frame(Opcode::Binary, data);
        let header_bytes = u8::try_from(bytes.len() - data.len()).expect("a header has at most ten bytes");
        Self { bytes: bytes.into(), header_bytes, trailer_bytes: 0, is_binary: true, sequence: 0 }
    }

    /// One message as a chunk of an HTTP response (RFC 9112 7.1).
    ///
    /// # Panics
    /// The message is empty: such a chunk would end the response.
    pub(crate) fn chunk(message: &str, sequence: u64) -> Self {
        assert!(!message.is_empty(), "an empty chunk ends the body");
        let mut bytes = Vec::with_capacity(message.len() + 20);
        encode_chunk(message.as_bytes(), &mut bytes);
        let header_bytes = u8::try_from(bytes.len() - message.len() - usize::from(CRLF_BYTES));
        let header_bytes = header_bytes.expect("a length has at most sixteen digits");
        Self { bytes: bytes.into(), header_bytes, trailer_bytes: CRLF_BYTES, is_binary: false, sequence }
    }

    /// Bytes that are written as they are, around the messages of an HTTP response.
    pub(crate) fn bare(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), header_bytes: 0, trailer_bytes: 0, is_binary: false, sequence: 0 }
    }

    /// A ping of the WebSocket itself, which every client answers (RFC 6455 5.5.2).
    pub(crate) fn ping() -> Self {
        Self::control(Opcode::Ping, b"")
    }

    /// The answer to a ping of the WebSocket itself (RFC 6455 5.5.3).
    pub(crate) fn pong(data: &[u8]) -> Self {
        Self::control(Opcode::Pong, data)
    }

    fn control(opcode: Opcode, data: &[u8]) -> Self {
        let bytes = encode_frame(opcode, data).into();
        Self { bytes, header_bytes: 2, trailer_bytes: 0, is_binary: false, sequence: 0 }
    }

    /// The frame as a WebSocket or a response in chunks carries it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The message alone, as an answer to a request carries it.
    ///
    /// # Panics
    /// If it [is binary](Self::is_binary).
    pub(crate) fn message(&self) -> &str {
        std::str::from_utf8(self.data()).expect("a text frame is built from a str")
    }

    /// The bytes of the message alone.
    pub(crate) fn data(&self) -> &[u8] {
        let end = self.bytes.len() - usize::from(self.trailer_bytes);
        &self.bytes[usize::from(self.header_bytes)..end]
    }

    /// Whether the message is binary.
    pub(crate) fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// The number of the dispatch it carries, or 0.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_in_a_frame_is_what_it_was_made_of() {
        for message in ["x", "data: é\r\n\r\n", &"x".repeat(100_000)] {
            for frame in [Frame::text(message, 7), Frame::chunk(message, 7)] {
                assert_eq!((frame.message(), frame.sequence()), (message, 7));
            }
        }
        assert_eq!(Frame::chunk("data: 0123456789\n\n", 0).bytes(), b"12\r\ndata: 0123456789\n\n\r\n");
    }
}
