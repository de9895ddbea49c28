//! The Socket.IO transport: Engine.IO v3 and v4 over polling and WebSocket, socket.io-client 2 to 4.
//!
//! | file | what |
//! |---|---|
//! | `request`, `refusal` | an HTTP request: its query, the rules it must keep, its answer; why it is refused |
//! | `operation`, `engine` | what a request asks of its session; how that is done, on the worker that owns it |
//! | `stream` | a WebSocket, from the start or by upgrade |
//! | `state`, `session` | the state of a session; what it does with messages, deadlines and its end |
//! | `polling`, `payload`, `goodbye` | the way out of a session that polls; bodies of its answers; the last one of a session that an operator has ended |
//! | `packets` | packets of clients, and the rules they must keep |
//! | `service`, `turted` | what answers clients: a table with a function for each of their steps; that of turted |
//! | `connect` | a client connects, or comes back |
//! | `events` | events of clients as turted answers them |

mod request;
mod refusal;
mod operation;
mod engine;
mod stream;
mod state;
mod session;
mod polling;
mod payload;
mod goodbye;
mod packets;
mod service;
mod turted;
mod connect;
mod events;

pub(crate) use connect::connect;
pub(crate) use events::offset;
pub(crate) use payload::Content;
pub(crate) use request::SocketIo;
pub(crate) use service::{Event, ROOT, Said, Service, ignore_ack, ignore_message, say_nothing};
pub(crate) use state::EngineSession;
