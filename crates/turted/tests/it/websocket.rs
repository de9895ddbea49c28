//! The WebSocket codec of turted against that of tungstenite: the same messages out of every
//! stream, valid or mutated, and a refusal where the other refuses.
//!
//! Known differences, all by our intention and accounted for in [`ours`] and [`theirs`]:
//! - A length written in more bytes than it needs is refused here (RFC 6455 5.2), taken there.
//! - Close codes that may not be sent are refused here (RFC 6455 7.4); there they are taken, or
//!   turned into a close with code 1002.
//! - A frame that breaks a rule is refused here at its first wrong byte, there when its header is
//!   complete, or its payload has come. So a stream that ends before may be refused here only.
//! - Text is checked here when its message is complete, there with every fragment. So a message that
//!   never ends may be refused there only.
//! - After a close frame nothing is compared: what follows it concerns nobody.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use tungstenite::protocol::{Role, WebSocketConfig};
use turted_core::wire::websocket::{Decoder, DecoderLimits, Message, Violation};

const MESSAGE_BYTES: usize = 4_096;

/// A message, in terms of both.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
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

fn ours(mut bytes: Vec<u8>, chunk: usize) -> (Vec<Seen>, End) {
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
struct Stream(Cursor<Vec<u8>>);

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

fn theirs(bytes: Vec<u8>) -> (Vec<Seen>, End) {
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

fn compare(bytes: &[u8], chunk: usize) -> Result<(), TestCaseError> {
    let (our_messages, our_end) = ours(bytes.to_vec(), chunk);
    let (whole_messages, whole_end) = ours(bytes.to_vec(), usize::MAX);
    prop_assert_eq!((&our_messages, &our_end), (&whole_messages, &whole_end), "the cut does not matter");
    let (their_messages, their_end) = theirs(bytes.to_vec());
    match (&our_end, &their_end) {
        // Refused earlier: what they still read is theirs.
        (End::Refused { stricter: true }, _) | (End::Refused { .. }, End::Open) => {
            prop_assert!(their_messages.starts_with(&our_messages));
        }
        (_, End::NoText) => {
            prop_assert!(our_messages.starts_with(&their_messages));
            let more = &our_messages[their_messages.len()..];
            prop_assert!(
                !more.iter().any(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_))),
                "{more:?}"
            );
        }
        _ => {
            prop_assert_eq!(&our_messages, &their_messages);
            prop_assert_eq!(&our_end, &their_end);
        }
    }
    Ok(())
}

/// One frame as a client may send it, or nearly.
fn frame(first: u8, payload: &[u8], mask: [u8; 4], masked: bool) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask_bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..=125 => bytes.push(mask_bit | u8::try_from(length).unwrap()),
        length => {
            bytes.push(mask_bit | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    if masked {
        bytes.extend(mask);
    }
    let mask = if masked { mask } else { [0; 4] };
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A message cut into fragments, with a ping between them perhaps.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![4 => ".{0,60}", 1 => "x{100,700}"].prop_map(|text| (0x1, text.into_bytes()));
    let binary = prop::collection::vec(any::<u8>(), 0..300).prop_map(|data| (0x2, data));
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    (prop_oneof![text, binary], cuts, any::<[u8; 4]>(), any::<bool>()).prop_map(
        |((opcode, payload), cuts, mask, ping)| {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(payload.len());
            let (mut bytes, mut from) = (Vec::new(), 0);
            for (nth, to) in cuts.iter().enumerate() {
                let opcode = if nth == 0 { opcode } else { 0 };
                let fin = if nth + 1 == cuts.len() { 0x80 } else { 0 };
                bytes.extend(frame(fin | opcode, &payload[from..*to], mask, true));
                if ping && fin == 0 {
                    bytes.extend(frame(0x89, b"ping", mask, true));
                }
                from = *to;
            }
            bytes
        },
    )
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    let data = prop::collection::vec(any::<u8>(), 0..126);
    (prop_oneof![Just(0x89_u8), Just(0x8A)], data, any::<[u8; 4]>())
        .prop_map(|(first, data, mask)| frame(first, &data, mask, true))
}

fn close() -> impl Strategy<Value = Vec<u8>> {
    (prop_oneof![Just(1000_u16), Just(1001), 3000_u16..5000, any::<u16>()], "[a-z]{0,20}", any::<[u8; 4]>())
        .prop_map(|(code, reason, mask)| {
            frame(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat(), mask, true)
        })
}

/// A frame of any kind.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), prop::collection::vec(any::<u8>(), 0..140), any::<[u8; 4]>(), prop::bool::weighted(0.9))
        .prop_map(|(first, payload, mask, masked)| frame(first, &payload, mask, masked))
}

fn valid_stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![6 => message(), 2 => control()];
    (prop::collection::vec(part, 0..8), prop::option::of(close())).prop_map(|(parts, close)| {
        let mut bytes = parts.concat();
        bytes.extend(close.unwrap_or_default());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn valid_streams_are_read_alike(stream in valid_stream(), chunk in 1_usize..64) {
        compare(&stream, chunk)?;
    }

    #[test]
    fn mutated_streams_are_read_alike(
        stream in valid_stream(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..4),
        chunk in 1_usize..64,
    ) {
        let mut stream = stream;
        for (at, byte, how) in mutations {
            if stream.is_empty() {
                break;
            }
            let at = at.index(stream.len());
            match how {
                0 => stream[at] ^= byte,
                1 => stream.insert(at, byte),
                _ => drop(stream.remove(at)),
            }
        }
        compare(&stream, chunk)?;
    }

    #[test]
    fn frames_of_any_kind_are_read_alike(frames in prop::collection::vec(any_frame(), 1..6), chunk in 1_usize..64) {
        compare(&frames.concat(), chunk)?;
    }
}
