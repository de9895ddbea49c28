//! The payload of a dispatch: its number and the time it was due, found again in any frame.
//!
//! The server forwards payloads untouched, whatever wire it writes them on, so a client looks for
//! the mark instead of parsing the frame.

use std::time::Duration;

/// Starts the stamp. Occurs nowhere else in a frame of a benchmark.
const MARK: u8 = b'~';
const NUMBER_DIGITS: usize = 10;
const NANOS_DIGITS: usize = 16;
/// Bytes of a stamp and its quotes: the shortest payload.
pub(crate) const STAMP_BYTES: usize = 1 + NUMBER_DIGITS + NANOS_DIGITS + 2;

/// Which dispatch this is and when it was due, since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) number: u32,
    pub(crate) due: Duration,
}

impl Stamp {
    /// The payload: a JSON string of `bytes` bytes, quotes included, or of [`STAMP_BYTES`].
    pub(crate) fn payload(self, bytes: usize) -> String {
        let filler = bytes.saturating_sub(STAMP_BYTES);
        let (number, nanos) = (self.number, self.due.as_nanos());
        format!("\"~{number:0NUMBER_DIGITS$}{nanos:0NANOS_DIGITS$}{:x<filler$}\"", "")
    }

    /// The stamp in a frame.
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        let start = frame.iter().position(|&byte| byte == MARK)? + 1;
        let digits = frame.get(start..start + NUMBER_DIGITS + NANOS_DIGITS)?;
        let (number, nanos) = digits.split_at(NUMBER_DIGITS);
        let number = u32::try_from(decimal(number)?).ok()?;
        Some(Self { number, due: Duration::from_nanos(decimal(nanos)?) })
    }
}

/// At most 16 digits: no overflow.
fn decimal(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |value: u64, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_the_frame_that_carries_it() {
        let stamp = Stamp { number: 4_000_000_000, due: Duration::from_nanos(1_234_567_890_123) };
        for bytes in [0, STAMP_BYTES, 64, 1_000] {
            let payload = stamp.payload(bytes);
            assert_eq!(payload.len(), bytes.max(STAMP_BYTES));
            let frame = format!("42[\"EVENT\",{{\"event\":\"BENCH\",\"payload\":{payload}}}]");
            assert_eq!(Stamp::find(frame.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn what_has_no_stamp_has_none() {
        for frame in ["", "2", "~", "~12", "42[\"OK\"]", "~000000000x0000000000000000"] {
            assert_eq!(Stamp::find(frame.as_bytes()), None, "{frame}");
        }
    }
}
