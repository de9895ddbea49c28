//! What is read and not kept.

use bytes::BytesMut;

use super::Violation;
use super::decode::Value;
use super::head::{Head, Kind};

/// How much of a reply is kept. The rest is read and dropped, and the connection goes on.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a string. A longer one is [`Reply::TooLarge`](super::Reply::TooLarge).
    pub string_bytes: usize,
    /// Values of an array. A longer one is [`Reply::TooLarge`](super::Reply::TooLarge).
    pub array_values: usize,
    /// Bytes of a reply after which no further string is kept. It is [`Reply::NoRoom`](super::Reply::NoRoom). So a reply takes this and one
    /// string.
    pub reply_bytes: usize,
}

/// What is read and not kept.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// Bytes of a string that are still to come.
    pub(super) string_bytes: usize,
    /// Values of an array that are still to come.
    pub(super) values: usize,
}

impl Dropped {
    /// Drops what has come of it, which begins at `start`. Returns whether that is all.
    pub(super) fn drop(&mut self, buffer: &mut BytesMut, start: usize) -> Result<bool, Violation> {
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
    pub(super) fn above(&self, head: &Head) -> Option<Value> {
        match head.kind {
            Kind::Bulk(length) if length > self.string_bytes => Some(Value::TooLarge),
            Kind::Bulk(_) if head.line.start > self.reply_bytes => Some(Value::NoRoom),
            Kind::Array(length) if length > self.array_values => Some(Value::TooLarge),
            _ => None,
        }
    }
}
