//! One thread and its connections.
//!
//! | file | what |
//! |---|---|
//! | `worker`, `shared` | one thread with its shard, timers and fan-out; what all workers share |
//! | `connection`, `session` | one client, whatever its transport, and in `sending` what goes out to it; what a transport implements |
//! | `timers`, `heartbeat` | what is due when; heartbeats that clients answer |
//! | `write`, `replies` | writes a round of the fan-out; what a client is sent for one read, in one write |
//! | `waiting`, `relief` | the connections that something waits for; what is closed when too much waits |
//! | `audience` | which clients are told who is in which channel |
//! | `drain` | the end of all connections |
//! | `recovery`, `session_id` | what is kept of sessions that lost their connection; the ids of sessions |
//! | `sessions`, `rewrite` | sessions on disk; all of them written anew |
//! | `loss` | sessions when the log of a cluster may have lost events |
//! | `places`, `turns` | how many sessions that live by requests there may be; turns of clients at work that is done for one at a time |
//! | `queries`, `trace` | what operators ask; what became of a dispatch |
//! | `journal` | the log lines of connections |

#[expect(clippy::module_inception, reason = "the worker is what the folder is about")]
pub(crate) mod worker;
pub(crate) mod shared;
pub(crate) mod connection;
pub(crate) mod session;
pub(crate) mod timers;
pub(crate) mod heartbeat;
pub(crate) mod write;
pub(crate) mod replies;
pub(crate) mod waiting;
pub(crate) mod relief;
pub(crate) mod audience;
pub(crate) mod drain;
pub(crate) mod recovery;
pub(crate) mod session_id;
pub(crate) mod sessions;
pub(crate) mod rewrite;
pub(crate) mod loss;
pub(crate) mod places;
pub(crate) mod turns;
pub(crate) mod queries;
pub(crate) mod trace;
pub(crate) mod journal;
