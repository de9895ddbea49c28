//! Properties of the WebSocket wire that hold for any input.

use proptest::collection::vec;
use proptest::prelude::*;
use turted_core::wire::websocket::{
    Decoder, DecoderLimits, Message, Opcode, Violation, accept_key, encode_close, encode_frame,
    encode_header, is_valid_key,
};

const LIMITS: DecoderLimits = DecoderLimits { message_bytes: 70_000, fragments: 8 };

/// Changes a server frame to one of a client: the first byte replaced, the payload masked.
fn mask(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_header(Opcode::Binary, payload.len(), &mut frame);
    frame[0] = first;
    frame[1] |= 0x80;
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.into_iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Each message in one line, then the violation, if there is one.
fn decode_all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Option<Violation>) {
    let mut decoder = Decoder::new(LIMITS);
    let (mut input, mut messages) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let consumed = match decoder.decode(&mut input) {
                Err(violation) => return (messages, Some(violation)),
                Ok(None) => break,
                Ok(Some(decoded)) => {
                    messages.extend(decoded.message.map(|message| format!("{message:?}")));
                    decoded.consumed
                }
            };
            input.drain(..consumed);
        }
    }
    (messages, None)
}

/// A message in fragments with a ping behind each, and what it decodes to.
fn fragmented() -> impl Strategy<Value = (Vec<u8>, Vec<String>)> {
    let parts = vec(vec(any::<u8>(), 0..200), 1..=LIMITS.fragments);
    (parts, any::<[u8; 4]>()).prop_map(|(parts, key)| {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (at, part) in parts.iter().enumerate() {
            let is_last = at + 1 == parts.len();
            let opcode = if at == 0 { 0x02 } else { 0x00 };
            let fin = if is_last { 0x80 } else { 0x00 };
            stream.extend(mask(fin | opcode, part, key));
            if is_last {
                expected.push(format!("{:?}", Message::Binary(&parts.concat())));
            }
            stream.extend(mask(0x89, b"p", key));
            expected.push(format!("{:?}", Message::Ping(b"p")));
        }
        (stream, expected)
    })
}

proptest! {
    #[test]
    fn a_text_arrives_as_it_was_sent(text in ".{0,300}", key in any::<[u8; 4]>()) {
        let mut frame = mask(0x81, text.as_bytes(), key);
        let bytes = frame.len();
        let mut decoder = Decoder::new(LIMITS);
        let decoded = decoder.decode(&mut frame).unwrap().unwrap();
        prop_assert_eq!(decoded.message, Some(Message::Text(&text)));
        prop_assert_eq!(decoded.consumed, bytes);
    }

    #[test]
    fn every_class_of_length_arrives(
        bytes in prop_oneof![0usize..300, 65_500usize..65_600],
        key in any::<[u8; 4]>(),
    ) {
        let payload: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
        let mut frame = mask(0x82, &payload, key);
        let mut decoder = Decoder::new(LIMITS);
        let decoded = decoder.decode(&mut frame).unwrap().unwrap();
        prop_assert_eq!(decoded.message, Some(Message::Binary(&payload)));
    }

    #[test]
    fn a_stream_decodes_the_same_however_it_is_split(
        (stream, expected) in fragmented(),
        cut in 1usize..64,
    ) {
        let expected = (expected, None);
        prop_assert_eq!(&decode_all(std::iter::once(&stream[..])), &expected);
        prop_assert_eq!(&decode_all(stream.chunks(cut)), &expected);
        prop_assert_eq!(&decode_all(stream.chunks(1)), &expected);
    }

    #[test]
    fn any_bytes_decode_the_same_however_they_are_split(
        stream in vec(any::<u8>(), 0..300),
        cut in 1usize..64,
    ) {
        let whole = decode_all(std::iter::once(&stream[..]));
        prop_assert_eq!(&decode_all(stream.chunks(cut)), &whole);
        prop_assert_eq!(&decode_all(stream.chunks(1)), &whole);
    }

    #[test]
    fn a_close_code_arrives_or_is_refused(code in any::<u16>(), reason in ".{0,200}") {
        let frame = encode_close(code, &reason);
        let mut frame = mask(0x88, &frame[2..], [1, 2, 3, 4]);
        let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let mut decoder = Decoder::new(LIMITS);
        match decoder.decode(&mut frame) {
            Ok(decoded) => {
                prop_assert_eq!(decoded.unwrap().message, Some(Message::Close(Some(code))));
                prop_assert!(may_be_sent);
            }
            Err(violation) => {
                prop_assert_eq!(violation, Violation::InvalidCloseCode);
                prop_assert!(!may_be_sent);
            }
        }
    }

    #[test]
    fn a_frame_of_the_server_ends_with_its_payload(payload in vec(any::<u8>(), 0..300)) {
        let frame = encode_frame(Opcode::Binary, &payload);
        prop_assert!(frame.ends_with(&payload));
        prop_assert!(frame.len() - payload.len() <= 10);
    }

    #[test]
    fn an_accept_key_looks_like_20_bytes_in_base64(key in ".*") {
        prop_assert_eq!(accept_key(&key).len(), 28);
        let _ = is_valid_key(&key);
    }
}
