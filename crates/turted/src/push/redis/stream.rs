//! `type = "redis-stream"`: entries of a stream, read as one consumer of a group.

use std::sync::{Arc, Mutex, PoisonError};

use turted_core::wire::resp::Reply;

use super::feed::StreamFeed;
use super::groups::{Extent, Look, Missing};
use crate::config::{PushSource, RedisStreamSource, SourceKind, StartAt};
use crate::io::redis::{Connection, accepted, refused, strange};
use crate::push::intake::Status;
use crate::push::source::{Connector, Failure};

/// A stream that entries are read from.
pub(in crate::push) struct RedisStream {
    pub(super) stream: Arc<StreamSettings>,
    status: Arc<Status>,
    /// Whether it was connected before. What is in a group that is gone since then was meant for it.
    was_connected: bool,
}

/// The settings of the source, as far as a connection needs them.
pub(super) struct StreamSettings {
    pub(super) settings: RedisStreamSource,
    /// The name of the connection, for people who look at `CLIENT LIST`.
    client: String,
    /// Whether an entry is what a map takes; otherwise it is a push.
    pub(super) has_map: bool,
    /// Of this group, whatever becomes of a connection. Only the thread of the source locks it.
    missing: Mutex<Missing>,
}

impl StreamSettings {
    fn of(source: &PushSource) -> Option<Self> {
        let SourceKind::RedisStream(settings) = &source.kind else { return None };
        let (settings, has_map) = (settings.clone(), source.map.is_some());
        Some(Self { settings, client: client_name(source), has_map, missing: Mutex::default() })
    }

    /// How many entries were lost since the last look, and how many are still to be read.
    pub(super) fn look(&self, look: &Look) -> (u64, Option<u64>) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        (missing.look(look), missing.lag(look))
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let mut connection = Connection::open(&self.settings.server, &self.client).await?;
        self.check_type(&mut connection, &self.settings.stream).await?;
        if let Some(dead) = &self.settings.dead_stream {
            self.check_type(&mut connection, dead).await?;
        }
        Ok(connection)
    }

    /// A key of another type would be noticed when an entry cannot be moved there any more.
    pub(super) async fn check_type(&self, connection: &mut Connection, key: &str) -> Result<(), Failure> {
        let kind = connection.ask(["TYPE", key]).await?.into_text().ok_or_else(|| strange("TYPE"))?;
        match &*kind {
            b"none" | b"stream" => Ok(()),
            kind => Err(Failure(format!("{key:?} is no stream, but a {}", String::from_utf8_lossy(kind)))),
        }
    }

    /// Creates the group, unless it is there. It is told how many entries there were before, to count those that are
    /// trimmed from then on.
    pub(super) async fn create_group(
        &self,
        connection: &mut Connection,
        from: StartAt,
    ) -> Result<(), Failure> {
        let RedisStreamSource { stream, group, .. } = &self.settings;
        connection.add(["XINFO", "STREAM", stream]);
        connection.send().await?;
        let Extent { last, added, length, .. } = Extent::read(connection.reply().await?)?;
        let start = match from {
            StartAt::Start => "0".to_owned(),
            StartAt::End => last.text(),
        };
        let before = match from {
            StartAt::Start => added.map(|added| added.saturating_sub(length)),
            StartAt::End => added,
        };
        let create = ["XGROUP", "CREATE", stream, group, &start, "MKSTREAM"];
        if let Some(before) = before {
            let before = before.to_string();
            let told = [&create[..], &["ENTRIESREAD", &before]].concat();
            if Self::create(connection, told).await.is_ok() {
                return Ok(());
            }
            // A server before Redis 7 does not know the last words.
        }
        Self::create(connection, create.to_vec()).await
    }

    async fn create(connection: &mut Connection, command: Vec<&str>) -> Result<(), Failure> {
        connection.add(command);
        connection.send().await?;
        match connection.reply().await? {
            Reply::Error(error) if error.starts_with(b"BUSYGROUP") => Ok(()),
            reply => accepted(reply).map(drop),
        }
    }
}

/// What `CLIENT SETNAME` takes: the name of a source has no spaces.
pub(super) fn client_name(source: &PushSource) -> String {
    format!("turted-{}", source.name)
}

impl Connector for RedisStream {
    type Feed = StreamFeed;

    fn open(source: &PushSource, status: &Arc<Status>) -> Option<Result<Self, Failure>> {
        let stream = Arc::new(StreamSettings::of(source)?);
        Some(Ok(Self { stream, status: Arc::clone(status), was_connected: false }))
    }

    async fn connect(&mut self) -> Result<StreamFeed, Failure> {
        let mut connection = self.stream.connect().await?;
        let from = if self.was_connected { StartAt::Start } else { self.stream.settings.from };
        self.stream.create_group(&mut connection, from).await?;
        self.was_connected = true;
        Ok(StreamFeed::new(connection, Arc::clone(&self.stream), Arc::clone(&self.status)))
    }

    fn check(source: &PushSource) -> Option<impl Future<Output = Result<(), Failure>> + use<'_>> {
        let stream = StreamSettings::of(source)?;
        Some(async move {
            let mut connection = stream.connect().await?;
            // A stream that is not there yet is no fault, but a user who may not read it is.
            let name = &stream.settings.stream;
            connection.add(["XINFO", "GROUPS", name]);
            connection.send().await?;
            match connection.reply().await? {
                Reply::Error(error) if !error.starts_with(b"ERR no such key") => Err(refused(&error)),
                reply => accepted(Reply::Array(vec![reply])).map(drop),
            }
        })
    }
}
