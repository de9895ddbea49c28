//! Redis and Valkey: where a server is, and a connection to it.
//!
//! | file | what |
//! |---|---|
//! | `server` | where a server is, and who we are there |
//! | `connection` | commands out, replies in |

mod server;
#[cfg(feature = "redis")]
mod connection;

#[cfg(feature = "redis")]
pub(crate) use connection::{ANSWER_WAIT, Connection, NoEntry, accepted, refused, silent, strange};
pub use server::RedisServer;
