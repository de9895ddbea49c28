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
//! | `builder` | a server that does not listen yet |
//! | `node` | the threads of a node, one for each worker |
//! | `sessions` | sessions of before, and where those of this start are recorded |
//! | `routes` | which endpoint answers which path |
//! | `demo` | `/demo`, a page that shows what turted does |
//! | `tidy` | forgets what is too old |
//! | `descriptors` | how many connections the file descriptors allow |
//! | `leftovers` | what is left of a server that has ended: nothing |
//! | `log` | the log of a server that starts: in memory, or as it stands on disk |
//! | `cluster` | its place in a cluster |
//! | `others` | what this node does together with the others of its cluster |
//! | `error` | why a server does not start, or ended |
//! | `tests` | a transport and a push connector of one file each |

mod builder;
mod node;
mod sessions;
pub(crate) mod routes;
pub(crate) mod demo;
pub(crate) mod tidy;
pub(crate) mod descriptors;
mod leftovers;
mod error;
mod log;
#[cfg(feature = "redis")]
mod cluster;
mod others;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

pub use self::builder::ServerBuilder;
pub use self::error::ServerError;
use self::log::{OnDisk, OpenedLog};
#[cfg(test)]
pub(crate) use self::node::share;
use self::node::{End, Listeners, Node, Nodes, Post, Reserved};
use self::routes::Site;
use self::sessions::Verifier;
use crate::admin::{Admin, Monitor};
use crate::auth::Rotation;
use crate::config::Config;
use crate::config::secrets::Secrets;
use crate::hub::cluster::{Cluster, ClusterThread};
use crate::hub::dispatch::dispatcher::{Dispatcher, Source};
use crate::hub::dispatch::inbox::{InboxLimits, inbox};
use crate::hub::hooks::Hooks;
use crate::hub::run::Queues;
use crate::hub::worker::rewrite;
use crate::hub::worker::shared::Shared;
use crate::hub::worker::worker::MAIL_MAX;
use crate::io::failure::Failure;
use crate::io::tls::Certificates;
use crate::push::SOURCES;
use crate::push::rest::PushGate;
use crate::push::source::Opened;
use crate::transport::assets::Assets;
use crate::webhook::HookThreads;

/// A server that listens. It serves from the moment it is bound, and fetches from its sources once it
/// [runs](Server::run); dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Where other nodes of a cluster call it.
    nodes_address: Option<SocketAddr>,
    dispatcher: Dispatcher,
    certificates: Option<Certificates>,
    shared: Arc<Shared>,
    monitor: Monitor,
    admin: Option<Admin>,
    drain_delay: Duration,
    log_found: Option<String>,
    /// The thread of this node, if it is one of a cluster.
    cluster: Option<ClusterThread>,
    /// Those that do not run yet.
    sources: Option<Opened>,
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
        ServerBuilder::new(config)
    }

    fn start(builder: ServerBuilder) -> Result<Self, ServerError> {
        let (builder, ident_needs) = builder.checked()?;
        let ServerBuilder { config, authenticator, endpoints, listener, door } = builder;
        let config = Arc::new(config);
        let certificates = config.tls.as_ref().map(Certificates::load).transpose()?;
        let reserved = Reserved::of(&config, listener.as_deref())?;
        let address = reserved.address();
        #[cfg(feature = "redis")]
        let (door, questions) = cluster::door(&config, door)?;
        let mut nodes = Nodes::open(&config, door.as_ref())?;
        let secrets = Secrets::new(&config);
        let mut opened = Opened::open(&config, &secrets.push, SOURCES).map_err(source_failed)?;
        let push = Arc::new(PushGate::new(&config, secrets.push.clone()));
        let assets = config.assets_dir.clone().map(Assets::new).map(Arc::new);
        let endpoints = Arc::new(endpoints(&Site { config: &config, push: &push, assets, ident_needs }));
        let verifier = Verifier::of(authenticator.as_ref(), &config);
        let shown = (authenticator, certificates.clone());
        let shared = Arc::new(node::share(&config, secrets, shown, nodes.peers.take()));
        let waiting =
            InboxLimits { dispatches: config.limits.inbox_dispatches, bytes: config.limits.inbox_bytes };
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..config.workers).map(|_| inbox(waiting)).unzip();
        let (peers, mails): (Vec<_>, Vec<_>) = (0..config.workers).map(|_| mpsc::channel(MAIL_MAX)).unzip();
        let (OpenedLog { log, epochs, history, deleted, on_disk }, peers) =
            (log::open(&config, (&shared, verifier), address)?, peers.into());
        rewrite::answer(&shared.sessions, &peers);
        let dispatcher = Dispatcher::over(log, epochs, senders, shared.live.clone())
            .with_history(&config, history)
            .without(deleted)
            .with_expansion_bytes(config.limits.expansion_bytes);
        tell_others(&dispatcher, &shared);
        let log_found =
            on_disk.map(|on_disk| go_on(on_disk, &dispatcher, (&push, &mut opened))).transpose()?;
        let known = (&push, opened.statuses());
        let monitor = Monitor::new(Arc::clone(&shared), &peers, dispatcher.clone(), known);
        // Operators see what the start waits for.
        let admin = Admin::bind(&config, address, monitor.clone())?;
        #[cfg(feature = "redis")]
        let cluster = cluster::join((&config, nodes.address), &dispatcher, (&shared, &peers, questions))?;
        #[cfg(not(feature = "redis"))]
        let cluster = None::<ClusterThread>;
        let Listeners { sockets: listeners, queue, .. } = reserved.listen()?;
        others::join_in(&shared, &push, (&monitor, address))?;
        let drain_delay = config.drain_delay;
        let from_rest = dispatcher.for_source(Source::Rest);
        let node = Node { config, dispatcher: from_rest, shared, peers, endpoints, push };
        let (end, ended) = mpsc::channel(1);
        let posts = listeners.into_iter().zip(inboxes).zip(mails);
        let (shared, workers, sources) = (Arc::clone(&node.shared), Vec::new(), Some(opened));
        // Complete before its first worker runs: if a worker cannot start, dropping it stops the running ones.
        let mut server = Self {
            address,
            nodes_address: nodes.address,
            dispatcher,
            certificates,
            shared,
            monitor,
            admin,
            drain_delay,
            log_found,
            cluster,
            sources,
            workers,
            ended,
        };
        for (((listener, inbox), mail), index) in posts.zip(0..=u8::MAX) {
            let post =
                Post { listener, nodes: nodes.listeners.next(), queue, queues: Queues { inbox, mail } };
            server.workers.push(node.start(index, post, End(end.clone()))?);
        }
        server.shared.life.begin();
        Ok(server)
    }

    /// What the start found of the log on disk; `None` if the log is in memory.
    #[must_use]
    pub fn log_found(&self) -> Option<&str> {
        self.log_found.as_deref()
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

    /// The address at which other nodes of a cluster call it, if it is one.
    #[must_use]
    pub fn nodes_address(&self) -> Option<SocketAddr> {
        self.nodes_address
    }

    /// Its number among the nodes of its cluster, if it is one.
    pub(crate) fn node_number(&self) -> Option<u16> {
        self.shared.cluster.get().map(Cluster::number)
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

    /// What it shows to the other nodes of its cluster, to be reloaded; `None` if nodes speak in the clear.
    pub(crate) fn cluster_certificates(&self) -> Option<Certificates> {
        self.shared.nodes.as_ref()?.tls().map(|tls| tls.certificates.clone())
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

    /// Its hooks, whose secrets may be exchanged.
    pub(crate) fn hooks(&self) -> Hooks {
        self.shared.hooks.clone()
    }

    /// Starts the sources, so that functions that listen to events before miss none of theirs. Serves until `stop` is done, then says so at `/ready`, goes on for `drain_delay`, and ends in good
    /// order: stops its sources, accepts nothing new, delivers what was accepted, closes connections so that their clients
    /// come back elsewhere, spread over `drain_timeout` at most.
    ///
    /// # Errors
    /// A worker ended by itself, or the operating system refuses a thread for a source.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let sources = self.sources.take();
        let cluster = self.cluster.as_ref().map(ClusterThread::cluster);
        let sources = sources.map(|opened| opened.start(&self.dispatcher, cluster)).transpose();
        let sources = sources.map_err(ServerError::Start)?;
        let draining = &self.shared.life.draining;
        let hooks = HookThreads::start((&self.shared.hooks, cluster), self.address, draining);
        let hooks = hooks.map_err(ServerError::Start)?;
        let lost = tokio::select! {
            () = stop => false,
            () = self.one_ends() => true,
        };
        self.shared.life.leaving.cancel();
        if let Some(cluster) = &self.cluster {
            cluster.cluster().status().drain();
        }
        let lost = lost || self.go_on().await;
        if let Some(sources) = sources {
            sources.stop().await;
        }
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
        self.dispatcher.wait_for_handlers();
        // Nothing happens any more that hooks could tell. They send what waits while the rest ends: a backend that hangs does
        // not keep the log from its clean end.
        hooks.begin_stop();
        let ended = self.end(lost);
        hooks.stop().await;
        ended
    }

    /// Ends what the workers leave: the log, and they themselves.
    fn end(&mut self, lost: bool) -> Result<(), ServerError> {
        let ending = self.dispatcher.wait_for_writer();
        let mut panicked = self.workers.drain(..).any(|worker| worker.join().is_err());
        // Last of all: connections that end say what becomes of their sessions.
        let is_recorded = self.shared.sessions.end();
        if let Some(cluster) = self.cluster.take() {
            // It ends by itself when one of its tasks has panicked.
            panicked |= cluster.has_ended();
            cluster.leave();
        }
        if lost || panicked {
            return Err(ServerError::WorkerLost);
        }
        if let Some(ending) = ending.filter(|_| is_recorded) {
            ending.end();
        }
        leftovers::assert_none_of_node(&self.shared);
        Ok(())
    }

    /// Waits until a worker, or the thread of the cluster, ends by itself. Cancel safe.
    async fn one_ends(&mut self) {
        let cluster_ends = async {
            match &self.cluster {
                Some(cluster) => cluster.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.ended.recv() => {}
            () = cluster_ends => {}
        }
    }

    /// Serves for `drain_delay`. Returns whether a worker was lost.
    async fn go_on(&mut self) -> bool {
        if self.drain_delay.is_zero() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(self.drain_delay) => false,
            () = self.one_ends() => true,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.dispatcher.stop();
        self.dispatcher.forget_writer();
        if let Some(cluster) = &self.cluster {
            cluster.cluster().status().left.cancel();
        }
        self.shared.life.cut();
        self.shared.sessions.end();
    }
}

/// Lets the dispatcher hear of sessions that are out of date, and hooks of dispatches, if one wants to.
fn tell_others(dispatcher: &Dispatcher, shared: &Shared) {
    let stale = dispatcher.clone();
    shared.sessions.tell_stale_by(move || stale.leave_log());
    if shared.hooks.hear_dispatches() {
        let hooks = shared.hooks.clone();
        dispatcher.hear(move |accepted| hooks.dispatched(accepted));
    }
}

fn source_failed((name, failure): (String, Failure)) -> ServerError {
    ServerError::Source { name, reason: failure.to_string() }
}

/// Starts the writer of a log on disk. Returns what the start found.
fn go_on(
    OnDisk { writer, keys, verdict }: OnDisk,
    dispatcher: &Dispatcher,
    (push, sources): (&PushGate, &mut Opened),
) -> Result<String, ServerError> {
    push.restore(&keys);
    sources.restore(keys);
    dispatcher.start_writer(writer).map_err(ServerError::Start)?;
    Ok(verdict)
}

#[cfg(test)]
mod tests;
