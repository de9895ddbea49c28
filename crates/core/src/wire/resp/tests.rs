//! Replies in pieces, above bounds, and nonsense.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

fn text(text: &'static str) -> Reply {
    Reply::Text(Bytes::from_static(text.as_bytes()))
}

/// Decodes what comes in pieces of so many bytes.
fn decode(input: &[u8], piece: usize) -> Result<Vec<Reply>, Violation> {
    let (mut decoder, mut buffer, mut replies) = (Decoder::default(), BytesMut::new(), Vec::new());
    for piece in input.chunks(piece) {
        buffer.extend_from_slice(piece);
        while let Some(reply) = decoder.decode(&mut buffer)? {
            replies.push(reply);
        }
    }
    Ok(replies)
}

#[test]
fn replies_are_decoded_in_whatever_pieces_they_come() {
    let input = b"+OK\r\n-NOGROUP No such key\r\n:-7\r\n$-1\r\n*-1\r\n$0\r\n\r\n$4\r\na\r\nb\r\n*0\r\n\
                  *2\r\n*1\r\n:1\r\n$1\r\nx\r\n+";
    let expected = [
        text("OK"),
        Reply::Error(Bytes::from_static(b"NOGROUP No such key")),
        Reply::Integer(-7),
        Reply::Nil,
        Reply::Nil,
        text(""),
        text("a\r\nb"),
        Reply::Array(vec![]),
        Reply::Array(vec![Reply::Array(vec![Reply::Integer(1)]), text("x")]),
    ];
    for piece in 1..=input.len() {
        assert_eq!(decode(input, piece).unwrap(), expected, "in pieces of {piece}");
    }
}

#[test]
fn what_is_no_resp_ends_the_connection() {
    for (input, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], Violation::NotResp),
        (b"+OK\n", Violation::NotResp),
        (b"\r\n", Violation::NotResp),
        (b":1x\r\n", Violation::NotResp),
        (b"$-2\r\n", Violation::NotResp),
        (b"$1\r\nxyz", Violation::NotResp),
        (b"$536870913\r\n", Violation::TooLarge),
        (b"*1048577\r\n", Violation::TooLarge),
        (&[b'+'; LINE_BYTES_MAX], Violation::TooLarge),
        (&b"*1\r\n".repeat(DEPTH_MAX + 1), Violation::TooLarge),
    ] {
        let mut input = input.to_vec();
        if input.starts_with(b"*1\r") {
            input.extend(b":1\r\n");
        }
        assert_eq!(decode(&input, input.len()), Err(expected), "{:?}", String::from_utf8_lossy(&input));
    }
}

#[test]
fn arrays_that_go_deeper_without_end_are_not_kept() {
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::new());
    buffer.extend_from_slice(&b"*2\r\n".repeat(DEPTH_MAX));
    assert_eq!(decoder.decode(&mut buffer), Ok(None));
    buffer.extend_from_slice(b"*2\r\n");
    assert_eq!(decoder.decode(&mut buffer), Err(Violation::TooLarge));
}

#[test]
fn a_reply_has_a_limit_in_all_that_each_of_its_values_is_below() {
    let mut many = BytesMut::from(&b"*3\r\n*1048574\r\n"[..]);
    assert_eq!(Decoder::default().decode(&mut many), Err(Violation::ReplyTooLarge));
    let mut nearly = BytesMut::from(&b"*2\r\n*1048573\r\n"[..]);
    assert_eq!(Decoder::default().decode(&mut nearly), Ok(None));
    // Zeros that nobody looks at take no memory.
    let heads = [&b"*2\r\n$536870912\r\n"[..], b"$1048576\r\n"];
    let mut long = BytesMut::zeroed(heads[0].len() + BULK_BYTES_MAX + 2 + heads[1].len());
    let (first, second) = (heads[0].len(), long.len() - heads[1].len());
    long[..first].copy_from_slice(heads[0]);
    long[first + BULK_BYTES_MAX..second].copy_from_slice(b"\r\n");
    long[second..].copy_from_slice(heads[1]);
    assert_eq!(Decoder::default().decode(&mut long), Err(Violation::ReplyTooLarge));
    long[second..].copy_from_slice(b"$0000576\r\n");
    assert_eq!(Decoder::default().decode(&mut long), Ok(None), "it has all that it may have");
    let said = Violation::ReplyTooLarge.to_string();
    assert!(said.contains("sources.prefetch"), "{said}");
}

#[test]
fn an_array_may_be_as_deep_as_the_limit() {
    let input = [b"*1\r\n".repeat(DEPTH_MAX), b":1\r\n".to_vec()].concat();
    assert_eq!(decode(&input, 3).unwrap().len(), 1);
}

const BOUNDS: Bounds = Bounds { string_bytes: 4, array_values: 3, reply_bytes: 64 };

/// Decodes what comes in pieces of so many bytes, and says how much was kept at most.
fn bounded(input: &[u8], piece: usize) -> (Result<Vec<Reply>, Violation>, usize) {
    let (mut decoder, mut buffer) = (Decoder::bounded(BOUNDS), BytesMut::new());
    let (mut replies, mut most) = (Vec::new(), 0);
    for piece in input.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(violation) => return (Err(violation), most),
            }
        }
        most = most.max(buffer.len());
    }
    (Ok(replies), most)
}

#[test]
fn what_is_above_a_bound_is_read_and_dropped() {
    let input = b"*3\r\n$5\r\nabcde\r\n*4\r\n:1\r\n$2\r\nab\r\n*2\r\n$1\r\nx\r\n+y\r\n$-1\r\n$4\r\nabcd\r\n\
                  $6\r\nabcdef\r\n+OK\r\n*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n";
    let expected = [
        Reply::Array(vec![Reply::TooLarge, Reply::TooLarge, text("abcd")]),
        Reply::TooLarge,
        text("OK"),
        Reply::TooLarge,
        Reply::Integer(5),
    ];
    for piece in 1..=input.len() {
        assert_eq!(bounded(input, piece).0.unwrap(), expected, "in pieces of {piece}");
    }
}

#[test]
fn a_reply_that_is_full_keeps_no_further_string() {
    let strings = b"$4\r\nabcd\r\n".repeat(3);
    let input = [&b"*3\r\n"[..], &[&b"*3\r\n"[..], &strings].concat().repeat(3)].concat();
    let (replies, _) = bounded(&input, 7);
    let Ok([Reply::Array(arrays)]) = replies.as_deref() else { panic!("{replies:?}") };
    assert_eq!(arrays[0], Reply::Array(vec![text("abcd"), text("abcd"), text("abcd")]));
    assert_eq!(arrays[2], Reply::Array(vec![Reply::NoRoom, Reply::NoRoom, Reply::NoRoom]));
}

#[test]
fn what_is_dropped_takes_no_memory() {
    let string = [&b"$100000\r\n"[..], &[b'x'; 100_000], b"\r\n"].concat();
    let array = [&b"*1000\r\n"[..], &b"$3\r\nabc\r\n".repeat(1000)].concat();
    let (replies, most) = bounded(&[&b"*2\r\n"[..], &string, &array].concat(), 100);
    assert_eq!(replies.unwrap(), [Reply::Array(vec![Reply::TooLarge, Reply::TooLarge])]);
    assert!(most < 50, "{most} bytes were kept");
}

proptest! {
    #[test]
    fn pieces_make_no_difference_to_bounds(input in "[+*:$0-9a\r\n-]{0,40}", piece in 1_usize..5) {
        let (whole, _) = bounded(input.as_bytes(), input.len().max(1));
        prop_assert_eq!(bounded(input.as_bytes(), piece).0, whole);
    }

    #[test]
    fn a_command_is_read_as_the_array_that_it_is(parts in prop::collection::vec(any::<Vec<u8>>(), 0..6)) {
        let mut out = Vec::new();
        push_command(&mut out, &parts);
        let expected: Vec<_> = parts.into_iter().map(|part| Reply::Text(part.into())).collect();
        prop_assert_eq!(decode(&out, 5).unwrap(), [Reply::Array(expected)]);
    }

    #[test]
    fn pieces_make_no_difference(input in "[+*:$0-9a\r\n-]{0,40}", piece in 1_usize..5) {
        let whole = decode(input.as_bytes(), input.len().max(1));
        prop_assert_eq!(decode(input.as_bytes(), piece), whole);
    }
}
