//! Which server has the log, and a connection to it.

use std::sync::{Mutex, PoisonError};

use super::super::Failure;
use super::client::Client;
use super::sentinels;
use super::settings::RedisServers;
use super::shared::Shared;
use super::state::Look;
use crate::io::redis::RedisServer;

/// How often a Cluster may send us elsewhere in a row. Once is usual.
const MOVES_MAX: usize = 3;

/// Finds the server.
#[derive(Debug)]
pub(super) struct Finder {
    servers: RedisServers,
    /// Where a Cluster has sent us. It is locked for no longer than a copy takes.
    moved: Mutex<Option<Address>>,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Finder {
    pub(super) fn new(servers: RedisServers) -> Self {
        Self { servers, moved: Mutex::default() }
    }

    /// Connects to the server that has the log now. Sentinels are asked each time.
    pub(super) async fn connect(&self, role: &str, shared: &Shared) -> Result<(Client, Look), Failure> {
        match &self.servers {
            RedisServers::One(server) => self.follow(server, role, shared).await,
            RedisServers::Sentinel { sentinels, master, server } => {
                let address = sentinels::ask(sentinels, master).await?;
                enter(&at(server, &address), role, shared).await.map_err(Refusal::failure)
            }
        }
    }

    /// Connects without a look at anything, and without a database: a user may lack the right.
    pub(super) async fn enter(&self, role: &str) -> Result<Client, Failure> {
        let mut server = match &self.servers {
            RedisServers::One(server) => server.clone(),
            RedisServers::Sentinel { sentinels, master, server } => {
                at(server, &sentinels::ask(sentinels, master).await?)
            }
        };
        server.database = 0;
        Client::enter(&server, role).await
    }

    /// Goes where a Cluster sends us. What it said last is forgotten once it is of no use.
    async fn follow(
        &self,
        server: &RedisServer,
        role: &str,
        shared: &Shared,
    ) -> Result<(Client, Look), Failure> {
        let mut target = self.moved().take();
        let mut failed = None;
        for _ in 0..=MOVES_MAX {
            let asked = target.as_ref().map_or_else(|| server.clone(), |address| at(server, address));
            match enter(&asked, role, shared).await {
                Ok(entered) => {
                    *self.moved() = target;
                    return Ok(entered);
                }
                Err(Refusal::Elsewhere(address)) => target = Some(address.or(&asked)),
                // The Cluster has changed: the server that we were told of knows more.
                Err(Refusal::Failure(failure)) if target.is_some() => {
                    (target, failed) = (None, Some(failure));
                }
                Err(Refusal::Failure(failure)) => return Err(failure),
            }
        }
        let in_circles =
            || Failure::Moved("the servers of the Cluster send us from one to another".to_owned());
        Err(failed.unwrap_or_else(in_circles))
    }

    fn moved(&self) -> std::sync::MutexGuard<'_, Option<Address>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a server is not the one.
enum Refusal {
    /// This one has the slot.
    Elsewhere(Address),
    Failure(Failure),
}

impl Refusal {
    fn failure(self) -> Failure {
        match self {
            Self::Elsewhere(Address { host, port }) => {
                Failure::Moved(format!("the log is at {host}:{port}, in a Cluster"))
            }
            Self::Failure(failure) => failure,
        }
    }
}

async fn enter(server: &RedisServer, role: &str, shared: &Shared) -> Result<(Client, Look), Refusal> {
    let mut client = Client::enter(server, role).await.map_err(Refusal::Failure)?;
    match Look::at(&mut client, shared).await {
        Ok(look) => Ok((client, look)),
        Err(Failure::Moved(said)) => match Address::told(&said) {
            Some(address) => Err(Refusal::Elsewhere(address)),
            None => Err(Refusal::Failure(Failure::Moved(said))),
        },
        Err(failure) => Err(Refusal::Failure(failure)),
    }
}

fn at(server: &RedisServer, address: &Address) -> RedisServer {
    let mut server = server.clone();
    server.broker.host.clone_from(&address.host);
    server.broker.port = address.port;
    server
}

impl Address {
    /// Reads `.. MOVED <slot> <host>:<port>`.
    fn told(said: &str) -> Option<Self> {
        let (_, moved) = said.split_once("MOVED ")?;
        let (host, port) = moved.split_whitespace().nth(1)?.rsplit_once(':')?;
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }

    /// A server that does not know its own name says none: it means the host that was asked.
    fn or(mut self, asked: &RedisServer) -> Self {
        if matches!(&*self.host, "" | "?") {
            self.host.clone_from(&asked.broker.host);
        }
        self
    }
}
