//! The line that a value begins with.

use std::ops::Range;

use super::{BULK_BYTES_MAX, LINE_BYTES_MAX, VALUES_MAX, Violation};

/// The line that a value begins with.
pub(super) struct Head {
    pub(super) kind: Kind,
    /// The line without its first byte and its end, and where the next one begins.
    pub(super) line: Range<usize>,
    pub(super) end: usize,
}

pub(super) enum Kind {
    Text,
    Error,
    Integer(i64),
    Nil,
    Bulk(usize),
    Array(usize),
}

impl Head {
    pub(super) fn read(buffer: &[u8], start: usize) -> Result<Option<Self>, Violation> {
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
    pub(super) fn value_end(&self) -> usize {
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
