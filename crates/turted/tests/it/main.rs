//! The server as its clients and backends see it: one binary of tests over real sockets.
//!
//! Clients from the package registries are tested elsewhere (`tests/clients`); these say what no
//! library would say, are many, or are at a limit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, also in its helpers")]
#![allow(clippy::print_stdout, reason = "a test that fails says how to repeat it")]

mod admin;
mod bench;
mod clients;
mod cluster;
mod commands;
mod conformance;
mod descriptors;
mod docs;
mod drain;
mod embed;
mod history;
mod hooks;
mod hostile;
mod http;
mod http2;
mod idle;
mod journal;
mod limits;
mod live;
mod logging;
mod map;
mod metrics;
mod model;
mod nodes;
mod parked;
mod presence;
mod proxies;
mod push_keys;
mod push_lines;
mod recovery;
mod replies;
mod rules;
mod sessions;
mod signals;
mod short_way;
mod slow;
mod sockjs;
mod sources;
mod spare;
mod sse;
mod support;
mod systemd;
mod tls;
mod unread;
mod v1;
mod websocket;
