//! The SockJS protocol, version 0.3.3: its frames, how each transport wraps them, what clients send, and the
//! pages beside the sessions. It does not decide what a session does with them.
//!
//! A message is any text; [`legacy`](super::legacy) and [`v1`](super::v1) decode what is in it.
//!
//! | file | what |
//! |---|---|
//! | `route` | the paths below the prefix |
//! | `page` | the greeting, `/info` and the iframe |
//! | `receive` | bodies and frames of clients |
//! | `frame`, `quote` | frames for clients, and the JSON strings in them |
//! | `transport` | what each transport sends before and around a frame |

mod route;
mod page;
mod receive;
mod frame;
mod quote;
mod transport;
#[cfg(test)]
mod tests;

pub use frame::{HEARTBEAT, OPEN, encode_close, encode_messages, merge_messages, messages};
pub use page::{GREETING, IframePage, Info};
pub use receive::{BodyKind, Malformed, MessageLimits, decode_body, decode_websocket};
pub use route::{Route, Sender};
pub use transport::{Callback, CallbackRefusal, Transport, escape_for_script, unframe};
