//! The server: composes workers, dispatcher and listeners; runs and stops them.
//!
//! ```no_run
//! # async fn example() -> Result<(), turted::server::ServerError> {
//! use turted::{config::Config, server::Server};
//! let server = Server::bind(Config::default())?;
//! let dispatcher = server.dispatcher();
//! dispatcher.on("MESSAGE:NEW", |dispatch| println!("{}", dispatch.payload));
//! server.run(async { let _ = tokio::signal::ctrl_c().await; }).await
//! # }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `node` | the threads of a node, one for each worker |
//! | `routes` | which endpoint answers which path |
//! | `tidy` | forgets what is too old |
//! | `descriptors` | how many connections the file descriptors allow |
//! | `leftovers` | what is left of a server that has ended: nothing |
//! | `error` | why a server does not start, or ended |
//! | `tests` | a transport and a push connector of one file each |

mod node;
pub(crate) mod routes;
pub(crate) mod tidy;
pub(crate) mod descriptors;
mod leftovers;
mod error;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use turted_core::limits::WORKERS_MAX;

pub use self::error::ServerError;
#[cfg(test)]
pub(crate) use self::node::share;
use self::node::{End, Listeners, Node, Post};
use self::routes::Site;
use crate::admin::{Admin, Monitor};
use crate::auth::{Authenticator, Rotation};
use crate::config::Config;
use crate::config::secrets::Secrets;
use crate::http::endpoint::Endpoints;
use crate::hub::dispatch::dispatcher::{Dispatcher, Source};
use crate::hub::dispatch::inbox::{InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::hub::run::Queues;
use crate::hub::worker::shared::Shared;
use crate::hub::worker::worker::MAIL_MAX;
use crate::io::tls::Certificates;
use crate::push::rest::PushGate;
use crate::transport::assets::Assets;

/// A server that listens. It serves from the moment it is bound; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    dispatcher: Dispatcher,
    certificates: Option<Certificates>,
    shared: Arc<Shared>,
    monitor: Monitor,
    admin: Option<Admin>,
    drain_delay: Duration,
    workers: Vec<JoinHandle<()>>,
    /// Receives a message when a worker ends.
    ended: mpsc::Receiver<()>,
}

impl Server {
    /// Listens and starts the workers.
    ///
    /// # Errors
    /// The address cannot be listened on, the certificate cannot be used, or the operating system
    /// refuses a thread.
    pub fn bind(config: Config) -> Result<Self, ServerError> {
        Self::builder(config).bind()
    }

    /// A server with parts of the embedding program in it.
    #[must_use]
    pub fn builder(config: Config) -> ServerBuilder {
        ServerBuilder { config, authenticator: None, endpoints: routes::turted, listener: None }
    }

    fn start(builder: ServerBuilder) -> Result<Self, ServerError> {
        let ServerBuilder { mut config, authenticator, endpoints, listener } = builder;
        if let Some(listener) = &listener {
            // Rules that depend on which machines reach the server are decided by the address of the socket.
            config.listen = listener.local_addr().map_err(ServerError::HandedOver)?;
        }
        if !(1..=WORKERS_MAX).contains(&config.workers) {
            return Err(ServerError::Workers(config.workers));
        }
        let config = Arc::new(config);
        let certificates = config.tls.as_ref().map(Certificates::load).transpose()?;
        let Listeners { sockets: listeners, address, queue } = node::open_all(&config, listener.as_deref())?;
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|_| ServerError::Random)?;
        let secrets = Secrets::new(&config);
        let push = Arc::new(PushGate::new(&config, secrets.push.clone()));
        let assets = config.assets_dir.clone().map(Assets::new).map(Arc::new);
        let endpoints = Arc::new(endpoints(&Site { config: &config, push: &push, assets }));
        let shared = Arc::new(node::share(&config, secrets, (authenticator, certificates.clone())));
        let waiting =
            InboxLimits { dispatches: config.limits.inbox_dispatches, bytes: config.limits.inbox_bytes };
        let (inbox_senders, inboxes): (Vec<_>, Vec<_>) = listeners.iter().map(|_| inbox(waiting)).unzip();
        let (peers, mails): (Vec<_>, Vec<_>) = listeners.iter().map(|_| mpsc::channel(MAIL_MAX)).unzip();
        let (epoch, log, peers) = (u32::from_be_bytes(random), LogLimits::of(&config), peers.into());
        let dispatcher = Dispatcher::new(epoch, log, inbox_senders, &shared.backlogs)
            .with_expansion_bytes(config.limits.expansion_bytes);
        let monitor = Monitor::new(Arc::clone(&shared), &peers, dispatcher.clone(), &push);
        let admin = Admin::bind(&config, monitor.clone())?;
        let drain_delay = config.drain_delay;
        let from_rest = dispatcher.for_source(Source::Rest);
        let node = Node { config, dispatcher: from_rest, shared, peers, endpoints, push };
        let (end, ended) = mpsc::channel(1);
        let posts = listeners.into_iter().zip(inboxes).zip(mails);
        let (shared, workers) = (Arc::clone(&node.shared), Vec::new());
        // Complete before its first worker runs: if a worker cannot start, dropping it stops the running ones.
        let mut server =
            Self { address, dispatcher, certificates, shared, monitor, admin, drain_delay, workers, ended };
        for (((listener, inbox), mail), index) in posts.zip(0..=u8::MAX) {
            let post = Post { listener, queue, queues: Queues { inbox, mail } };
            server.workers.push(node.start(index, post, End(end.clone()))?);
        }
        Ok(server)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the admin listener, if it has one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Its monitor, which tells whether the workers live.
    pub(crate) fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Its dispatcher, to push from the same program and to listen to events.
    #[must_use]
    pub fn dispatcher(&self) -> Dispatcher {
        self.dispatcher.clone()
    }

    /// Its certificate, to be reloaded; `None` if it serves in the clear.
    #[must_use]
    pub fn certificates(&self) -> Option<Certificates> {
        self.certificates.clone()
    }

    /// The keys of JSON Web Tokens, to be reloaded; `None` if it verifies no such tokens.
    #[must_use]
    pub fn keys(&self) -> Option<Rotation> {
        self.shared.gate.keys()
    }

    /// Its push password and admin token, to be exchanged.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        self.shared.secrets.clone()
    }

    /// Serves until `stop` is done, then says so at `/ready`, goes on for `drain_delay`, and ends in good
    /// order: accepts nothing new, delivers what was accepted, closes connections so that their clients
    /// come back elsewhere, spread over `drain_timeout` at most.
    ///
    /// # Errors
    /// A worker ended by itself.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let lost = tokio::select! {
            () = stop => false,
            _ = self.ended.recv() => true,
        };
        self.shared.life.leaving.cancel();
        let lost = lost || self.go_on().await;
        let life = &self.shared.life;
        life.draining.cancel();
        self.dispatcher.stop();
        if !lost {
            // A worker ends only when all of them have drained. If one ends before that, the
            // others would wait for it in vain.
            self.ended.recv().await;
        }
        life.ending.cancel();
        // Closed once every worker has dropped its sender; then joining does not wait.
        while self.ended.recv().await.is_some() {}
        if let Some(admin) = self.admin.take() {
            admin.end().await;
        }
        let panicked = self.workers.drain(..).any(|worker| worker.join().is_err());
        if lost || panicked {
            return Err(ServerError::WorkerLost);
        }
        leftovers::assert_none_of_node(&self.shared);
        Ok(())
    }

    /// Serves for `drain_delay`. Returns whether a worker was lost.
    async fn go_on(&mut self) -> bool {
        if self.drain_delay.is_zero() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(self.drain_delay) => false,
            _ = self.ended.recv() => true,
        }
    }
}

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
    config: Config,
    authenticator: Option<Arc<dyn Authenticator>>,
    /// What is served.
    endpoints: fn(&Site<'_>) -> Endpoints,
    listener: Option<Arc<TcpListener>>,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl ServerBuilder {
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

impl Drop for Server {
    fn drop(&mut self) {
        self.dispatcher.stop();
        self.shared.life.cut();
    }
}

#[cfg(test)]
mod tests;
