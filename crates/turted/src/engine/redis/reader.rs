//! Follows the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use turted_core::cursor::Cursor;
use turted_core::wire::resp::Reply;

use super::super::{Failure, Reader, State};
use super::client::{Client, accepted, one, unknown};
use super::shared::Shared;
use super::state::{Look, id, position};

/// How long Redis waits for an entry.
const BLOCK: Duration = Duration::from_secs(1);
/// Entries that are read at once: below the values of one array that are kept.
const COUNT_MAX: usize = 1024;

/// A connection that reads.
pub(crate) struct RedisReader {
    client: Client,
    shared: Arc<Shared>,
    /// Entries that are asked for at most: less after a reply had more bytes than are kept.
    count: usize,
}

impl RedisReader {
    pub(super) fn new(client: Client, shared: Arc<Shared>) -> Self {
        Self { client, shared, count: COUNT_MAX }
    }
}

impl Reader for RedisReader {
    async fn read(
        &mut self,
        after: Option<Cursor>,
        count: usize,
    ) -> Result<Vec<(Cursor, Option<Bytes>)>, Failure> {
        let after = after.map_or_else(|| "0-0".to_owned(), id);
        let asked = count.clamp(1, self.count).to_string();
        let block = BLOCK.as_millis().to_string();
        let log = &*self.shared.keys.log;
        self.client.add(["XREAD", "COUNT", &*asked, "BLOCK", &block, "STREAMS", log, &after]);
        let reply = accepted(one(self.client.replies(1, BLOCK).await?)?)?;
        let Some(stream) = reply.into_values().ok_or_else(|| unknown("XREAD"))?.into_iter().next() else {
            return Ok(Vec::new());
        };
        let entries = stream.into_values().and_then(|stream| entries(stream.into_iter().nth(1)?));
        let entries = entries.ok_or_else(|| unknown("XREAD"))?;
        self.count = match entries.is_whole {
            true => (self.count * 2).min(COUNT_MAX),
            false => entries.read.len().max(1),
        };
        Ok(entries.read)
    }

    async fn state(&mut self) -> Result<State, Failure> {
        Look::at(&mut self.client, &self.shared.keys).await.map(|look| look.state)
    }
}

/// Entries of a reply.
pub(super) struct Entries {
    pub(super) read: Vec<(Cursor, Option<Bytes>)>,
    /// Whether the reply had room for all of them. The others are asked for again.
    is_whole: bool,
}

/// Reads `[[id, [field, value, ..]], ..]`, up to the first one for which the reply had no room.
pub(super) fn entries(reply: Reply) -> Option<Entries> {
    let values = reply.into_values()?;
    let mut read = Vec::with_capacity(values.len());
    for entry in values {
        let mut parts = entry.into_values()?.into_iter();
        let (id, fields) = (parts.next()?, parts.next()?);
        if id == Reply::NoRoom {
            return Some(Entries { read, is_whole: false });
        }
        let at = position(&id.into_text()?)?;
        let value = match value(fields) {
            Ok(value) => value,
            // Alone it has no room either: it is no entry of ours, and reading goes on behind it.
            Err(NoRoom) if read.is_empty() => None,
            Err(NoRoom) => return Some(Entries { read, is_whole: false }),
        };
        read.push((at, value));
    }
    Some(Entries { read, is_whole: true })
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
