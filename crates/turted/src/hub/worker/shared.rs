//! What all workers of a node share, each part behind its own small lock or none at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth::Gate;
use crate::config::secrets::Secrets;
use crate::http::Bodies;
use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::worker::mail::Mail;
use crate::hub::worker::places::Places;
use crate::hub::worker::recovery::Recovery;
use crate::hub::worker::relief::Longest;
use crate::io::backlogs::Backlogs;
use crate::io::tls::Certificates;
use crate::push::rest::gate::PushGate;
use crate::transport::assets::Assets;
use crate::transport::service::Routes;
use crate::transport::sockjs::Mounts;

/// What all workers of a node share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The mail boxes of all workers, by index.
    pub(crate) peers: Vec<mpsc::Sender<Mail>>,
    pub(crate) gate: Gate,
    pub(crate) recovery: Recovery,
    /// All that waits for clients.
    pub(crate) backlogs: Arc<Backlogs>,
    /// Since when something waits for connections of each worker.
    pub(crate) longest: Longest,
    pub(crate) push: PushGate,
    pub(crate) secrets: Secrets,
    pub(crate) sockjs: Mounts,
    /// Connections.
    pub(crate) permits: Arc<Permits>,
    /// Connections beyond those, for pushes and health checks.
    pub(crate) spare: Arc<Permits>,
    /// Sessions that live by requests. They outlive their connections, so those do not bound them.
    pub(crate) places: Arc<Places>,
    /// Bodies of requests that are being read.
    pub(crate) bodies: Arc<Bodies>,
    /// The browser clients; `None` has none.
    pub(crate) assets: Option<Arc<Assets>>,
    /// What TLS shows; `None` serves in the clear.
    pub(crate) certificates: Option<Certificates>,
    /// What each worker counts, by index.
    pub(crate) metrics: Vec<Arc<WorkerMetrics>>,
    pub(crate) life: Life,
    /// What is served.
    pub(crate) routes: Routes,
}

impl Shared {
    /// Where the worker with this index counts.
    pub(crate) fn metrics_of(&self, index: u8) -> Arc<WorkerMetrics> {
        Arc::clone(&self.metrics[usize::from(index)])
    }
}

/// How far the life of the server has come: it serves, drains, ends.
#[derive(Debug)]
pub(crate) struct Life {
    /// The server was told to stop. Balancers are told so; everything else goes on until it drains.
    pub(crate) leaving: CancellationToken,
    /// Nothing new is let in: no connection, no session, no dispatch. Who is connected is served
    /// until its turn to be told comes.
    pub(crate) draining: CancellationToken,
    /// Everybody was told. Whatever waits for something gives up.
    pub(crate) ending: CancellationToken,
    /// Workers with connections that were not told yet.
    undrained: AtomicUsize,
}

impl Life {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            leaving: CancellationToken::new(),
            draining: CancellationToken::new(),
            ending: CancellationToken::new(),
            undrained: AtomicUsize::new(workers),
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// One worker has told all of its connections. The end comes when all workers have: until
    /// then each of them may be asked for a session by a request that came to another.
    pub(crate) fn drained(&self) {
        if self.undrained.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.ending.cancel();
        }
    }

    /// Ends without a word.
    pub(crate) fn cut(&self) {
        self.leaving.cancel();
        self.draining.cancel();
        self.ending.cancel();
    }
}

/// How many connections may be open.
#[derive(Debug)]
pub(crate) struct Permits {
    open: AtomicUsize,
    limit: usize,
}

impl Permits {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), limit })
    }

    /// Whether this leave is one of these.
    pub(crate) fn gave(self: &Arc<Self>, permit: &Permit) -> bool {
        Arc::ptr_eq(self, &permit.0)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many may be open.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Leave for one more, given back when it is dropped.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Permit> {
        let permit = Permit(Arc::clone(self));
        // Counted before the comparison, so that two workers cannot both take the last one.
        (self.open.fetch_add(1, Ordering::Relaxed) < self.limit).then_some(permit)
    }
}

/// Leave for one open connection.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
