//! A backend that does what a test says with each batch, and keeps what it has received. It checks every signature.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use turted::config::Tls;

use super::SECRETS;
use crate::support::eventually;

/// What the backend does with a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reaction {
    Answer(u16),
    /// Says nothing, and keeps the connection.
    Silence,
    /// Ends the connection in the middle of its answer.
    Half,
    /// Sends the client elsewhere: to this port of the same machine.
    Redirect(u16),
    /// Sends an answer of 1 GB, as far as somebody takes it.
    Huge,
}

/// A batch as it came.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) body: String,
    pub(super) seconds: u64,
    /// How many secrets it is signed with.
    pub(super) signatures: usize,
    pub(super) json: Value,
}

/// How a connection ends that its client gives up; a handshake that it refuses is invalid data.
const ENDS: [ErrorKind; 3] = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof, ErrorKind::InvalidData];

type React = dyn Fn(&Batch, usize) -> Reaction + Send + Sync;

struct Shared {
    batches: Mutex<Vec<Batch>>,
    react: Mutex<Arc<React>>,
    is_over: AtomicBool,
    /// Bytes that it has sent.
    sent: Mutex<u64>,
}

pub(super) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Backend {
    /// One that takes everything.
    pub(super) fn new() -> Self {
        Self::that(|_, _| Reaction::Answer(200))
    }

    /// One that does this with each batch, of which it is told how many came before.
    pub(super) fn that(react: impl Fn(&Batch, usize) -> Reaction + Send + Sync + 'static) -> Self {
        Self::start(None, react)
    }

    /// One that takes everything, over TLS with this certificate, as `localhost`.
    pub(super) fn with_tls(files: &Tls) -> Self {
        let chain = CertificateDer::pem_file_iter(&files.cert).unwrap().collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let builder = ServerConfig::builder_with_provider(default_provider().into());
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = builder.with_single_cert(chain, key).unwrap();
        Self::start(Some(config.into()), |_, _| Reaction::Answer(200))
    }

    fn start(
        tls: Option<Arc<ServerConfig>>,
        react: impl Fn(&Batch, usize) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            batches: Mutex::default(),
            react: Mutex::new(Arc::new(react)),
            is_over: AtomicBool::new(false),
            sent: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if own.is_over.load(Ordering::Acquire) {
                    return;
                }
                let (own, tls, stream) = (Arc::clone(&own), tls.clone(), stream.unwrap());
                thread::spawn(move || match tls.map(|tls| ServerConnection::new(tls).unwrap()) {
                    None => serve(stream, &own),
                    Some(tls) => serve(StreamOwned::new(tls, stream), &own),
                });
            }
        });
        Self { address, shared }
    }

    /// Does something else from now on.
    pub(super) fn react(&self, react: impl Fn(&Batch, usize) -> Reaction + Send + Sync + 'static) {
        *self.shared.react.lock().unwrap() = Arc::new(react);
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/turted?app=1", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Bytes of answers that it has sent.
    pub(super) fn sent(&self) -> u64 {
        *self.shared.sent.lock().unwrap()
    }

    /// All batches, repeats included.
    pub(super) fn batches(&self) -> Vec<Batch> {
        self.shared.batches.lock().unwrap().clone()
    }

    /// The records of all batches in their order, repeats left out.
    pub(super) fn records(&self) -> Vec<Value> {
        let mut seen = BTreeSet::new();
        let records =
            self.batches().into_iter().flat_map(|batch| batch.json["records"].as_array().unwrap().clone());
        records.filter(|record| seen.insert(record["id"].as_str().unwrap().to_owned())).collect()
    }

    /// Waits for a record of this type, and returns all up to the first of them in short.
    pub(super) fn up_to(&self, last: &str) -> Vec<String> {
        let mut found = Vec::new();
        eventually(last, || {
            let all: Vec<_> = self.records().iter().map(short).collect();
            let end = all.iter().position(|record| record == last);
            found = end.map_or(Vec::new(), |end| all[..=end].to_vec());
            !found.is_empty()
        });
        found
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// A record in short: `user-online adam`, `left adam chat (LEAVE)`, `gap 3`.
pub(super) fn short(record: &Value) -> String {
    let mut text = record["type"].as_str().unwrap().to_owned();
    for key in ["user", "channel", "dropped"] {
        match &record[key] {
            Value::Null => {}
            Value::String(name) => text.push_str(&format!(" {name}")),
            other => text.push_str(&format!(" {other}")),
        }
    }
    if let Some(reason) = record["reason"].as_str() {
        text.push_str(&format!(" ({reason})"));
    }
    text
}

fn serve(mut stream: impl Read + Write, shared: &Shared) {
    let mut buffer = Vec::new();
    while let Some(batch) = read(&mut stream, &mut buffer) {
        let before = {
            let mut batches = shared.batches.lock().unwrap();
            batches.push(batch.clone());
            batches.len() - 1
        };
        let react = Arc::clone(&shared.react.lock().unwrap());
        if !answer(&mut stream, react(&batch, before), shared) {
            return;
        }
    }
}

/// Answers. Returns whether the connection goes on.
fn answer(stream: &mut impl Write, reaction: Reaction, shared: &Shared) -> bool {
    let mut send = |bytes: &[u8]| {
        let is_sent = stream.write_all(bytes).is_ok();
        *shared.sent.lock().unwrap() += bytes.len() as u64;
        is_sent
    };
    match reaction {
        Reaction::Answer(status) => {
            send(format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nok").as_bytes())
        }
        Reaction::Silence => true,
        Reaction::Half => {
            send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            false
        }
        Reaction::Redirect(port) => send(
            format!(
                "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n"
            )
            .as_bytes(),
        ),
        Reaction::Huge => {
            send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            let chunk = vec![b'x'; 100_000];
            (0..10_000).all(|_| send(&chunk))
        }
    }
}

/// The next request; `None` at the end of the connection.
fn read(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<Batch> {
    let mut fill = |buffer: &mut Vec<u8>| {
        let mut chunk = [0; 16 * 1024];
        match stream.read(&mut chunk) {
            Ok(read) => buffer.extend_from_slice(&chunk[..read]),
            Err(error) => assert!(ENDS.contains(&error.kind()), "{error}"),
        }
    };
    let find = |buffer: &[u8]| buffer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = loop {
        let before = buffer.len();
        match find(buffer) {
            Some(at) => break at + 4,
            None => fill(buffer),
        }
        if find(buffer).is_none() && buffer.len() == before {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
    assert!(head.starts_with("POST /turted?app=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "content-type"), "application/json");
    let length: usize = header(&head, "content-length").parse().unwrap();
    while buffer.len() < length {
        let before = buffer.len();
        fill(buffer);
        if buffer.len() == before {
            return None;
        }
    }
    let body = String::from_utf8(buffer.drain(..length).collect()).unwrap();
    let (seconds, signatures) = verify(header(&head, "turted-signature"), &body);
    let json: Value = serde_json::from_str(&body).unwrap();
    check(&json, &body);
    Some(Batch { body, seconds, signatures, json })
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut values = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    values.next().unwrap_or_else(|| panic!("no {name} in {head}"))
}

/// Checks a signature as `docs/hooks.md` says, and returns its time and how many there are.
fn verify(signature: &str, body: &str) -> (u64, usize) {
    let parts: Vec<_> = signature.split(',').map(|part| part.split_once('=').unwrap()).collect();
    let (name, seconds) = parts[0];
    assert_eq!(name, "t");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRETS[1].as_bytes());
    let expected = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    let expected: String = expected.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let shown: Vec<_> = parts[1..].iter().filter(|(name, _)| *name == "v1").map(|(_, hex)| *hex).collect();
    assert!(shown.contains(&&*expected), "{signature}");
    let seconds: u64 = seconds.parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(seconds) < 300, "{seconds} is long ago");
    (seconds, shown.len())
}

/// What holds for every batch.
fn check(json: &Value, body: &str) {
    let records = json["records"].as_array().unwrap();
    assert!((1..=100).contains(&records.len()), "{} records", records.len());
    assert!(body.len() <= 512 * 1024 || records.len() == 1, "{} bytes", body.len());
    let (life, first) = (json["life"].as_str().unwrap(), json["sequence"].as_u64().unwrap());
    for (record, number) in records.iter().zip(first..) {
        assert_eq!(record["id"], format!("{life}-{number}"));
        assert!(record["at"].as_u64().unwrap() > 1_600_000_000_000);
    }
}
