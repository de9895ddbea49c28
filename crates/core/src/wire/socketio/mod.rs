//! The Socket.IO protocol, versions 4 (over Engine.IO 3) and 5 (over Engine.IO 4): the packets inside
//! Engine.IO messages. JSON arguments stay text.
//!
//! | file | what |
//! |---|---|
//! | `decode` | packets of clients |
//! | `encode` | packets for clients |

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::{Malformed, Packet, decode};
pub use encode::{
    encode_ack, encode_connect, encode_connect_error, encode_dispatch, encode_event, encode_history,
    encode_left, encode_presence,
};

/// The good-bye of a client or of the server, as a message packet of Engine.IO. A client that hears it does not come
/// back.
pub const DISCONNECT: &str = "41";

/// The namespace of a packet that has no namespace in it.
const ROOT: &str = "/";

/// Whether a client must not send an event of this name, because a socket uses it for its local events
/// (socket.io-parser 4, `RESERVED_EVENTS`).
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
    )
}
