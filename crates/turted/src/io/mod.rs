//! What waits on the operating system: sockets, TLS, tasks, log lines; and what is counted for all of a node.
//!
//! | file | what |
//! |---|---|
//! | `listener`, `socket`, `tls` | listening sockets; a client's socket, with or without TLS; certificates, and TLS as a client |
//! | `life`, `tasks` | how far the life of the server has come; tasks of one thread, which end with it |
//! | `log_lines`, `seldom` | log lines on their way to standard error; those that strangers can cause |
//! | `permits`, `bodies`, `backlogs` | how many connections are open; what bodies of requests take; what waits for clients |
//! | `memory` | how much memory the process may use |

pub(crate) mod listener;
pub(crate) mod socket;
pub mod tls;
pub(crate) mod life;
pub(crate) mod tasks;
pub(crate) mod log_lines;
pub(crate) mod seldom;
pub(crate) mod permits;
pub(crate) mod bodies;
pub(crate) mod backlogs;
pub(crate) mod memory;
