//! Takes replies out of what was read.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::dropped::{Bounds, Dropped};
use super::head::{Head, Kind};
use super::{DEPTH_MAX, REPLY_BYTES_MAX, Reply, VALUES_MAX, Violation};

/// Values of a reply whose room the decoder keeps for the next one: a hundred entries of a stream have several each.
const VALUES_KEPT: usize = 1024;

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

/// A value, its bytes by their place in the buffer.
#[derive(Debug)]
pub(super) enum Value {
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
