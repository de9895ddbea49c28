//! The SockJS transport, protocol 0.3.3, for clients of turted 0.1 and for clients whose proxy lets no
//! WebSocket through. What is said in it is up to the [`Service`] of a mount.
//!
//! | file | what |
//! |---|---|
//! | `mount` | a prefix, its options, and the service that is told of messages: the line between the transport and what is said |
//! | `turted` | what turted says: the messages of turted 0.1, or turted.v1 |
//! | `request`, `refusal` | an HTTP request: its route, the rules it must keep, its answer; why it is refused |
//! | `headers` | what answers carry beside their body: CORS, caching, the cookie |
//! | `websocket` | sessions on a WebSocket, with frames of SockJS and without |
//! | `relay` | takes frames from that session for polls, and for responses of HTTP/2 |
//! | `owner` | what a request does to its session, on the worker that owns it |
//! | `response` | a response that streams, from its head to its end |
//! | `receiving`, `taken` | the way out of a session that lives by requests; what a request takes out of it, as a script for `jsonp` |
//! | `state`, `session` | the state of a session; what it does with messages, deadlines and its end |
//! | `keyed` | where the sessions of a worker are, and what is left of those that ended |

mod mount;
mod turted;
mod request;
mod refusal;
mod headers;
mod websocket;
mod relay;
mod owner;
mod response;
mod receiving;
mod taken;
mod state;
mod session;
mod keyed;

pub(crate) use mount::{Mount, Service};
pub(crate) use state::SockJsSession;
