//! What all workers of a node share, each part behind its own small lock or none at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::authenticator::Gate;
use crate::mail::Mail;
use crate::push::rest::PushGate;
use crate::recovery::Recovery;
use crate::tls::Certificates;

/// What all workers of a node share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The mail boxes of all workers, by index.
    pub(crate) peers: Vec<mpsc::Sender<Mail>>,
    pub(crate) gate: Gate,
    pub(crate) recovery: Recovery,
    pub(crate) push: PushGate,
    /// Connections.
    pub(crate) permits: Arc<Permits>,
    /// Sessions that began by polling. They outlive their connections, so those do not bound them.
    pub(crate) polling: Arc<Permits>,
    /// What TLS shows; `None` serves in the clear.
    pub(crate) certificates: Option<Certificates>,
}

/// How many connections, or sessions, may be open.
#[derive(Debug)]
pub(crate) struct Permits {
    open: AtomicUsize,
    limit: usize,
}

impl Permits {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), limit })
    }

    /// Leave for one more, given back when it is dropped.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Permit> {
        let permit = Permit(Arc::clone(self));
        // Counted before the comparison, so that two workers cannot both take the last one.
        (self.open.fetch_add(1, Ordering::Relaxed) < self.limit).then_some(permit)
    }
}

/// Leave for one open connection, or session.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
