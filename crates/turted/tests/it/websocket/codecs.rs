//! The two codecs, each with what it reads in the terms of both.

use std::io::{self, Cursor, Read, Write};

use tungstenite::protocol::{Role, WebSocketConfig};
use turted_core::wire::websocket::{Decoder, DecoderLimits, Message, Violation};

pub(crate) const MESSAGE_BYTES: usize = 4_096;

/// A message, in terms of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In the middle of a frame or between two.
    Open,
    Closed,
    /// A rule was broken; one that tungstenite does not know, or not yet.
    Refused {
        stricter: bool,
    },
    /// A fragment that is no text; only tungstenite looks at it before the message ends.
    NoText,
}

pub(crate) fn ours(mut bytes: Vec<u8>, chunk: usize) -> (Vec<Seen>, End) {
    let mut decoder = Decoder::new(DecoderLimits { message_bytes: MESSAGE_BYTES, fragments: usize::MAX });
    let (mut seen, mut start, mut end, all) = (Vec::new(), 0_usize, 0_usize, bytes.len());
    loop {
        match decoder.decode(&mut bytes[start..end]) {
            Ok(Some(decoded)) => {
                start += decoded.consumed;
                match decoded.message {
                    None => {}
                    Some(Message::Text(text)) => seen.push(Seen::Text(text.to_owned())),
                    Some(Message::Binary(data)) => seen.push(Seen::Binary(data.to_vec())),
                    Some(Message::Ping(data)) => seen.push(Seen::Ping(data.to_vec())),
                    Some(Message::Pong(data)) => seen.push(Seen::Pong(data.to_vec())),
                    Some(Message::Close(_)) => {
                        seen.push(Seen::Close);
                        return (seen, End::Closed);
                    }
                }
            }
            Ok(None) if end == all => return (seen, End::Open),
            Ok(None) => end = all.min(end.saturating_add(chunk)),
            Err(violation) => {
                let stricter = matches!(
                    violation,
                    Violation::NonMinimalLength | Violation::InvalidCloseCode | Violation::ShortClose
                );
                return (seen, End::Refused { stricter });
            }
        }
    }
}

/// A stream that gives what it has and takes everything.
pub(crate) struct Stream(Cursor<Vec<u8>>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn theirs(bytes: Vec<u8>) -> (Vec<Seen>, End) {
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES)).max_frame_size(Some(MESSAGE_BYTES));
    let stream = Stream(Cursor::new(bytes));
    let mut socket = tungstenite::WebSocket::from_raw_socket(stream, Role::Server, Some(config));
    let mut seen = Vec::new();
    loop {
        match socket.read() {
            Ok(tungstenite::Message::Text(text)) => seen.push(Seen::Text(text.as_str().to_owned())),
            Ok(tungstenite::Message::Binary(data)) => seen.push(Seen::Binary(data.to_vec())),
            Ok(tungstenite::Message::Ping(data)) => seen.push(Seen::Ping(data.to_vec())),
            Ok(tungstenite::Message::Pong(data)) => seen.push(Seen::Pong(data.to_vec())),
            Ok(tungstenite::Message::Close(_)) => {
                seen.push(Seen::Close);
                return (seen, End::Closed);
            }
            Ok(tungstenite::Message::Frame(_)) => unreachable!("never read"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (seen, End::Open);
            }
            Err(tungstenite::Error::Utf8(_)) => return (seen, End::NoText),
            Err(_) => return (seen, End::Refused { stricter: false }),
        }
    }
}
