//! How a client connects, and to which nodes its requests go.

use std::io::{Error, Result};
use std::sync::Arc;

use super::http::Exchange;
use crate::harness::Directory;
use crate::support::Random;

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// turted.v1 over WebSocket.
    WebSocket,
    /// turted.v1 in SockJS by `xhr_streaming`.
    SockJs,
    /// Socket.IO of Engine.IO 4 by polling.
    Polling,
    /// An event stream.
    Stream,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::WebSocket, Self::SockJs, Self::Polling, Self::Stream];
}

/// A balancer without stickiness: each request goes to any node, and to another one if that cannot be connected to.
pub(super) struct Balancer {
    directory: Arc<Directory>,
    random: Random,
}

impl Balancer {
    pub(super) fn new(directory: &Arc<Directory>, random: &mut Random) -> Self {
        Self { directory: Arc::clone(directory), random: Random::new(random.next()) }
    }

    /// Sends a request.
    pub(super) async fn ask(&mut self, line: &str, headers: &str, body: &str) -> Result<Exchange> {
        let open = self.directory.open();
        let first = self.random.below(open.len().max(1));
        let mut failed = Error::other("no node is there");
        for turn in 0..open.len() {
            let Some(address) = self.directory.address(open[(first + turn) % open.len()]) else { continue };
            match Exchange::begin(address, line, headers, body).await {
                Ok(exchange) => return Ok(exchange),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}
