//! Why a request is refused, and what it is answered.

use hyper::StatusCode;
use turted_core::wire::sockjs::{CallbackRefusal, Malformed};

use super::headers::{not_cached, other_method};
use super::response::put;
use crate::http::{Answer, BodyRefusal, Unavailable, streaming, text};
use crate::hub::delivery::outlet::Form;
use crate::hub::worker::places::NoPlace;

/// Why a request is refused, in the words of sockjs-node where it has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SockJsRefusal {
    #[error("nothing is served under this path")]
    NotFound,
    #[error("")]
    Method(&'static str),
    #[error("pages of this origin may not connect (allow_origins)")]
    Origin,
    #[error("Not a valid websocket request")]
    NoWebSocket,
    #[error(transparent)]
    Callback(#[from] CallbackRefusal),
    #[error(transparent)]
    Messages(#[from] Malformed),
    #[error("the session is not known")]
    UnknownSession,
    #[error("the body is too long (limits.message_bytes)")]
    TooLong,
    #[error("the body is too slow (limits.request_body_wait)")]
    TooSlow,
    #[error("{}", BodyRefusal::TOO_MANY_CHUNKS)]
    TooManyChunks,
    #[error("{}", BodyRefusal::FULL)]
    BodiesFull,
    #[error("the body is broken")]
    Broken,
    #[error("too many sessions (limits.connections)")]
    Overload,
    #[error("too many sessions of this address (limits.sessions_per_address)")]
    TooManyOfAddress,
    #[error("the server is stopping")]
    Stopping,
}

impl SockJsRefusal {
    /// The rule for metrics.
    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::NotFound => "sockjs-path",
            Self::Method(_) => "sockjs-method",
            Self::Origin => "sockjs-origin",
            Self::NoWebSocket => "sockjs-websocket",
            Self::Callback(_) => "sockjs-callback",
            Self::Messages(_) => "sockjs-messages",
            Self::UnknownSession => "sockjs-session",
            Self::TooLong | Self::TooManyChunks | Self::TooSlow | Self::Broken => "sockjs-body",
            Self::BodiesFull => "bodies-full",
            Self::Overload => "sockjs-sessions",
            Self::TooManyOfAddress => "sockjs-sessions-per-address",
            Self::Stopping => "stopping",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::NotFound | Self::UnknownSession => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::NoWebSocket | Self::Broken => StatusCode::BAD_REQUEST,
            Self::Callback(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Messages(malformed) => {
                StatusCode::from_u16(malformed.status()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::TooLong | Self::TooManyChunks => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodiesFull | Self::Overload | Self::TooManyOfAddress | Self::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
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

impl From<SockJsRefusal> for Answer {
    fn from(refusal: SockJsRefusal) -> Self {
        if let SockJsRefusal::Method(methods) = refusal {
            return other_method(methods);
        }
        let mut answer = not_cached(text(refusal.status(), refusal.to_string()));
        match refusal {
            SockJsRefusal::Overload | SockJsRefusal::TooManyOfAddress => {
                Unavailable::Overload.mark(&mut answer)
            }
            SockJsRefusal::BodiesFull => Unavailable::Unread.mark(&mut answer),
            SockJsRefusal::Stopping => Unavailable::Stopping.mark(&mut answer),
            _ => {}
        }
        answer
    }
}

/// The answer to a request that left HTTP before it was refused: head and body.
pub(super) fn refusal_head(form: Form, refusal: SockJsRefusal) -> Vec<u8> {
    let mut head = streaming::head(form, Answer::from(refusal)).bytes;
    put(form, refusal.to_string().as_bytes(), &mut head);
    head
}
