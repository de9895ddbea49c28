//! What is left of a server that has ended: nothing. Builds with debug assertions look, so that every test that
//! ends a server finds a leak.

use std::rc::Rc;

use crate::hub::delivery::metrics::WorkerMetrics;
use crate::hub::worker::shared::Shared;
use crate::hub::worker::worker::Worker;

/// What is left of a worker when its runtime is gone, and its tasks with it.
#[derive(Debug, Default, PartialEq, Eq)]
struct OfWorker {
    connections: usize,
    users: usize,
    channels: usize,
    tasks: usize,
    /// Connections that are told who is in their channels.
    audience: usize,
    /// Owners of the worker beside its thread: a circle of references keeps it, and all it has.
    owners: usize,
}

/// What is left of all that the workers of a node shared.
#[derive(Debug, Default, PartialEq, Eq)]
struct OfNode {
    /// By the gauge that operators see.
    connections: u64,
    /// Those in channels with presence.
    present: usize,
    sockets: usize,
    spare_sockets: usize,
    request_sessions: usize,
    bodies_bytes: usize,
    /// Of clients, each frame counted for each connection it waits for.
    outbox_bytes: u64,
}

/// Asserts that a worker whose runtime is gone has left nothing.
pub(super) fn assert_none_of_worker(worker: &Rc<Worker>) {
    if !cfg!(debug_assertions) {
        return;
    }
    let registry = worker.registry.borrow();
    let left = OfWorker {
        connections: registry.connection_count(),
        users: registry.user_count(),
        channels: registry.channel_count(),
        tasks: worker.tasks.count(),
        audience: worker.audience.connections(),
        owners: Rc::strong_count(worker) - 1,
    };
    assert_eq!(left, OfWorker::default(), "a worker that has ended has left something");
}

/// Asserts that a node whose workers have ended has left nothing.
pub(super) fn assert_none_of_node(shared: &Shared) {
    if !cfg!(debug_assertions) {
        return;
    }
    // A gauge may be below zero on one worker and above it on another.
    let sum = |number: fn(&WorkerMetrics) -> u64| {
        shared.metrics.iter().map(|worker| number(worker)).fold(0, u64::wrapping_add)
    };
    let left = OfNode {
        connections: sum(|worker| worker.connections().into_iter().fold(0, u64::wrapping_add)),
        present: shared.presence.connections(),
        sockets: shared.permits.open(),
        spare_sockets: shared.spare.open(),
        request_sessions: shared.places.taken(),
        bodies_bytes: shared.bodies.bytes(),
        outbox_bytes: sum(|worker| worker.outbox_bytes.get()),
    };
    assert_eq!(left, OfNode::default(), "a server that has ended has left something");
}
