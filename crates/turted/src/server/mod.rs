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

mod error;
mod node;
pub(crate) mod descriptors;
pub(crate) mod tidy;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use turted_core::limits::WORKERS_MAX;

pub use self::error::ServerError;
use self::node::{End, Listeners, Node};

use self::descriptors::Room;
use crate::admin::{Admin, Monitor};
use crate::auth::{Authenticator, Gate, Rotation};
use crate::cli::conformance::{self, routes::Suite};
use crate::config::Config;
use crate::config::secrets::Secrets;
use crate::http::Bodies;
use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::dispatch::dispatcher::{Dispatcher, Source};
use crate::hub::dispatch::inbox::{InboxLimits, inbox};
use crate::hub::dispatch::log::LogLimits;
use crate::hub::worker::places::{Counted, PlaceLimits, Places};
use crate::hub::worker::recovery::{Recovery, RecoveryLimits};
use crate::hub::worker::relief::Longest;
use crate::hub::worker::shared::Shared;
use crate::hub::worker::worker::{Inlets, MAIL_MAX};
use crate::io::backlogs::Backlogs;
use crate::io::life::Life;
use crate::io::permits::Permits;
use crate::io::tls::Certificates;
use crate::push::rest::gate::PushGate;
use crate::transport::assets::Assets;
use crate::transport::service::Routes;
use crate::transport::sockjs::{Mount, Mounts};

/// A server that listens. It serves from the moment it is bound; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    dispatcher: Dispatcher,
    certificates: Option<Certificates>,
    shared: Arc<Shared>,
    admin: Option<Admin>,
    drain_delay: Duration,
    workers: Vec<JoinHandle<()>>,
    /// Hears of every worker that ends.
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
        ServerBuilder { config, authenticator: None, routes: Routes::Turted, listener: None }
    }

    fn start(builder: ServerBuilder) -> Result<Self, ServerError> {
        let ServerBuilder { mut config, authenticator, routes, listener } = builder;
        if let Some(listener) = &listener {
            // What depends on who reaches it is to be decided by where it is.
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
        let waiting =
            InboxLimits { dispatches: config.limits.inbox_dispatches, bytes: config.limits.inbox_bytes };
        let (inbox_senders, inboxes): (Vec<_>, Vec<_>) = listeners.iter().map(|_| inbox(waiting)).unzip();
        let (mail_senders, mails): (Vec<_>, Vec<_>) =
            listeners.iter().map(|_| mpsc::channel(MAIL_MAX)).unzip();
        let backlogs = Backlogs::new(config.backlog_bytes());
        let log = log_limits(&config);
        let dispatcher = Dispatcher::new(u32::from_be_bytes(random), log, inbox_senders, &backlogs)
            .with_expansion_bytes(config.limits.expansion_bytes);
        let (room, secrets) = (Room::of(&config.limits, descriptors::limit()), Secrets::new(&config));
        let shared = Arc::new(Shared {
            permits: Permits::new(room.connections),
            spare: Permits::new(room.spare),
            metrics: listeners.iter().map(|_| Arc::new(WorkerMetrics::default())).collect(),
            life: Life::new(listeners.len()),
            peers: mail_senders,
            gate: Arc::new(Gate::new(config.gate(), authenticator)),
            recovery: Recovery::new(RecoveryLimits {
                sessions: config.recovery.sessions,
                bytes: config.recovery.session_bytes,
                age: config.recovery.max_age,
            }),
            backlogs: Arc::clone(&backlogs),
            longest: Longest::new(listeners.len()),
            push: PushGate::new(&config, secrets.push.clone()),
            secrets,
            sockjs: match routes {
                Routes::Turted => Mounts::new([Mount::turted(&config)]),
                Routes::Conformance(_) => Mounts::new(conformance::sockjs::mounts()),
            },
            bodies: Bodies::new(&config),
            assets: config.assets_dir.clone().map(Assets::new).map(Arc::new),
            places: Places::new(PlaceLimits {
                all: room.connections,
                per_address: config.limits.sessions_per_address,
                counted: match config.trusted_proxies.networks() {
                    [] => Counted::Public,
                    _ => Counted::All,
                },
            }),
            certificates: certificates.clone(),
            routes,
        });
        let admin = Admin::bind(&config, Monitor::new(Arc::clone(&shared), dispatcher.clone()))?;
        let drain_delay = config.drain_delay;
        let node = Node { config, dispatcher: dispatcher.for_source(Source::Rest), shared };
        let (end, ended) = mpsc::channel(1);
        let inlets = listeners.into_iter().zip(inboxes).zip(mails);
        let (shared, workers) = (Arc::clone(&node.shared), Vec::new());
        // Whole before its first worker runs: dropping it stops those that run when one cannot start.
        let mut server =
            Self { address, dispatcher, certificates, shared, admin, drain_delay, workers, ended };
        for (((listener, inbox), mail), index) in inlets.zip(0..=u8::MAX) {
            let inlets = Inlets { listener, queue, inbox, mail };
            server.workers.push(node.start(index, inlets, End(end.clone()))?);
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

    /// What tells whether its workers live.
    pub(crate) fn monitor(&self) -> Monitor {
        Monitor::new(Arc::clone(&self.shared), self.dispatcher.clone())
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

    /// Serves until `stop` is done, then says so at `/ready`, goes on for `drain_delay`, and ends in good order: accepts nothing new, delivers what was
    /// accepted, closes connections so that their clients come back elsewhere, spread over
    /// `drain_timeout` at most.
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
        if lost || panicked { Err(ServerError::WorkerLost) } else { Ok(()) }
    }
}

impl Server {
    /// Serves for `drain_delay`: whether a worker was lost.
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
    routes: Routes,
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
    /// server stops are left to whoever else has the socket.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Serves the test services of a suite instead of turted.
    pub(crate) fn conformance(self, suite: Suite) -> Self {
        Self { routes: Routes::Conformance(suite), ..self }
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

/// How much of the recent past is kept.
fn log_limits(config: &Config) -> LogLimits {
    LogLimits {
        dispatches: config.recovery.log_dispatches,
        bytes: config.recovery.log_bytes,
        age: config.recovery.max_age,
    }
}
