//! Messages from clients: frames checked, unmasked and put together (RFC 6455 5).

use super::header::{FirstByte, FrameKind, Header};

/// The limits of a client's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Payload bytes of one message, over all its fragments.
    pub message_bytes: usize,
    /// Frames of one message.
    pub fragments: usize,
}

/// Turns the bytes of one client into messages.
///
/// It holds no buffer between messages: the caller owns the input, and only a fragmented message is collected
/// here.
///
/// ```
/// use turted_core::wire::websocket::{Decoder, DecoderLimits, Message};
/// let mut decoder = Decoder::new(DecoderLimits { message_bytes: 1024, fragments: 4 });
/// let mut input = *b"\x81\x82\x01\x02\x03\x04ik";
/// let decoded = decoder.decode(&mut input).unwrap().unwrap();
/// assert_eq!(decoded.message, Some(Message::Text("hi")));
/// assert_eq!(decoded.consumed, 8);
/// ```
#[derive(Debug)]
pub struct Decoder {
    // Half as large as the limits that are given: every connection has them. More than 4 GB in one message are
    // never let in.
    message_bytes: u32,
    fragments: u32,
    // Boxed: idle connections are many, and fragmented messages are rare.
    collected: Option<Box<Collected>>,
}

/// The frames of a fragmented message so far.
#[derive(Debug)]
struct Collected {
    kind: DataKind,
    bytes: Vec<u8>,
    fragments: usize,
    /// The message is complete, and the caller borrows it; the next call releases it.
    is_delivered: bool,
}

#[derive(Clone, Copy, Debug)]
enum DataKind {
    Text,
    Binary,
}

/// One frame of the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Bytes of the input the frame took.
    pub consumed: usize,
    /// The message it completes; `None` for a fragment that completes none.
    pub message: Option<Message<'a>>,
}

/// A message or a control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping: answer with a pong of the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The client closes; with its code, if it gave one.
    Close(Option<u16>),
}

/// The rule a client broke. The connection cannot go on: the start of the next frame is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// RFC 6455 5.1.
    #[error("a client must mask its frames")]
    Unmasked,
    /// RFC 6455 5.2: no extension is negotiated that would define them.
    #[error("reserved bits must be zero")]
    ReservedBits,
    /// RFC 6455 5.2.
    #[error("reserved opcodes must not be used")]
    ReservedOpcode,
    /// RFC 6455 5.5.
    #[error("a control frame must not be fragmented")]
    FragmentedControl,
    /// RFC 6455 5.5.
    #[error("a control frame has at most 125 bytes")]
    LongControl,
    /// RFC 6455 5.2.
    #[error("a length must be written in as few bytes as possible")]
    NonMinimalLength,
    /// RFC 6455 5.2.
    #[error("a length must be below 2^63")]
    LengthOutOfRange,
    /// RFC 6455 5.4.
    #[error("a continuation needs a message to continue")]
    UnexpectedContinuation,
    /// RFC 6455 5.4.
    #[error("a fragmented message must end before another begins")]
    ExpectedContinuation,
    /// RFC 6455 8.1.
    #[error("a text message must be utf-8")]
    InvalidText,
    /// RFC 6455 5.5.1.
    #[error("a close frame has no payload or at least a two-byte code")]
    ShortClose,
    /// RFC 6455 7.4.
    #[error("a close code must be one that may be sent")]
    InvalidCloseCode,
    /// RFC 6455 5.5.1.
    #[error("a close reason must be utf-8")]
    InvalidCloseReason,
    /// The message is above [`DecoderLimits::message_bytes`].
    #[error("a message has at most {0} bytes")]
    TooBig(usize),
    /// The message has more frames than [`DecoderLimits::fragments`].
    #[error("a message has at most {0} fragments")]
    TooManyFragments(usize),
}

impl Violation {
    /// The code to close with (RFC 6455 7.4.1).
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self {
            Self::InvalidText | Self::InvalidCloseReason => 1007,
            Self::TooManyFragments(_) => 1008,
            Self::TooBig(_) => 1009,
            _ => 1002,
        }
    }
}

impl Decoder {
    /// A decoder at the start of a connection.
    #[must_use]
    pub fn new(limits: DecoderLimits) -> Self {
        let narrow = |limit| u32::try_from(limit).unwrap_or(u32::MAX);
        let DecoderLimits { message_bytes, fragments } = limits;
        Self { message_bytes: narrow(message_bytes), fragments: narrow(fragments), collected: None }
    }

    /// Decodes one frame at the start of `input`, unmasking it in place.
    ///
    /// `Ok(None)`: the frame is incomplete and `input` is unchanged; call again with more bytes appended.
    /// Each call, even one that decodes nothing, releases the fragmented message that the call before
    /// delivered.
    ///
    /// # Errors
    /// The rule the client broke, as early as it can be known: the header of a frame that is too large is
    /// refused before its payload arrives.
    pub fn decode<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Option<Decoded<'a>>, Violation> {
        self.collected.take_if(|collected| collected.is_delivered);
        let Some(&first) = input.first() else {
            return Ok(None);
        };
        let first = FirstByte::decode(first)?;
        self.check_order(first.kind)?;
        let Some(header) = Header::decode(first, input)? else {
            return Ok(None);
        };
        let payload_bytes = self.check_size(&header)?;
        let consumed = header.bytes.saturating_add(payload_bytes);
        let Some(payload) = input.get_mut(header.bytes..consumed) else {
            return Ok(None);
        };
        unmask(payload, header.mask);
        let message = self.accept(first, payload)?;
        Ok(Some(Decoded { consumed, message }))
    }

    /// RFC 6455 5.4: data frames of one message follow each other; control frames go anywhere.
    fn check_order(&self, kind: FrameKind) -> Result<(), Violation> {
        match (kind, &self.collected) {
            (FrameKind::Continuation, None) => Err(Violation::UnexpectedContinuation),
            (FrameKind::Text | FrameKind::Binary, Some(_)) => Err(Violation::ExpectedContinuation),
            (FrameKind::Continuation, Some(collected)) if collected.fragments >= self.fragments as usize => {
                Err(Violation::TooManyFragments(self.fragments as usize))
            }
            _ => Ok(()),
        }
    }

    /// The payload bytes of the frame, if they keep the message within its limit.
    fn check_size(&self, header: &Header) -> Result<usize, Violation> {
        let limit = self.message_bytes as usize;
        let payload_bytes = usize::try_from(header.payload_bytes);
        let collected = self.collected.as_ref().map_or(0, |collected| collected.bytes.len());
        match payload_bytes {
            // At most 125: the header has been checked.
            Ok(bytes) if header.first.kind.is_control() => Ok(bytes),
            Ok(bytes) if bytes <= limit.saturating_sub(collected) => Ok(bytes),
            _ => Err(Violation::TooBig(limit)),
        }
    }

    /// Takes the payload of a frame that has passed all checks of its header.
    fn accept<'a>(
        &'a mut self,
        first: FirstByte,
        payload: &'a [u8],
    ) -> Result<Option<Message<'a>>, Violation> {
        let kind = match first.kind {
            FrameKind::Ping => return Ok(Some(Message::Ping(payload))),
            FrameKind::Pong => return Ok(Some(Message::Pong(payload))),
            FrameKind::Close => return Ok(Some(Message::Close(decode_close(payload)?))),
            FrameKind::Continuation => return self.collect(first, payload),
            FrameKind::Text => DataKind::Text,
            FrameKind::Binary => DataKind::Binary,
        };
        if first.is_final {
            return decode_data(kind, payload).map(Some);
        }
        let bytes = payload.to_vec();
        self.collected = Some(Box::new(Collected { kind, bytes, fragments: 1, is_delivered: false }));
        Ok(None)
    }

    /// Appends a continuation, and delivers the message if that was the last frame.
    fn collect(&mut self, first: FirstByte, payload: &[u8]) -> Result<Option<Message<'_>>, Violation> {
        let collected = self.collected.as_mut().ok_or(Violation::UnexpectedContinuation)?;
        collected.bytes.extend_from_slice(payload);
        collected.fragments += 1;
        if !first.is_final {
            return Ok(None);
        }
        collected.is_delivered = true;
        decode_data(collected.kind, &collected.bytes).map(Some)
    }
}

fn decode_data(kind: DataKind, payload: &[u8]) -> Result<Message<'_>, Violation> {
    match kind {
        DataKind::Binary => Ok(Message::Binary(payload)),
        DataKind::Text => {
            simdutf8::basic::from_utf8(payload).map(Message::Text).map_err(|_| Violation::InvalidText)
        }
    }
}

fn decode_close(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::ShortClose) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_close_code(code) {
        return Err(Violation::InvalidCloseCode);
    }
    match simdutf8::basic::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Violation::InvalidCloseReason),
    }
}

/// RFC 6455 7.4 and the IANA registry: 1004 is undefined, 1005, 1006 and 1015 are never sent,
/// 3000 and above belong to libraries and applications.
fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Unmasks eight bytes at a time (RFC 6455 5.3).
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}
