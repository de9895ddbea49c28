//! Frames of HTTP/2 by hand (RFC 9113, RFC 7541): what no library would send. They travel in the clear to a
//! tunnel that speaks TLS with the server.

use std::net::SocketAddr;

use crate::support::{Pair, Tunnel};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// END_STREAM and END_HEADERS.
const WHOLE_REQUEST: u8 = 1 | 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// `:method: GET` and `:scheme: https` of the static table; `:authority` and `:path` with a value of one's own.
const GET_HTTPS: [u8; 2] = [0x82, 0x87];
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;

/// A tunnel to a server, whose clients speak HTTP/2.
pub(super) fn tunnel(pair: &Pair, server: SocketAddr) -> Tunnel {
    let mut client = pair.client(rustls::ALL_VERSIONS);
    client.alpn_protocols = vec![b"h2".to_vec()];
    Tunnel::start(server, client, b"")
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(super) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let bytes = |(key, value): &(u16, u32)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &pairs.iter().flat_map(bytes).collect::<Vec<_>>())
}

pub(super) fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8])
}

/// Of a stream that nobody has opened.
pub(super) fn priority() -> Vec<u8> {
    frame(PRIORITY, 0, 1, &[0; 5])
}

/// The beginning of a connection, and requests.
pub(super) struct Frames {
    pub(super) bytes: Vec<u8>,
    next: u32,
}

impl Frames {
    /// No stream may be sent a byte.
    pub(super) fn without_window() -> Self {
        Self { bytes: [PREFACE, &settings(&[(INITIAL_WINDOW_SIZE, 0)])].concat(), next: 1 }
    }

    /// A request on a stream of its own.
    pub(super) fn get(&mut self, path: &str) {
        let literal = |name: u8, value: &str| {
            let length = u8::try_from(value.len()).ok().filter(|length| *length < 127).unwrap();
            [&[name, length], value.as_bytes()].concat()
        };
        let block = [&GET_HTTPS[..], &literal(AUTHORITY, "localhost"), &literal(PATH, path)].concat();
        self.bytes.extend(frame(HEADERS, WHOLE_REQUEST, self.next, &block));
        self.next += 2;
    }
}
