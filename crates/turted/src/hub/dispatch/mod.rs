//! Dispatches: accepted, numbered, logged, handed over to every worker.

pub mod dispatcher;
pub(crate) mod inbox;
pub(crate) mod handlers;
pub mod log;
pub(crate) mod journal;
