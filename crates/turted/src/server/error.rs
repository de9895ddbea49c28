//! Why a server does not start, or ended.

use std::io;
use std::net::SocketAddr;

use turted_core::limits::WORKERS_MAX;

use crate::admin::AdminFailure;
use crate::io::listener;
use crate::io::tls::TlsError;

/// Why a server does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", listener::advice(*address, source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A socket that was handed over cannot be served.
    #[error("cannot serve the socket that was handed over: {0}")]
    HandedOver(#[source] io::Error),
    /// There are too many workers, or none.
    #[error("`workers` = {0}: a server has 1 to {WORKERS_MAX}")]
    Workers(usize),
    /// The operating system refuses a thread or its runtime.
    #[error("cannot start a thread: {0}")]
    Start(#[source] io::Error),
    /// The operating system has no random numbers.
    #[error("no random numbers")]
    Random,
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A source cannot have what only one server may have, such as the lock of its `state_dir`.
    #[error("source {name:?}: {reason}")]
    Source {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The directory of the log cannot be used.
    #[error("{0}")]
    Log(String),
    /// The cluster cannot be joined.
    #[error("the cluster cannot be joined: {0}")]
    Cluster(String),
    /// The sessions of before cannot be read, or those of this start cannot be recorded.
    #[error("the directory of the log (log.directory): {0}")]
    Sessions(#[source] io::Error),
    /// A worker, or the thread of the cluster, ended before it was told to.
    #[error("a worker, or the thread of the cluster, ended unexpectedly")]
    WorkerLost,
}

impl From<AdminFailure> for ServerError {
    fn from(failure: AdminFailure) -> Self {
        match failure {
            AdminFailure::Listen { address, source } => Self::Listen { address, source },
            AdminFailure::Start(source) => Self::Start(source),
        }
    }
}
