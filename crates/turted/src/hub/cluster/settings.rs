//! What a node of a cluster is told at its start.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use turted_core::cluster::head::Author;
use turted_core::name::Name;
use turted_core::push::PushLimits;

use super::peers::Peers;
use super::proof::Proof;
use super::rules::Rules;

/// Time between two heartbeats of a node.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);

/// What a node says of itself, and how it appends.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Its number, which it has a lease on.
    pub(crate) number: Cell<u16>,
    /// A random number that names this process.
    pub(crate) process: u64,
    /// The version of the program.
    pub(crate) version: Name,
    /// Where other nodes reach it.
    pub(crate) advertise: Option<SocketAddr>,
    /// The rules that all nodes should have alike.
    pub(crate) rules: Rules,
    /// How long the key of a push is kept.
    pub(crate) key_age: Duration,
    /// How many replicas must have a push before it is acknowledged.
    pub(crate) replicas: u32,
    /// What a dispatch may have that another node has appended.
    pub(crate) limits: PushLimits,
    /// By which it sees that it has the secret of the other nodes.
    pub(crate) proof: Proof,
    /// Those who pass requests on to other nodes, and are told where these are.
    pub(crate) peers: Option<Arc<Peers>>,
}

impl Settings {
    /// Who writes the entries of this node.
    pub(super) fn author(&self) -> Author {
        Author { node: self.number.get(), process: self.process }
    }
}

#[cfg(test)]
impl Settings {
    /// Those of a process that has no number yet, no secret, and nobody who passes requests on.
    pub(super) fn of_process(process: u64) -> Self {
        Self {
            number: Cell::new(0),
            process,
            version: Name::new("1.0.0").unwrap(),
            advertise: None,
            rules: Rules::default(),
            key_age: Duration::from_secs(300),
            replicas: 0,
            limits: PushLimits::default(),
            proof: Proof::new(&[]),
            peers: None,
        }
    }
}
