//! A frame: one message encoded for one wire, shared by every connection that receives it.

use std::rc::Rc;

use turted_core::wire::websocket::{Opcode, encode_frame, encode_header};

/// Encoded once, cheap to clone: the bytes of a WebSocket frame, of which polling answers use the
/// payload alone.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    bytes: Rc<[u8]>,
    header_bytes: u8,
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
        Self { bytes: bytes.into(), header_bytes, is_binary: false, sequence }
    }

    /// One binary message that carries no dispatch.
    pub(crate) fn binary(data: &[u8]) -> Self {
        let bytes = encode_frame(Opcode::Binary, data);
        let header_bytes = u8::try_from(bytes.len() - data.len()).expect("a header has at most ten bytes");
        Self { bytes: bytes.into(), header_bytes, is_binary: true, sequence: 0 }
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
        Self { bytes: encode_frame(opcode, data).into(), header_bytes: 2, is_binary: false, sequence: 0 }
    }

    /// The frame as a WebSocket carries it.
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

    /// The message alone, whatever it is.
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[usize::from(self.header_bytes)..]
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
