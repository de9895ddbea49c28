//! The first packet of a session: its id and its times.

use std::fmt::Write;
use std::time::Duration;

use crate::wire::json;

/// Bytes of a packet with an id of 20 characters and all of its fields.
const PACKET_BYTES: usize = 128;

/// What the server tells a client at the start (engine.io protocol, "Handshake").
///
/// ```
/// use std::time::Duration;
/// use turted_core::wire::engineio::{Handshake, Upgrades};
/// let handshake = Handshake {
///     sid: "lv_VI97HAXpY6yYWAAAB",
///     upgrades: Upgrades::None,
///     ping_interval: Duration::from_secs(25),
///     ping_timeout: Duration::from_secs(20),
///     max_payload: None,
/// };
/// assert_eq!(
///     handshake.to_packet(),
///     r#"0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#
/// );
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Handshake<'a> {
    /// The id of the session.
    pub sid: &'a str,
    /// The transports a client may change to.
    pub upgrades: Upgrades,
    /// Time between two heartbeats.
    pub ping_interval: Duration,
    /// How long the answer to a heartbeat may take.
    pub ping_timeout: Duration,
    /// Bytes of a polling body, by which version 4 clients split what they send. Version 3 has
    /// no such field.
    pub max_payload: Option<usize>,
}

/// The transports a client may change to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrades {
    /// From polling to WebSocket.
    WebSocket,
    /// None: the session is on a WebSocket already.
    None,
}

impl Handshake<'_> {
    /// The open packet. Durations are sent in whole milliseconds.
    #[must_use]
    pub fn to_packet(&self) -> String {
        let mut packet = String::with_capacity(PACKET_BYTES);
        packet.push_str(r#"0{"sid":"#);
        json::push_string(&mut packet, self.sid);
        packet.push_str(match self.upgrades {
            Upgrades::WebSocket => r#","upgrades":["websocket"]"#,
            Upgrades::None => r#","upgrades":[]"#,
        });
        let (interval, timeout) = (self.ping_interval.as_millis(), self.ping_timeout.as_millis());
        write(&mut packet, format_args!(r#","pingInterval":{interval},"pingTimeout":{timeout}"#));
        if let Some(bytes) = self.max_payload {
            write(&mut packet, format_args!(r#","maxPayload":{bytes}"#));
        }
        packet.push('}');
        packet
    }
}

fn write(packet: &mut String, text: std::fmt::Arguments<'_>) {
    packet.write_fmt(text).expect("a string takes all that is written to it");
}
