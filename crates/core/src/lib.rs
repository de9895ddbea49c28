//! The rules of turted: who receives which event, and what it looks like on the wire.
//!
//! Nothing here performs I/O, reads a clock, takes a lock or starts a thread; time and randomness
//! are passed in. The crate `turted` is the world around it.

pub mod auth;
pub mod channel;
pub mod claims;
pub mod close;
pub mod command;
pub mod connection_id;
pub mod cursor;
pub mod dispatch;
mod json;
pub mod kept;
pub mod limits;
pub mod membership;
pub mod name;
pub mod origin;
pub mod push;
pub mod rate;
pub mod registry;
pub mod reply;
pub mod shrink;
pub mod standing;
pub mod trust;
pub mod wire;
