//! Why a request is refused, and what it is answered.

use hyper::StatusCode;
use turted_core::wire::sockjs::{CallbackRefusal, Malformed};

use super::headers::{not_cached, other_method};
use super::response::put;
use crate::http::refusal::Row;
use crate::http::{Answer, BodyRefusal, Unavailable, streaming};
use crate::hub::delivery::outlet::Form;
use crate::hub::worker::places::NoPlace;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SockJsRefusal {
    NotFound,
    /// Only these methods are served.
    Method(&'static str),
    Origin,
    NoWebSocket,
    Callback(CallbackRefusal),
    Messages(Malformed),
    UnknownSession,
    TooLong,
    TooSlow,
    TooManyChunks,
    BodiesFull,
    Broken,
    Overload,
    TooManyOfAddress,
    Stopping,
}

impl SockJsRefusal {
    /// What the client is told, in the words of sockjs-node where it has some, and what is counted.
    pub(super) fn row(self) -> Row {
        use StatusCode as Status;
        let body = |status, text: &'static str| Row::new("sockjs-body", status, text);
        match self {
            Self::NotFound => Row::new("sockjs-path", Status::NOT_FOUND, "nothing is served under this path"),
            Self::Method(_) => Row::new("sockjs-method", Status::METHOD_NOT_ALLOWED, ""),
            Self::Origin => Row::new(
                "sockjs-origin",
                Status::FORBIDDEN,
                "pages of this origin may not connect (allow_origins)",
            ),
            Self::NoWebSocket => {
                Row::new("sockjs-websocket", Status::BAD_REQUEST, "Not a valid websocket request")
            }
            Self::Callback(refusal) => {
                Row::new("sockjs-callback", Status::INTERNAL_SERVER_ERROR, refusal.to_string())
            }
            Self::Messages(malformed) => {
                let status = Status::from_u16(malformed.status()).unwrap_or(Status::BAD_REQUEST);
                Row::new("sockjs-messages", status, malformed.to_string())
            }
            Self::UnknownSession => Row::new("sockjs-session", Status::NOT_FOUND, "the session is not known"),
            Self::TooLong => body(Status::PAYLOAD_TOO_LARGE, "the body is too long (limits.message_bytes)"),
            Self::TooManyChunks => body(Status::PAYLOAD_TOO_LARGE, BodyRefusal::TOO_MANY_CHUNKS),
            Self::TooSlow => body(Status::REQUEST_TIMEOUT, "the body is too slow (limits.request_body_wait)"),
            Self::Broken => body(Status::BAD_REQUEST, "the body is broken"),
            Self::BodiesFull => Row::later("bodies-full", Unavailable::Unread, BodyRefusal::FULL),
            Self::Overload => {
                Row::later("sockjs-sessions", Unavailable::Overload, "too many sessions (limits.connections)")
            }
            Self::TooManyOfAddress => Row::later(
                "sockjs-sessions-per-address",
                Unavailable::Overload,
                "too many sessions of this address (limits.sessions_per_address)",
            ),
            Self::Stopping => Row::later("stopping", Unavailable::Stopping, "the server is stopping"),
        }
    }

    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Method(methods) => other_method(methods),
            _ => not_cached(self.row().plain()),
        }
    }
}

impl From<CallbackRefusal> for SockJsRefusal {
    fn from(refusal: CallbackRefusal) -> Self {
        Self::Callback(refusal)
    }
}

impl From<Malformed> for SockJsRefusal {
    fn from(malformed: Malformed) -> Self {
        Self::Messages(malformed)
    }
}

impl From<NoPlace> for SockJsRefusal {
    fn from(none: NoPlace) -> Self {
        match none {
            NoPlace::All => Self::Overload,
            NoPlace::OfAddress => Self::TooManyOfAddress,
        }
    }
}

impl From<BodyRefusal> for SockJsRefusal {
    fn from(refusal: BodyRefusal) -> Self {
        match refusal {
            BodyRefusal::TooLong => Self::TooLong,
            BodyRefusal::TooManyChunks => Self::TooManyChunks,
            BodyRefusal::TooSlow => Self::TooSlow,
            BodyRefusal::Full => Self::BodiesFull,
            BodyRefusal::Broken => Self::Broken,
        }
    }
}

/// The answer to a request that left HTTP before it was refused: head and body.
pub(super) fn refusal_head(form: Form, refusal: SockJsRefusal) -> Vec<u8> {
    let mut head = streaming::head(form, refusal.answer()).bytes;
    put(form, refusal.row().text.as_bytes(), &mut head);
    head
}
