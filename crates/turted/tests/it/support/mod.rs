//! What the tests talk with: a server in this process, and clients made of bare sockets, which can
//! say what no well-behaved library would.

mod child;
mod client;
mod http;
mod random;
mod server;
mod tunnel;
mod websocket;

pub(crate) use child::Child;
pub(crate) use client::{Client, Event, Kind, Transport, payload};
pub(crate) use http::{Http, Response};
pub(crate) use random::Random;
pub(crate) use server::{TestServer, config};
pub(crate) use tunnel::{Pair, Tunnel};
pub(crate) use websocket::{WebSocket, frame};

use std::time::Duration;

/// How long anything may take that must happen. Only a failing test waits as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
