//! WebSocket: a stream gives the same messages and the same violation however it is split, and decoded
//! messages survive being sent again.
//!
//! The first byte seeds the split; the other bytes are the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::wire::websocket::{
    Decoder, DecoderLimits, Message, Opcode, Violation, encode_close, encode_frame,
};

const LIMITS: DecoderLimits = DecoderLimits { message_bytes: 300, fragments: 4 };

fuzz_target!(|data: &[u8]| {
    let Some((&seed, stream)) = data.split_first() else {
        return;
    };
    let whole = decode_all(stream.chunks(usize::MAX));
    assert_eq!(whole, decode_all(stream.chunks(1)), "byte by byte");
    assert_eq!(whole, decode_all(stream.chunks(usize::from(seed) + 1)), "in pieces");
});

/// The messages of a stream, and the violation that ended it.
fn decode_all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Option<Violation>) {
    let mut decoder = Decoder::new(LIMITS);
    let (mut input, mut messages) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let before = input.clone();
            let consumed = match decoder.decode(&mut input) {
                Err(violation) => return (messages, Some(violation)),
                Ok(None) => break assert_eq!(input, before, "incomplete input is unchanged"),
                Ok(Some(decoded)) => {
                    messages.extend(decoded.message.map(describe));
                    decoded.consumed
                }
            };
            assert!((2..=before.len()).contains(&consumed));
            input.drain(..consumed);
        }
    }
    (messages, None)
}

/// The message in one line, after it was sent and received again.
fn describe(message: Message<'_>) -> String {
    let frame = match message {
        Message::Text(text) => encode_frame(Opcode::Text, text.as_bytes()),
        Message::Binary(bytes) => encode_frame(Opcode::Binary, bytes),
        Message::Ping(bytes) => encode_frame(Opcode::Ping, bytes),
        Message::Pong(bytes) => encode_frame(Opcode::Pong, bytes),
        Message::Close(Some(code)) => encode_close(code, ""),
        Message::Close(None) => encode_frame(Opcode::Close, b""),
    };
    let mut frame = mask(frame);
    let bytes = frame.len();
    let mut decoder = Decoder::new(LIMITS);
    let decoded = decoder.decode(&mut frame).expect("valid").expect("complete");
    assert_eq!(decoded.message, Some(message));
    assert_eq!(decoded.consumed, bytes);
    format!("{message:?}")
}

/// A frame of the server as a client would send it.
fn mask(mut frame: Vec<u8>) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let payload_at = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    frame[1] |= 0x80;
    for (byte, key) in frame[payload_at..].iter_mut().zip(KEY.into_iter().cycle()) {
        *byte ^= key;
    }
    frame.splice(payload_at..payload_at, KEY);
    frame
}
