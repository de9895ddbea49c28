//! The payload of a dispatch: its number, which a client finds in any frame.
//!
//! The server forwards payloads unchanged on every wire, so a client searches for the mark and does not parse
//! the frame. The time when the dispatch was due is on the board, so that payloads can be short.

/// Begins the stamp. It occurs nowhere else in a frame of a benchmark.
const MARK: u8 = b'~';
/// Hexadecimal: enough for any `u32`.
const NUMBER_DIGITS: usize = 8;
/// Bytes of a stamp and its quotes: the shortest payload.
pub const STAMP_BYTES: usize = 1 + NUMBER_DIGITS + 2;

/// The number of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) u32);

impl Stamp {
    /// The payload: a JSON string of `bytes` bytes, quotes included, or of [`STAMP_BYTES`].
    pub(crate) fn payload(self, bytes: usize) -> String {
        let filler = bytes.saturating_sub(STAMP_BYTES);
        format!("\"~{:0NUMBER_DIGITS$x}{:x<filler$}\"", self.0, "")
    }

    /// The stamps in a frame. A frame may have several: what a client missed comes at once from some servers.
    pub(crate) fn all(frame: &[u8]) -> impl Iterator<Item = Self> {
        memchr::memchr_iter(MARK, frame).filter_map(|mark| Self::parse(&frame[mark + 1..]))
    }

    /// Whether a frame has a stamp.
    pub(crate) fn is_in(frame: &[u8]) -> bool {
        Self::all(frame).next().is_some()
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.get(..NUMBER_DIGITS)?;
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

    fn all(frame: &str) -> Vec<Stamp> {
        Stamp::all(frame.as_bytes()).collect()
    }

    #[test]
    fn a_stamp_is_found_in_the_frame_that_carries_it() {
        for number in [0, 0x0123_ABCD, u32::MAX] {
            for bytes in [0, STAMP_BYTES, 16, 64, 1_000] {
                let payload = Stamp(number).payload(bytes);
                assert_eq!(payload.len(), bytes.max(STAMP_BYTES));
                let frame = format!("42[\"EVENT\",{{\"event\":\"BENCH\",\"payload\":{payload}}}]");
                assert_eq!(all(&frame), [Stamp(number)]);
            }
        }
    }

    #[test]
    fn every_stamp_of_a_frame_is_found() {
        assert_eq!(all(r#"[{"data":"~00000001"},{"data":"~0000000a~"}]"#), [Stamp(1), Stamp(10)]);
    }

    #[test]
    fn what_has_no_stamp_has_none() {
        for frame in ["", "2", "~", "~12", "42[\"OK\"]", "~0000000x", "~+0000000"] {
            assert_eq!(all(frame), [], "{frame}");
        }
    }
}
