//! A server that does not listen yet: what the embedding program brings, and what is decided before anything is opened.

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;

use turted_core::limits::WORKERS_MAX;

use super::demo::IdentNeeds;
use super::node::Door;
use super::routes::{self, Site};
use super::{Server, ServerError};
use crate::auth::Authenticator;
use crate::config::Config;
use crate::http::endpoint::Endpoints;

/// A server that does not listen yet.
///
/// ```no_run
/// # fn example() -> Result<(), turted::server::ServerError> {
/// use turted::authenticator::{IdentRefusal, IdentRequest, Verified};
/// use turted::{config::Config, server::Server};
/// let server = Server::builder(Config::default())
///     .authenticator(|request: IdentRequest| async move {
///         request.user.map(|user| Verified::user(user.name)).ok_or(IdentRefusal::UserMissing)
///     })
///     .bind()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerBuilder {
    pub(super) config: Config,
    pub(super) authenticator: Option<Arc<dyn Authenticator>>,
    /// What is served.
    pub(super) endpoints: fn(&Site<'_>) -> Endpoints,
    pub(super) listener: Option<Arc<TcpListener>>,
    /// Where it is called as a node of a cluster.
    pub(super) door: Option<Door>,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl ServerBuilder {
    pub(super) fn new(config: Config) -> Self {
        Self { config, authenticator: None, endpoints: routes::turted, listener: None, door: None }
    }

    /// Lets a part of the program verify IDENTs, instead of `auth.method`.
    #[must_use]
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// Serves a socket that listens already, instead of `listen`. Connections that wait in its queue when the
    /// server stops are left to the other processes that have the socket.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Makes it a node of a cluster, which other nodes call at an address of its own.
    #[cfg(test)]
    pub(crate) fn door(self, door: Door) -> Self {
        Self { door: Some(door), ..self }
    }

    /// What is decided before anything is opened: which rules count, and what an IDENT needs.
    pub(super) fn checked(mut self) -> Result<(Self, IdentNeeds), ServerError> {
        if let Some(listener) = &self.listener {
            // Rules that depend on which machines reach the server are decided by the address of the socket.
            self.config.listen = listener.local_addr().map_err(ServerError::HandedOver)?;
        }
        if !(1..=WORKERS_MAX).contains(&self.config.workers) {
            return Err(ServerError::Workers(self.config.workers));
        }
        let ident_needs = match &self.authenticator {
            Some(_) => IdentNeeds::Data,
            None => IdentNeeds::of(&self.config.auth.method),
        };
        if ident_needs != IdentNeeds::Nothing {
            // Not everything is open, whatever `auth.method` says.
            self.config.demo.get_or_insert(false);
        }
        Ok((self, ident_needs))
    }

    /// Serves something else instead of turted.
    pub(crate) fn endpoints(self, endpoints: fn(&Site<'_>) -> Endpoints) -> Self {
        Self { endpoints, ..self }
    }

    /// Listens and starts the workers.
    ///
    /// # Errors
    /// The address cannot be listened on, or the operating system refuses a thread.
    pub fn bind(self) -> Result<Server, ServerError> {
        Server::start(self)
    }
}
