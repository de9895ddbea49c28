//! Our own protocol, `turted.v1`: one JSON object per text message, in both directions. `docs/protocol-v1.md`
//! specifies it.
//!
//! Each message of the server has exactly one of the members `welcome`, `reply`, `event` and `presence`, or `left` alone,
//! so that an event is never mistaken for a reply. Unknown members are ignored, in both directions.
//!
//! | file | what |
//! |---|---|
//! | `request` | what a client asks |
//! | `encode` | what it is answered, and events |
//! | `error` | why a request is refused |

mod request;
mod encode;
mod error;
#[cfg(test)]
mod tests;

pub use encode::{
    Joined, Resumed, Welcome, encode_dispatch, encode_error, encode_expired, encode_history, encode_joined,
    encode_left, encode_pong, encode_presence, encode_reply, encode_resumed,
};
pub use error::{Error, ErrorCode};
pub use request::{Action, AskedChannel, Id, JoinEach, KeptId, Refused, Request, Resume, decode};

/// The name of the protocol: in the greeting, as a WebSocket subprotocol, and in the `hello` of SockJS
/// clients.
pub const PROTOCOL: &str = "turted.v1";
