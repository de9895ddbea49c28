//! turted: the universal real-time event dispatcher.
//!
//! A backend pushes one named event; turted delivers it to users, channels or everyone, over
//! whatever connection each client already has. This library is what the program `turted` is made
//! of; to embed a server in a program of your own start with [`server::Server`].

mod accept;
mod admin;
mod attempts;
pub mod authenticator;
mod backlogs;
pub mod banner;
mod census;
pub mod cli;
mod commands;
pub mod config;
mod conformance;
mod connection;
mod cors;
mod descriptors;
pub mod dispatcher;
mod drain;
mod entrance;
mod fanout;
mod fragment;
mod frame;
mod guests;
mod handlers;
mod heartbeat;
mod http;
mod http2;
mod identity;
mod inbox;
mod journal;
mod listener;
pub mod log;
pub mod logging;
mod mail;
mod memory;
mod metrics;
mod outlet;
mod paced;
mod places;
mod proxies;
mod push;
mod recovery;
mod relief;
mod replay;
mod resume;
mod round;
pub mod secrets;
mod seldom;
pub mod server;
mod service;
mod session;
mod session_id;
mod shared;
mod socket;
mod systemd;
mod tidy;
mod timers;
pub mod tls;
mod transport;
mod turns;
mod wire;
mod worker;

pub use handlers::HandlerId;
