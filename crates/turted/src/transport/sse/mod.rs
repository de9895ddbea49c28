//! Event streams (HTML, "Server-sent events") at `/sse`, and in the form of TURTED for reactphp.
//! Specified in `docs/protocol-sse.md`.
//!
//! | file | what |
//! |---|---|
//! | `request` | a request: what it asks for, the rules it must keep, its answer |
//! | `parameters` | its parameters, and misspelt ones |
//! | `stream` | a stream from its head on, and a client that comes back |
//! | `session` | heartbeats, and the end |
//!
//! A client says everything in its request. Nothing of a stream outlives it: the position that the
//! client carries and its next request are all that is needed to go on.

mod request;
mod parameters;
mod stream;
mod session;

pub(crate) use request::Sse;
pub(crate) use session::Style;
