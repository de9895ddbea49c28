//! The records of the history of channels, as a clean end writes them: a head, the dispatches, as [pushes](super::push) of
//! one each, then the channels, each with the numbers of its events.

use std::time::Duration;

use super::field::{Fields, Malformed, put_count, put_epoch, put_name};
use crate::name::Name;

/// The version of this format. A file of another version is not read.
pub const FORMAT: u8 = 1;

/// The first record of the file: of which end it is, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryHead {
    /// The epoch of the life that ended.
    pub epoch: u64,
    /// The number of the last dispatch before the end. Whoever goes on elsewhere does not believe the file.
    pub last: u64,
    /// By which rules it was kept: [`checksum`](crate::history::HistoryRules::checksum).
    pub rules: u32,
    /// The uptime since when the history has all that its rules keep.
    pub began: Duration,
    /// What is not kept of channels of which nothing is.
    pub edge: WrittenEdge,
    /// How many dispatches follow.
    pub dispatches: u32,
    /// How many channels follow them.
    pub channels: u32,
}

/// What is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenEdge {
    /// The number of the last event that is gone.
    pub number: u64,
    /// The uptime at which the last event was accepted that gave way to others, or was deleted.
    pub pushed_out: Option<Duration>,
}

/// Events that an operator has deleted from the history of a channel while the log has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenDeletion {
    /// Of which channel.
    pub channel: Name,
    /// The number of the first one.
    pub from: u64,
    /// The number of the last one.
    pub to: u64,
}

impl WrittenDeletion {
    /// Appends it to the body of a record.
    pub fn encode(&self, body: &mut Vec<u8>) {
        body.push(FORMAT);
        put_name(body, &self.channel);
        body.extend_from_slice(&self.from.to_le_bytes());
        body.extend_from_slice(&self.to.to_le_bytes());
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
        let deletion = Self { channel: fields.name()?, from: fields.u64()?, to: fields.u64()? };
        fields.end().map(|()| deletion)
    }
}

/// The history of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenChannel {
    /// Which.
    pub name: Name,
    /// What is not kept of it.
    pub edge: WrittenEdge,
    /// The numbers of its events, in their order.
    pub numbers: Vec<u64>,
}

impl HistoryHead {
    /// Appends it to the body of a record.
    pub fn encode(&self, body: &mut Vec<u8>) {
        body.push(FORMAT);
        put_epoch(body, self.epoch);
        body.extend_from_slice(&self.last.to_le_bytes());
        body.extend_from_slice(&self.rules.to_le_bytes());
        body.extend_from_slice(&nanos(self.began).to_le_bytes());
        self.edge.encode(body);
        body.extend_from_slice(&self.dispatches.to_le_bytes());
        body.extend_from_slice(&self.channels.to_le_bytes());
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
        let head = Self {
            epoch: fields.u32()?.into(),
            last: fields.u64()?,
            rules: fields.u32()?,
            began: moment(fields.u64()?).ok_or(Malformed)?,
            edge: WrittenEdge::decode(&mut fields)?,
            dispatches: fields.u32()?,
            channels: fields.u32()?,
        };
        fields.end().map(|()| head)
    }
}

impl WrittenEdge {
    fn encode(self, body: &mut Vec<u8>) {
        body.extend_from_slice(&self.number.to_le_bytes());
        body.extend_from_slice(&self.pushed_out.map_or(u64::MAX, nanos).to_le_bytes());
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        let (number, pushed_out) = (fields.u64()?, fields.u64()?);
        Ok(Self { number, pushed_out: moment(pushed_out) })
    }
}

impl WrittenChannel {
    /// Appends it to the body of a record.
    pub fn encode(&self, body: &mut Vec<u8>) {
        put_name(body, &self.name);
        self.edge.encode(body);
        put_count(body, self.numbers.len());
        self.numbers.iter().for_each(|number| body.extend_from_slice(&number.to_le_bytes()));
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is not one that this server writes.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(body);
        let (name, edge) = (fields.name()?, WrittenEdge::decode(&mut fields)?);
        let count = fields.count(size_of::<u64>())?;
        let numbers = (0..count).map(|_| fields.u64()).collect::<Result<Vec<_>, _>>()?;
        fields.end().map(|()| Self { name, edge, numbers })
    }
}

/// `None` for never.
fn moment(nanos: u64) -> Option<Duration> {
    (nanos != u64::MAX).then(|| Duration::from_nanos(nanos))
}

/// 584 years are the most; `u64::MAX` stands for never.
fn nanos(uptime: Duration) -> u64 {
    u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edge() -> impl Strategy<Value = WrittenEdge> {
        let uptime = |nanos: u64| Duration::from_nanos(nanos.min(u64::MAX - 1));
        (any::<u64>(), any::<Option<u64>>())
            .prop_map(move |(number, nanos)| WrittenEdge { number, pushed_out: nanos.map(uptime) })
    }

    #[test]
    fn a_history_began_at_some_time() {
        let edge = WrittenEdge { number: 1, pushed_out: None };
        let began = Duration::from_nanos(u64::MAX - 1);
        let head = HistoryHead { epoch: 1, last: 2, rules: 3, began, edge, dispatches: 4, channels: 5 };
        let mut body = Vec::new();
        head.encode(&mut body);
        assert_eq!(HistoryHead::decode(&body), Ok(head));
        body[17..25].fill(0xff);
        assert_eq!(HistoryHead::decode(&body), Err(Malformed));
    }

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(
            (epoch, last, rules) in any::<(u32, u64, u32)>(),
            began in 0..u64::MAX,
            edge in edge(),
            (dispatches, channels) in any::<(u32, u32)>(),
        ) {
            let began = Duration::from_nanos(began);
            let head = HistoryHead { epoch: epoch.into(), last, rules, began, edge, dispatches, channels };
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
        fn a_channel_is_read_as_it_was_written(edge in edge(), numbers in any::<Vec<u64>>()) {
            let channel = WrittenChannel { name: Name::new("chat").unwrap(), edge, numbers };
            let mut body = Vec::new();
            channel.encode(&mut body);
            for end in 0..body.len() {
                prop_assert_eq!(WrittenChannel::decode(&body[..end]), Err(Malformed));
            }
            prop_assert_eq!(WrittenChannel::decode(&body), Ok(channel));
        }

        #[test]
        fn a_deletion_is_read_as_it_was_written((from, to) in any::<(u64, u64)>()) {
            let deletion = WrittenDeletion { channel: Name::new("chat").unwrap(), from, to };
            let mut body = Vec::new();
            deletion.encode(&mut body);
            for end in 0..body.len() {
                prop_assert_eq!(WrittenDeletion::decode(&body[..end]), Err(Malformed));
            }
            prop_assert_eq!(WrittenDeletion::decode(&body), Ok(deletion));
        }

        #[test]
        fn any_bytes_are_a_record_or_refused(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut again = Vec::new();
            if let Ok(head) = HistoryHead::decode(&body) {
                head.encode(&mut again);
                prop_assert_eq!(&again, &body);
            }
            again.clear();
            if let Ok(channel) = WrittenChannel::decode(&body) {
                channel.encode(&mut again);
                prop_assert_eq!(again, body);
            }
        }
    }
}
