//! One thread and its connections.

#[expect(clippy::module_inception, reason = "the worker is what the folder is about")]
pub(crate) mod worker;
pub(crate) mod connection;
pub(crate) mod session;
pub(crate) mod shared;
pub(crate) mod timers;
pub(crate) mod heartbeat;
pub(crate) mod drain;
pub(crate) mod waiting;
pub(crate) mod write;
pub(crate) mod relief;
pub(crate) mod recovery;
pub(crate) mod places;
pub(crate) mod turns;
pub(crate) mod session_id;
pub(crate) mod queries;
pub(crate) mod journal;
