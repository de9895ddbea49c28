//! The wires: decoders for what clients send and encoders for what they receive.
//!
//! Every decoder is pure, total (no input makes it panic) and bounded by [`crate::limits`].
//!
//! | file | what |
//! |---|---|
//! | `socketio`, `engineio` | Socket.IO packets; the Engine.IO packets and payloads below them |
//! | `v1`, `legacy` | turted.v1; the messages of turted 0.1 |
//! | `sse` | event streams |
//! | `sockjs` | the frames, bodies, paths and pages of SockJS |
//! | `websocket`, `chunked`, `proxy` | WebSocket frames; bodies of HTTP in chunks; the PROXY protocol |
//! | `forwarded` | which client a request is of that another node passes on |
//! | `post` | an ordinary `POST` of HTTP/1.1 that has come completely |
//! | `resp` | the protocol of Redis |
//! | `amqp` | AMQP 0-9-1, the side of a consumer |
//! | `json`, `form`, `msgpack` | strings as JSON; form fields; MessagePack as JSON |

pub mod socketio;
pub mod engineio;
pub mod v1;
pub mod legacy;
pub mod sse;
pub mod sockjs;
pub mod websocket;
pub mod chunked;
pub mod proxy;
pub mod forwarded;
pub mod post;
pub mod resp;
pub mod amqp;
pub(crate) mod json;
pub(crate) mod msgpack;
mod form;
