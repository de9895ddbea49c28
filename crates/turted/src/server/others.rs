//! What this node does together with the others of its cluster, besides the log: it answers them, and blocks whom they block.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use turted_core::cluster::message::{Guesses, Told};

use super::error::ServerError;
use crate::admin::{Monitor, nodes};
use crate::auth::attempts::Attempts;
use crate::hub::cluster::Cluster;
use crate::hub::worker::shared::Shared;
use crate::push::rest::PushGate;

/// Answers other nodes from now on as the node that serves clients at `address`, and blocks addresses with them.
///
/// # Errors
/// The operating system refuses a thread.
pub(super) fn join_in(
    shared: &Arc<Shared>,
    push: &Arc<PushGate>,
    (monitor, address): (&Monitor, SocketAddr),
) -> Result<(), ServerError> {
    let Some(cluster) = shared.cluster.get() else { return Ok(()) };
    let number = Arc::clone(cluster.status());
    shared.live.name_node_by(move || number.number());
    tell_blocked(push.attempts(), Guesses::Passwords, cluster);
    tell_blocked(shared.gate.attempts(), Guesses::Idents, cluster);
    // The cluster belongs to what is shared: it keeps none of it alive.
    let (shared, push) = (Arc::downgrade(shared), Arc::downgrade(push));
    cluster.status().questions.block_by(move |list, address, left| {
        let now = Instant::now();
        match list {
            Guesses::Passwords => {
                push.upgrade().iter().for_each(|push| push.attempts().block(address, left, now));
            }
            Guesses::Idents => {
                shared.upgrade().iter().for_each(|shared| shared.gate.attempts().block(address, left, now));
            }
        }
    });
    nodes::thread::start(cluster, monitor.clone(), address).map_err(ServerError::Start)
}

fn tell_blocked(attempts: &Attempts, list: Guesses, cluster: &Cluster) {
    let cluster = cluster.clone();
    attempts.tell_by(move |address, left| {
        let seconds = u32::try_from(left.as_secs() + 1).unwrap_or(u32::MAX);
        cluster.tell(None, Told::Block { address, list, seconds });
    });
}
