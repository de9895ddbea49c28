//! Moments of time: an extension type of MessagePack, a string in JSON, as `Date.toJSON` writes it.

use std::fmt::Write as _;

/// The extension type of a timestamp.
pub(super) const EXTENSION: i8 = -1;

const DAY_SECONDS: i64 = 86_400;
/// Seconds from 1970 that a `Date` of JavaScript can have (ECMA-262, "Time Values and Time Range").
const SECONDS_MAX: i64 = 8_640_000_000_000;

/// A moment: seconds since 1970, and nanoseconds after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    seconds: i64,
    nanoseconds: u32,
}

/// Reads any of the three forms.
pub(super) fn read(data: &[u8]) -> Option<Moment> {
    let moment = match *data {
        [a, b, c, d] => Moment { seconds: u32::from_be_bytes([a, b, c, d]).into(), nanoseconds: 0 },
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            Moment {
                seconds: i64::try_from(both & 0x3_ffff_ffff).ok()?,
                nanoseconds: u32::try_from(both >> 34).ok()?,
            }
        }
        [a, b, c, d, ref seconds @ ..] => Moment {
            seconds: i64::from_be_bytes(seconds.try_into().ok()?),
            nanoseconds: u32::from_be_bytes([a, b, c, d]),
        },
        _ => return None,
    };
    (moment.nanoseconds < 1_000_000_000).then_some(moment)
}

/// `2026-11-28T14:12:32.250Z`; `None` for a moment that no `Date` can have.
pub(super) fn text(moment: Moment) -> Option<String> {
    if !(-SECONDS_MAX..=SECONDS_MAX).contains(&moment.seconds) {
        return None;
    }
    let second = moment.seconds.rem_euclid(DAY_SECONDS);
    let (year, month, day) = date(moment.seconds.div_euclid(DAY_SECONDS));
    let mut text = match year {
        0..=9_999 => format!("{year:04}"),
        _ => format!("{}{:06}", if year < 0 { '-' } else { '+' }, year.abs()),
    };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let millisecond = moment.nanoseconds / 1_000_000;
    let _infallible =
        write!(text, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z");
    Some(text)
}

/// Year, month and day of a day counted from 1970 in the Gregorian calendar. Years begin in March here, so that the
/// day that is sometimes missing is the last one; 400 years have 146,097 days.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right-hand side is what `new Date(..).toJSON()` says.
    #[test]
    fn a_moment_is_written_as_dates_of_javascript_are() {
        for (seconds, nanoseconds, expected) in [
            (0, 0, Some("1970-01-01T00:00:00.000Z")),
            (-1, 999_000_000, Some("1969-12-31T23:59:59.999Z")),
            (951_782_399, 0, Some("2000-02-28T23:59:59.000Z")),
            (951_782_400, 0, Some("2000-02-29T00:00:00.000Z")),
            (1_709_164_800, 0, Some("2024-02-29T00:00:00.000Z")),
            (4_107_542_400, 0, Some("2100-03-01T00:00:00.000Z")),
            (1_795_875_152, 250_999_999, Some("2026-11-28T14:12:32.250Z")),
            (253_402_300_799, 0, Some("9999-12-31T23:59:59.000Z")),
            (253_402_300_800, 0, Some("+010000-01-01T00:00:00.000Z")),
            (-62_167_219_201, 0, Some("-000001-12-31T23:59:59.000Z")),
            (SECONDS_MAX, 0, Some("+275760-09-13T00:00:00.000Z")),
            (-SECONDS_MAX, 0, Some("-271821-04-20T00:00:00.000Z")),
            (SECONDS_MAX + 1, 0, None),
            (i64::MIN, 0, None),
        ] {
            assert_eq!(text(Moment { seconds, nanoseconds }).as_deref(), expected, "{seconds}");
        }
    }

    #[test]
    fn each_form_of_a_timestamp_is_read() {
        let short = [0, 0, 0, 7];
        let middle = (5_u64 << 34 | 7).to_be_bytes();
        let long = [&5_u32.to_be_bytes()[..], &(-7_i64).to_be_bytes()].concat();
        assert_eq!(read(&short), Some(Moment { seconds: 7, nanoseconds: 0 }));
        assert_eq!(read(&middle), Some(Moment { seconds: 7, nanoseconds: 5 }));
        assert_eq!(read(&long), Some(Moment { seconds: -7, nanoseconds: 5 }));
        for wrong in [&[][..], &[0; 5], &[0xff; 8], &[0xff; 12], &[0; 13]] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
