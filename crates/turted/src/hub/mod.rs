//! The hub: an event's way from its acceptance to sockets. Knows no protocol and no HTTP.
//!
//! | file | what |
//! |---|---|
//! | `run` | the loops of one worker |
//! | `client` | what a client may ask, whatever it speaks |
//! | `worker` | one thread and its connections |
//! | `delivery` | from an inbox to one write per connection |
//! | `hooks` | what hooks hear: who is online, and which events are dispatched |
//! | `presence` | who is in the channels with presence; when users were last connected |
//! | `cluster` | the other nodes of a cluster, and what this one shares with them |
//! | `dispatch` | dispatches: accepted, numbered, logged, handed over to every worker |

pub(crate) mod run;
pub(crate) mod client;
pub(crate) mod worker;
pub(crate) mod delivery;
pub(crate) mod hooks;
pub(crate) mod presence;
#[allow(dead_code, reason = "used from the next commits on")]
pub(crate) mod cluster;
pub(crate) mod dispatch;
