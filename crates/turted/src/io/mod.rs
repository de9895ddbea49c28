//! What waits on the operating system: sockets, TLS, descriptors, memory; and what is counted for all of a node.

pub(crate) mod listener;
pub(crate) mod socket;
pub mod tls;
pub(crate) mod permits;
pub(crate) mod life;
pub(crate) mod tasks;
pub(crate) mod log_lines;
pub(crate) mod memory;
pub(crate) mod backlogs;
pub(crate) mod bodies;
pub(crate) mod seldom;
