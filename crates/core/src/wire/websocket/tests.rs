//! The rules of RFC 6455, one table each.

use super::*;

const LIMITS: DecoderLimits = DecoderLimits { message_bytes: 1000, fragments: 3 };
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame of a client. The first byte is sent as it is; the length takes the fewest bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_header(Opcode::Text, payload.len(), &mut frame);
    frame[0] = first;
    frame[1] |= 0x80;
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.into_iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Everything that a stream decodes to, as owned values: messages, then the violation, if there is one.
fn decode_all(limits: DecoderLimits, pieces: &[&[u8]]) -> (Vec<String>, Option<Violation>) {
    let mut decoder = Decoder::new(limits);
    let (mut input, mut messages) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let before = input.clone();
            let consumed = match decoder.decode(&mut input) {
                Err(violation) => return (messages, Some(violation)),
                Ok(None) => break assert_eq!(input, before, "incomplete input is unchanged"),
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

fn check_refused(stream: &[u8], violation: Violation, close_code: u16) {
    assert_eq!(decode_all(LIMITS, &[stream]).1, Some(violation), "{stream:x?}");
    assert_eq!(violation.close_code(), close_code, "{violation}");
}

#[test]
fn the_accept_key_is_that_of_the_rfc() {
    assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_key_is_the_base64_form_of_16_bytes() {
    for key in ["dGhlIHNhbXBsZSBub25jZQ==", "+/+/+/+/+/+/+/+/+/+/+w==", "abcdefghijklmnopqrstuv=="] {
        assert!(is_valid_key(key), "{key}");
    }
    for key in [
        "",
        "==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ= ",
        "dGhlIHNhbXBsZSBub25jZWQ=",
        "dGhlIHNhbXBsZSBub25jZ-==",
        "dGhlIHNhbXBsZSBub25jZQA==",
        "éGhlIHNhbXBsZSBub25jZ==",
    ] {
        assert!(!is_valid_key(key), "{key}");
    }
}

#[test]
fn lengths_are_encoded_in_as_few_bytes_as_possible() {
    let table: [(usize, &[u8]); 6] = [
        (0, &[0x81, 0]),
        (125, &[0x81, 125]),
        (126, &[0x81, 126, 0, 126]),
        (0xFFFF, &[0x81, 126, 0xFF, 0xFF]),
        (0x1_0000, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        (usize::MAX >> 1, &[0x81, 127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
    ];
    for (bytes, header) in table {
        let mut out = Vec::new();
        encode_header(Opcode::Text, bytes, &mut out);
        assert_eq!(out, header);
    }
}

#[test]
fn frames_of_the_server_are_final_and_unmasked() {
    assert_eq!(encode_frame(Opcode::Text, b"Hello"), b"\x81\x05Hello");
    assert_eq!(encode_frame(Opcode::Binary, &[1]), [0x82, 1, 1]);
    assert_eq!(encode_frame(Opcode::Ping, b""), [0x89, 0]);
    assert_eq!(encode_frame(Opcode::Pong, b"a"), [0x8A, 1, b'a']);
    assert_eq!(encode_close(1012, "drain"), b"\x88\x07\x03\xf4drain");
}

#[test]
fn a_close_reason_is_cut_at_a_character() {
    assert_eq!(encode_close(1000, &"x".repeat(123)).len(), 2 + 125);
    assert_eq!(encode_close(1000, &"x".repeat(124)).len(), 2 + 125);
    let cut = encode_close(1000, &"é".repeat(62));
    assert_eq!(cut[1], 2 + 122);
    assert!(std::str::from_utf8(&cut[4..]).is_ok());
}

#[test]
fn messages_of_the_rfc_are_decoded() {
    let table: [(&[u8], &str); 3] = [
        (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", r#"Text("Hello")"#),
        (b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "Ping([72, 101, 108, 108, 111])"),
        (b"\x8a\x80\x37\xfa\x21\x3d", "Pong([])"),
    ];
    for (stream, message) in table {
        assert_eq!(decode_all(LIMITS, &[stream]), (vec![message.to_owned()], None));
    }
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let stream =
        [frame(0x01, "é".as_bytes()[..1].as_ref()), frame(0x89, b"p"), frame(0x80, &"é".as_bytes()[1..])]
            .concat();
    let expected = vec!["Ping([112])".to_owned(), r#"Text("é")"#.to_owned()];
    assert_eq!(decode_all(LIMITS, &[&stream]), (expected, None));
}

#[test]
fn a_frame_that_breaks_a_rule_is_refused() {
    let fragment = frame(0x01, b"a");
    let then = |first: u8| [fragment.clone(), vec![first]].concat();
    let table: [(&[u8], Violation, u16); 17] = [
        (b"\x81\x05", Violation::Unmasked, 1002),
        (b"\xC1", Violation::ReservedBits, 1002),
        (b"\xA1", Violation::ReservedBits, 1002),
        (b"\x91", Violation::ReservedBits, 1002),
        (b"\x83", Violation::ReservedOpcode, 1002),
        (b"\x8F", Violation::ReservedOpcode, 1002),
        (b"\x09", Violation::FragmentedControl, 1002),
        (b"\x88\xFE", Violation::LongControl, 1002),
        (b"\x81\xFE\x00\x7D", Violation::NonMinimalLength, 1002),
        (b"\x81\xFF\0\0\0\0\0\0\xFF\xFF", Violation::NonMinimalLength, 1002),
        (b"\x81\xFF\x80\0\0\0\0\0\0\0", Violation::LengthOutOfRange, 1002),
        (b"\x81\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", Violation::TooBig(1000), 1009),
        (b"\x80", Violation::UnexpectedContinuation, 1002),
        (&then(0x81), Violation::ExpectedContinuation, 1002),
        (&then(0x02), Violation::ExpectedContinuation, 1002),
        (&frame(0x81, b"\xff"), Violation::InvalidText, 1007),
        (&[frame(0x01, b"\xc3"), frame(0x80, b"a")].concat(), Violation::InvalidText, 1007),
    ];
    for (stream, violation, code) in table {
        check_refused(stream, violation, code);
    }
}

#[test]
fn close_frames_carry_nothing_or_a_code_that_may_be_sent() {
    check_refused(&frame(0x88, b"\x03"), Violation::ShortClose, 1002);
    check_refused(&frame(0x88, b"\x03\xe8\xff"), Violation::InvalidCloseReason, 1007);
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        check_refused(&frame(0x88, &code.to_be_bytes()), Violation::InvalidCloseCode, 1002);
    }
    for code in [1000u16, 1003, 1007, 1014, 3000, 4999] {
        let close = frame(0x88, &[&code.to_be_bytes(), "é".as_bytes()].concat());
        assert_eq!(decode_all(LIMITS, &[&close]).0, [format!("Close(Some({code}))")]);
    }
    assert_eq!(decode_all(LIMITS, &[&frame(0x88, b"")]).0, ["Close(None)"]);
}

#[test]
fn a_message_may_have_the_most_bytes_and_not_one_more() {
    let whole = |bytes| frame(0x82, &vec![0; bytes]);
    assert_eq!(decode_all(LIMITS, &[&whole(1000)]).1, None);
    assert_eq!(decode_all(LIMITS, &[&whole(1001)[..4]]).1, Some(Violation::TooBig(1000)));
    let halves = |bytes| [frame(0x02, &[0; 500]), frame(0x80, &vec![0; bytes])].concat();
    assert_eq!(decode_all(LIMITS, &[&halves(500)]).0.len(), 1);
    assert_eq!(decode_all(LIMITS, &[&halves(501)]).1, Some(Violation::TooBig(1000)));
}

#[test]
fn a_message_may_have_the_most_fragments_and_not_one_more() {
    let start = [frame(0x01, b""), frame(0x00, b"")].concat();
    let most = [start.clone(), frame(0x80, b"")].concat();
    assert_eq!(decode_all(LIMITS, &[&most]).0, [r#"Text("")"#]);
    let more = [start, frame(0x00, b""), vec![0x80]].concat();
    check_refused(&more, Violation::TooManyFragments(3), 1008);
}

#[test]
fn a_delivered_message_is_released_by_the_next_call() {
    let mut decoder = Decoder::new(LIMITS);
    let mut input = [frame(0x01, b"a"), frame(0x80, b"b")].concat();
    let first = decoder.decode(&mut input).unwrap().unwrap().consumed;
    let last = decoder.decode(&mut input[first..]).unwrap().unwrap();
    assert_eq!(last.message, Some(Message::Text("ab")));
    assert_eq!(decoder.decode(&mut []), Ok(None));
    assert!(format!("{decoder:?}").contains("collected: None"));
}

#[test]
fn an_idle_decoder_is_its_limits_and_a_pointer() {
    assert_eq!(size_of::<Decoder>(), size_of::<DecoderLimits>() / 2 + size_of::<usize>());
}
