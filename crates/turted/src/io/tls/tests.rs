//! The record layer against a client of rustls, whose bytes come in pieces.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use rustls::{Error, SupportedProtocolVersion};

use super::record_layer::{HANDSHAKE_BYTES_MAX, RECORD_OVERHEAD_BYTES, RecordLayer};

static IDENTITY: LazyLock<(CertificateDer<'static>, Vec<u8>)> = LazyLock::new(|| {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (cert.der().clone(), signing_key.serialize_der())
});

fn server() -> Arc<ServerConfig> {
    let (certificate, key) = &*IDENTITY;
    let key = PrivateKeyDer::try_from(key.clone()).unwrap();
    let mut config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.ticketer = Ticketer::new().unwrap();
    Arc::new(config)
}

fn client(version: &'static SupportedProtocolVersion) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(IDENTITY.0.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

/// A connection without sockets.
struct Link {
    client: ClientConnection,
    layer: RecordLayer,
    buffer: Vec<u8>,
    /// How many bytes arrive at once, in turns.
    pieces: Vec<usize>,
    turn: usize,
    /// How many bytes one read takes.
    appetite: usize,
    /// What the server has read.
    heard: Vec<u8>,
    /// What the client has read.
    told: Vec<u8>,
}

impl Link {
    fn new(version: &'static SupportedProtocolVersion, pieces: Vec<usize>, appetite: usize) -> Self {
        Self {
            client: client(version),
            layer: RecordLayer::new(server()).unwrap(),
            buffer: vec![0; HANDSHAKE_BYTES_MAX],
            pieces,
            turn: 0,
            appetite,
            heard: Vec::new(),
            told: Vec::new(),
        }
    }

    /// A connection after its handshake, whose bytes arrive as they are sent.
    fn open(version: &'static SupportedProtocolVersion) -> Self {
        let mut link = Self::new(version, vec![usize::MAX], usize::MAX);
        link.exchange().unwrap();
        assert!(!link.layer.is_handshaking());
        link
    }

    fn piece(&mut self) -> usize {
        self.turn += 1;
        self.pieces[self.turn % self.pieces.len()]
    }

    /// Carries what both sides have to say, until neither has anything.
    fn exchange(&mut self) -> std::io::Result<()> {
        while self.client.wants_write() || !self.layer.unsent().is_empty() {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            self.arrive(&sent)?;
            let answer = self.layer.unsent().to_vec();
            self.layer.sent(answer.len());
            self.reach(&answer);
        }
        Ok(())
    }

    /// Bytes arrive at the server, in pieces.
    fn arrive(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let room = self.layer.prepare(&mut self.buffer);
            assert!(!room.is_empty());
            let count = self.piece().min(room.len()).min(bytes.len());
            let (now, later) = bytes.split_at(count);
            let end = room.start + count;
            self.buffer[room.start..end].copy_from_slice(now);
            bytes = later;
            let (heard, appetite) = (&mut self.heard, self.appetite);
            let mut sink = |plaintext: &[u8]| {
                let taken = plaintext.len().min(appetite);
                heard.extend_from_slice(&plaintext[..taken]);
                taken
            };
            self.layer.receive(&mut self.buffer[..end], &mut sink)?;
            while self.layer.has_unread() {
                self.layer.read(&mut sink);
            }
        }
        Ok(())
    }

    /// Bytes reach the client.
    fn reach(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets().unwrap();
            let mut plaintext = Vec::new();
            match self.client.reader().read_to_end(&mut plaintext) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
                _ => self.told.extend_from_slice(&plaintext),
            }
        }
    }

    fn say(&mut self, message: &[u8]) -> std::io::Result<()> {
        self.client.writer().write_all(message).unwrap();
        self.exchange()
    }

    fn tell(&mut self, message: &[u8]) {
        let records = message.len().div_ceil(16 * 1024).max(1);
        let mut outgoing = vec![0; message.len() + records * RECORD_OVERHEAD_BYTES];
        let bytes = self.layer.encrypt(message, &mut outgoing).unwrap();
        self.reach(&outgoing[..bytes]);
    }
}

/// One step of a conversation.
#[derive(Clone, Debug)]
enum Step {
    Say(usize),
    Tell(usize),
    /// The client changes its keys and asks the server to do the same (TLS 1.3).
    NewKeys,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop_oneof![0..200_usize, 16_000..17_000_usize, 30_000..33_000_usize];
    prop_oneof![3 => bytes().prop_map(Step::Say), 3 => bytes().prop_map(Step::Tell), 1 => Just(Step::NewKeys)]
}

fn message(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at * 7 + number) % 251).unwrap()).collect()
}

/// Has a conversation and compares what was heard with what was said.
fn converse(version: &'static SupportedProtocolVersion, steps: &[Step], pieces: &[usize], appetite: usize) {
    let mut link = Link::new(version, pieces.to_vec(), appetite);
    link.exchange().unwrap();
    assert!(!link.layer.is_handshaking());
    let (mut said, mut told) = (Vec::new(), Vec::new());
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Say(bytes) => {
                let message = message(number, bytes);
                link.say(&message).unwrap();
                said.extend(message);
            }
            Step::Tell(bytes) => {
                let message = message(number, bytes);
                link.tell(&message);
                told.extend(message);
            }
            Step::NewKeys if version.version == TLS13.version => {
                link.client.refresh_traffic_keys().unwrap();
                link.exchange().unwrap();
            }
            Step::NewKeys => {}
        }
    }
    assert!(link.heard == said, "the server heard {} of {} bytes", link.heard.len(), said.len());
    assert!(link.told == told, "the client heard {} of {} bytes", link.told.len(), told.len());
    assert_eq!(link.layer.kept_bytes(), 0, "an idle connection keeps no buffer");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bytes_come_whole_however_they_are_split(
        steps in vec(step(), 0..8),
        pieces in vec(prop_oneof![1..8_usize, 1..600_usize, 1..40_000_usize], 1..6),
        appetite in prop_oneof![Just(1_usize), 1..500_usize, Just(usize::MAX)],
    ) {
        for version in [&TLS12, &TLS13] {
            converse(version, &steps, &pieces, appetite);
        }
    }
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let steps = [Step::Say(300), Step::NewKeys, Step::Tell(300), Step::Say(0), Step::Say(17_000)];
    for version in [&TLS12, &TLS13] {
        converse(version, &steps, &[1], 1);
    }
}

#[test]
fn an_end_is_what_the_peer_declares() {
    for version in [&TLS12, &TLS13] {
        let mut link = Link::open(version);
        link.client.writer().write_all(b"last").unwrap();
        link.client.send_close_notify();
        assert!(link.layer.ended().is_none());
        link.exchange().unwrap();
        assert!(link.layer.ended().is_some_and(|end| end.is_ok()));
        assert_eq!(link.heard, b"last");
        assert!(link.layer.receive(&mut [23, 3, 3], &mut |_| 0).is_ok(), "what follows is ignored");
        assert_eq!(link.layer.kept_bytes(), 0);
        link.tell(b"the other direction goes on");
        let mut alert = [0; RECORD_OVERHEAD_BYTES];
        let bytes = link.layer.close_notify(&mut alert).unwrap();
        link.reach(&alert[..bytes]);
        assert_eq!(link.told, b"the other direction goes on");
        assert_eq!(link.client.reader().read(&mut [0; 1]).unwrap(), 0, "an end for the client");
    }
}

#[test]
fn a_record_that_was_changed_ends_the_connection_with_an_alert() {
    for version in [&TLS12, &TLS13] {
        let mut link = Link::open(version);
        link.client.writer().write_all(b"hello").unwrap();
        let mut record = Vec::new();
        link.client.write_tls(&mut record).unwrap();
        *record.last_mut().unwrap() ^= 1;
        assert_eq!(link.arrive(&record).unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(link.heard.is_empty());
        assert!(link.layer.ended().is_some_and(|end| end.is_err()));
        assert!(link.layer.encrypt(b"more", &mut [0; 1024]).is_err(), "nothing is sent after it");
        assert!(link.layer.close_notify(&mut [0; 1024]).is_err());
        let alert = link.layer.unsent().to_vec();
        link.client.read_tls(&mut &*alert).unwrap();
        let told = link.client.process_new_packets().unwrap_err();
        assert_eq!(told, Error::AlertReceived(AlertDescription::BadRecordMac));
    }
}

#[test]
fn half_a_record_is_bounded() {
    let mut link = Link::open(&TLS13);
    // Application data of the largest size that a record may have, all but its last byte.
    let half = [&[23, 3, 3, 0x41, 0], &[0; 16 * 1024 + 255][..]].concat();
    link.arrive(&half).unwrap();
    assert_eq!(link.layer.kept_bytes(), half.len());
    let error = link.arrive(&[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "it cannot be decrypted");
    // A record that says it is larger is refused at once.
    let mut link = Link::open(&TLS13);
    assert!(link.arrive(&[23, 3, 3, 0xff, 0xff]).is_err());
}

#[test]
fn a_hello_is_bounded() {
    let mut layer = Link::new(&TLS13, vec![usize::MAX], 0);
    // A ClientHello of 65,535 bytes, in records of 16 KiB; it never ends.
    let mut records = [&[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff], &[0; 16 * 1024 - 4][..]].concat();
    for _ in 0..3 {
        records.extend_from_slice(&[22, 3, 1, 0x40, 0]);
        records.extend_from_slice(&[0; 16 * 1024]);
    }
    let error = layer.arrive(&records).unwrap_err();
    assert_eq!(error.to_string(), "unexpected error: a handshake message is too long");
    assert!(layer.layer.kept_bytes() < 1024, "nothing of it is kept");
}
