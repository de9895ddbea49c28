//! What Redis knows of a stream and of a consumer group: how many entries there were, were read, and are still to be. And
//! from that how many were trimmed before anybody read them. Servers before Redis 7 do not count.

use bytes::Bytes;
use turted_core::wire::resp::Reply;

use crate::io::redis::refused;
use crate::push::source::Failure;

/// The id of an entry: milliseconds, and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64, u64);

impl Id {
    fn read(reply: Reply) -> Option<Self> {
        let text = reply.into_text()?;
        let (milliseconds, number) = std::str::from_utf8(&text).ok()?.split_once('-')?;
        Some(Self(milliseconds.parse().ok()?, number.parse().ok()?))
    }

    pub(super) fn text(self) -> String {
        format!("{}-{}", self.0, self.1)
    }
}

/// The entries of a stream. All is nothing for a stream that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first entry that is left.
    first: Id,
    /// The last entry that was added.
    pub(super) last: Id,
    /// How many were ever added, if the server counts.
    pub(super) added: Option<u64>,
    /// How many are left.
    pub(super) length: u64,
}

impl Extent {
    /// Reads what `XINFO STREAM` says.
    pub(super) fn read(reply: Reply) -> Result<Self, Failure> {
        let mut extent = Self::default();
        let fields = match reply {
            Reply::Error(error) if error.starts_with(b"ERR no such key") => {
                return Ok(Self { added: Some(0), ..extent });
            }
            Reply::Error(error) => return Err(refused(&error)),
            reply => reply.into_values().unwrap_or_default(),
        };
        each(fields, |field, value| match field {
            b"recorded-first-entry-id" => extent.first = Id::read(value).unwrap_or_default(),
            b"last-generated-id" => extent.last = Id::read(value).unwrap_or_default(),
            b"entries-added" => extent.added = number(&value),
            b"length" => extent.length = number(&value).unwrap_or_default(),
            _ => {}
        });
        Ok(extent)
    }
}

/// One group of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The last entry that was delivered.
    delivered: Id,
    /// How many entries were delivered, counted from the first one of the stream.
    read: Option<u64>,
    /// How many entries were not delivered yet.
    lag: Option<u64>,
}

impl Group {
    /// Reads what `XINFO GROUPS` says of the group `name`.
    pub(super) fn find(reply: Reply, name: &str) -> Self {
        let groups = reply.into_values().unwrap_or_default();
        groups
            .into_iter()
            .filter_map(Reply::into_values)
            .find_map(|group| Self::read(group, name))
            .unwrap_or_default()
    }

    fn read(fields: Vec<Reply>, name: &str) -> Option<Self> {
        let (mut group, mut is_named) = (Self::default(), false);
        each(fields, |field, value| match field {
            b"name" => is_named = value.into_text().is_some_and(|text| text == name),
            b"last-delivered-id" => group.delivered = Id::read(value).unwrap_or_default(),
            b"entries-read" => group.read = number(&value),
            b"lag" => group.lag = number(&value),
            _ => {}
        });
        is_named.then_some(group)
    }
}

/// Passes on fields and values, which stand in turn.
fn each(fields: Vec<Reply>, mut visit: impl FnMut(&[u8], Reply)) {
    let mut fields = fields.into_iter();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        visit(&field.into_text().unwrap_or_else(Bytes::new), value);
    }
}

fn number(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// One look at a stream and its group: before entries were read, and after that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) extent: Extent,
    pub(super) before: Group,
    pub(super) after: Group,
    /// Entries that were read in between.
    pub(super) count: u64,
}

/// Entries that are missing in the group's count of those that were read. Some servers (7.0) never correct it, others
/// (7.4) with the next entry that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing(pub(super) u64);

impl Missing {
    /// How many entries were lost since the last look.
    pub(super) fn look(&mut self, look: &Look) -> u64 {
        let corrected = look.after.read > look.before.read.map(|read| read + look.count);
        let lost = look.lost().map_or(0, |missing| {
            // Less than before: it was corrected in between.
            let known = if missing < self.0 { 0 } else { self.0 };
            self.0 = missing;
            missing - known
        });
        if corrected {
            self.0 = 0;
        }
        lost
    }

    /// How many entries are still to be read.
    pub(super) fn lag(self, look: &Look) -> Option<u64> {
        look.after.lag.map(|lag| lag.saturating_sub(self.0))
    }
}

impl Look {
    /// Entries that were neither read nor are left, if all that is left was not read.
    fn lost(&self) -> Option<u64> {
        let Extent { first, last, added, length } = self.extent;
        let is_trimmed = match length {
            0 => self.before.delivered < last,
            _ => self.before.delivered < first,
        };
        let lost = added?.saturating_sub(self.before.read?).saturating_sub(length);
        is_trimmed.then_some(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Reply {
        Reply::Text(text.as_bytes().into())
    }

    #[test]
    fn a_group_is_found_by_its_name() {
        let group = |name, read| {
            let fields =
                [text("name"), text(name), text("entries-read"), read, text("lag"), Reply::Integer(2)];
            Reply::Array(fields.into_iter().chain([text("last-delivered-id"), text("12-3")]).collect())
        };
        let reply = Reply::Array(vec![group("a", Reply::Integer(1)), group("b", Reply::Nil)]);
        let found = Group { delivered: Id(12, 3), read: Some(1), lag: Some(2) };
        assert_eq!(Group::find(reply.clone(), "a"), found);
        assert_eq!(Group::find(reply.clone(), "b"), Group { read: None, ..found });
        assert_eq!(Group::find(reply, "c"), Group::default());
        assert_eq!(Group::find(Reply::Error("ERR no such key".into()), "a"), Group::default());
    }

    /// A stream of which `added` entries were added with the ids 1, 2, .., and the last `length` are left. The group has
    /// been given `delivered` and counts `before`, then it is given `count` and counts `after`.
    fn look(
        (added, length): (u64, u64),
        (delivered, before): (u64, u64),
        (count, after): (u64, u64),
    ) -> Look {
        let first = if length == 0 { Id::default() } else { Id(added - length + 1, 0) };
        let group = |read| Group { delivered: Id(delivered, 0), read: Some(read), lag: Some(added - read) };
        Look {
            extent: Extent { first, last: Id(added, 0), added: Some(added), length },
            before: group(before),
            after: group(after),
            count,
        }
    }

    #[test]
    fn what_was_neither_read_nor_is_left_was_lost() {
        // What the group counts after each of three reads, on a server that never corrects it and on one that does.
        for [first, second, third] in [[20, 40, 50], [80, 100, 150]] {
            let mut missing = Missing::default();
            assert_eq!(missing.look(&look((100, 100), (0, 0), (10, 10))), 0, "nothing was trimmed");
            assert_eq!(missing.look(&look((100, 95), (10, 10), (0, 10))), 0, "it was read before");
            assert_eq!(missing.look(&look((100, 30), (10, 10), (10, first))), 60, "11 to 70 were trimmed");
            let all = look((100, 30), (80, first), (20, second));
            assert_eq!((missing.look(&all), missing.lag(&all)), (0, Some(0)));
            assert_eq!(
                missing.look(&look((150, 10), (100, second), (10, third))),
                40,
                "101 to 140 were trimmed"
            );
        }
    }

    #[test]
    fn a_stream_that_was_trimmed_to_nothing_has_lost_all() {
        let mut missing = Missing::default();
        assert_eq!(missing.look(&look((50, 0), (20, 20), (0, 20))), 30);
        assert_eq!(missing.look(&look((50, 0), (20, 20), (0, 20))), 0, "it is told once");
        assert_eq!(missing.look(&look((50, 0), (50, 50), (0, 50))), 0);
    }

    #[test]
    fn a_server_that_does_not_count_has_lost_nothing_that_is_known() {
        let mut unknown = look((100, 30), (10, 10), (10, 20));
        unknown.extent.added = None;
        assert_eq!(Missing::default().look(&unknown), 0);
        let none = Extent { added: Some(0), ..Extent::default() };
        assert_eq!(Extent::read(Reply::Error("ERR no such key".into())).unwrap(), none);
    }
}
