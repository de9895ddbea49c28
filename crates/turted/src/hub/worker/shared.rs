//! What all workers of a node share, each part behind its own small lock or none at all.

use std::sync::{Arc, OnceLock};

use crate::auth::Gate;
use crate::config::secrets::Secrets;
use crate::hub::cluster::Cluster;
use crate::hub::cluster::peers::Peers;
use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::hooks::Hooks;
use crate::hub::presence::Presence;
use crate::hub::worker::places::Places;
use crate::hub::worker::recovery::Recovery;
use crate::hub::worker::sessions::Sessions;
use crate::hub::worker::waiting::Longest;
use crate::io::backlogs::Backlogs;
use crate::io::bodies::Bodies;
use crate::io::life::Life;
use crate::io::permits::Permits;
use crate::io::tls::Certificates;
use crate::live::Live;

/// What all workers of a node share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) gate: Arc<Gate>,
    pub(crate) recovery: Recovery,
    /// Sessions on disk.
    pub(crate) sessions: Sessions,
    /// This node among the others, once it has joined a cluster.
    pub(crate) cluster: OnceLock<Cluster>,
    /// Where backends hear who is online.
    pub(crate) hooks: Hooks,
    /// Who is in the channels with presence.
    pub(crate) presence: Presence,
    /// Where those who watch hear what happens.
    pub(crate) live: Live,
    /// All that waits for clients.
    pub(crate) backlogs: Arc<Backlogs>,
    /// Since when something waits for connections of each worker.
    pub(crate) longest: Longest,
    pub(crate) secrets: Secrets,
    /// Permits for connections.
    pub(crate) permits: Arc<Permits>,
    /// Permits for connections beyond those, for pushes and health checks.
    pub(crate) spare: Arc<Permits>,
    /// Sessions that live by requests. They outlive their connections, so the permits do not bound them.
    pub(crate) places: Arc<Places>,
    /// Bodies of requests that are being read.
    pub(crate) bodies: Arc<Bodies>,
    /// How much memory the process takes at most, by its limits.
    pub(crate) memory_max: usize,
    /// What TLS shows; `None` serves in the clear.
    pub(crate) certificates: Option<Certificates>,
    /// The other nodes; `None` if this one is alone.
    pub(crate) nodes: Option<Arc<Peers>>,
    /// What each worker counts, by index.
    pub(crate) metrics: Vec<Arc<WorkerMetrics>>,
    pub(crate) life: Life,
}

impl Shared {
    /// Open connections, those for pushes and health checks included.
    pub(crate) fn sockets(&self) -> usize {
        self.permits.open() + self.spare.open()
    }

    /// Where the worker with this index counts.
    pub(crate) fn metrics_of(&self, index: u8) -> Arc<WorkerMetrics> {
        Arc::clone(&self.metrics[usize::from(index)])
    }
}
