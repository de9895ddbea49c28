//! What the nodes of a cluster write into their log, keep beside it and tell each other.
//!
//! All of it lies on a machine to which others can write. So reading is total: whatever the bytes are, a reader yields
//! what stands there, says that it is nothing of a cluster, or says which later version wrote it. It allocates no more
//! than a small multiple of what it was given.
//!
//! | file | what |
//! |---|---|
//! | `head` | what stands in front of all of these; who wrote it |
//! | `entry` | what stands in the log: dispatches, and what nodes write about themselves |
//! | `fit` | whether every node reads a dispatch |
//! | `node` | what a node says of itself in each heartbeat; how far it has read |
//! | `message` | what nodes tell each other beside the log |
//! | `presence` | what they tell of who is in their channels |
//! | `watch` | what they tell one that watches what happens on them |
//! | `history` | how a node that starts takes the history of channels over |
//! | `session`, `key` | what is kept of a session, and beside the key of a push |
//! | `table` | which nodes there are, and whether one of them knows of a loss |

pub mod head;
pub mod entry;
pub mod fit;
pub mod node;
pub mod message;
pub mod presence;
pub mod watch;
pub mod history;
pub mod session;
pub mod key;
pub mod table;
