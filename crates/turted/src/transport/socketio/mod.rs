//! The Socket.IO transport: Engine.IO v3 and v4 over polling and WebSocket, socket.io-client 2 to 4.
//!
//! | file | what |
//! |---|---|
//! | `request` | an HTTP request: its query, the rules it must keep, its answer |
//! | `engine` | what a request does to its session, on the worker that owns it |
//! | `stream` | a WebSocket, from the start or by upgrade |
//! | `session` | the state of a session, its heartbeats and its end |
//! | `packets` | packets of clients: commands and replies |
//! | `connect` | a client connects, or comes back |

mod assets;
mod connect;
mod engine;
mod packets;
mod request;
mod session;
mod stream;

pub(crate) use engine::{receive, wrap};
pub(crate) use packets::expired;
pub(crate) use request::{Attempt, EngineRefusal, PostBody, answer};
pub(crate) use session::{CLOSE_PACKET, Session, timer};
pub(crate) use stream::{binary, text};
