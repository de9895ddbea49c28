//! Sources as the rest of the program reads them.

use std::path::PathBuf;

use super::servers::{RabbitmqSource, RedisPubSubSource, RedisStreamSource};
use turted_core::push::map::Map;
use turted_core::push::template::Place;

/// Where pushes are fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushSource {
    /// The name in logs and metrics: letters, digits, `-` and `_`.
    pub name: String,
    /// Whether each push must carry the push password. Default: no.
    pub require_auth: bool,
    /// What becomes of messages that are no push bodies. Default: messages are push bodies.
    pub map: Option<Map>,
    /// What kind of source it is.
    pub kind: SourceKind,
}

/// The types of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Lines that are appended to files.
    Tail(TailSource),
    /// Entries of a stream in Redis.
    RedisStream(RedisStreamSource),
    /// What is published in channels of Redis.
    RedisPubSub(RedisPubSubSource),
    /// Messages of a queue of RabbitMQ.
    Rabbitmq(RabbitmqSource),
}

impl SourceKind {
    /// The type as the configuration has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tail(_) => "tail",
            Self::RedisStream(_) => "redis-stream",
            Self::RedisPubSub(_) => "redis-pubsub",
            Self::Rabbitmq(_) => "rabbitmq",
        }
    }

    /// Where it fetches from, without credentials.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Tail(tail) => tail.address(),
            Self::RedisStream(stream) => stream.address(),
            Self::RedisPubSub(pubsub) => pubsub.address(),
            Self::Rabbitmq(rabbitmq) => rabbitmq.address(),
        }
    }

    /// Whether strangers can put messages there: a broker that asks for no password. Files are written by programs of
    /// this machine.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::Tail(_) => false,
            Self::RedisStream(stream) => stream.server.broker.password.is_none(),
            Self::RedisPubSub(pubsub) => pubsub.server.broker.password.is_none(),
            // Without a password we are the guest of the broker, and so is everybody.
            Self::Rabbitmq(rabbitmq) => rabbitmq.broker.password.is_none(),
        }
    }

    /// Bytes of one line, if its messages are lines.
    #[must_use]
    pub fn line_bytes(&self) -> Option<usize> {
        match self {
            Self::Tail(tail) => Some(tail.line_bytes),
            Self::RedisStream(_) | Self::RedisPubSub(_) | Self::Rabbitmq(_) => None,
        }
    }

    /// What templates may name.
    #[must_use]
    pub fn places(&self) -> &'static [Place] {
        match self {
            Self::Tail(_) => TailSource::PLACES,
            Self::RedisStream(_) => RedisStreamSource::PLACES,
            Self::RedisPubSub(_) => RedisPubSubSource::PLACES,
            Self::Rabbitmq(_) => RabbitmqSource::PLACES,
        }
    }
}

/// Lines that are appended to files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailSource {
    /// The files, with `*` and `?` for parts of a name.
    pub paths: Vec<PathBuf>,
    /// Where reading begins in files that are there at the first start. Default: at their end.
    pub from: StartAt,
    /// The directory in which it remembers how far it has read.
    pub state_dir: PathBuf,
    /// Bytes of one line; longer lines are refused. Default: 100 KiB.
    pub line_bytes: usize,
}

impl TailSource {
    /// What its messages have beside their body.
    pub(super) const PLACES: &[Place] = &[Place::File];

    fn address(&self) -> String {
        let paths: Vec<_> = self.paths.iter().map(|path| path.to_string_lossy()).collect();
        paths.join(" ")
    }
}

/// Where reading begins in a file that is there at the first start, or in a stream whose group is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// Only what is added from then on.
    End,
    /// With all that is there.
    Start,
}
