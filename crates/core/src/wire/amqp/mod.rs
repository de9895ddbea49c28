//! AMQP 0-9-1, as far as a client needs it that consumes one queue (the specification of 2008, with RabbitMQ's
//! extensions and its table of types).
//!
//! Decoding copies nothing and does not recurse: a table in a table is skipped by its length, because whoever publishes
//! a message decides how deep its headers are. Names and ids are bytes: a message with one that is no text must not end
//! the connection, on which it would come again.
//!
//! | file | what |
//! |---|---|
//! | `frame` | frames: where one ends, and what its payload is |
//! | `method` | what the broker says |
//! | `content` | the header in front of a body: its length and properties |
//! | `table` | field tables: the headers of a message, and why a broker closes |
//! | `encode` | what the client says |
//! | `read` | integers and strings out of bytes |

mod frame;
mod method;
mod content;
mod table;
mod encode;
mod read;
#[cfg(test)]
mod tests;

pub use content::{ContentHeader, Properties};
pub use encode::{ClientSays, Declare, Value};
pub use frame::{FRAME_BYTES_MAX, FRAME_OVERHEAD_BYTES, Frame, FrameKind};
pub use method::{Closing, Delivery, Method, Tuning};
pub use table::{Field, Table};

/// The first bytes of a connection (section 4.2.2).
pub const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";

/// The rule that a broker breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// What comes is no frame.
    #[error("it does not speak AMQP 0-9-1")]
    NotAmqp,
    /// A frame is longer than was agreed on.
    #[error("a frame of {bytes} bytes, above {most}")]
    FrameTooLong {
        /// Its payload.
        bytes: usize,
        /// What was agreed on.
        most: usize,
    },
    /// The payload of a frame does not follow the grammar.
    #[error("a malformed {0}")]
    Malformed(&'static str),
}
