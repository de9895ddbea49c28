//! Push connectors: how backends push.
//!
//! | file | what |
//! |---|---|
//! | `rest` | `POST /push/` |
//! | `intake` | a message of a source on its way to acceptance |
//! | `source` | what a source is, and the threads of all sources |
//! | `tail` | a source: lines that are appended to files |
//! | `rabbitmq` | a source: messages of RabbitMQ |
//! | `redis` | sources in Redis and Valkey: streams, and Pub/Sub |

pub(crate) mod rest;
#[cfg_attr(
    not(all(feature = "tail", feature = "redis", feature = "rabbitmq")),
    allow(dead_code, reason = "a build with fewer types of sources uses less of what they share")
)]
pub(crate) mod intake;
#[cfg_attr(
    not(any(feature = "tail", feature = "redis", feature = "rabbitmq")),
    allow(dead_code, reason = "a build without sources runs none")
)]
pub(crate) mod source;
#[cfg(feature = "tail")]
mod tail;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use source::SourceType;

/// Every type of source that this program has.
pub(crate) const SOURCES: &[SourceType] = &[
    #[cfg(feature = "tail")]
    SourceType::of::<tail::Tail>(),
    #[cfg(feature = "redis")]
    SourceType::of::<redis::RedisStream>(),
    #[cfg(feature = "redis")]
    SourceType::of::<redis::RedisPubSub>(),
    #[cfg(feature = "rabbitmq")]
    SourceType::of::<rabbitmq::Rabbitmq>(),
];
