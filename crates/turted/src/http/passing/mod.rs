//! Passes requests for sessions of other nodes on to those nodes, over HTTP/1 as they came: polls, sends, streams and
//! upgrades. A request is passed on once: the node that it comes to then answers it, whatever it knows of the session.
//!
//! | file | what |
//! |---|---|
//! | `pass` | which requests are passed on, and what becomes of those that cannot be |
//! | `link` | a connection to another node |
//! | `outgoing` | a request as it is passed on |
//! | `passed` | the answer of the other node, as it comes |
//! | `relay` | that answer on its way to a client of HTTP/1; upgrades |
//! | `nodes` | accepts the connections of other nodes |

pub(super) mod pass;
mod link;
mod outgoing;
pub(crate) mod passed;
pub(super) mod relay;
pub(crate) mod nodes;
