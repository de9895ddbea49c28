//! The head of an answer as it goes onto a socket of HTTP/1, for answers that hyper does not write.

use std::time::SystemTime;

use hyper::header::{DATE, HeaderMap, HeaderValue};
use hyper::{StatusCode, Version};

/// Bytes that most heads take.
const HEAD_BYTES: usize = 384;

/// The head of an answer in `version`, with the time (RFC 9110 6.6.1: a server with a clock sends it).
pub(super) fn encode(version: Version, status: StatusCode, mut headers: HeaderMap) -> Vec<u8> {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
        headers.insert(DATE, date);
    }
    let mut head = begin(version, status, &headers);
    head.extend_from_slice(b"\r\n");
    head
}

/// The first line and these fields of a head: others may follow.
pub(super) fn begin(version: Version, status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let protocol: &[u8] = if version < Version::HTTP_11 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
    let reason = status.canonical_reason().unwrap_or("");
    for part in [protocol, status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"] {
        head.extend_from_slice(part);
    }
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head
}
