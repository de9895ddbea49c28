//! HTTP by hand: requests as written, answers as they come.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// As small as the kernel allows.
const NARROW_BYTES: usize = 4 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header, if it is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut values =
            lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        let value = values.next()?;
        assert_eq!(values.next(), None, "{name} is there twice: {}", self.head);
        Some(value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn status_line(&self) -> &str {
        self.head.lines().next().unwrap()
    }
}

/// One connection, kept alive as the server allows.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) stream: TcpStream,
    server: SocketAddr,
    /// Servers that take turns, if there are several.
    others: VecDeque<SocketAddr>,
    buffer: Vec<u8>,
}

impl Http {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Connections to servers that take turns: each `refresh` connects to the next one.
    pub(crate) fn connect_in_turn(servers: &[SocketAddr]) -> Self {
        let (server, others) = servers.split_first().expect("a server");
        let mut http = Self::connect(*server);
        http.others.extend(others);
        http
    }

    /// A connection whose kernel takes little of what the server sends: one that is not read is full soon.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(NARROW_BYTES).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let (others, buffer) = Default::default();
        Self { server: stream.peer_addr().unwrap(), stream, others, buffer }
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[], b"")
    }

    pub(crate) fn post(
        &mut self,
        target: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Response {
        self.request("POST", target, headers, body.as_ref())
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.send_request(method, target, headers, body);
        self.read().expect("an answer")
    }

    pub(crate) fn send_request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.send([head.as_bytes(), b"\r\n", body].concat());
    }

    /// Sends bytes as they are. A server that has answered already may not take all of them.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.stream.write_all(bytes.as_ref());
        let broken = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(sent.as_ref().err().is_none_or(|error| broken.contains(&error.kind())), "{sent:?}");
    }

    /// Connects again if the server has closed the connection meanwhile, as it does to idle ones, and to the next server if
    /// several take turns.
    pub(crate) fn refresh(&mut self) {
        if let Some(next) = self.others.pop_front() {
            let former = std::mem::replace(self, Self::connect(next));
            assert!(former.buffer.is_empty(), "what came was not read");
            self.others = former.others;
            self.others.push_back(former.server);
            return;
        }
        self.stream.set_nonblocking(true).unwrap();
        let is_open =
            matches!(self.stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).unwrap();
        if !is_open && self.buffer.is_empty() {
            *self = Self::connect(self.server);
        }
    }

    /// Whether something has come already.
    pub(crate) fn has_answer(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let has_come = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).unwrap();
        has_come || !self.buffer.is_empty()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next answer; `None` at the end of the connection.
    pub(crate) fn read(&mut self) -> Option<Response> {
        let head = self.read_head()?;
        Some(self.read_body(head))
    }

    /// The rest of an answer whose head was read.
    pub(crate) fn read_body(&mut self, response: Response) -> Response {
        let length = response.header("content-length").map(|length| length.parse().unwrap());
        assert_eq!(response.header("transfer-encoding"), None, "{}", response.head);
        let length: usize = length.unwrap_or(0);
        while self.buffer.len() < length {
            assert!(self.fill() > 0, "the connection ended within a body: {}", response.head);
        }
        let body = self.buffer.drain(..length).collect();
        Response { body, ..response }
    }

    /// The next answer without its body: to HEAD, or 101.
    pub(crate) fn read_head(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if self.fill() == 0 {
                assert!(self.buffer.is_empty(), "the connection ended within a head");
                return None;
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {head}"));
        Some(Response { status, head, body: Vec::new() })
    }

    /// Whether the server ends the connection; what still comes is thrown away.
    pub(crate) fn is_ended(&mut self) -> bool {
        loop {
            self.buffer.clear();
            if self.fill() == 0 {
                return true;
            }
        }
    }

    /// The connection, to go on with something else than HTTP, and what was read of that already.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    fn fill(&mut self) -> usize {
        read_some(&mut self.stream, &mut self.buffer)
    }
}

/// Reads more bytes; 0 at the end, however the connection ended.
pub(crate) fn read_some(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> usize {
    let mut chunk = [0; 16 * 1024];
    match stream.read(&mut chunk) {
        Ok(read) => {
            buffer.extend_from_slice(&chunk[..read]);
            read
        }
        Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
        Err(error) => panic!("nothing came within {PATIENCE:?}: {error}"),
    }
}
