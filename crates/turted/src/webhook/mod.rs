//! Hooks: what happens is sent to a backend, in batches that are signed. `docs/hooks.md` is the contract.
//!
//! What is to be sent stands in `hub::hooks`, which workers fill. Here it is taken out: each hook has a thread with a runtime of
//! its own, so a backend that is slow or gone delays nothing but its own records. A hook has one batch under way at a time:
//! so records stay in order without any number of tries changing that.
//!
//! | file | what |
//! |---|---|
//! | `batch` | records as JSON, and their numbers |
//! | `signature` | the header by which a backend knows that a batch is ours |
//! | `post` | sends a batch once, and reads what the answer means |
//! | `sender` | the life of one hook: waits, sends, tries again, stops |
//! | `nodes` | what is told of the other nodes of a cluster |
//! | `threads` | the threads of all hooks |
//! | `trial` | one record, sent because an operator asks for it |

mod batch;
mod signature;
mod post;
mod sender;
mod nodes;
mod threads;
mod trial;

use std::net::SocketAddr;

use crate::config::Hook as Settings;
use crate::io::host::node_name;
pub(crate) use threads::HookThreads;
pub(crate) use trial::{Tried, try_once};

/// The name of a server that listens at `address` in the batches of a hook. Without the key `node`: others on the machine have
/// other ports.
fn node(settings: &Settings, address: SocketAddr) -> String {
    settings.node.clone().unwrap_or_else(|| node_name(address))
}
