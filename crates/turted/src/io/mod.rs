//! What waits on the operating system: sockets, TLS, tasks, log lines; and what is counted for all of a node.
//!
//! | file | what |
//! |---|---|
//! | `listener`, `tcp`, `socket`, `tls` | listening sockets; one system call on a connection; a client's socket, with or without TLS; TLS, certificates, and TLS as a client |
//! | `broker`, `broker_stream`, `redis` | where a broker is; a connection to it; Redis as sources and clusters speak to it |
//! | `failure` | why a connection is of no use |
//! | `backend`, `questions` | a client of HTTP for questions to a backend, with or without TLS; how many at once, and for how long |
//! | `life`, `tasks` | how far the life of the server has come; tasks of one thread, which end with it |
//! | `link`, `seconds` | how a worker and a thread that writes to disk wake each other; one timer for many waits |
//! | `log_lines`, `seldom` | log lines on their way to standard error; those that strangers can cause |
//! | `permits`, `bodies`, `backlogs` | how many connections are open; what bodies of requests take; what waits for clients |
//! | `lines` | from bytes to lines |
//! | `threads` | threads beside the workers |
//! | `memory` | how much memory the process may use |
//! | `host` | the name of this server among others |

pub(crate) mod listener;
pub(crate) mod tcp;
pub mod tls;
pub(crate) mod socket;
pub(crate) mod failure;
pub(crate) mod broker;
#[cfg(any(feature = "rabbitmq", feature = "redis"))]
pub(crate) mod broker_stream;
pub(crate) mod redis;
pub(crate) mod backend;
pub(crate) mod questions;
pub(crate) mod life;
pub(crate) mod tasks;
pub(crate) mod link;
pub(crate) mod seconds;
pub(crate) mod threads;
pub(crate) mod log_lines;
pub(crate) mod seldom;
pub(crate) mod permits;
pub(crate) mod bodies;
pub(crate) mod backlogs;
pub(crate) mod lines;
pub(crate) mod memory;
pub(crate) mod host;
