//! WebSockets, whatever is spoken on them.
//!
//! | file | what |
//! |---|---|
//! | `handshake` | the opening handshake (RFC 6455 4.2) |
//! | `reader` | reads messages, through the worker's scratch buffer |
//! | `run` | serves a WebSocket until it ends: messages, pings, close frames |

pub(crate) mod handshake;
pub(crate) mod reader;
pub(crate) mod run;
