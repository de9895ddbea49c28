//! What HTTP/1 demands of every request, whatever it is for, beyond what hyper sees to.
//!
//! hyper itself answers 400 and closes if a request is no HTTP, if its length is invalid or there are two, and if
//! `chunked` is not its last transfer coding (RFC 9112 6.3). That answer cannot be changed here.

use hyper::header::{HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING};
use hyper::http::uri::Authority;
use hyper::{Request, StatusCode, Version};

use super::answer::{Answer, close_after};
use super::refusal::Row;
use super::websocket::handshake::wants_upgrade;

/// Why a request is refused before it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// RFC 9112 3.2: a request of HTTP/1.1 has one, and no request has more.
    Host,
    /// RFC 9112 6.1: a coding besides chunked, which the server does not understand.
    TransferCoding,
}

impl Breach {
    /// What the client is told, and what is counted.
    fn row(self) -> Row {
        match self {
            Self::Host => Row::new(
                "http-host",
                StatusCode::BAD_REQUEST,
                "a request has one Host header with a host and perhaps a port (RFC 9112 3.2)",
            ),
            Self::TransferCoding => Row::new(
                "http-transfer-coding",
                StatusCode::NOT_IMPLEMENTED,
                "the only transfer coding understood is chunked, once (RFC 9112 6.1)",
            ),
        }
    }

    /// The rule for metrics.
    pub(crate) fn rule(self) -> &'static str {
        self.row().rule
    }
}

impl From<Breach> for Answer {
    fn from(breach: Breach) -> Self {
        let mut answer = breach.row().plain();
        // Where its body ends is not known.
        close_after(&mut answer);
        answer
    }
}

/// What a request of HTTP/1 breaks, if it does.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Breach> {
    if !has_host(request) {
        return Err(Breach::Host);
    }
    let codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let mut codings = codings.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if is_chunked(only) => Ok(()),
        _ => Err(Breach::TransferCoding),
    }
}

fn has_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // RFC 9112 3.2: HTTP/1.0 has no `Host`.
        (None, _) => request.version() < Version::HTTP_11,
        (Some(host), None) => is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    }
}

/// Whether this is a host and perhaps a port. It may be empty (RFC 9110 7.2), where the target has no authority.
fn is_host(host: &[u8]) -> bool {
    host.is_empty() || (!host.contains(&b'@') && Authority::try_from(host).is_ok())
}

/// Whether a request asks for a WebSocket in another version than ours.
pub(super) fn asks_for_other_version<B>(request: &Request<B>) -> bool {
    let version = |headers: &HeaderMap| headers.get(SEC_WEBSOCKET_VERSION).cloned();
    wants_upgrade(request) && version(request.headers()).is_none_or(|version| version != "13")
}

/// Tells a client that was refused which version the server speaks (RFC 6455 4.2.2, 4.4).
pub(super) fn tell_version(answer: &mut Answer) {
    if answer.status().is_client_error() {
        answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in ["a.example", "a.example:80", "127.0.0.1:7117", "[::1]:7117", "localhost", ""] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in ["a b", "user@a", "a/b", "a:b:c", "[::1", "a?b", "\u{e4}"] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
