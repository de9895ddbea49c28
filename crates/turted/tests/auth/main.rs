//! Authenticators and channel rules through a real server and real sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "../it/support/authority.rs"]
mod authority;
mod backend;
mod canary;
mod channels;
mod embedded;
mod expiry;
mod guesses;
mod http;
mod jwt;
mod keys;
mod local;
mod providers;
mod pushes;
mod sockjs;
mod sse;
mod support;
mod tls;
