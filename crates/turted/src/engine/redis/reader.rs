//! Follows the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use turted_core::cursor::Cursor;
use turted_core::wire::resp::Reply;

use super::super::{Failure, Reader, State};
use super::client::{Client, REPLY_BYTES_MAX, accepted, unknown};
use super::shared::Shared;
use super::state::{Look, id, position};

/// How long Redis waits for an entry.
const BLOCK: Duration = Duration::from_secs(1);
/// How long a read waits for its reply: for an entry, and for the network.
const WAIT: Duration = Duration::from_secs(4);
/// Entries that are read at once. Redis makes a reply as a whole, and nobody knows how large entries are before they are
/// read: so many of 1 MiB are 128 MiB.
const COUNT_MAX: usize = 128;
/// Entries that are read first: so many of 1 MiB are as much as is kept of a reply.
const COUNT_FIRST: usize = 16;
/// Bytes that a reply should have: half of what is kept of one, for entries differ.
const REPLY_BYTES: usize = REPLY_BYTES_MAX / 2;

/// A connection that reads.
pub(crate) struct RedisReader {
    client: Client,
    shared: Arc<Shared>,
    /// Entries that are asked for at most: as many as had room in a reply, by the size of the last ones.
    count: usize,
    /// What the client had received when it asked; `None` if it has the reply.
    asked: Option<u64>,
    /// Whether the last reply had as many entries as were asked for.
    was_full: bool,
}

impl RedisReader {
    pub(super) fn new(client: Client, shared: Arc<Shared>) -> Self {
        Self { client, shared, count: COUNT_FIRST, asked: None, was_full: false }
    }

    /// Asks for entries. Returns what the client had received before.
    async fn ask(&mut self, after: Option<Cursor>, count: usize) -> Result<u64, Failure> {
        let before = self.client.received();
        let after = after.map_or_else(|| "0-0".to_owned(), id);
        let asked = count.clamp(1, self.count).to_string();
        let block = BLOCK.as_millis().to_string();
        let log = &*self.shared.keys.log;
        self.client.add(["XREAD", "COUNT", &*asked, "BLOCK", &block, "STREAMS", log, &after]);
        self.client.send().await?;
        Ok(before)
    }
}

/// Entries that are asked for next, after a reply with so many bytes.
fn next_count(count: usize, entries: &Entries, bytes: u64) -> usize {
    let bytes_each = usize::try_from(bytes).unwrap_or(usize::MAX) / entries.all.max(1);
    let fitting = REPLY_BYTES / bytes_each.max(1);
    let most = if entries.is_whole() { count * 2 } else { entries.read.len() };
    fitting.min(most).clamp(1, COUNT_MAX)
}

impl Reader for RedisReader {
    async fn read(
        &mut self,
        after: Option<Cursor>,
        count: usize,
    ) -> Result<Vec<(Cursor, Option<Bytes>)>, Failure> {
        let before = match self.asked {
            Some(before) => before,
            None => self.ask(after, count).await?,
        };
        self.asked = Some(before);
        let Some(reply) = self.client.reply_or_part(WAIT).await? else { return Ok(Vec::new()) };
        (self.asked, self.was_full) = (None, false);
        let reply = accepted(reply)?;
        let Some(stream) = reply.into_values().ok_or_else(|| unknown("XREAD"))?.into_iter().next() else {
            return Ok(Vec::new());
        };
        let entries = stream.into_values().and_then(|stream| entries(stream.into_iter().nth(1)?));
        let entries = entries.ok_or_else(|| unknown("XREAD"))?;
        self.was_full = entries.all >= count.clamp(1, self.count);
        self.count = next_count(self.count, &entries, self.client.received() - before);
        Ok(entries.read)
    }

    fn was_full(&self, _read: usize, _count: usize) -> bool {
        self.was_full
    }

    fn is_coming(&self) -> bool {
        self.asked.is_some()
    }

    async fn state(&mut self) -> Result<State, Failure> {
        Look::at(&mut self.client, &self.shared).await.map(|look| look.state)
    }
}

/// Entries of a reply.
pub(super) struct Entries {
    pub(super) read: Vec<(Cursor, Option<Bytes>)>,
    /// How many came. Those for which the reply had no room are asked for again.
    all: usize,
}

impl Entries {
    /// Whether the reply had room for all of them.
    fn is_whole(&self) -> bool {
        self.read.len() == self.all
    }
}

/// Reads `[[id, [field, value, ..]], ..]`, up to the first one for which the reply had no room.
pub(super) fn entries(reply: Reply) -> Option<Entries> {
    let values = reply.into_values()?;
    let all = values.len();
    let mut read = Vec::with_capacity(all);
    for entry in values {
        let mut parts = entry.into_values()?.into_iter();
        let (id, fields) = (parts.next()?, parts.next()?);
        if id == Reply::NoRoom {
            return Some(Entries { read, all });
        }
        let at = position(&id.into_text()?)?;
        let value = match value(fields) {
            Ok(value) => value,
            // Alone it has no room either: it is no entry of ours, and reading goes on behind it.
            Err(NoRoom) if read.is_empty() => None,
            Err(NoRoom) => return Some(Entries { read, all }),
        };
        read.push((at, value));
    }
    Some(Entries { read, all })
}

/// The reply had no room for the entry.
struct NoRoom;

/// The value of an entry that has the field `d` and no other.
fn value(fields: Reply) -> Result<Option<Bytes>, NoRoom> {
    let Reply::Array(fields) = fields else { return Ok(None) };
    if fields.contains(&Reply::NoRoom) {
        return Err(NoRoom);
    }
    Ok(match <[Reply; 2]>::try_from(fields) {
        Ok([Reply::Text(field), Reply::Text(value)]) if field == "d" => Some(value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_entries_are_asked_for_as_a_reply_keeps() {
        const MIB: u64 = 1024 * 1024;
        let entries =
            |read: usize, all| Entries { read: vec![(Cursor { epoch: 1, sequence: 1 }, None); read], all };
        for (what, count, read, all, bytes, expected) in [
            ("small ones: twice as many", 16, 16, 16, 4_000, 32),
            ("never more than the limit", 128, 128, 128, 40_000, COUNT_MAX),
            ("one that comes alone: twice as many", 64, 1, 1, 200, 128),
            ("of 1 MiB", 16, 16, 16, 16 * MIB, 8),
            ("those of 1 MiB again", 8, 8, 8, 8 * MIB, 8),
            ("of 8 MiB", 8, 2, 8, 64 * MIB, 1),
            ("one of 100 MiB", 16, 1, 1, 100 * MIB, 1),
            ("the last ones had no room", 128, 20, 128, 100 * MIB, 10),
        ] {
            assert_eq!(next_count(count, &entries(read, all), bytes), expected, "{what}");
        }
    }
}
