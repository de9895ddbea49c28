//! Several machines as one server: this node among the others.
//!
//! One thread follows the log of all nodes and appends to it; it gives the dispatcher what it reads. Everything else in the
//! program has the handle [`Cluster`]. Every `select!` of it is biased, so that a seed repeats a run of the simulation.
//!
//! | file | what |
//! |---|---|
//! | `node` | what the tasks of the thread share |
//! | `view` | how far a node has read, and what it knows from that |
//! | `writer` | the connection that appends pushes and heartbeats |
//! | `pushes` | the pushes that are on their way into the log |
//! | `reader` | reads what all nodes append, and hands it over |
//! | `pace` | when the reader pauses between two reads, and the writer between two batches |
//! | `reign` | which epoch a node may append under, and when another one begins |
//! | `leaving` | what a node does when its server stops |
//! | `watch` | whether this node reads back what it appends, and whether all nodes bear witness |
//! | `counts` | how many connections a dispatch reaches on all nodes |
//! | `job` | what is wanted of the engine, on its way there |
//! | `values` | values of the engine, and messages to other nodes |
//! | `sessions` | sessions on their way to the engine |
//! | `asking` | how nodes ask each other, and answer |
//! | `questions` | what nodes ask each other for operators, and which addresses they block together |
//! | `watches` | the live view over several machines: who watches other nodes from here, and what others want to watch here |
//! | `watching` | how a node watches the others |
//! | `history` | the history of channels: what is deleted for all nodes, and what a node that starts takes over from another |
//! | `ears` | what other nodes tell this one |
//! | `peers` | the other nodes as those need them who pass requests on: addresses, the secret, TLS |
//! | `proof` | whether this node has the secret of the nodes that are there |
//! | `claims` | which node has a session whose id its client chose |
//! | `handle` | what the rest of the program has of it |
//! | `rules` | which rules other nodes have |
//! | `settings`, `status` | what a node is told at its start; what is known outside the thread |
//! | `marks` | whether this node has read all that stood in the log at a moment |
//! | `ways` | which connections of a node to the engine cannot be used, and what that means |
//! | `random` | random numbers |
//! | `lease` | how long a node keeps what it has a lease on |
//! | `thread` | the thread itself: from its start, when it reads all that is kept, to its end |
//! | `mistake`, `tests` | several nodes in one process, under faults by a seed; mistakes that must be found there |

mod node;
mod view;
mod writer;
mod pushes;
mod reader;
mod pace;
mod reign;
mod leaving;
mod watch;
mod counts;
pub(crate) mod job;
mod values;
pub(crate) mod sessions;
mod asking;
pub(crate) mod questions;
pub(crate) mod watches;
pub(crate) mod watching;
mod history;
mod ears;
pub(crate) mod rules;
pub(crate) mod settings;
pub(crate) mod status;
pub(crate) mod marks;
mod ways;
mod lease;
mod thread;
mod handle;
pub(crate) mod peers;
pub(crate) mod proof;
pub(crate) mod claims;
mod random;
mod mistake;
#[cfg(test)]
mod tests;

pub(crate) use self::handle::Cluster;
pub(crate) use self::thread::{ClusterThread, NotStarted, start};
