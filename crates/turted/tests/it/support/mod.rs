//! What the tests talk with: a server in this process, and clients made of bare sockets, which can
//! say what no well-behaved library would.

pub(crate) mod accepting;
#[cfg(feature = "rabbitmq")]
pub(crate) mod amqp;
pub(crate) mod authority;
mod child;
mod client;
mod cost;
mod crowd;
mod flood;
mod http;
pub(crate) mod http2;
pub(crate) mod marked;
mod metrics;
pub(crate) mod pages;
pub(crate) mod ports;
#[cfg(feature = "rabbitmq")]
pub(crate) mod rabbitmq;
mod random;
pub(crate) mod redis;
mod relay;
pub(crate) mod resuming;
mod server;
pub(crate) mod services;
mod slow;
mod sockets;
mod sse;
mod tunnel;
mod wait;
pub(crate) mod websocket;

pub(crate) use child::{Child, raise_descriptors, resident};
pub(crate) use client::{Client, Event, Kind, Transport, payload};
pub(crate) use cost::{CONNECTION_BYTES, Cost, settle};
pub(crate) use crowd::{Crowd, GOOD_BYE};
pub(crate) use flood::Flood;
pub(crate) use http::{Http, Response, read_some};
pub(crate) use metrics::Metrics;
pub(crate) use random::Random;
pub(crate) use relay::slow_link;
pub(crate) use server::{TestServer, config};
pub(crate) use slow::SlowReader;
pub(crate) use sse::{EventSource, StreamEvent};
pub(crate) use tunnel::{Pair, Tunnel};
pub(crate) use wait::{eventually, pause};
pub(crate) use websocket::{WebSocket, frame};

use std::time::{Duration, Instant};

/// How long anything may take that must happen. Only a failing test waits as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Whether the server forgets the polling session of a client, soon.
pub(crate) fn is_forgotten(server: &TestServer, client: &Client) -> bool {
    let target = client.kind.target("polling", &client.sid);
    // A packet that asks for nothing.
    let noop = payload(client.kind.version, &["6"]);
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let response = server.http().post(&target, &[], noop.clone());
        if response.status == 400 {
            return response.text().contains(r#""code":1"#);
        }
    }
    false
}
