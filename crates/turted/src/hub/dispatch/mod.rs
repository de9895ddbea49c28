//! Dispatches: accepted, numbered, logged, handed over to every worker.
//!
//! | file | what |
//! |---|---|
//! | `dispatcher` | takes an event from anywhere, numbers it, hands it to every worker |
//! | `inner`, `source` | what all clones of a dispatcher share; where dispatches come from |
//! | `receipt` | what a caller of the dispatcher gets for a push, or why it gets nothing |
//! | `order` | the log and all inboxes, which are filled together |
//! | `writer`, `queue` | the thread that writes pushes to disk, and what waits for it |
//! | `feed` | by which a cluster numbers the dispatches, in place of the writer |
//! | `losses` | what the log of a cluster may have lost |
//! | `inbox` | dispatches on their way to a worker |
//! | `handlers` | functions of an embedding program that listen to events |
//! | `log` | every accepted dispatch, kept for a while for clients that come back |
//! | `history` | the last events of channels, for those who join later |
//! | `journal` | the log lines of pushes |

pub mod dispatcher;
mod inner;
mod source;
pub(crate) mod receipt;
mod order;
pub(crate) mod writer;
pub(crate) mod queue;
pub(crate) mod feed;
pub(crate) mod losses;
pub(crate) mod inbox;
pub(crate) mod handlers;
pub mod log;
pub(crate) mod history;
pub(crate) mod journal;
