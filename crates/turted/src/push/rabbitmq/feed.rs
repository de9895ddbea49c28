//! One connection as a source: messages come from it, and are acknowledged on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use turted_core::wire::amqp::{ClientSays, Declare, FrameKind, Method};

use super::assembly::Assembly;
use super::connection::{Connection, closed, violation};
use crate::config::RabbitmqSource;
use crate::push::intake::{Message, Outcome, Status};
use crate::push::source::{Failure, Feed};

/// Time between two questions how many messages wait in the queue. The broker knows without counting.
const LAG_PAUSE: Duration = Duration::from_secs(5);

/// A connection that consumes.
pub(crate) struct RabbitmqFeed {
    connection: Connection,
    assembly: Assembly,
    queue: String,
    /// The last message that is to be acknowledged: all before it were settled.
    acknowledged: Option<u64>,
    asked: Option<Instant>,
    status: Arc<Status>,
}

impl RabbitmqFeed {
    pub(super) fn new(
        connection: Connection,
        settings: &RabbitmqSource,
        has_map: bool,
        status: Arc<Status>,
    ) -> Self {
        let assembly = Assembly::new(settings.message_bytes, has_map);
        let queue = settings.queue.clone();
        Self { connection, assembly, queue, acknowledged: None, asked: None, status }
    }

    /// Decodes what has come. Never waits: what is taken out of the buffer is in the list that it returns.
    fn decode(&mut self) -> Result<Vec<Message<u64>>, Failure> {
        let mut messages = Vec::new();
        while let Some(frame) =
            self.connection.incoming.frame(self.connection.frame_bytes).map_err(violation)?
        {
            let message = match frame.kind {
                FrameKind::Heartbeat => None,
                FrameKind::Header => self.assembly.header(frame.payload)?,
                FrameKind::Body => self.assembly.body(frame.payload)?,
                FrameKind::Method => match Method::decode(frame.payload).map_err(violation)? {
                    Method::Deliver(delivery) => {
                        self.assembly.begin(delivery)?;
                        None
                    }
                    Method::QueueDeclareOk { messages } => {
                        self.status.set_lag_messages(messages.into());
                        None
                    }
                    Method::ChannelFlow { is_active } => {
                        self.connection.say(ClientSays::ChannelFlowOk { is_active });
                        None
                    }
                    // The tags of what came before are worth nothing from here on.
                    Method::Cancel => {
                        return Err(Failure::new("the broker cancelled the consumer: is the queue deleted?"));
                    }
                    Method::ChannelClose(closing) => return Err(closed("the channel", closing)),
                    Method::Close(closing) => return Err(closed("the connection", closing)),
                    _ => None,
                },
            };
            messages.extend(message);
        }
        Ok(messages)
    }

    fn ask_lag(&mut self) {
        if self.asked.is_none_or(|asked| asked.elapsed() >= LAG_PAUSE) {
            self.asked = Some(Instant::now());
            self.connection.say(ClientSays::DeclareQueue { queue: &self.queue, declare: Declare::Passive });
        }
    }
}

impl Feed for RabbitmqFeed {
    type Tag = u64;
    /// Half of the shortest heartbeat: the broker must hear something while messages wait.
    const RENEWAL: Duration = Duration::from_millis(500);

    async fn next(&mut self) -> Result<Vec<Message<u64>>, Failure> {
        self.connection.forgive_silence();
        loop {
            let messages = self.decode()?;
            if !messages.is_empty() {
                return Ok(messages);
            }
            self.ask_lag();
            self.connection.flush().await?;
            self.connection.receive().await?;
        }
    }

    fn settle(&mut self, message: &Message<u64>, outcome: &Outcome) {
        match outcome {
            // At once: whoever looks after refused messages need not wait for those that follow.
            Outcome::Refused(_) => self.connection.say(ClientSays::Reject { tag: message.tag }),
            Outcome::Accepted | Outcome::Duplicate | Outcome::Skipped => {
                self.acknowledged = Some(message.tag)
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if let Some(tag) = self.acknowledged.take() {
            self.connection.say(ClientSays::AckUpTo { tag });
        }
        self.connection.flush().await
    }

    async fn renew(&mut self, _waiting: &[Message<u64>]) -> Result<(), Failure> {
        self.flush().await?;
        self.connection.keep_alive().await
    }

    async fn close(mut self) -> Result<(), Failure> {
        self.flush().await?;
        self.connection.close().await
    }
}
