//! One request over a connection of its own, to a server that may be away, stand still or end in between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub(crate) fn get(address: SocketAddr, target: &str, within: Duration) -> Option<Answer> {
    get_with(address, target, "", within)
}

/// `headers` are whole lines.
pub(crate) fn get_with(address: SocketAddr, target: &str, headers: &str, within: Duration) -> Option<Answer> {
    ask(address, &format!("GET {target} HTTP/1.1\r\n{headers}"), b"", within)
}

/// `headers` are whole lines.
pub(crate) fn delete(address: SocketAddr, target: &str, headers: &str, within: Duration) -> Option<Answer> {
    ask(address, &format!("DELETE {target} HTTP/1.1\r\n{headers}"), b"", within)
}

/// `headers` are whole lines.
pub(crate) fn post(
    address: SocketAddr,
    target: &str,
    headers: &str,
    body: &str,
    within: Duration,
) -> Option<Answer> {
    let head = format!("POST {target} HTTP/1.1\r\nContent-Length: {}\r\n{headers}", body.len());
    ask(address, &head, body.as_bytes(), within)
}

/// The answer; `None` if there is none within this time, or none that is whole.
fn ask(address: SocketAddr, head: &str, body: &[u8], within: Duration) -> Option<Answer> {
    let deadline = Instant::now() + within;
    let mut stream = TcpStream::connect_timeout(&address, within).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_write_timeout(Some(within)).ok()?;
    let head = format!("{head}Host: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        if let Some(answer) = parse(&bytes) {
            return Some(answer);
        }
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => bytes.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}

/// The answer that these bytes are, if it is whole.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = bytes[end + 4..].get(..length.unwrap_or(0))?;
    Some(Answer { status, body: String::from_utf8_lossy(body).into_owned() })
}
