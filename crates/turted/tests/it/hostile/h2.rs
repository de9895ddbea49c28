//! Frames of HTTP/2 by hand (RFC 9113, RFC 7541): what no library would send. They travel in the clear to a
//! tunnel that speaks TLS with the server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::{Pair, Tunnel};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
const PING_HEAD: [u8; 5] = [0, 0, 8, PING, 1];
pub(super) const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// `:method` and `:scheme: https` of the static table; `:authority` and `:path` with a value of one's own.
const GET: u8 = 0x82;
const POST: u8 = 0x83;
const HTTPS: u8 = 0x87;
const AUTHORITY: u8 = 1;
const PATH: u8 = 4;

/// A tunnel to a server, whose clients speak HTTP/2.
pub(super) fn tunnel(pair: &Pair, server: SocketAddr) -> Tunnel {
    let mut client = pair.client(rustls::ALL_VERSIONS);
    client.alpn_protocols = vec![b"h2".to_vec()];
    Tunnel::start(server, client, b"")
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
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

    /// Streams have the window of the standard.
    pub(super) fn with_window() -> Self {
        Self { bytes: [PREFACE, &settings(&[])].concat(), next: 1 }
    }

    /// A request on a stream of its own.
    pub(super) fn get(&mut self, path: &str) {
        self.request((GET, path), END_HEADERS | END_STREAM);
    }

    /// A request whose body is still to come.
    pub(super) fn post(&mut self, path: &str) {
        self.request((POST, path), END_HEADERS);
    }

    fn request(&mut self, (method, path): (u8, &str), flags: u8) {
        let literal = |name: u8, value: &str| {
            let length = u8::try_from(value.len()).ok().filter(|length| *length < 127).unwrap();
            [&[name, length], value.as_bytes()].concat()
        };
        let block = [&[method, HTTPS][..], &literal(AUTHORITY, "localhost"), &literal(PATH, path)].concat();
        self.bytes.extend(frame(HEADERS, flags, self.next, &block));
        self.next += 2;
    }
}

/// Sends a ping, and takes what comes before its answer: kind, flags and stream of each frame.
pub(super) fn frames_until_pong(stream: &mut TcpStream) -> Vec<(u8, u8, u32)> {
    stream.write_all(&ping()).unwrap();
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        if head[..5] == PING_HEAD {
            stream.read_exact(&mut [0; 8]).unwrap();
            return frames;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        io::copy(&mut stream.take(length.into()), &mut io::sink()).unwrap();
        frames.push((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]])));
    }
}
