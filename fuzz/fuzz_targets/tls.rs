//! TLS: whatever a client sends, at whatever point of a connection and in whatever pieces, the record layer of the
//! server keeps no more than one record or hello of it, and answers what is true with what was said.
//!
//! The first byte says what the client does, the second one seeds the split; the other bytes are what it sends.

#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../../crates/turted/src/io/tls/record_layer.rs"]
mod record_layer;

use std::io::Write;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use record_layer::{HANDSHAKE_BYTES_MAX, RECORD_OVERHEAD_BYTES, RecordLayer};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion};

/// A server and its clients of both versions.
static CONFIGS: LazyLock<(Arc<ServerConfig>, [Arc<ClientConfig>; 2])> = LazyLock::new(|| {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
    let server = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a pair");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let client = |version: &'static SupportedProtocolVersion| {
        let config = ClientConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        Arc::new(config)
    };
    (Arc::new(server), [client(&TLS12), client(&TLS13)])
});

fuzz_target!(|data: &[u8]| {
    let [kind, seed, bytes @ ..] = data else { return };
    let mut link = Link::new(kind & 1, *seed);
    match kind >> 1 & 3 {
        // A stranger.
        0 => link.send(bytes),
        // A client whose first flight is changed.
        1 => {
            let mut hello = link.flight();
            corrupt(&mut hello, bytes);
            link.send(&hello);
        }
        // A client that goes on with something else after the handshake.
        2 => {
            link.shake_hands();
            link.send(bytes);
        }
        // A client that says something true, and then a record that is changed.
        _ => {
            link.shake_hands();
            link.client.writer().write_all(bytes).expect("room");
            let records = link.flight();
            link.send(&records);
            assert_eq!(link.heard, bytes);
            link.client.writer().write_all(b"changed").expect("room");
            let mut record = link.flight();
            corrupt(&mut record, bytes);
            link.send(&record);
        }
    }
});

/// Changes bytes at places that the input names, two bytes each.
fn corrupt(flight: &mut [u8], places: &[u8]) {
    for place in places.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([place[0], place[1]])) % flight.len();
        flight[at] ^= place[2];
    }
}

struct Link {
    client: ClientConnection,
    layer: RecordLayer,
    buffer: Vec<u8>,
    /// How many bytes come at once.
    piece: usize,
    heard: Vec<u8>,
}

impl Link {
    fn new(version: u8, seed: u8) -> Self {
        let (server, clients) = &*CONFIGS;
        let client = Arc::clone(&clients[usize::from(version)]);
        Self {
            client: ClientConnection::new(client, "localhost".try_into().expect("a name")).expect("a client"),
            layer: RecordLayer::new(Arc::clone(server)).expect("a server"),
            buffer: vec![0; HANDSHAKE_BYTES_MAX],
            piece: if seed == 0 { usize::MAX } else { usize::from(seed) },
            heard: Vec::new(),
        }
    }

    /// What the client has to say.
    fn flight(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).expect("memory");
        }
        bytes
    }

    fn shake_hands(&mut self) {
        while self.client.wants_write() {
            let flight = self.flight();
            self.send(&flight);
            let answer = self.layer.unsent().to_vec();
            self.layer.sent(answer.len());
            let mut answer = &answer[..];
            while !answer.is_empty() {
                self.client.read_tls(&mut answer).expect("memory");
                self.client.process_new_packets().expect("an honest server");
            }
        }
        assert!(!self.layer.is_handshaking());
    }

    /// Bytes reach the server, until it takes no more.
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.layer.ended().is_none() {
            let room = self.layer.prepare(&mut self.buffer);
            assert!(!room.is_empty() && room.end <= HANDSHAKE_BYTES_MAX);
            let count = self.piece.min(room.len()).min(bytes.len());
            let end = room.start + count;
            self.buffer[room.start..end].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            let heard = &mut self.heard;
            let mut sink = |plaintext: &[u8]| {
                let taken = plaintext.len().min(100);
                heard.extend_from_slice(&plaintext[..taken]);
                taken
            };
            // An error ends the connection.
            let _ = self.layer.receive(&mut self.buffer[..end], &mut sink);
            while self.layer.has_unread() {
                self.layer.read(&mut sink);
            }
            assert!(self.layer.unsent().len() < 16 * 1024, "a flight, or an alert");
        }
        let mut record = [0; 1024];
        // Whatever has come, writing does not fail in another way than with an error.
        let _ = self.layer.encrypt(b"event", &mut record[..5 + RECORD_OVERHEAD_BYTES]);
    }
}
