//! Why a request of Engine.IO is refused, and what it is answered.

use hyper::StatusCode;

use crate::http::{Answer, BodyRefusal, Unavailable, answer as with_type};
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
    fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooLong | Self::TooManyChunks => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodiesFull | Self::Overload | Self::TooManyOfAddress | Self::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The rule for metrics.
    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::UnknownTransport => "engine-transport",
            Self::UnknownSession => "engine-session",
            Self::BadHandshakeMethod => "engine-method",
            Self::BadRequest => "engine-request",
            Self::Forbidden => "engine-origin",
            Self::UnsupportedVersion | Self::OldVersion => "engine-version",
            Self::TooLong => "engine-body-too-long",
            Self::TooSlow => "engine-body-too-slow",
            Self::TooManyChunks => "engine-body-chunks",
            Self::BodiesFull => "bodies-full",
            Self::Overload => "engine-sessions",
            Self::TooManyOfAddress => "engine-sessions-per-address",
            Self::Stopping => "stopping",
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::UnknownTransport => r#"{"code":0,"message":"Transport unknown"}"#,
            Self::UnknownSession => r#"{"code":1,"message":"Session ID unknown"}"#,
            Self::BadHandshakeMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            Self::BadRequest => r#"{"code":3,"message":"Bad request"}"#,
            Self::Forbidden => r#"{"code":4,"message":"Forbidden"}"#,
            Self::UnsupportedVersion => r#"{"code":5,"message":"Unsupported protocol version"}"#,
            Self::OldVersion => {
                r#"{"code":5,"message":"Unsupported protocol version: Engine.IO 3 and 4 are spoken here, by socket.io-client 1.1 and later"}"#
            }
            Self::TooLong => r#"{"code":3,"message":"Payload too large (socketio.max_payload)"}"#,
            Self::TooSlow => r#"{"code":3,"message":"Payload too slow (limits.request_body_wait)"}"#,
            Self::TooManyChunks => {
                r#"{"code":3,"message":"Payload in too many pieces: 1,024 and one for each 64 bytes are enough"}"#
            }
            Self::BodiesFull => {
                r#"{"code":3,"message":"Too many payloads are being read (limits.bodies_bytes)"}"#
            }
            Self::Overload => r#"{"code":3,"message":"Too many sessions (limits.connections)"}"#,
            Self::TooManyOfAddress => {
                r#"{"code":3,"message":"Too many sessions of this address (limits.sessions_per_address)"}"#
            }
            Self::Stopping => r#"{"code":3,"message":"The server is stopping"}"#,
        }
    }
}

impl From<EngineRefusal> for Answer {
    fn from(refusal: EngineRefusal) -> Self {
        let mut answer = with_type(refusal.status(), "application/json", refusal.body());
        match refusal {
            EngineRefusal::Overload | EngineRefusal::TooManyOfAddress => {
                Unavailable::Overload.mark(&mut answer);
            }
            EngineRefusal::BodiesFull => Unavailable::Unread.mark(&mut answer),
            EngineRefusal::Stopping => Unavailable::Stopping.mark(&mut answer),
            _ => {}
        }
        answer
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
