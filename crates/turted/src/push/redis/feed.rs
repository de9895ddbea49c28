//! What is read from a stream, and what it is told.
//!
//! At first come the entries that this consumer was given before and did not acknowledge, then those of consumers that
//! are gone, then new ones. Delivery counts are not looked at: reading one's own entries again raises them.
//!
//! Acknowledgements go with the next request, because each request by itself costs as much as dozens of entries. While
//! entries are there to be read they go ahead of it. Otherwise they go behind it: Redis does them when it has delivered
//! the next entry, so that both replies come at once and wake this thread once. Whatever is not acknowledged counts among
//! the `prefetch`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use turted_core::wire::resp::Reply;

use super::entry::{Entries, Entry};
use super::groups::{Extent, Group, Look};
use super::stream::StreamSettings;
use crate::config::{RedisStreamSource, StartAt};
use crate::io::redis::{ANSWER_WAIT, Connection, accepted, refused, strange};
use crate::push::intake::{Labels, Message, Outcome, Refusal, Status};
use crate::push::source::{Failure, Feed};

/// How long an entry must have waited with another consumer to be claimed: six times as long as a consumer of ours that
/// waits for room lets pass before it says that it still has it.
const CLAIM_IDLE: &str = "60000";
/// Time between two looks for such entries.
const CLAIM_PERIOD: Duration = Duration::from_secs(10);
/// Entries of `dead_stream`, about: a week of one refusal every six seconds.
const DEAD_ENTRIES_MAX: &str = "100000";
/// How long Redis waits for the next entry before it acknowledges the last ones. It looks for what has waited long enough
/// ten times a second.
const ACKNOWLEDGEMENT_WAIT: Duration = Duration::from_millis(10);
/// How long the last entries may take before others may have been trimmed meanwhile.
const BEHIND_AFTER: Duration = Duration::from_secs(1);

/// One connection to a stream.
pub(in crate::push) struct StreamFeed {
    connection: Connection,
    stream: Arc<StreamSettings>,
    status: Arc<Status>,
    channel: Arc<str>,
    stage: Stage,
    /// The next look for entries of others, and where it begins.
    claim_at: Instant,
    claim_from: Bytes,
    /// When new entries were read, if there was not more to read then.
    caught_up: Option<Instant>,
    /// Whether it waits for entries, and nothing is to be done after that.
    is_waiting: bool,
    /// Ids that are to be acknowledged, and whether they are acknowledged by commands whose reply was not read.
    settled: Vec<Bytes>,
    is_acknowledging: bool,
    refused: Vec<(Entry, Refusal)>,
}

/// Which entries are read.
enum Stage {
    /// Those that this consumer has, from this id on.
    Own(Bytes),
    /// Those that no consumer has.
    New,
}

impl StreamFeed {
    pub(super) fn new(connection: Connection, stream: Arc<StreamSettings>, status: Arc<Status>) -> Self {
        Self {
            connection,
            channel: stream.settings.stream.as_str().into(),
            stream,
            status,
            stage: Stage::Own(Bytes::from_static(b"0")),
            claim_at: Instant::now(),
            claim_from: Bytes::from_static(b"0"),
            caught_up: None,
            is_waiting: false,
            settled: Vec::new(),
            is_acknowledging: false,
            refused: Vec::new(),
        }
    }

    /// The next entries, if there are any by now, and whether they may have been delivered before.
    async fn entries(&mut self) -> Result<(Entries, bool), Failure> {
        if let Stage::Own(start) = &self.stage {
            let start = start.clone();
            let entries = self.own(&start).await?;
            match &entries.last {
                Some(last) => self.stage = Stage::Own(last.clone()),
                None => self.stage = Stage::New,
            }
            return Ok((entries, true));
        }
        if Instant::now() >= self.claim_at {
            return Ok((self.claimed().await?, true));
        }
        let is_close = self.caught_up.is_some_and(|since| since.elapsed() < BEHIND_AFTER);
        let prefetch = self.stream.settings.prefetch;
        let room = prefetch.saturating_sub(self.settled.len());
        let (entries, room) = if is_close && room > 0 {
            (self.coming(room).await?, room)
        } else {
            (self.counted().await?, prefetch)
        };
        self.caught_up = (entries.entries.len() < room).then(Instant::now);
        Ok((entries, false))
    }

    async fn own(&mut self, start: &[u8]) -> Result<Entries, Failure> {
        self.acknowledge();
        let command = self.read_group(self.stream.settings.prefetch, None, start);
        self.connection.add(command);
        self.send().await?;
        let reply = self.connection.reply().await?;
        self.read(reply).await
    }

    /// Adds the acknowledgement of what was settled.
    fn acknowledge(&mut self) {
        if self.settled.is_empty() {
            return;
        }
        let RedisStreamSource { stream, group, .. } = &self.stream.settings;
        let start = [b"XACK".as_slice(), stream.as_bytes(), group.as_bytes()];
        let command: Vec<_> = start.into_iter().chain(self.settled.iter().map(|id| &**id)).collect();
        self.connection.add(command);
        self.settled.clear();
        self.is_acknowledging = true;
    }

    /// Sends a request, behind an acknowledgement if one was added.
    async fn send(&mut self) -> Result<(), Failure> {
        self.connection.send().await?;
        self.acknowledged().await
    }

    /// Waits for the reply to the acknowledgement, if one was sent.
    async fn acknowledged(&mut self) -> Result<(), Failure> {
        if self.is_acknowledging {
            accepted(self.connection.reply().await?)?;
            self.is_acknowledging = false;
        }
        Ok(())
    }

    /// `XREADGROUP`: at most `count` entries behind `start`, for which it waits so long.
    fn read_group(&self, count: usize, wait: Option<Duration>, start: &[u8]) -> Vec<Vec<u8>> {
        let RedisStreamSource { group, consumer, stream, .. } = &self.stream.settings;
        let count = count.to_string();
        let wait = wait.map(|wait| wait.as_millis().to_string());
        let mut command = vec!["XREADGROUP", "GROUP", group, consumer, "COUNT", &count];
        if let Some(wait) = &wait {
            command.extend(["BLOCK", wait]);
        }
        command.extend(["STREAMS", stream]);
        command.into_iter().map(|part| part.as_bytes().to_vec()).chain([start.to_vec()]).collect()
    }

    /// Waits for new entries, at most so many.
    async fn coming(&mut self, room: usize) -> Result<Entries, Failure> {
        let heartbeat = self.stream.settings.server.heartbeat;
        let wait = if self.settled.is_empty() { heartbeat } else { ACKNOWLEDGEMENT_WAIT };
        let command = self.read_group(room, Some(wait), b">");
        self.connection.add(command);
        self.acknowledge();
        self.is_waiting = !self.is_acknowledging;
        self.connection.send().await?;
        let reply = self.connection.reply_within(heartbeat + heartbeat.min(ANSWER_WAIT)).await?;
        self.is_waiting = false;
        self.acknowledged().await?;
        let entries = self.read(reply).await?;
        self.status.set_lag_messages(0);
        Ok(entries)
    }

    /// New entries, and how many were trimmed before anybody read them. In one transaction, because other consumers
    /// count as well. It does not wait.
    async fn counted(&mut self) -> Result<Entries, Failure> {
        let settings = Arc::clone(&self.stream);
        let RedisStreamSource { stream, group, prefetch, .. } = &settings.settings;
        let (groups, read) = (["XINFO", "GROUPS", stream], self.read_group(*prefetch, None, b">"));
        self.acknowledge();
        self.connection.add(["MULTI"]);
        self.connection.add(["XINFO", "STREAM", stream]);
        self.connection.add(groups);
        self.connection.add(read);
        self.connection.add(groups);
        self.connection.add(["EXEC"]);
        self.send().await?;
        let replies = self.executed(5).await?.try_into();
        let [extent, before, reply, after] = replies.map_err(|_| strange("EXEC"))?;
        let extent = Extent::read(extent)?;
        let (before, after) = (Group::find(before, group), Group::find(after, group));
        let entries = self.read(reply).await?;
        let look = Look { extent, before, after, count: entries.entries.len() as u64 };
        let (lost, lag) = self.stream.look(&look);
        if lost > 0 {
            self.status.count_gap(lost);
        }
        if let Some(lag) = lag {
            self.status.set_lag_messages(lag);
        }
        Ok(entries)
    }

    /// The replies of a transaction, behind those of its `queued` commands.
    async fn executed(&mut self, queued: usize) -> Result<Vec<Reply>, Failure> {
        let mut refusal = None;
        for _ in 0..queued {
            if let Reply::Error(error) = self.connection.reply().await? {
                refusal.get_or_insert(refused(&error));
            }
        }
        let replies = self.connection.reply().await?;
        match refusal {
            Some(refusal) => Err(refusal),
            None => accepted(replies)?.into_values().ok_or_else(|| strange("EXEC")),
        }
    }

    /// What `XREADGROUP` answers. A group that is gone is created anew: whatever is in the stream came after that.
    async fn read(&mut self, reply: Reply) -> Result<Entries, Failure> {
        match reply {
            Reply::Error(error) if error.starts_with(b"NOGROUP") || error.starts_with(b"UNBLOCKED") => {
                self.stream.create_group(&mut self.connection, StartAt::Start).await?;
                self.status.count_gap(0);
                Ok(Entries::default())
            }
            reply => Entries::read_streams(accepted(reply)?).ok_or_else(|| strange("XREADGROUP")),
        }
    }

    /// Entries that another consumer has had for too long.
    async fn claimed(&mut self) -> Result<Entries, Failure> {
        self.acknowledge();
        let RedisStreamSource { stream, group, consumer, prefetch, .. } = &self.stream.settings;
        let (start, count) = (self.claim_from.clone(), prefetch.to_string());
        let command: [&[u8]; 8] = [
            b"XAUTOCLAIM",
            stream.as_bytes(),
            group.as_bytes(),
            consumer.as_bytes(),
            CLAIM_IDLE.as_bytes(),
            &start,
            b"COUNT",
            count.as_bytes(),
        ];
        self.connection.add(command);
        self.send().await?;
        let reply = match self.connection.reply().await? {
            Reply::Error(error) if error.starts_with(b"NOGROUP") => {
                self.claim_at = Instant::now() + CLAIM_PERIOD;
                return self.read(Reply::Error(error)).await;
            }
            reply => accepted(reply)?,
        };
        let mut parts = reply.into_values().ok_or_else(|| strange("XAUTOCLAIM"))?.into_iter();
        let next = parts.next().and_then(Reply::into_text).ok_or_else(|| strange("XAUTOCLAIM"))?;
        let entries = parts.next().and_then(Entries::read).ok_or_else(|| strange("XAUTOCLAIM"))?;
        // Redis 7 tells those that are gone separately, and has forgotten them.
        let gone = parts.next().and_then(Reply::into_values).unwrap_or_default().len();
        if gone > 0 {
            self.status.count_gap(gone as u64);
        }
        if next == "0-0" {
            self.claim_at = Instant::now() + CLAIM_PERIOD;
        }
        self.claim_from = next;
        Ok(entries)
    }

    fn message(&self, entry: Entry, is_redelivered: bool) -> Message<Entry> {
        let body = if self.stream.has_map { entry.message() } else { entry.push() };
        let headers = if self.stream.has_map { entry.headers() } else { Vec::new() };
        let id = String::from_utf8_lossy(&entry.id).into_owned();
        let labels = Labels { channel: Arc::clone(&self.channel), headers, ..Labels::default() };
        Message { tag: entry, body, id: Some(id), is_redelivered, labels }
    }

    /// Adds what moves refused entries to where somebody looks at them, all or none. Returns how many they are.
    fn add_dead(&mut self, dead: &str) -> usize {
        let refused = std::mem::take(&mut self.refused);
        let RedisStreamSource { stream, group, .. } = &self.stream.settings;
        self.connection.add(["MULTI"]);
        for (entry, refusal) in &refused {
            let mut command: Vec<&[u8]> =
                vec![b"XADD", dead.as_bytes(), b"MAXLEN", b"~", DEAD_ENTRIES_MAX.as_bytes(), b"*"];
            command.extend([b"turted-id".as_slice(), &entry.id, b"turted-stream", stream.as_bytes()]);
            command.extend([b"turted-rule".as_slice(), refusal.rule.as_bytes()]);
            command.extend([b"turted-detail".as_slice(), refusal.detail.as_bytes()]);
            command.extend(entry.fields.iter().map(|part| &**part));
            self.connection.add(command);
        }
        let ids = refused.iter().map(|(entry, _)| &*entry.id);
        let command: Vec<_> =
            [b"XACK".as_slice(), stream.as_bytes(), group.as_bytes()].into_iter().chain(ids).collect();
        self.connection.add(command);
        self.connection.add(["EXEC"]);
        refused.len()
    }
}

impl Feed for StreamFeed {
    type Tag = Entry;

    async fn next(&mut self) -> Result<Vec<Message<Entry>>, Failure> {
        loop {
            let (Entries { entries, lost, .. }, is_redelivered) = self.entries().await?;
            if !lost.is_empty() {
                self.status.count_gap(lost.len() as u64);
                self.settled.extend(lost);
            }
            if !entries.is_empty() {
                return Ok(entries.into_iter().map(|entry| self.message(entry, is_redelivered)).collect());
            }
        }
    }

    fn settle(&mut self, message: &Message<Entry>, outcome: &Outcome) {
        match outcome {
            Outcome::Refused(refusal) if self.stream.settings.dead_stream.is_some() => {
                self.refused.push((message.tag.clone(), refusal.clone()));
            }
            _ => self.settled.push(message.tag.id.clone()),
        }
    }

    /// Moves refused entries. Others are acknowledged with the next request.
    async fn flush(&mut self) -> Result<(), Failure> {
        let settings = Arc::clone(&self.stream);
        if !self.refused.is_empty()
            && let Some(dead) = &settings.settings.dead_stream
        {
            // A transaction goes on behind a command that fails: entries would be acknowledged and be nowhere.
            settings.check_type(&mut self.connection, dead).await?;
            let count = self.add_dead(dead);
            self.connection.send().await?;
            for reply in self.executed(count + 2).await? {
                accepted(reply)?;
            }
        }
        Ok(())
    }

    async fn renew(&mut self, waiting: &[Message<Entry>]) -> Result<(), Failure> {
        self.acknowledge();
        let RedisStreamSource { stream, group, consumer, .. } = &self.stream.settings;
        let start = [b"XCLAIM".as_slice(), stream.as_bytes(), group.as_bytes(), consumer.as_bytes(), b"0"];
        let ids = waiting.iter().map(|message| &*message.tag.id);
        let command: Vec<_> = start.into_iter().chain(ids).chain([b"JUSTID".as_slice()]).collect();
        self.connection.add(command);
        self.send().await?;
        accepted(self.connection.reply().await?).map(drop)
    }

    async fn close(mut self) -> Result<(), Failure> {
        // While it waits for entries it answers nothing else, and nothing is left to tell it then.
        if self.is_waiting {
            return Ok(());
        }
        // A request may have been left without its reply.
        self.connection.finish().await?;
        self.flush().await?;
        self.acknowledge();
        self.connection.finish().await
    }
}
