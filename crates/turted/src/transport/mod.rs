//! Transports: how clients connect.
//!
//! | file | what |
//! |---|---|
//! | `socketio`, `sockjs`, `sse`, `websocket` | the transports, one folder each |
//! | `v1` | turted.v1, for the transports that carry it |
//! | `credentials` | who a client is, by the first request of a transport |
//! | `assets` | the browser clients, which pages load from the server |
//! | `parts` | the parts of an answer to a poll, some of which other answers share |
//! | `testing` | for tests of sessions: a worker without sockets |
//! | `seam` | tests of clients that come back while backends push |

pub(crate) mod socketio;
pub(crate) mod sockjs;
pub(crate) mod sse;
pub(crate) mod websocket;
pub(crate) mod v1;
mod credentials;
pub(crate) mod assets;
mod parts;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod seam;
