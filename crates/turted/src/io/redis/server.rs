//! Where a server of Redis is, and who we are there.

use std::time::Duration;

use crate::io::broker::Broker;

/// A server of Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServer {
    /// Where it is, and who we are there.
    pub broker: Broker,
    /// The database. Default: 0.
    pub database: u32,
    /// How long it may say nothing before it is asked whether it is there. Default: 10 s.
    pub heartbeat: Duration,
}
