//! Dispatches: accepted, numbered, logged, handed over to every worker.
//!
//! | file | what |
//! |---|---|
//! | `dispatcher` | takes an event from anywhere, numbers it, hands it to every worker |
//! | `inbox` | dispatches on their way to a worker |
//! | `handlers` | functions of an embedding program that listen to events |
//! | `log` | every accepted dispatch, kept for a while for clients that come back |
//! | `journal` | the log lines of pushes |

pub mod dispatcher;
pub(crate) mod inbox;
pub(crate) mod handlers;
pub mod log;
pub(crate) mod journal;
