//! The payload of a dispatch: its number, found again in any frame.
//!
//! The server forwards payloads untouched, whatever wire it writes them on, so a client looks for
//! the mark instead of parsing the frame. When the dispatch was due stands on the board: payloads
//! can be short.

/// Starts the stamp. Occurs nowhere else in a frame of a benchmark.
const MARK: u8 = b'~';
/// Hexadecimal: enough for any `u32`.
const NUMBER_DIGITS: usize = 8;
/// Bytes of a stamp and its quotes: the shortest payload.
pub const STAMP_BYTES: usize = 1 + NUMBER_DIGITS + 2;

/// Which dispatch this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) u32);

impl Stamp {
    /// The payload: a JSON string of `bytes` bytes, quotes included, or of [`STAMP_BYTES`].
    pub(crate) fn payload(self, bytes: usize) -> String {
        let filler = bytes.saturating_sub(STAMP_BYTES);
        format!("\"~{:0NUMBER_DIGITS$x}{:x<filler$}\"", self.0, "")
    }

    /// The stamp in a frame.
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        let start = frame.iter().position(|&byte| byte == MARK)? + 1;
        let digits = frame.get(start..start + NUMBER_DIGITS)?;
        let number = digits.iter().try_fold(0, |value: u32, &digit| {
            let digit = char::from(digit).to_digit(16)?;
            Some(value << 4 | digit)
        })?;
        Some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_the_frame_that_carries_it() {
        for number in [0, 0x0123_ABCD, u32::MAX] {
            for bytes in [0, STAMP_BYTES, 16, 64, 1_000] {
                let payload = Stamp(number).payload(bytes);
                assert_eq!(payload.len(), bytes.max(STAMP_BYTES));
                let frame = format!("42[\"EVENT\",{{\"event\":\"BENCH\",\"payload\":{payload}}}]");
                assert_eq!(Stamp::find(frame.as_bytes()), Some(Stamp(number)));
            }
        }
    }

    #[test]
    fn what_has_no_stamp_has_none() {
        for frame in ["", "2", "~", "~12", "42[\"OK\"]", "~0000000x", "~+0000000"] {
            assert_eq!(Stamp::find(frame.as_bytes()), None, "{frame}");
        }
    }
}
