//! Why a request of Engine.IO is refused, and what it is answered.

use hyper::StatusCode;

use crate::http::refusal::Row;
use crate::http::{BodyRefusal, Unavailable};
use crate::hub::worker::places::NoPlace;

/// Why a request is refused (engine.io `Server.errors`, with their numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineRefusal {
    UnknownTransport,
    UnknownSession,
    BadHandshakeMethod,
    BadRequest,
    Forbidden,
    UnsupportedVersion,
    /// A version of Engine.IO before 3, as of socket.io-client 1.0.
    OldVersion,
    /// The body is longer than `socketio.max_payload`.
    TooLong,
    /// The body took longer than `limits.request_body_wait`.
    TooSlow,
    /// The body has more pieces than it may have.
    TooManyChunks,
    /// As many bodies are read as may be.
    BodiesFull,
    /// There are as many polling sessions as there may be connections.
    Overload,
    /// There are as many of this address as it may have.
    TooManyOfAddress,
    /// The server takes no new session.
    Stopping,
}

impl EngineRefusal {
    /// What the client is told, as engine.io says it where it has words for it, and what is counted.
    pub(super) fn row(self) -> Row {
        use StatusCode as Status;
        let bad = |rule, text: &'static str| Row::new(rule, Status::BAD_REQUEST, text);
        match self {
            Self::UnknownTransport => bad("engine-transport", r#"{"code":0,"message":"Transport unknown"}"#),
            Self::UnknownSession => bad("engine-session", r#"{"code":1,"message":"Session ID unknown"}"#),
            Self::BadHandshakeMethod => {
                bad("engine-method", r#"{"code":2,"message":"Bad handshake method"}"#)
            }
            Self::BadRequest => bad("engine-request", r#"{"code":3,"message":"Bad request"}"#),
            Self::Forbidden => {
                Row::new("engine-origin", Status::FORBIDDEN, r#"{"code":4,"message":"Forbidden"}"#)
            }
            Self::UnsupportedVersion => {
                bad("engine-version", r#"{"code":5,"message":"Unsupported protocol version"}"#)
            }
            Self::OldVersion => bad(
                "engine-version",
                r#"{"code":5,"message":"Unsupported protocol version: Engine.IO 3 and 4 are spoken here, by socket.io-client 1.1 and later"}"#,
            ),
            Self::TooLong => Row::new(
                "engine-body-too-long",
                Status::PAYLOAD_TOO_LARGE,
                r#"{"code":3,"message":"Payload too large (socketio.max_payload)"}"#,
            ),
            Self::TooSlow => Row::new(
                "engine-body-too-slow",
                Status::REQUEST_TIMEOUT,
                r#"{"code":3,"message":"Payload too slow (limits.request_body_wait)"}"#,
            ),
            Self::TooManyChunks => Row::new(
                "engine-body-chunks",
                Status::PAYLOAD_TOO_LARGE,
                r#"{"code":3,"message":"Payload in too many pieces: 1,024 and one for each 64 bytes are enough"}"#,
            ),
            Self::BodiesFull => Row::later(
                "bodies-full",
                Unavailable::Unread,
                r#"{"code":3,"message":"Too many payloads are being read (limits.bodies_bytes)"}"#,
            ),
            Self::Overload => Row::later(
                "engine-sessions",
                Unavailable::Overload,
                r#"{"code":3,"message":"Too many sessions (limits.connections)"}"#,
            ),
            Self::TooManyOfAddress => Row::later(
                "engine-sessions-per-address",
                Unavailable::Overload,
                r#"{"code":3,"message":"Too many sessions of this address (limits.sessions_per_address)"}"#,
            ),
            Self::Stopping => Row::later(
                "stopping",
                Unavailable::Stopping,
                r#"{"code":3,"message":"The server is stopping"}"#,
            ),
        }
    }
}

impl From<NoPlace> for EngineRefusal {
    fn from(none: NoPlace) -> Self {
        match none {
            NoPlace::All => Self::Overload,
            NoPlace::OfAddress => Self::TooManyOfAddress,
        }
    }
}

impl From<BodyRefusal> for EngineRefusal {
    fn from(refusal: BodyRefusal) -> Self {
        match refusal {
            BodyRefusal::TooLong => Self::TooLong,
            BodyRefusal::TooManyChunks => Self::TooManyChunks,
            BodyRefusal::TooSlow => Self::TooSlow,
            BodyRefusal::Full => Self::BodiesFull,
            BodyRefusal::Broken => Self::BadRequest,
        }
    }
}
