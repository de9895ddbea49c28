//! A frame: one message encoded for one wire, shared by every connection that receives it, and by
//! answers on other workers.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use turted_core::wire::chunked::wrap_chunk;
use turted_core::wire::websocket::{Opcode, encode_frame, prepend_header};

use crate::io::backlogs::{Backlogs, Counted};

/// Bytes around a message, at most: the header of a WebSocket frame, or the length of a chunk and two line ends.
const AROUND_BYTES_MAX: usize = 20;
/// Bytes behind the data of a chunk.
const CRLF_BYTES: u8 = 2;

/// Encoded once, cheap to clone: the bytes of a WebSocket frame or of an HTTP chunk. Where neither is
/// wanted, in answers to polling requests and to HTTP/1.0, the message in it goes out alone.
#[derive(Clone, Debug)]
pub(crate) struct Frame(Arc<Data>);

#[derive(Debug)]
struct Data {
    bytes: Vec<u8>,
    header_bytes: u8,
    trailer_bytes: u8,
    is_binary: bool,
    sequence: u64,
    /// Set when it waits for a client for the first time.
    counted: OnceLock<Counted>,
    /// Set when a client reads it in a script for the first time.
    script: OnceLock<Box<Script>>,
}

/// The message of a frame as it stands in scripts. It counts among what waits for clients: it is kept until the
/// clients have read their answers.
#[derive(Debug)]
struct Script {
    text: String,
    _counted: Counted,
}

/// What a frame takes in memory beside its bytes: its fields, counters and two allocations.
const OVERHEAD_BYTES: usize = size_of::<Data>() + 32;

/// A frame that can be found again as long as it is held elsewhere.
#[derive(Debug)]
pub(crate) struct WeakFrame(Weak<Data>);

impl WeakFrame {
    /// The frame, if it is still held.
    pub(crate) fn upgrade(&self) -> Option<Frame> {
        self.0.upgrade().map(Frame)
    }

    /// Whether the frame is still held.
    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// The message of a frame, as part of an answer that shares it.
struct Message(Frame);

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        self.0.data()
    }
}

/// The message of a frame as it stands in scripts, as part of an answer that shares it.
struct ScriptMessage(Frame);

impl AsRef<[u8]> for ScriptMessage {
    fn as_ref(&self) -> &[u8] {
        self.0.0.script.get().map_or(b"", |script| script.text.as_bytes())
    }
}

impl Frame {
    fn new(bytes: Vec<u8>, header_bytes: usize) -> Self {
        let header_bytes = u8::try_from(header_bytes).expect("a header has at most twenty bytes");
        let (counted, script) = (OnceLock::new(), OnceLock::new());
        let data =
            Data { bytes, header_bytes, trailer_bytes: 0, is_binary: false, sequence: 0, counted, script };
        Self(Arc::new(data))
    }

    /// Changes a frame that was made just now and is not shared yet.
    fn with(mut self, change: impl FnOnce(&mut Data)) -> Self {
        change(Arc::get_mut(&mut self.0).expect("the frame was made just now"));
        self
    }

    /// One text message. `sequence` numbers the dispatch it carries, 0 if it carries none.
    pub(crate) fn text(packet: &str, sequence: u64) -> Self {
        Self::text_in(with_room(packet), sequence)
    }

    /// The same, in the memory of the packet.
    pub(crate) fn text_in(packet: String, sequence: u64) -> Self {
        let mut bytes = packet.into_bytes();
        let header_bytes = prepend_header(Opcode::Text, &mut bytes);
        Self::new(bytes, header_bytes).with(|data| data.sequence = sequence)
    }

    /// One binary message that carries no dispatch.
    pub(crate) fn binary(data: &[u8]) -> Self {
        let bytes = encode_frame(Opcode::Binary, data);
        let header_bytes = bytes.len() - data.len();
        Self::new(bytes, header_bytes).with(|data| data.is_binary = true)
    }

    /// One message as a chunk of an HTTP response (RFC 9112 7.1).
    ///
    /// # Panics
    /// The message is empty: such a chunk would end the response.
    pub(crate) fn chunk(message: &str, sequence: u64) -> Self {
        Self::chunk_in(with_room(message), sequence)
    }

    /// The same, in the memory of the message.
    ///
    /// # Panics
    /// The message is empty.
    pub(crate) fn chunk_in(message: String, sequence: u64) -> Self {
        assert!(!message.is_empty(), "an empty chunk ends the body");
        let mut bytes = message.into_bytes();
        let header_bytes = wrap_chunk(&mut bytes);
        Self::new(bytes, header_bytes).with(|data| {
            data.trailer_bytes = CRLF_BYTES;
            data.sequence = sequence;
        })
    }

    /// Bytes that are written as they are, around the messages of an HTTP response.
    pub(crate) fn bare(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec(), 0)
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
        Self::new(encode_frame(opcode, data), 2)
    }

    /// The frame as a WebSocket or a response in chunks carries it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.bytes
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
        let Data { bytes, header_bytes, trailer_bytes, .. } = &*self.0;
        &bytes[usize::from(*header_bytes)..bytes.len() - usize::from(*trailer_bytes)]
    }

    /// The bytes of the message alone, shared with all that hold the frame.
    pub(crate) fn shared_data(&self) -> Bytes {
        Bytes::from_owner(Message(self.clone()))
    }

    /// The message as it stands in scripts, shared with all that hold the frame. `escape` makes it for the
    /// first script; all scripts have the same.
    pub(crate) fn shared_script(&self, backlogs: &Arc<Backlogs>, escape: impl FnOnce() -> String) -> Bytes {
        self.0.script.get_or_init(|| {
            let text = escape();
            let counted = backlogs.count(text.capacity());
            Box::new(Script { text, _counted: counted })
        });
        Bytes::from_owner(ScriptMessage(self.clone()))
    }

    /// Whether the message is binary.
    pub(crate) fn is_binary(&self) -> bool {
        self.0.is_binary
    }

    /// The number of the dispatch it carries, or 0.
    pub(crate) fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// Counts it among what waits for clients, once and until the frame is held no more.
    pub(crate) fn count(&self, backlogs: &Arc<Backlogs>) {
        self.0.counted.get_or_init(|| backlogs.count(self.0.bytes.capacity() + OVERHEAD_BYTES));
    }

    pub(crate) fn downgrade(&self) -> WeakFrame {
        WeakFrame(Arc::downgrade(&self.0))
    }
}

/// A copy with room for what comes around it.
fn with_room(message: &str) -> String {
    let mut copy = String::with_capacity(message.len() + AROUND_BYTES_MAX);
    copy.push_str(message);
    copy
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

    #[test]
    fn a_frame_counts_once_however_many_hold_it_and_until_the_last_lets_go() {
        let backlogs = Backlogs::new(usize::MAX);
        let frame = Frame::text(&"x".repeat(1_000), 1);
        assert_eq!(backlogs.bytes(), 0, "it waits for no client");
        let others = [frame.clone(), frame.clone()];
        others.iter().chain([&frame]).for_each(|frame| frame.count(&backlogs));
        assert!((1_000..1_200).contains(&backlogs.bytes()), "{}", backlogs.bytes());
        let (answer, weak) = (frame.shared_data(), frame.downgrade());
        drop((frame, others));
        assert!(backlogs.bytes() > 1_000, "an answer shares it");
        assert!(weak.is_alive(), "an answer shares it");
        assert_eq!(answer.len(), 1_000);
        drop(answer);
        assert_eq!(backlogs.bytes(), 0);
        assert!(weak.upgrade().is_none());
    }
}
