//! Our own protocol, `turted.v1`: one JSON object per text message, both ways. Specified in
//! `docs/protocol-v1.md`.
//!
//! Each message of the server has one of the members `welcome`, `reply` and `event`, so that an
//! event is never mistaken for a reply. Unknown members are ignored, both ways.

mod encode;
mod error;
mod request;
#[cfg(test)]
mod tests;

pub use encode::{Welcome, encode_dispatch, encode_error, encode_reply, encode_resumed};
pub use error::{Error, ErrorCode};
pub use request::{Action, Id, KeptId, Refused, Request, Resume, decode};

/// The name of the protocol: in the greeting, as a WebSocket subprotocol, and in the `hello` of
/// the SockJS era.
pub const PROTOCOL: &str = "turted.v1";
