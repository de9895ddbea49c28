//! A backend that answers questions about IDENTs, well or badly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use turted::authenticator::HttpUrl;
use turted::config::ClientAuth;

/// A connection to the server, in the clear or over TLS.
pub(crate) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A backend on a free port. Its threads end with the connections they serve.
pub(crate) struct Backend {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    /// Head and body of each request.
    requests: Mutex<Vec<(String, Value)>>,
}

impl Seen {
    fn serve(&self, stream: &mut dyn Stream, answer: impl Fn(&Value, &mut dyn Stream) -> bool) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        while let Some((head, body)) = read_request(stream) {
            self.requests.lock().unwrap().push((head, body.clone()));
            if !answer(&body, stream) {
                break;
            }
        }
    }
}

impl Backend {
    /// Lets `answer` write what it likes for each request; the connection ends when it says no.
    pub(crate) fn start(
        answer: impl Fn(&Value, &mut dyn Stream) -> bool + Send + Sync + Clone + 'static,
    ) -> Self {
        Self::start_over(None, answer)
    }

    /// The same over TLS, if there is a configuration of it.
    pub(crate) fn start_over(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Value, &mut dyn Stream) -> bool + Send + Sync + Clone + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let backend = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let seen = Arc::clone(&backend.seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, seen, answer) = (stream.unwrap(), Arc::clone(&seen), answer.clone());
                let tls = tls.clone().map(|tls| ServerConnection::new(tls).unwrap());
                thread::spawn(move || match tls {
                    None => seen.serve(&mut stream, answer),
                    Some(tls) => seen.serve(&mut StreamOwned::new(tls, stream), answer),
                });
            }
        });
        backend
    }

    /// One that answers every request with these bytes and ends the connection.
    pub(crate) fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |_, stream| {
            // The server may have had enough before the end.
            let _ = stream.write_all(&answer);
            false
        })
    }

    /// One that lets everyone be whom `ident.username` says.
    pub(crate) fn trusting() -> Self {
        Self::start(|question, stream| reply(stream, &user(&question["ident"]["username"])))
    }

    pub(crate) fn method(&self) -> ClientAuth {
        ClientAuth::Http(self.url("http", "127.0.0.1"))
    }

    pub(crate) fn url(&self, scheme: &str, host: &str) -> HttpUrl {
        format!("{scheme}://{host}:{}/auth?app=1", self.address.port()).parse().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        self.seen.requests.lock().unwrap().clone()
    }
}

pub(crate) fn user(name: &Value) -> String {
    serde_json::json!({ "user": name }).to_string()
}

/// An answer of 200 with this body.
pub(crate) fn yes(body: &str) -> String {
    status("200 OK", body)
}

pub(crate) fn status(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers 200 and keeps the connection.
pub(crate) fn reply(stream: &mut dyn Stream, body: &str) -> bool {
    stream.write_all(yes(body).as_bytes()).is_ok()
}

/// The next request, unless the connection ends before it.
fn read_request(stream: &mut dyn Stream) -> Option<(String, Value)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).unwrap()))
}
