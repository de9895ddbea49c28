//! What is fetched from brokers, as the rest of the program reads it.

use std::time::Duration;

use super::model::StartAt;
use crate::io::broker::Broker;
use crate::io::redis::RedisServer;
use turted_core::push::template::Place;

/// What the URL of a server of Redis begins with, in the clear and with TLS.
pub(super) const REDIS: &str = "redis";
pub(super) const REDIS_TLS: &str = "rediss";
/// The same for RabbitMQ.
pub(super) const AMQP: &str = "amqp";
pub(super) const AMQP_TLS: &str = "amqps";

pub(in crate::config) fn redis_address(server: &RedisServer) -> String {
    let scheme = if server.broker.tls.is_some() { REDIS_TLS } else { REDIS };
    format!("{scheme}://{}/{}", server.broker, server.database)
}

/// Entries of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisStreamSource {
    /// The server.
    pub server: RedisServer,
    /// The key of the stream.
    pub stream: String,
    /// The consumer group. Default: `turted`.
    pub group: String,
    /// Our name in the group. Default: the name of the machine and the port that clients connect to.
    pub consumer: String,
    /// Where reading begins if the group is not there yet. Default: at the end.
    pub from: StartAt,
    /// Entries that are read at once. Default: 100.
    pub prefetch: usize,
    /// The key of the stream that refused entries are moved to. Default: they are dropped.
    pub dead_stream: Option<String>,
}

impl RedisStreamSource {
    /// What its messages have beside their body: the stream, and the fields of the entry.
    pub(super) const PLACES: &[Place] = &[Place::Channel, Place::Header];

    pub(super) fn address(&self) -> String {
        format!("{} {}", redis_address(&self.server), self.stream)
    }
}

/// What is published in channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisPubSubSource {
    /// The server.
    pub server: RedisServer,
    /// Channels by name.
    pub channels: Vec<String>,
    /// Channels by pattern.
    pub patterns: Vec<String>,
    /// What a message is. Default: a push.
    pub format: MessageFormat,
}

impl RedisPubSubSource {
    /// What its messages have beside their body.
    pub(super) const PLACES: &[Place] = &[Place::Channel];

    pub(super) fn address(&self) -> String {
        let names: Vec<_> = self.channels.iter().chain(&self.patterns).map(String::as_str).collect();
        format!("{} {}", redis_address(&self.server), names.join(" "))
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    /// A push, or what `map` takes.
    Push,
    /// What the emitters of Socket.IO publish.
    SocketioEmitter,
}

/// Messages of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RabbitmqSource {
    /// Where it is, and who we are there.
    pub broker: Broker,
    /// The virtual host. Default: `/`.
    pub virtual_host: String,
    /// The queue that is consumed.
    pub queue: String,
    /// The exchange that the queue is bound to. Default: the queue is taken as it is.
    pub binding: Option<RabbitmqBinding>,
    /// Messages that are delivered and not acknowledged yet. Default: 100.
    pub prefetch: u16,
    /// How often the broker gives a sign of life. After twice this time without one it is given up. Default: 10 s.
    pub heartbeat: Duration,
    /// Bytes of a message that is kept to be read: `limits.push_body_bytes`.
    pub message_bytes: usize,
}

/// How a queue gets messages of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RabbitmqBinding {
    /// The exchange.
    pub exchange: String,
    /// Its kind, if it has to be made. Default: `direct`.
    pub kind: ExchangeKind,
    /// One binding for each.
    pub keys: Vec<String>,
    /// What the headers of a message must be.
    pub headers: Headers,
}

/// Names of headers with their values.
pub type Headers = Vec<(String, HeaderValue)>;

/// The kind of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Messages whose routing key is a key.
    Direct,
    /// Messages whose routing key matches a pattern.
    Topic,
    /// All messages.
    Fanout,
    /// Messages whose headers match.
    Headers,
}

impl ExchangeKind {
    /// Each with its name in AMQP.
    pub(in crate::config) const NAMES: &[(&'static str, Self)] = &[
        ("direct", Self::Direct),
        ("topic", Self::Topic),
        ("fanout", Self::Fanout),
        ("headers", Self::Headers),
    ];

    /// The kind as AMQP has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, kind)| *kind == self);
        named.expect("every kind has a name").0
    }
}

/// What a header must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Flag(bool),
}

impl RabbitmqSource {
    /// What its messages have beside their body: the routing key, and headers.
    pub(super) const PLACES: &[Place] = &[Place::Key, Place::Header];

    pub(super) fn address(&self) -> String {
        let scheme = if self.broker.tls.is_some() { AMQP_TLS } else { AMQP };
        format!("{scheme}://{} {}", self.broker, self.queue)
    }
}
