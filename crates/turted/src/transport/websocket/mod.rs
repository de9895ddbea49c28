//! WebSockets: what all transports on one have in common, and our own transport, turted.v1 at `/ws`.
//!
//! | file | what |
//! |---|---|
//! | `handshake` | the opening handshake (RFC 6455 4.2) |
//! | `reader` | reads messages, through the worker's scratch buffer |
//! | `run` | serves a WebSocket until it ends: messages, pings, close frames |
//! | `endpoint` | `/ws`: requests, the first message, heartbeats |
//! | `v1` | requests in turted.v1, on this and other transports |

mod endpoint;
mod handshake;
mod reader;
mod run;
pub(crate) mod v1;

pub(crate) use endpoint::{Session, answer, timer};
pub(crate) use handshake::{VERSION, accept_request, wants_upgrade};
pub(crate) use reader::{Progress, Reader, Step};
pub(crate) use run::{farewell, refuse, run, write_whole};
