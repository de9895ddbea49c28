//! `type = "redis-pubsub"`: what is published in channels. At most once: Redis keeps nothing for a subscriber that is
//! away, and what does not fit into the [`queue`](super::queue) is dropped and counted.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use turted_core::wire::resp::Reply;

use super::queue::{Published, Queue, Taker, queue};
use super::stream::client_name;
use crate::config::{PushSource, RedisPubSubSource, SourceKind};
use crate::io::redis::{Connection, refused, silent, strange};
use crate::push::intake::{Labels, Message, Outcome, Refusal, Status};
use crate::push::source::{Connector, Failure, Feed};

/// Messages that are taken at once: what a stream is asked for by default.
const TAKEN_MAX: usize = 100;

/// Channels that are listened to.
pub(in crate::push) struct RedisPubSub {
    subscriber: Arc<Subscriber>,
    status: Arc<Status>,
    /// Whether it was connected before. What was published since then is lost.
    was_connected: bool,
}

struct Subscriber {
    settings: RedisPubSubSource,
    client: String,
}

impl Subscriber {
    fn of(source: &PushSource) -> Option<Self> {
        let SourceKind::RedisPubSub(settings) = &source.kind else { return None };
        Some(Self { settings: settings.clone(), client: client_name(source) })
    }

    /// Subscribes. What is published before all channels are subscribed to is passed to `published`.
    async fn connect(&self, published: impl Fn(&Published)) -> Result<Connection, Failure> {
        let RedisPubSubSource { server, channels, patterns, .. } = &self.settings;
        let mut connection = Connection::open(server, &self.client).await?;
        for (command, names) in [("SUBSCRIBE", channels), ("PSUBSCRIBE", patterns)] {
            if !names.is_empty() {
                let names = names.iter().map(String::as_str);
                connection.add([command].into_iter().chain(names).collect::<Vec<_>>());
            }
        }
        connection.send().await?;
        let mut awaited = channels.len() + patterns.len();
        while awaited > 0 {
            match Pushed::read(connection.reply().await?)? {
                Pushed::Subscribed => awaited -= 1,
                Pushed::Message(message) => published(&message),
                Pushed::Pong => {}
            }
        }
        Ok(connection)
    }
}

/// What a subscriber is sent.
enum Pushed {
    Subscribed,
    Message(Published),
    Pong,
}

impl Pushed {
    fn read(reply: Reply) -> Result<Self, Failure> {
        let parts = match reply {
            Reply::Error(error) => return Err(refused(&error)),
            reply => reply.into_values().unwrap_or_default(),
        };
        let mut parts = parts.into_iter();
        let mut text = || parts.next().and_then(Reply::into_text).ok_or_else(|| strange("SUBSCRIBE"));
        Ok(match &*text()? {
            b"message" => Self::Message(Published { channel: text()?, payload: text()? }),
            b"pmessage" => {
                let _pattern = text()?;
                Self::Message(Published { channel: text()?, payload: text()? })
            }
            b"subscribe" | b"psubscribe" => Self::Subscribed,
            b"pong" => Self::Pong,
            _ => return Err(strange("SUBSCRIBE")),
        })
    }
}

/// One connection that listens. Its own task reads, however long messages wait to be accepted.
pub(in crate::push) struct PubSubFeed {
    taker: Taker,
    reading: AbortOnDropHandle<Failure>,
    channel: Arc<str>,
}

/// Reads until the connection is lost. A server that says nothing is asked whether it is there.
async fn listen(subscriber: Arc<Subscriber>, mut connection: Connection, queue: Queue) -> Failure {
    let heartbeat = subscriber.settings.server.heartbeat;
    let mut is_asked = false;
    loop {
        let pushed = match connection.read(heartbeat).await {
            Ok(None) if is_asked => return silent(heartbeat),
            Ok(None) => {
                is_asked = true;
                connection.add(["PING"]);
                match connection.send().await {
                    Ok(()) => continue,
                    Err(failure) => return failure,
                }
            }
            Ok(Some(reply)) => Pushed::read(reply),
            Err(failure) => return failure,
        };
        is_asked = false;
        match pushed {
            Ok(Pushed::Message(message)) => queue.put(&message),
            Ok(Pushed::Subscribed | Pushed::Pong) => {}
            Err(failure) => return failure,
        }
    }
}

impl Connector for RedisPubSub {
    type Feed = PubSubFeed;
    const IS_HEARD_BY_ALL: bool = true;

    fn open(source: &PushSource, status: &Arc<Status>) -> Option<Result<Self, Failure>> {
        let subscriber = Arc::new(Subscriber::of(source)?);
        Some(Ok(Self { subscriber, status: Arc::clone(status), was_connected: false }))
    }

    async fn connect(&mut self) -> Result<PubSubFeed, Failure> {
        let (queue, taker) = queue(Arc::clone(&self.status));
        let connection = self.subscriber.connect(|message| queue.put(message)).await?;
        if std::mem::replace(&mut self.was_connected, true) {
            // How many were published meanwhile nobody knows.
            self.status.count_gap(0);
        }
        let listening = listen(Arc::clone(&self.subscriber), connection, queue);
        // The feed owns the task: it ends with it.
        let reading = AbortOnDropHandle::new(TaskTracker::new().spawn(listening));
        Ok(PubSubFeed { taker, reading, channel: Arc::default() })
    }

    fn check(source: &PushSource) -> Option<impl Future<Output = Result<(), Failure>> + use<'_>> {
        let subscriber = Subscriber::of(source)?;
        Some(async move { subscriber.connect(|_| {}).await.map(drop) })
    }
}

impl PubSubFeed {
    fn message(&mut self, published: Published) -> Message<()> {
        let Published { channel, payload } = published;
        let body = match self.name(&channel) {
            Ok(()) => Ok(payload),
            Err(refusal) => Err(refusal),
        };
        let labels = Labels { channel: Arc::clone(&self.channel), ..Labels::default() };
        Message { tag: (), body, id: None, is_redelivered: false, labels }
    }

    /// Keeps the name of the channel, which mostly is that of the message before.
    fn name(&mut self, channel: &Bytes) -> Result<(), Refusal> {
        if self.channel.as_bytes() != channel {
            let text = std::str::from_utf8(channel);
            self.channel = text.unwrap_or_default().into();
            let detail = "the name of the Redis channel is not UTF-8".to_owned();
            text.map_err(|_| Refusal { rule: "channel-not-text", detail })?;
        }
        Ok(())
    }
}

impl Feed for PubSubFeed {
    type Tag = ();

    async fn next(&mut self) -> Result<Vec<Message<()>>, Failure> {
        let published = self.taker.take(TAKEN_MAX).await;
        if published.is_empty() {
            // The task has ended: nothing is put into the queue any more.
            let failure = (&mut self.reading).await;
            return Err(failure.unwrap_or_else(Failure::new));
        }
        Ok(published.into_iter().map(|published| self.message(published)).collect())
    }

    /// Nothing is acknowledged.
    fn settle(&mut self, _message: &Message<()>, _outcome: &Outcome) {}

    async fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn close(self) -> Result<(), Failure> {
        Ok(())
    }
}
