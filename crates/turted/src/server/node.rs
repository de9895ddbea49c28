//! The threads of a node, one for each worker: the sockets they listen on, and what they share.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use super::descriptors::{self, Room};
use super::error::ServerError;
use super::{leftovers, tidy};
use crate::auth::{Authenticator, Gate};
use crate::config::Config;
use crate::config::secrets::Secrets;
use crate::http::accept::{Queue, accept};
use crate::http::endpoint::Endpoints;
use crate::http::passing::nodes;
use crate::hub::cluster::peers::Peers as ClusterPeers;
use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::dispatch::dispatcher::Dispatcher;
use crate::hub::hooks::Hooks;
use crate::hub::presence::Presence;
use crate::hub::run::{Queues, run};
use crate::hub::worker::places::{CountedAddresses, PlaceLimits, Places};
use crate::hub::worker::recovery::{Recovery, RecoveryLimits};
use crate::hub::worker::sessions::Sessions;
use crate::hub::worker::shared::Shared;
use crate::hub::worker::waiting::Longest;
use crate::hub::worker::worker::{Peers, Worker};
use crate::io::backlogs::Backlogs;
use crate::io::bodies::Bodies;
use crate::io::life::Life;
use crate::io::listener::{self, Bound};
use crate::io::permits::Permits;
use crate::io::tls::Certificates;
use crate::live::Live;
use crate::push::rest::PushGate;

/// Where a server listens.
#[derive(Debug)]
pub(super) struct Listeners {
    /// One for each worker.
    pub(super) sockets: Vec<StdListener>,
    pub(super) address: SocketAddr,
    pub(super) queue: Queue,
}

/// Where a server listens, or will: it has the address.
#[derive(Debug)]
pub(super) enum Reserved {
    /// A socket for each worker. No client reaches them yet.
    Bound {
        sockets: Vec<Bound>,
        address: SocketAddr,
    },
    Listening(Listeners),
}

impl Reserved {
    /// Takes `listen`, or serves `given`, which listens already. In a cluster nothing listens before this node has read the
    /// log: clients find another node meanwhile. Elsewhere they wait in the queue of the socket.
    ///
    /// # Errors
    /// The address is taken or not ours, or `given` cannot be used.
    pub(super) fn of(config: &Config, given: Option<&StdListener>) -> Result<Self, ServerError> {
        if let Some(given) = given {
            return serve_given(given, config).map(Self::Listening).map_err(ServerError::HandedOver);
        }
        let bound = Self::at(config, config.listen)?;
        match config.cluster {
            Some(_) => Ok(bound),
            None => bound.listen().map(Self::Listening),
        }
    }

    /// Takes an address, for all workers.
    fn at(config: &Config, listen: SocketAddr) -> Result<Self, ServerError> {
        let wanted = listener::possible(listen);
        let options = config.limits.socket_options();
        let refused = |address| move |source| ServerError::Listen { address, source };
        listener::check(wanted).map_err(refused(wanted))?;
        let first = Bound::new(wanted, options).map_err(refused(wanted))?;
        let address = first.address().map_err(refused(wanted))?;
        let mut sockets = vec![first];
        for _ in 1..config.workers {
            sockets.push(Bound::new(address, options).map_err(refused(address))?);
        }
        Ok(Self::Bound { sockets, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Bound { address, .. } => *address,
            Self::Listening(listeners) => listeners.address,
        }
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// The address is taken: another program listens there since.
    pub(super) fn listen(self) -> Result<Listeners, ServerError> {
        let (sockets, address) = match self {
            Self::Listening(listeners) => return Ok(listeners),
            Self::Bound { sockets, address } => (sockets, address),
        };
        let refused = |source| ServerError::Listen { address, source };
        // Another server may have taken the address before either listened.
        listener::check(address).map_err(refused)?;
        let sockets: io::Result<_> = sockets.into_iter().map(Bound::listen).collect();
        let sockets = sockets.map_err(refused)?;
        Ok(Listeners { sockets, address, queue: Queue::Ours })
    }
}

/// Where a node of a cluster is called by the others.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) peers: Arc<ClusterPeers>,
    pub(crate) listen: SocketAddr,
}

/// What a server has of the cluster that it is a node of, if it is one.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) peers: Option<Arc<ClusterPeers>>,
    /// Where other nodes call it, one for each worker.
    pub(super) listeners: std::vec::IntoIter<StdListener>,
    pub(super) address: Option<SocketAddr>,
}

impl Nodes {
    /// Opens the listeners of a door.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub(super) fn open(config: &Config, door: Option<&Door>) -> Result<Self, ServerError> {
        let Some(Door { peers, listen }) = door.cloned() else {
            return Ok(Self { peers: None, listeners: Vec::new().into_iter(), address: None });
        };
        let Listeners { sockets, address, .. } = Reserved::at(config, listen)?.listen()?;
        Ok(Self { peers: Some(peers), listeners: sockets.into_iter(), address: Some(address) })
    }
}

/// One socket for all workers: a worker that is free accepts. The server may not open the port of a socket that
/// belongs to another user, so the workers have no listeners of their own.
fn serve_given(given: &StdListener, config: &Config) -> io::Result<Listeners> {
    listener::set_options(&SockRef::from(given), config.limits.socket_options())?;
    let sockets = (0..config.workers).map(|_| given.try_clone()).collect::<io::Result<_>>()?;
    Ok(Listeners { sockets, address: given.local_addr()?, queue: Queue::Kept })
}

/// Tells the server that a worker has ended, by panic too.
pub(super) struct End(pub(super) mpsc::Sender<()>);

impl Drop for End {
    fn drop(&mut self) {
        // The server needs only the first message, and a full channel holds one.
        let _ = self.0.try_send(());
    }
}

/// What all workers of a node share.
pub(crate) fn share(
    config: &Config,
    secrets: Secrets,
    (authenticator, certificates): (Option<Arc<dyn Authenticator>>, Option<Certificates>),
    nodes: Option<Arc<ClusterPeers>>,
) -> Shared {
    let (room, live) = (Room::of(&config.limits, descriptors::limit()), Live::default());
    Shared {
        permits: Permits::new(room.connections),
        spare: Permits::new(room.spare),
        memory_max: config.memory_max(room.connections + room.spare),
        metrics: (0..config.workers).map(|_| Arc::new(WorkerMetrics::default())).collect(),
        life: Life::new(config.workers),
        gate: Arc::new(Gate::new(config.gate(), authenticator, live.clone())),
        recovery: Recovery::new(RecoveryLimits::of(config)),
        sessions: Sessions::default(),
        cluster: OnceLock::new(),
        hooks: Hooks::new(&config.hooks),
        presence: Presence::new(&config.presence),
        live,
        backlogs: Backlogs::new(config.backlog_bytes()),
        longest: Longest::new(config.workers),
        secrets,
        bodies: Bodies::new(config.bodies()),
        places: Places::new(PlaceLimits {
            all: room.connections,
            per_address: config.limits.sessions_per_address,
            counted: match config.trusted_proxies.networks() {
                [] => CountedAddresses::Public,
                _ => CountedAddresses::All,
            },
        }),
        certificates,
        nodes,
    }
}

/// What every worker of a node is given.
pub(super) struct Node {
    pub(super) config: Arc<Config>,
    pub(super) dispatcher: Dispatcher,
    pub(super) shared: Arc<Shared>,
    pub(super) peers: Peers,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) push: Arc<PushGate>,
}

/// What one worker is given.
pub(super) struct Post {
    pub(super) listener: StdListener,
    /// Where other nodes call it.
    pub(super) nodes: Option<StdListener>,
    pub(super) queue: Queue,
    pub(super) queues: Queues,
}

impl Node {
    pub(super) fn start(&self, index: u8, post: Post, end: End) -> Result<JoinHandle<()>, ServerError> {
        let (config, dispatcher) = (Arc::clone(&self.config), self.dispatcher.clone());
        let (shared, peers) = (Arc::clone(&self.shared), Arc::clone(&self.peers));
        let (endpoints, push) = (Arc::clone(&self.endpoints), Arc::clone(&self.push));
        let work = move || {
            let _end = end;
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!(%error, index, "cannot start a runtime"),
            };
            let worker = runtime.block_on(async {
                let worker = Worker::new(index, config, dispatcher, (shared, peers));
                if index == 0 {
                    worker.spawn(tidy::run(Rc::clone(&worker), push));
                    renew_claims(&worker);
                }
                if let Err(error) = serve(&worker, endpoints, post).await {
                    tracing::error!(%error, index, "a worker ended");
                }
                worker
            });
            drop(runtime);
            leftovers::assert_none_of_worker(&worker);
        };
        let thread = thread::Builder::new().name(format!("turted-{index}")).spawn(work);
        thread.map_err(ServerError::Start)
    }
}

/// Renews what this node claims of the cluster, until the server ends.
fn renew_claims(worker: &Worker) {
    if let Some(peers) = worker.shared.nodes.clone() {
        worker.tasks.spawn_until_end(async move { peers.claims().renew(|| peers.own()).await });
    }
}

/// Accepts connections and runs a worker until the server stops.
async fn serve(worker: &Rc<Worker>, endpoints: Arc<Endpoints>, post: Post) -> io::Result<()> {
    let listener = TcpListener::from_std(post.listener)?;
    if let (Some(listener), Some(peers)) = (post.nodes, &worker.shared.nodes) {
        let (peers, endpoints) = (Arc::clone(peers), Arc::new(endpoints.for_nodes()));
        worker.spawn(nodes::accept(Rc::clone(worker), endpoints, peers, TcpListener::from_std(listener)?));
    }
    worker.spawn(accept(Rc::clone(worker), endpoints, listener, post.queue));
    run(worker, post.queues).await;
    Ok(())
}
