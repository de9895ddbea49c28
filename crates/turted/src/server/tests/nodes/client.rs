//! A client of HTTP/1 that keeps its connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// In lower case.
    pub(super) head: String,
    pub(super) body: String,
}

/// A connection to one node.
pub(super) struct Client(pub(super) BufReader<TcpStream>);

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(BufReader::new(stream))
    }

    /// A request by its method, its target and its body, and its answer.
    pub(super) fn ask(&mut self, request: (&str, &str, &str)) -> Answer {
        self.send(request);
        self.answer()
    }

    pub(super) fn send(&mut self, (method, target, body): (&str, &str, &str)) {
        let length = body.len();
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        self.write(format!("{head}{body}").as_bytes());
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    pub(super) fn answer(&mut self) -> Answer {
        let (status, head) = self.head();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => self.take(length.parse().unwrap()),
            None if head.contains("transfer-encoding: chunked") => {
                std::iter::from_fn(|| self.chunk()).collect()
            }
            None => String::new(),
        };
        Answer { status, head, body }
    }

    /// The status and the head of an answer.
    pub(super) fn head(&mut self) -> (u16, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "the connection ends: {head:?}");
        }
        (head[9..12].parse().unwrap(), head.to_lowercase())
    }

    /// The next chunk of a body; `None` at its end.
    pub(super) fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.0.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let chunk = self.take(size + 2);
        (size > 0).then(|| chunk[..size].to_owned())
    }

    pub(super) fn take(&mut self, bytes: usize) -> String {
        let mut taken = vec![0; bytes];
        self.0.read_exact(&mut taken).unwrap();
        String::from_utf8(taken).unwrap()
    }

    /// Whether the server has ended the connection.
    pub(super) fn is_ended(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }
}
