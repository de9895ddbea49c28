//! The configuration that the suites take for granted.

use std::net::SocketAddr;
use std::time::Duration;

use super::routes::Suite;
use crate::config::{Admin, AdminListen, Config, Limits, Recovery, SocketIo};

/// Bytes of the longest message that is echoed: the suites for WebSockets go up to 16 MiB.
const MESSAGE_BYTES: usize = 16 << 20;
/// Fragments of one: Autobahn sends 16 MiB in fragments of 64 bytes.
const FRAGMENTS: usize = MESSAGE_BYTES / 64;
/// Bytes of a payload and of a message for the suite of engine.io-client ("maxHttpBufferSize: 100").
const CLIENT_BYTES: usize = 100;
/// Messages per second: the suites know no such limit.
const MESSAGE_RATE: u32 = 1_000_000;

/// The configuration of the server at `listen` for `suite`.
pub(super) fn config(listen: SocketAddr, suite: Suite) -> Config {
    let mut config = protocols(listen);
    match suite {
        Suite::Protocols => {}
        Suite::EngineClient => {
            config.limits.message_bytes = CLIENT_BYTES;
            config.socketio = SocketIo {
                ping_interval: Duration::from_millis(500),
                max_payload: CLIENT_BYTES,
                ..SocketIo::default()
            };
        }
        Suite::SocketIoClient => {
            config.socketio = SocketIo { ping_interval: Duration::from_secs(2), ..SocketIo::default() };
            config.recovery = Recovery::default();
        }
    }
    config
}

fn protocols(listen: SocketAddr) -> Config {
    Config {
        listen,
        // The suites expect messages on two sockets to be received in the order in which they were sent.
        workers: 1,
        admin: Admin { listen: AdminListen::Off, token: None, write_token: None },
        socketio: SocketIo {
            // The suites wait for heartbeats and their absence: "pingInterval: 300, pingTimeout: 200,
            // maxPayload: 1000000" and "connectTimeout: 1000" in their words.
            ping_interval: Duration::from_millis(300),
            ping_timeout: Duration::from_millis(200),
            max_payload: 1_000_000,
            connect_timeout: Duration::from_secs(1),
            ..SocketIo::default()
        },
        limits: Limits {
            message_bytes: MESSAGE_BYTES,
            message_fragments: FRAGMENTS,
            message_rate: MESSAGE_RATE,
            message_burst: MESSAGE_RATE,
            ..Limits::default()
        },
        // A client that can resume is sent more than the suites expect.
        recovery: Recovery { enabled: false, ..Recovery::default() },
        ..Config::default()
    }
}
