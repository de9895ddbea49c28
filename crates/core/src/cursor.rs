//! A position in the event log, as clients carry it: `<epoch>-<sequence>`.

use std::fmt;
use std::str::FromStr;

/// The position of one dispatch.
///
/// As a text it has exactly one form: the epoch in lower-case hexadecimal and the sequence in decimal, both
/// without leading zeros. Any other text is no cursor.
///
/// ```
/// use turted_core::cursor::Cursor;
/// let cursor = Cursor { epoch: 255, sequence: 36 };
/// assert_eq!(cursor.to_string(), "ff-36");
/// assert_eq!("ff-36".parse(), Ok(cursor));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which log: a number that is new with every log. A cursor of another epoch is no position in this log.
    pub epoch: u64,
    /// The number of a dispatch in that log.
    pub sequence: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}-{}", self.epoch, self.sequence)
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor has the form <epoch>-<sequence>")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (epoch, sequence) = text.split_once('-').ok_or(NoCursor)?;
        let is_hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !is_number(epoch, is_hexadecimal) || !is_number(sequence, |byte| byte.is_ascii_digit()) {
            return Err(NoCursor);
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| NoCursor)?;
        let sequence = sequence.parse().map_err(|_| NoCursor)?;
        Ok(Self { epoch, sequence })
    }
}

/// Whether `text` is a number of such digits without leading zeros.
fn is_number(text: &str, is_digit: impl Fn(u8) -> bool) -> bool {
    text.bytes().all(is_digit) && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_form() {
        for text in ["0-0", "ff-36", "a-10", "ffffffffffffffff-18446744073709551615"] {
            assert_eq!(text.parse::<Cursor>().map(|cursor| cursor.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            "-",
            "0",
            "0-",
            "-0",
            "00-0",
            "0-00",
            "0-01",
            "FF-1",
            "+1-1",
            "1-+1",
            "1--1",
            "g-1",
            "1-a",
            " 1-1",
            "1-1\n",
            "1-1-1",
            "10000000000000000-1",
            "1-18446744073709551616",
            "constructor",
            "١-1",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }
}
