//! The rules of turted: who receives which event, and what it looks like on the wire.
//!
//! No code here performs I/O, reads a clock, takes a lock or starts a thread; time and randomness are passed
//! in. The crate `turted` does all of this around it.
//!
//! | file | what |
//! |---|---|
//! | `command`, `reply` | what a client asks for; what it is answered |
//! | `auth`, `claims` | passwords, tokens, and the user that an IDENT proves; the claims of a JSON Web Token |
//! | `channel`, `standing` | who may join which channel; what a connection has proved, and until when |
//! | `history` | which channels keep their last events, and those events |
//! | `presence` | which users are in a channel, as its members are told |
//! | `trust`, `origin` | trusted proxies and private addresses; origins of pages, and hosts of requests |
//! | `push` | a push body, checked and typed |
//! | `dispatch`, `cursor`, `epochs` | an event, its targets and the reasons to receive it; a position in the log; which epochs a position may belong to |
//! | `registry`, `membership` | one shard, which decides who receives a dispatch; its users and channels |
//! | `connection_id`, `session_key` | the name of a connection for operators; that under which a session is kept |
//! | `wire` | the wires: decoders for what clients send, encoders for what they receive |
//! | `record` | what stands in the files of the log, coded and checked |
//! | `cluster` | what several machines write into their log, keep beside it and tell each other |
//! | `secret`, `time` | what is never shown and compared in constant time; moments of wall-clock time |
//! | `close`, `name` | why connections end; names of users, channels and events |
//! | `limits`, `rate` | every limit with its unit and reason; a token bucket |
//! | `kept`, `shrink` | what is kept for a while, within bounds; containers that give back memory |
//! | `json` | a look at JSON without parsing it |

pub mod command;
pub mod reply;
pub mod auth;
pub mod claims;
pub mod channel;
pub mod standing;
pub mod history;
pub mod presence;
pub mod trust;
pub mod origin;
pub mod push;
pub mod dispatch;
pub mod cursor;
pub mod epochs;
pub mod registry;
pub mod membership;
pub mod connection_id;
pub mod session_key;
pub mod wire;
pub mod record;
pub mod cluster;
pub mod secret;
pub mod time;
pub mod close;
pub mod name;
pub mod rate;
pub mod limits;
pub mod kept;
pub mod shrink;
mod json;
