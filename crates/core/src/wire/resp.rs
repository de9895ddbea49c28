//! RESP, what Redis and Valkey speak: commands out, replies in. Version 2, which all of them speak and which has all that
//! a source needs (redis.io, "Redis serialization protocol specification").
//!
//! Decoding copies nothing: a reply shares the buffer that it was read into. A reply that comes in pieces is looked at
//! once: the decoder remembers what it has found.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Bytes of a bulk string: what Redis lets a client send at most, unless `proto-max-bulk-len` is raised.
const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of a line: an error with a long script in it.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one reply in all: an entry of a stream with one value as large as it can be, and its keys.
const REPLY_BYTES_MAX: usize = BULK_BYTES_MAX + 1024 * 1024;
/// Values of one reply in all, those in arrays included. While it is decoded, each takes up to twenty times as
/// much memory as it has bytes.
const VALUES_MAX: usize = 1024 * 1024;
/// How deep arrays are nested: the entries of `XREADGROUP` in a transaction are five deep. Each level is a call.
const DEPTH_MAX: usize = 8;

/// A reply, or what a subscriber is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A simple string or a bulk string.
    Text(Bytes),
    /// Why a command failed: `NOGROUP No such key`.
    Error(Bytes),
    /// A number.
    Integer(i64),
    /// Nothing.
    Nil,
    /// Several values.
    Array(Vec<Self>),
    /// A string or an array that is above the bound of a single one. It was read, and nothing of it was kept.
    TooLarge,
    /// A string for which the reply had no room left. It was read, and nothing of it was kept.
    NoRoom,
}

impl Reply {
    /// The values of an array; none for `Nil`, which stands for an empty one.
    #[must_use]
    pub fn into_values(self) -> Option<Vec<Self>> {
        match self {
            Self::Array(values) => Some(values),
            Self::Nil => Some(Vec::new()),
            _ => None,
        }
    }

    /// The bytes of a string.
    #[must_use]
    pub fn into_text(self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The server does not speak RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A value begins with a byte that has no meaning, or a number is none.
    #[error("it does not speak the protocol of Redis")]
    NotResp,
    /// A value is larger than it can be.
    #[error("a value of its reply is too large")]
    TooLarge,
    /// A reply is larger in all than it can be.
    #[error(
        "one reply of it has more than 513 MiB or {VALUES_MAX} values; `sources.prefetch` makes those of a stream smaller"
    )]
    ReplyTooLarge,
}

/// Appends a command.
///
/// ```
/// let mut out = Vec::new();
/// turted_core::wire::resp::push_command(&mut out, ["GET", "key"]);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
/// ```
pub fn push_command<P: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    parts: impl IntoIterator<Item = P, IntoIter: ExactSizeIterator>,
) {
    let parts = parts.into_iter();
    push_header(out, b'*', parts.len());
    for part in parts {
        let part = part.as_ref();
        push_header(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Values of a reply whose room the decoder keeps for the next one: a hundred entries of a stream have several each.
const VALUES_KEPT: usize = 1024;

/// How much of a reply is kept. The rest is read and dropped, and the connection goes on.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a string. A longer one is [`Reply::TooLarge`].
    pub string_bytes: usize,
    /// Values of an array. A longer one is [`Reply::TooLarge`].
    pub array_values: usize,
    /// Bytes of a reply after which no further string is kept. It is [`Reply::NoRoom`]. So a reply takes this and one
    /// string.
    pub reply_bytes: usize,
}

/// Takes replies out of what was read.
#[derive(Debug)]
pub struct Decoder {
    bounds: Option<Bounds>,
    dropped: Dropped,
    /// Where the value begins that is not complete yet.
    scanned: usize,
    /// Values that are still to come: one, then those of each array that is not complete, the outermost first.
    awaited: Vec<usize>,
    /// The values before that, in their order: those of an array behind it.
    values: Vec<Value>,
    /// Values that came or are still to come.
    promised: usize,
}

/// What is read and not kept.
#[derive(Debug, Default)]
struct Dropped {
    /// Bytes of a string that are still to come.
    string_bytes: usize,
    /// Values of an array that are still to come.
    values: usize,
}

/// A value, its bytes by their place in the buffer.
#[derive(Debug)]
enum Value {
    Text(Range<usize>),
    Error(Range<usize>),
    Integer(i64),
    Nil,
    Array(usize),
    TooLarge,
    NoRoom,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            bounds: None,
            dropped: Dropped::default(),
            scanned: 0,
            awaited: vec![1],
            values: Vec::new(),
            promised: 1,
        }
    }
}

impl Decoder {
    /// A decoder that keeps so much of a reply.
    #[must_use]
    pub fn bounded(bounds: Bounds) -> Self {
        Self { bounds: Some(bounds), ..Self::default() }
    }

    /// Takes the next reply out of `buffer`; `None` if it is not complete.
    ///
    /// # Errors
    /// What was read is no RESP. There is no way to go on.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, Violation> {
        let mut depth = self.awaited.len();
        while let Some(awaited) = self.awaited.last_mut() {
            if *awaited == 0 {
                self.awaited.pop();
                depth -= 1;
                continue;
            }
            if !self.dropped.drop(buffer, self.scanned)? {
                return Ok(None);
            }
            let bounds = self.bounds.as_ref();
            let Some((value, end)) = read(buffer, self.scanned, bounds, &mut self.dropped)? else {
                return Ok(None);
            };
            self.scanned = end;
            *awaited -= 1;
            if let Value::Array(length) = value {
                // At once: a reply that goes deeper without end is never complete.
                if depth > DEPTH_MAX {
                    return Err(Violation::TooLarge);
                }
                self.promised += length;
                if self.promised > VALUES_MAX {
                    return Err(Violation::ReplyTooLarge);
                }
                self.awaited.push(length);
                depth += 1;
            }
            self.values.push(value);
        }
        if !self.dropped.drop(buffer, self.scanned)? {
            return Ok(None);
        }
        let bytes = buffer.split_to(self.scanned).freeze();
        let reply = build(&mut self.values.drain(..), &bytes);
        self.values.shrink_to(VALUES_KEPT);
        self.awaited.push(1);
        (self.scanned, self.promised) = (0, 1);
        Ok(Some(reply))
    }
}

impl Dropped {
    /// Drops what has come of it, which begins at `start`. Returns whether that is all.
    fn drop(&mut self, buffer: &mut BytesMut, start: usize) -> Result<bool, Violation> {
        let mut end = start;
        let is_all = self.scan(buffer, &mut end);
        if end > start {
            buffer.copy_within(end.., start);
            buffer.truncate(buffer.len() - (end - start));
        }
        is_all
    }

    /// Goes on from `end` to where it ends, or to where what has come ends.
    fn scan(&mut self, buffer: &[u8], end: &mut usize) -> Result<bool, Violation> {
        loop {
            let come = self.string_bytes.min(buffer.len() - *end);
            self.string_bytes -= come;
            *end += come;
            match (self.string_bytes, self.values) {
                (0, 0) => return Ok(true),
                (0, _) => {}
                _ => return Ok(false),
            }
            let Some(head) = Head::read(buffer, *end)? else { return Ok(false) };
            self.values -= 1;
            *end = head.end;
            match head.kind {
                Kind::Bulk(length) => self.string_bytes = length + 2,
                // Those of an array in it are dropped as its own are, so depth takes no memory.
                Kind::Array(length) => self.values = self.values.saturating_add(length),
                _ => {}
            }
        }
    }
}

impl Bounds {
    /// What becomes of a value that is above them.
    fn above(&self, head: &Head) -> Option<Value> {
        match head.kind {
            Kind::Bulk(length) if length > self.string_bytes => Some(Value::TooLarge),
            Kind::Bulk(_) if head.line.start > self.reply_bytes => Some(Value::NoRoom),
            Kind::Array(length) if length > self.array_values => Some(Value::TooLarge),
            _ => None,
        }
    }
}

/// Reads the value that begins at `start`. Returns where the next one begins.
fn read(
    buffer: &mut BytesMut,
    start: usize,
    bounds: Option<&Bounds>,
    dropped: &mut Dropped,
) -> Result<Option<(Value, usize)>, Violation> {
    let Some(head) = Head::read(buffer, start)? else { return Ok(None) };
    if let Some(value) = bounds.and_then(|bounds| bounds.above(&head)) {
        match head.kind {
            Kind::Bulk(length) => dropped.string_bytes = length + 2,
            Kind::Array(length) => dropped.values = length,
            _ => {}
        }
        return Ok(Some((value, head.end)));
    }
    if head.value_end() > REPLY_BYTES_MAX {
        return Err(Violation::ReplyTooLarge);
    }
    let value = match head.kind {
        Kind::Text => Value::Text(head.line),
        Kind::Error => Value::Error(head.line),
        Kind::Integer(number) => Value::Integer(number),
        Kind::Nil => Value::Nil,
        Kind::Array(length) => Value::Array(length),
        Kind::Bulk(length) => {
            let (text, end) = (head.end..head.end + length, head.value_end());
            return match buffer.get(text.end..end) {
                Some(b"\r\n") => Ok(Some((Value::Text(text), end))),
                Some(_) => Err(Violation::NotResp),
                None => {
                    buffer.reserve(end - buffer.len());
                    Ok(None)
                }
            };
        }
    };
    Ok(Some((value, head.end)))
}

/// Makes the first value with all that it has in it. They are complete, and not deeper than the limit.
fn build(values: &mut impl Iterator<Item = Value>, bytes: &Bytes) -> Reply {
    match values.next().expect("the values of an array are behind it") {
        Value::Text(text) => Reply::Text(bytes.slice(text)),
        Value::Error(text) => Reply::Error(bytes.slice(text)),
        Value::Integer(number) => Reply::Integer(number),
        Value::Nil => Reply::Nil,
        Value::TooLarge => Reply::TooLarge,
        Value::NoRoom => Reply::NoRoom,
        Value::Array(length) => Reply::Array((0..length).map(|_| build(values, bytes)).collect()),
    }
}

/// The line that a value begins with.
struct Head {
    kind: Kind,
    /// The line without its first byte and its end, and where the next one begins.
    line: Range<usize>,
    end: usize,
}

enum Kind {
    Text,
    Error,
    Integer(i64),
    Nil,
    Bulk(usize),
    Array(usize),
}

impl Head {
    fn read(buffer: &[u8], start: usize) -> Result<Option<Self>, Violation> {
        let rest = &buffer[start..];
        let seen = &rest[..rest.len().min(LINE_BYTES_MAX)];
        let Some(length) = seen.iter().position(|byte| *byte == b'\n') else {
            return if seen.len() == LINE_BYTES_MAX { Err(Violation::TooLarge) } else { Ok(None) };
        };
        let line = rest[..length].strip_suffix(b"\r").ok_or(Violation::NotResp)?;
        let (first, line) = line.split_first().ok_or(Violation::NotResp)?;
        let kind = match first {
            b'+' => Kind::Text,
            b'-' => Kind::Error,
            b':' => Kind::Integer(number(line)?),
            b'$' => length_of(line, BULK_BYTES_MAX)?.map_or(Kind::Nil, Kind::Bulk),
            b'*' => length_of(line, VALUES_MAX)?.map_or(Kind::Nil, Kind::Array),
            _ => return Err(Violation::NotResp),
        };
        Ok(Some(Self { kind, line: start + 1..start + 1 + line.len(), end: start + length + 1 }))
    }

    /// Where a bulk string ends, and everything else but the values of an array.
    fn value_end(&self) -> usize {
        match self.kind {
            Kind::Bulk(length) => self.end + length + 2,
            _ => self.end,
        }
    }
}

fn number(digits: &[u8]) -> Result<i64, Violation> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Violation::NotResp)
}

/// `None` for the length -1, which stands for nothing.
fn length_of(digits: &[u8], most: usize) -> Result<Option<usize>, Violation> {
    match number(digits)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= most => Ok(Some(length)),
            Ok(_) => Err(Violation::TooLarge),
            Err(_) => Err(Violation::NotResp),
        },
    }
}

#[cfg(test)]
mod tests {
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
        let input =
            b"*3\r\n$5\r\nabcde\r\n*4\r\n:1\r\n$2\r\nab\r\n*2\r\n$1\r\nx\r\n+y\r\n$-1\r\n$4\r\nabcd\r\n\
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
}
