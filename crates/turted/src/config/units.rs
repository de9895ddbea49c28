//! Durations and sizes as an operator writes them: `300ms`, `25s`, `2m`, `1h`; `64KiB`, `1MiB`.

use std::time::Duration;

/// The longest duration a setting may have. The ping interval and timeout together stay within a
/// browser's timer (2^31 ms, 24.8 days); beyond it timers fire at once.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60 * 1_000), ("h", 60 * 60 * 1_000)];
const SIZE_UNITS: [(&str, usize); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// A duration of 1 ms to [`DURATION_MAX`]; the unit is mandatory.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let factor = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let duration = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(factor)?);
    (!duration.is_zero() && duration <= DURATION_MAX).then_some(duration)
}

/// The same, and `0s` for no delay.
pub(super) fn parse_delay(text: &str) -> Option<Duration> {
    let is_none = split(text).is_some_and(|(number, unit)| {
        number.bytes().all(|digit| digit == b'0') && DURATION_UNITS.iter().any(|(name, _)| *name == unit)
    });
    if is_none { Some(Duration::ZERO) } else { parse_duration(text) }
}

/// The shortest text that [`parse_duration`] reads as `duration`, without leaving the unit people
/// count in: `120s`, not `2m`.
pub(super) fn show_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// A number of bytes, with or without a binary unit.
pub(super) fn parse_size(text: &str) -> Option<usize> {
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let (number, unit) = split(text)?;
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// Digits and the unit behind them. A sign or a fraction makes no number here.
fn split(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    Some((number, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_are_positive() {
        for (text, millis) in
            [("300ms", 300), ("25s", 25_000), ("2m", 120_000), ("1h", 3_600_000), ("25 s", 25_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "25", "s", "-1s", "+1s", "1.5s", "0s", "25S", "169h", "99999999999999999999s", "25s "]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("168h"), Some(DURATION_MAX));
    }

    #[test]
    fn a_delay_may_be_none_at_all() {
        for (text, millis) in
            [("0s", Some(0)), ("0ms", Some(0)), ("5s", Some(5_000)), ("0", None), ("0x", None), ("", None)]
        {
            assert_eq!(parse_delay(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn a_shown_duration_reads_back() {
        for millis in [1, 300, 1_000, 1_500, 120_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
        }
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_unit() {
        for (text, bytes) in [("17", 17), ("64KiB", 65_536), ("1 MiB", 1 << 20), ("8B", 8)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "-1", "64kb", "64KB", "1.5MiB", "99999999999999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
