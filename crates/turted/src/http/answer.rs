//! Answers to requests, and takeovers of sockets that leave HTTP instead.

use bytes::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::body::Body;
use crate::io::socket::Socket;

/// The answer to a request.
pub(crate) type Answer = Response<Body>;

/// What goes on with a socket that left HTTP, given the bytes that were read of it already.
pub(crate) type Takeover = Box<dyn FnOnce(Socket, Bytes)>;

/// An answer of plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Answer {
    answer(status, "text/plain; charset=UTF-8", body)
}

/// The answer where no endpoint has the path.
pub(crate) fn nothing_here() -> Answer {
    text(StatusCode::NOT_FOUND, "nothing is served under this path")
}

/// An answer with a body of some type.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Answer {
    let mut answer = bare(status, body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An answer without a content type.
pub(crate) fn bare(status: StatusCode, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer
}

/// Says that no other request is served on the connection of this one.
pub(crate) fn close_after(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// A body that was refused half-way is not read to its end, so no other request can follow it.
pub(super) fn close_if_unread(mut answer: Answer) -> Answer {
    if matches!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        close_after(&mut answer);
    }
    answer
}

/// Says which methods a resource has, as every 405 must (RFC 9110 15.5.6).
pub(crate) fn allow(answer: &mut Answer, methods: &'static str) {
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
}

/// Why a request that breaks no rule is refused with 503 and may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// All connections are taken. Places come free one by one, so clients that wait should not all ask
    /// every second.
    Overload,
    /// Something that the answer needs is away or busy for the moment.
    Moment,
    /// Too many bodies are being read, so the body of this request was not read.
    Unread,
    /// The server stops. Another server may serve the client at once; this connection serves no more requests.
    Stopping,
}

impl Unavailable {
    /// Says in an answer when to try again, and whether on this connection.
    pub(crate) fn mark(self, answer: &mut Answer) {
        let seconds: u64 = match self {
            Self::Overload => 5,
            Self::Moment | Self::Unread | Self::Stopping => 1,
        };
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        if matches!(self, Self::Unread | Self::Stopping) {
            close_after(answer);
        }
    }
}
