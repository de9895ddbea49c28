//! Several servers as one: real redis-server, real nodes as child processes, and a proxy between each node and Redis.
//!
//! What a backend is answered and a client hears is noted and judged at the end: lost, doubled, reordered, to the wrong
//! client, or missing without a word.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, also in its helpers")]
#![allow(clippy::print_stdout, reason = "a test that fails says how to repeat it")]

mod alone;
mod clients;
mod corpus;
mod cuts;
mod harness;
mod history;
mod hooks;
mod keys;
mod losses;
mod model;
mod nodes;
mod numbers;
mod order;
mod outages;
mod polling;
mod presence;
mod quickstart;
mod replicas;
mod sentinels;
mod sessions;
mod slow;
mod soak;
#[allow(dead_code, reason = "it is that of the tests of one server")]
mod sockjs;
mod sources;
mod strangers;
mod streams;
mod watch;
#[path = "../it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "these helpers are those of the tests of one server")]
mod support;
