//! The WebSocket transport: turted.v1 at `/ws`. Specified in `docs/protocol-v1.md`.
//!
//! | file | what |
//! |---|---|
//! | `endpoint` | requests, and the first message |
//! | `session` | messages, heartbeats, the end; the service that answers |

mod endpoint;
mod session;

pub(crate) use endpoint::WebSocket;
pub(crate) use session::Service;
