//! The admin listener: metrics, health, and for operators an API and a page.
//!
//! It runs beside the workers, on a small thread of its own, so that it answers when they do not,
//! or when the runtime of a program that embeds the server is busy or has no I/O. It reads counters,
//! and asks the workers by mail for the rest.
//!
//! | file | what |
//! |---|---|
//! | `monitor` | asks the workers, and does not wait for one that does not answer |
//! | `routes` | what answers a request, by its path |
//! | `guard` | which requests may read, and which may change something |
//! | `api` | `/api/v1/..`: what is asked, as types, and the answers as JSON |
//! | `groups` | one user or channel: its connections, and what presence knows |
//! | `query`, `json` | the query of a request to the API; an answer as JSON |
//! | `events` | `/api/v1/events`: the live view |
//! | `node` | `/api/v1/node`: what the server is, and what a token may do |
//! | `nodes` | the same in a cluster: other nodes are asked, and their answers added up; `/api/v1/nodes` |
//! | `actions` | what operators change: connections, memberships, history; pushes |
//! | `page` | the page of all this, at `/` |
//! | `refusal` | what refused requests are told |
//! | `openapi` | `/openapi.json`: the document of pushes and of this API |
//! | `sources`, `history` | `/api/v1/sources`; the history of a channel |
//! | `trace` | `/api/v1/trace/..`: what became of a dispatch |
//! | `ready` | `/ready`: whether the server takes clients |
//! | `metrics` | `/metrics`: every metric, its type and its meaning |
//! | `cluster` | the metrics of a cluster |
//! | `hooks` | the metrics of hooks |
//! | `exposition` | the text format of Prometheus |
//! | `places` | which connection gives way when there are too many |

mod monitor;
mod routes;
mod guard;
mod api;
mod groups;
mod query;
mod json;
mod events;
mod node;
pub(crate) mod nodes;
mod actions;
mod page;
mod refusal;
pub(crate) mod openapi;
mod sources;
mod trace;
mod history;
mod ready;
mod metrics;
mod hooks;
mod cluster;
mod exposition;
mod places;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use turted_core::limits::ACCEPT_BACKOFF_MAX;

use crate::config::{AdminListen, Config};
use crate::http::paced::Paced;
use crate::http::{self, Patience};
use crate::io::listener::{self, SocketOptions};
use crate::io::tasks;
use events::AdminBody;
use guard::Guard;
pub(crate) use monitor::Monitor;
use node::Node;
use page::PageFiles;
use places::{AdminPlace, Places};
use routes::{AdminState, route};

/// Connections of operators at once: a few scrapers and people. They come out of the descriptors
/// that are kept back from clients. A further one takes the place of the one that made no progress for
/// longest.
const CONNECTIONS_MAX: usize = 32;
/// Actions at once. One whose client has hung up goes on for seconds at most.
const ACTIONS_MAX: usize = CONNECTIONS_MAX;
/// Connections that wait in the kernel's queue: as many as are served at once.
const BACKLOG: i32 = 32;
/// Time between two looks whether a taken address is free: another server drains for seconds.
const RETRY: Duration = Duration::from_secs(1);
/// Time between two looks at guesses that are too old.
const TIDY_INTERVAL: Duration = Duration::from_secs(10);
/// How long answers that are under way may take at the end.
const CLOSING_WAIT: Duration = Duration::from_secs(1);

/// Why there is no admin listener.
#[derive(Debug)]
pub(crate) enum AdminFailure {
    /// The address cannot be listened on.
    Listen { address: SocketAddr, source: io::Error },
    /// The operating system refuses a thread or its runtime.
    Start(io::Error),
}

/// An admin listener that is served, by a thread of its own; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    ending: DropGuard,
    /// Cancelled when the thread is about to end.
    ended: CancellationToken,
}

impl Admin {
    /// Listens at the configured address, if there is one, and serves from then on. Clients and backends are served at
    /// `public`. An address that is taken is tried until it is free: the previous server may still drain there. If the
    /// default address cannot be listened on, there is a warning and no admin listener.
    ///
    /// # Errors
    /// The configured address cannot be listened on, and not because it is taken.
    pub(crate) fn bind(
        config: &Config,
        public: SocketAddr,
        monitor: Monitor,
    ) -> Result<Option<Self>, AdminFailure> {
        let Some(address) = config.admin.listen.address() else { return Ok(None) };
        let address = listener::possible(address);
        let options = SocketOptions { backlog: BACKLOG, ..config.limits.socket_options() };
        let opened = listener::open_alone(address, options)
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = match (opened, config.admin.listen) {
            (Ok((address, listener)), _) => (address, Some(listener)),
            (Err(error), AdminListen::IfFree(_)) => {
                tracing::warn!(%address, %error, "no admin listener; set admin_listen to choose another");
                return Ok(None);
            }
            (Err(error), _) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(%address, "admin_listen is taken, it is tried again each second");
                (address, None)
            }
            (Err(source), _) => return Err(AdminFailure::Listen { address, source }),
        };
        let guard = Guard::new(config, address, &monitor.shared.secrets);
        let openapi = openapi::document(config, public, Some(address)).into();
        let (node, page) = (Node::new(config, public), PageFiles::new());
        let (limits, actions) = (config.limits.clone(), Arc::new(Semaphore::new(ACTIONS_MAX)));
        let tasks = TaskTracker::new();
        let state = AdminState { monitor, guard, limits, openapi, node, page, actions, tasks };
        Self::start(listener, (address, options), Arc::new(state)).map(Some).map_err(AdminFailure::Start)
    }

    fn start(
        listener: Option<std::net::TcpListener>,
        (address, options): (SocketAddr, SocketOptions),
        state: Arc<AdminState>,
    ) -> io::Result<Self> {
        let (ending, ended) = (CancellationToken::new(), CancellationToken::new());
        let serving = Serving { address, options, state, ending: ending.clone() };
        let end = ended.clone().drop_guard();
        // The thread comes first and waits for its runtime. A program may start a server inside a runtime,
        // where no other runtime may be dropped, so a failed start must not leave one over.
        let (give, given) = std::sync::mpsc::sync_channel::<Runtime>(1);
        let work = move || {
            let _end = end;
            // Without a runtime the start has failed.
            if let Ok(runtime) = given.recv() {
                runtime.block_on(serving.run(listener));
            }
        };
        thread::Builder::new().name("turted-admin".into()).spawn(work)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        if let Err(left) = give.send(runtime) {
            left.0.shutdown_background();
            return Err(io::Error::other("the admin thread ended"));
        }
        Ok(Self { address, ending: ending.drop_guard(), ended })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; answers that are under way are given.
    pub(crate) async fn end(self) {
        drop(self.ending);
        self.ended.cancelled().await;
    }
}

#[derive(Clone)]
struct Serving {
    address: SocketAddr,
    options: SocketOptions,
    state: Arc<AdminState>,
    ending: CancellationToken,
}

impl Serving {
    async fn run(self, listener: Option<std::net::TcpListener>) {
        let (state, ending) = (Arc::clone(&self.state), self.ending.clone());
        self.state.tasks.spawn(tasks::every(TIDY_INTERVAL, ending, move |now| state.guard.tidy(now)));
        let listener = match listener {
            Some(listener) => Some(listener),
            None => self.ending.run_until_cancelled(self.open()).await,
        };
        match listener.map(TcpListener::from_std) {
            Some(Ok(listener)) => self.accept(listener).await,
            Some(Err(error)) => tracing::error!(%error, "the admin listener cannot be served"),
            None => {}
        }
        self.state.tasks.close();
        // A client that is still reading then does without the rest.
        let _ = timeout(CLOSING_WAIT, self.state.tasks.wait()).await;
    }

    /// Opens the listener as soon as its address is free.
    async fn open(&self) -> std::net::TcpListener {
        loop {
            sleep(RETRY).await;
            if let Ok(listener) = listener::open_alone(self.address, self.options) {
                tracing::warn!(address = %self.address, "admin_listen is free, and served from now on");
                return listener;
            }
        }
    }

    async fn accept(&self, listener: TcpListener) {
        let places = Places::new(CONNECTIONS_MAX);
        let ending = self.ending.clone();
        loop {
            match ending.run_until_cancelled(listener.accept()).await {
                None => return,
                Some(Ok((stream, peer))) => {
                    let (serving, place) = (self.clone(), places.take());
                    self.state.tasks.spawn(async move {
                        serving.serve(stream, peer.ip().to_canonical(), place).await;
                    });
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "cannot accept admin connections");
                    ending.run_until_cancelled(sleep(ACCEPT_BACKOFF_MAX)).await;
                }
            }
        }
    }

    async fn serve(&self, stream: TcpStream, peer: IpAddr, place: AdminPlace) {
        let place = Arc::new(place);
        let (state, own, ending) = (Arc::clone(&self.state), Arc::clone(&place), self.ending.clone());
        let service = service_fn(move |request| {
            let (state, place, ending) = (Arc::clone(&state), Arc::clone(&own), ending.clone());
            async move {
                place.asked();
                let mut answer = route((&state, &ending), (peer, &place), request).await;
                answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                if let AdminBody::Known(_) = answer.body() {
                    place.answered();
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let limits = &self.state.limits;
        let patience = Patience::new(limits.request_head_wait, limits);
        let stream = Paced::for_requests(stream, limits.outbox_stall, patience.clone());
        let mut connection =
            pin!(http::builder(limits, patience).serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // Broken by the reader, or complete: it ends either way.
            _ = connection.as_mut() => return,
            () = place.end().cancelled() => return,
            () = self.ending.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}
