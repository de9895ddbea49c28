//! A source: messages of RabbitMQ, over AMQP 0-9-1.
//!
//! One connection, one channel, one consumer. Whatever goes wrong on it ends the connection, and the next one begins anew:
//! a tag is valid on its channel alone, and the numbers begin at 1 again on each.
//!
//! | file | what |
//! |---|---|
//! | `connection` | frames in and out, heartbeats, logging in |
//! | `incoming` | bytes of the broker that are not decoded yet |
//! | `topology` | the queue: found or made, bound, consumed |
//! | `assembly` | from frames to messages |
//! | `feed` | what the server asks of a source |

mod connection;
mod incoming;
mod topology;
mod assembly;
mod feed;

use std::sync::Arc;

use self::connection::Connection;
use self::feed::RabbitmqFeed;
use super::intake::Status;
use super::source::{Connector, Failure};
use crate::config::{PushSource, RabbitmqSource, SourceKind};

/// One queue of RabbitMQ.
#[derive(Debug)]
pub(super) struct Rabbitmq {
    settings: RabbitmqSource,
    name: String,
    has_map: bool,
    status: Arc<Status>,
}

impl Connector for Rabbitmq {
    type Feed = RabbitmqFeed;

    fn open(source: &PushSource, status: &Arc<Status>) -> Option<Result<Self, Failure>> {
        let settings = settings(source)?.clone();
        let (name, has_map) = (source.name.clone(), source.map.is_some());
        Some(Ok(Self { settings, name, has_map, status: Arc::clone(status) }))
    }

    async fn connect(&mut self) -> Result<RabbitmqFeed, Failure> {
        let mut connection = Connection::open(&self.settings, &self.name).await?;
        topology::consume(&mut connection, &self.settings).await?;
        Ok(RabbitmqFeed::new(connection, &self.settings, self.has_map, Arc::clone(&self.status)))
    }

    fn check(source: &PushSource) -> Option<impl Future<Output = Result<(), Failure>> + use<'_>> {
        let settings = settings(source)?;
        Some(async move {
            let mut connection = Connection::open(settings, &source.name).await?;
            topology::look(&mut connection, settings).await?;
            connection.close().await
        })
    }
}

fn settings(source: &PushSource) -> Option<&RabbitmqSource> {
    match &source.kind {
        SourceKind::Rabbitmq(settings) => Some(settings),
        _ => None,
    }
}
