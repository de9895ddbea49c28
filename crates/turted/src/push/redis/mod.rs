//! Sources in Redis and Valkey: streams, and Pub/Sub.
//!
//! | file | what |
//! |---|---|
//! | `stream` | `type = "redis-stream"`: how a consumer group is set up, and a connection to it |
//! | `feed` | what is read from a stream, and what it is told |
//! | `entry` | an entry of a stream, and the message that it is |
//! | `groups` | what Redis knows of a consumer group |
//! | `pubsub` | `type = "redis-pubsub"` |
//! | `queue` | what a subscriber was sent and did not take yet |

mod stream;
mod feed;
mod entry;
mod groups;
mod pubsub;
mod queue;

pub(super) use pubsub::RedisPubSub;
pub(super) use stream::RedisStream;
