//! What stands in front of the history of channels that a clean end writes: of which end it is, and what is not in it.
//! Behind it come the dispatches, as [pushes](super::push) of one each.

use std::time::Duration;

use super::field::{Fields, Malformed};

/// The version of this format. A file of another version is not read.
pub const FORMAT: u8 = 1;

/// The first record of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryHead {
    /// The epoch of the life that ended.
    pub epoch: u32,
    /// The number of the last dispatch before the end. Whoever goes on elsewhere does not believe the file.
    pub last: u64,
    /// The uptime since when the history has all that its rules keep.
    pub began: Duration,
    /// The uptime at which the last dispatch was accepted that gave way to those of other channels.
    pub pushed_out: Option<Duration>,
}

impl HistoryHead {
    /// Appends it to the body of a record.
    pub fn encode(&self, body: &mut Vec<u8>) {
        body.push(FORMAT);
        body.extend_from_slice(&self.epoch.to_le_bytes());
        for number in [self.last, nanos(self.began), self.pushed_out.map_or(u64::MAX, nanos)] {
            body.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is none of this format.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(body);
        if fields.u8()? != FORMAT {
            return Err(Malformed);
        }
        let (epoch, last) = (fields.u32()?, fields.u64()?);
        let (began, pushed_out) = (Duration::from_nanos(fields.u64()?), fields.u64()?);
        fields.end()?;
        let pushed_out = (pushed_out != u64::MAX).then(|| Duration::from_nanos(pushed_out));
        Ok(Self { epoch, last, began, pushed_out })
    }
}

/// 584 years are the most; `u64::MAX` stands for never.
fn nanos(uptime: Duration) -> u64 {
    u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(epoch: u32, last: u64, began: u64, pushed_out: Option<u64>) {
            let uptime = |nanos: u64| Duration::from_nanos(nanos.min(u64::MAX - 1));
            let head = HistoryHead { epoch, last, began: uptime(began), pushed_out: pushed_out.map(uptime) };
            let mut body = Vec::new();
            head.encode(&mut body);
            prop_assert_eq!(HistoryHead::decode(&body), Ok(head));
            for end in 0..body.len() {
                prop_assert_eq!(HistoryHead::decode(&body[..end]), Err(Malformed));
            }
            body.push(0);
            prop_assert_eq!(HistoryHead::decode(&body), Err(Malformed));
        }

        #[test]
        fn any_bytes_are_a_head_or_refused(body in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(head) = HistoryHead::decode(&body) {
                let mut again = Vec::new();
                head.encode(&mut again);
                prop_assert_eq!(again, body);
            }
        }
    }
}
