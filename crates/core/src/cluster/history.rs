//! How a node that starts takes the history of channels over from another one: a page after the other.

use std::time::Duration;

use super::head::{cursor, option, put_cursor, put_option};
use crate::cursor::Cursor;
use crate::dispatch::Dispatch;
use crate::epochs::{Epoch, WrittenEpoch};
use crate::limits::CLUSTER_TARGETS_MAX;
use crate::name::Name;
use crate::record::dispatch::{DISPATCH_BYTES_MIN, put_dispatch, read_dispatch};
use crate::record::field::{Fields, Malformed, put_count, put_name};
use crate::record::push::number;

/// Bytes of an epoch, an event and a channel at least, by which counts are checked.
const EPOCH_BYTES_MIN: usize = 17;
const EVENT_BYTES_MIN: usize = 24 + DISPATCH_BYTES_MIN;
const CHANNEL_BYTES_MIN: usize = 15;

/// Which page a node asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryAsk {
    /// Where the page begins.
    pub from: HistoryPlace,
    /// The node that asks has read the log from this number on: these events need not be sent.
    pub has_from: u64,
}

/// A place in the history of a node, by which it finds it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryPlace {
    /// The place of a channel.
    pub channel: u32,
    /// The number of an event of it that was sent.
    pub after: u64,
}

/// A page of the history of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// The number up to which the node has read the log. Its history is that of this moment.
    pub read: u64,
    /// Whether the node itself still asks others.
    pub is_filling: bool,
    /// By which rules it keeps history: [`checksum`](crate::history::HistoryRules::checksum).
    pub rules: u32,
    /// For how long it has had all that its rules keep.
    pub began: Duration,
    /// What is not kept of channels of which nothing is.
    pub edge: PageEdge,
    /// The epochs whose positions it knows.
    pub epochs: Vec<WrittenEpoch>,
    /// Events of the channels, each once.
    pub events: Vec<PageEvent>,
    /// Channels, each with the numbers of its events.
    pub channels: Vec<PageChannel>,
    /// Where the next page begins, if there is one.
    pub next: Option<HistoryPlace>,
}

/// What is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageEdge {
    /// The number of the last event that is gone.
    pub number: u64,
    /// The age of the last event that gave way to others, or was deleted.
    pub pushed_out: Option<Duration>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageEvent {
    /// Its position.
    pub cursor: Cursor,
    /// The time since it was accepted.
    pub age: Duration,
    /// The event and its targets.
    pub dispatch: Dispatch,
}

/// A channel, or some of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageChannel {
    /// Which.
    pub name: Name,
    /// What is not kept of it.
    pub edge: PageEdge,
    /// The numbers of its events, in their order.
    pub numbers: Vec<u64>,
}

impl HistoryAsk {
    pub(super) fn put(self, bytes: &mut Vec<u8>) {
        put_place(bytes, self.from);
        bytes.extend_from_slice(&self.has_from.to_le_bytes());
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self { from: place(fields)?, has_from: fields.u64()? })
    }
}

impl HistoryPage {
    /// The bytes of the page.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(&self.read.to_le_bytes());
        bytes.push(self.is_filling.into());
        bytes.extend_from_slice(&self.rules.to_le_bytes());
        put_age(&mut bytes, self.began);
        self.edge.put(&mut bytes);
        put_count(&mut bytes, self.epochs.len());
        for WrittenEpoch { begun, end } in &self.epochs {
            bytes.extend_from_slice(&begun.epoch.to_le_bytes());
            bytes.extend_from_slice(&begun.after.to_le_bytes());
            put_option(&mut bytes, *end, |bytes, end| bytes.extend_from_slice(&end.to_le_bytes()));
        }
        put_count(&mut bytes, self.events.len());
        for PageEvent { cursor, age, dispatch } in &self.events {
            put_cursor(&mut bytes, *cursor);
            put_age(&mut bytes, *age);
            put_dispatch(&mut bytes, dispatch);
        }
        put_count(&mut bytes, self.channels.len());
        for PageChannel { name, edge, numbers } in &self.channels {
            put_name(&mut bytes, name);
            edge.put(&mut bytes);
            put_count(&mut bytes, numbers.len());
            numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        }
        put_option(&mut bytes, self.next, put_place);
        bytes
    }

    /// Reads a page.
    ///
    /// # Errors
    /// It is none that a node writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::of(bytes);
        let page = Self {
            read: number(&mut fields)?,
            is_filling: fields.flag()?,
            rules: fields.u32()?,
            began: age(&mut fields)?,
            edge: PageEdge::read(&mut fields)?,
            epochs: list(&mut fields, EPOCH_BYTES_MIN, epoch)?,
            events: list(&mut fields, EVENT_BYTES_MIN, event)?,
            channels: list(&mut fields, CHANNEL_BYTES_MIN, channel)?,
            next: option(&mut fields, place)?,
        };
        fields.end().map(|()| page)
    }
}

impl PageEdge {
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.number.to_le_bytes());
        put_option(bytes, self.pushed_out, put_age);
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self { number: number(fields)?, pushed_out: option(fields, age)? })
    }
}

fn list<'a, T>(
    fields: &mut Fields<'a>,
    bytes_min: usize,
    read: impl Fn(&mut Fields<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    (0..fields.count(bytes_min)?).map(|_| read(fields)).collect()
}

fn epoch(fields: &mut Fields<'_>) -> Result<WrittenEpoch, Malformed> {
    let begun = Epoch { epoch: fields.u64()?, after: number(fields)? };
    Ok(WrittenEpoch { begun, end: option(fields, number)? })
}

fn event(fields: &mut Fields<'_>) -> Result<PageEvent, Malformed> {
    let (cursor, age) = (cursor(fields)?, age(fields)?);
    Ok(PageEvent { cursor, age, dispatch: read_dispatch(fields, CLUSTER_TARGETS_MAX)? })
}

fn channel(fields: &mut Fields<'_>) -> Result<PageChannel, Malformed> {
    let (name, edge) = (fields.name()?, PageEdge::read(fields)?);
    let numbers = list(fields, size_of::<u64>(), number)?;
    let is_in_order = numbers.is_sorted_by(|one, other| one < other);
    if is_in_order { Ok(PageChannel { name, edge, numbers }) } else { Err(Malformed) }
}

fn put_place(bytes: &mut Vec<u8>, HistoryPlace { channel, after }: HistoryPlace) {
    bytes.extend_from_slice(&channel.to_le_bytes());
    bytes.extend_from_slice(&after.to_le_bytes());
}

fn place(fields: &mut Fields<'_>) -> Result<HistoryPlace, Malformed> {
    Ok(HistoryPlace { channel: fields.u32()?, after: fields.u64()? })
}

/// In whole milliseconds.
fn put_age(bytes: &mut Vec<u8>, age: Duration) {
    bytes.extend_from_slice(&u64::try_from(age.as_millis()).unwrap_or(u64::MAX).to_le_bytes());
}

fn age(fields: &mut Fields<'_>) -> Result<Duration, Malformed> {
    fields.u64().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::record::push::NUMBER_MAX;
    use crate::record::push::tests::a_dispatch;

    fn millis() -> impl Strategy<Value = Duration> {
        any::<u64>().prop_map(Duration::from_millis)
    }

    fn edge() -> impl Strategy<Value = PageEdge> {
        (0..=NUMBER_MAX, proptest::option::of(millis()))
            .prop_map(|(number, pushed_out)| PageEdge { number, pushed_out })
    }

    fn channel() -> impl Strategy<Value = PageChannel> {
        ("[a-z]{1,9}", edge(), proptest::collection::btree_set(0..=NUMBER_MAX, 0..5)).prop_map(
            |(name, edge, numbers)| PageChannel {
                name: Name::new(&name).unwrap(),
                edge,
                numbers: numbers.into_iter().collect(),
            },
        )
    }

    fn page() -> impl Strategy<Value = HistoryPage> {
        let epoch = (any::<u64>(), 0..=NUMBER_MAX, proptest::option::of(0..=NUMBER_MAX))
            .prop_map(|(epoch, after, end)| WrittenEpoch { begun: Epoch { epoch, after }, end });
        let event = (any::<u64>(), 0..=NUMBER_MAX, millis(), a_dispatch()).prop_map(
            |(epoch, sequence, age, dispatch)| PageEvent {
                cursor: Cursor { epoch, sequence },
                age,
                dispatch,
            },
        );
        let head = (0..=NUMBER_MAX, any::<bool>(), any::<u32>(), millis(), edge());
        let next = proptest::option::of(any::<(u32, u64)>());
        (head, vec(epoch, 0..3), vec(event, 0..3), vec(channel(), 0..3), next).prop_map(
            |((read, is_filling, rules, began, edge), epochs, events, channels, next)| HistoryPage {
                read,
                is_filling,
                rules,
                began,
                edge,
                epochs,
                events,
                channels,
                next: next.map(|(channel, after)| HistoryPlace { channel, after }),
            },
        )
    }

    proptest! {
        #[test]
        fn a_page_is_read_as_it_was_written(page in page(), cut: prop::sample::Index) {
            let mut bytes = page.encode();
            let read = HistoryPage::decode(&bytes);
            prop_assert_eq!(read.as_ref(), Ok(&page));
            prop_assert_eq!(HistoryPage::decode(&bytes[..cut.index(bytes.len())]), Err(Malformed));
            bytes.push(0);
            prop_assert_eq!(HistoryPage::decode(&bytes), Err(Malformed));
        }

        #[test]
        fn any_bytes_are_a_page_or_refused(bytes in vec(any::<u8>(), 0..90)) {
            if let Ok(page) = HistoryPage::decode(&bytes) {
                prop_assert_eq!(page.encode(), bytes);
            }
        }
    }
}
