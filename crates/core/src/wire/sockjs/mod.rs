//! The SockJS protocol, version 0.3.3: its frames, how each transport wraps them, what clients
//! send, and the pages beside. What a session does with them is not decided here.
//!
//! A message is any text; what is in it is the business of [`legacy`](super::legacy) and
//! [`v1`](super::v1).

mod frame;
mod page;
mod quote;
mod receive;
mod route;
#[cfg(test)]
mod tests;
mod transport;

pub use frame::{HEARTBEAT, OPEN, encode_close, encode_messages, merge_messages, messages};
pub use page::{GREETING, IframePage, Info};
pub use receive::{BodyKind, Malformed, MessageLimits, decode_body, decode_websocket};
pub use route::{Route, Sender};
pub use transport::{Callback, CallbackRefusal, Transport, escape_for_script, unframe};
