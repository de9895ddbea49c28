//! HTTP/1.1 on the client's side: the requests that open a connection, and the head of the answer.

use std::fmt::Write;

use super::{Broken, Destination, fill};
use crate::protocol::Header;

/// Bytes of the longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) bytes: usize,
    /// The body comes in chunks (RFC 9112 7.1).
    pub(super) is_chunked: bool,
    /// Bytes of the body, where the head tells.
    pub(super) body_bytes: Option<usize>,
}

/// The request that turns a connection into a WebSocket (RFC 6455 4.1). The key is the one of the example in
/// the RFC; the server's answer to it is not checked.
pub(super) fn upgrade_request(to: &Destination<'_>, target: &str) -> Vec<u8> {
    const FIELDS: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
                          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    request(to, target, FIELDS)
}

/// The request for an event stream.
pub(super) fn stream_request(to: &Destination<'_>, target: &str) -> Vec<u8> {
    request(to, target, "Accept: text/event-stream\r\n")
}

fn request(to: &Destination<'_>, target: &str, fields: &str) -> Vec<u8> {
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}", to.authority);
    let again = to.memory.map(|memory| {
        to.speech
            .again
            .headers
            .iter()
            .map(|field| Header { value: memory.fill(&field.value), ..field.clone() })
    });
    for field in to.speech.headers.iter().cloned().chain(again.into_iter().flatten()) {
        let value = fill(&field.value, to.channel);
        write!(head, "{}: {value}\r\n", field.name).expect("a string takes everything");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The answer to a request; `None` if it is not complete.
///
/// # Errors
/// The answer has another status.
pub(super) fn answer(input: &[u8], status: &str) -> Result<Option<Answer>, Broken> {
    let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return if input.len() > HEAD_BYTES_MAX { Err(Broken::NotUnderstood("HTTP head")) } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(&input[..end]);
    let (line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
    if line.split(' ').nth(1) != Some(status) {
        return Err(Broken::Refused(line.to_owned()));
    }
    let value = |wanted| {
        let mut fields = fields.lines().filter_map(|field| field.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let is_chunked = value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body_bytes = value("content-length").and_then(|value| value.parse().ok());
    Ok(Some(Answer { bytes: end + 4, is_chunked, body_bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_it_is_complete_and_has_the_status() {
        let switched = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\nrest";
        let expected = Answer { bytes: switched.len() - 4, is_chunked: false, body_bytes: None };
        assert_eq!(answer(switched, "101"), Ok(Some(expected)));
        assert_eq!(answer(&switched[..20], "101"), Ok(None));
        let refused = answer(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "101");
        assert_eq!(refused, Err(Broken::Refused("HTTP/1.1 503 Service Unavailable".into())));
    }

    #[test]
    fn a_body_in_chunks_is_told() {
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n";
        assert!(answer(chunked, "200").unwrap().unwrap().is_chunked);
        let plain = b"HTTP/1.1 200 OK\r\nX: transfer-encoding: chunked\r\n\r\n";
        assert!(!answer(plain, "200").unwrap().unwrap().is_chunked);
    }

    #[test]
    fn a_head_without_end_is_not_awaited() {
        assert!(answer(&vec![b'a'; HEAD_BYTES_MAX], "101").unwrap().is_none());
        assert!(answer(&vec![b'a'; HEAD_BYTES_MAX + 1], "101").is_err());
    }
}
