//! What a refused request is told: one row for each reason. The OpenAPI document has the same rows.

use hyper::StatusCode;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;

use super::monitor::Unanswered;
use crate::http::{Answer, BodyRefusal, answer as with_type};

/// What is told for one reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) status: StatusCode,
    pub(super) detail: &'static str,
}

const fn row(status: StatusCode, detail: &'static str) -> Row {
    Row { status, detail }
}

/// A problem as RFC 9457 has it.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl From<Row> for Answer {
    fn from(Row { status, detail }: Row) -> Self {
        let title = status.canonical_reason().unwrap_or("refused");
        let body = serde_json::to_vec(&Problem { title, status: status.as_u16(), detail });
        with_type(status, "application/problem+json", body.expect("texts can be written as JSON"))
    }
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiRefusal {
    NoSuchPath,
    NoSuchNode,
    NodeSilent,
    NoSuchConnection,
    NoSuchPosition,
    NoSuchEvent,
    BadPosition,
    BadPath,
    BadName,
    BadQuery,
    ActionQuery,
    BadFilter,
    NodesNeedFilter,
    ForeignPage,
    PayloadNeedsToken,
    TooManyWatchers,
    WriteTokenUnset,
    WriteTokenNeeded,
    BadAction,
    BodyTooLong,
    BodyTooSlow,
    BodyBroken,
    BodiesFull,
    Unanswered,
}

impl ApiRefusal {
    pub(super) const ALL: [Self; 24] = [
        Self::NoSuchPath,
        Self::NoSuchNode,
        Self::NodeSilent,
        Self::NoSuchConnection,
        Self::NoSuchPosition,
        Self::NoSuchEvent,
        Self::BadPosition,
        Self::BadPath,
        Self::BadName,
        Self::BadQuery,
        Self::ActionQuery,
        Self::BadFilter,
        Self::NodesNeedFilter,
        Self::ForeignPage,
        Self::PayloadNeedsToken,
        Self::TooManyWatchers,
        Self::WriteTokenUnset,
        Self::WriteTokenNeeded,
        Self::BadAction,
        Self::BodyTooLong,
        Self::BodyTooSlow,
        Self::BodyBroken,
        Self::BodiesFull,
        Self::Unanswered,
    ];

    /// Whether another node may know what this one does not.
    pub(super) fn is_of_node(self) -> bool {
        matches!(self, Self::NoSuchConnection | Self::NoSuchEvent)
    }

    pub(super) fn row(self) -> Row {
        match self {
            Self::NoSuchPath => row(StatusCode::NOT_FOUND, "there is nothing under this path"),
            Self::NoSuchNode => row(StatusCode::NOT_FOUND, "there is no node with this number"),
            Self::NodeSilent => row(
                StatusCode::SERVICE_UNAVAILABLE,
                "the node that was asked does not answer within a second",
            ),
            Self::NoSuchConnection => row(StatusCode::NOT_FOUND, "no such connection on this node"),
            Self::NoSuchPosition => row(
                StatusCode::NOT_FOUND,
                "the log does not keep this position, or never gave it out: what became of it is unknown",
            ),
            Self::NoSuchEvent => {
                row(StatusCode::NOT_FOUND, "the history of this channel has no event at this position")
            }
            Self::BadPosition => {
                row(StatusCode::BAD_REQUEST, "a position is an epoch, a hyphen and a number: 5d1f2c3a-1042")
            }
            Self::BadPath => row(StatusCode::BAD_REQUEST, "the path is not percent-encoded UTF-8"),
            Self::BadName => {
                row(StatusCode::BAD_REQUEST, "a name has 1 to 255 bytes and no control characters")
            }
            Self::BadQuery => row(
                StatusCode::BAD_REQUEST,
                "a list takes limit=1 to 1000, after=NAME and prefix=TEXT, that of connections limit and after=ID, history limit and before=POSITION, what is below users and channels name=NAME, all of these node=NUMBER, each once; node and nodes take none",
            ),
            Self::ActionQuery => row(
                StatusCode::BAD_REQUEST,
                "an action takes no parameters but name=NAME, in place of the name in its path, and node=NUMBER",
            ),
            Self::BadFilter => row(
                StatusCode::BAD_REQUEST,
                "the live view takes event=PATTERN, user=NAME, channel=NAME, address=IP, type=A,B, payload=1 and nodes=all, each once",
            ),
            Self::NodesNeedFilter => row(
                StatusCode::BAD_REQUEST,
                "nodes=all takes user, channel or address beside it: no node sees all that happens on all of them",
            ),
            Self::ForeignPage => row(StatusCode::FORBIDDEN, "pages of other origins may ask nothing here"),
            Self::PayloadNeedsToken => {
                row(StatusCode::FORBIDDEN, "payloads are shown only where admin_token is set")
            }
            Self::TooManyWatchers => row(StatusCode::SERVICE_UNAVAILABLE, "as many watch already as may: 8"),
            Self::WriteTokenUnset => {
                row(StatusCode::FORBIDDEN, "nothing can be changed here: admin_write_token is not set")
            }
            Self::WriteTokenNeeded => row(
                StatusCode::FORBIDDEN,
                "this token only reads: Authorization: Bearer with admin_write_token is needed",
            ),
            Self::BadAction => row(
                StatusCode::BAD_REQUEST,
                "the body is a JSON object: to disconnect, reason (at most 120 bytes, no control characters) and come_back (a boolean), both optional; to remove, user or connection, one of them",
            ),
            Self::BodyTooLong => row(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long"),
            Self::BodyTooSlow => {
                row(StatusCode::REQUEST_TIMEOUT, "the body took too long (limits.request_body_wait)")
            }
            Self::BodyBroken => row(StatusCode::BAD_REQUEST, "the body is incomplete"),
            Self::BodiesFull => row(StatusCode::SERVICE_UNAVAILABLE, BodyRefusal::FULL),
            Self::Unanswered => row(
                StatusCode::SERVICE_UNAVAILABLE,
                "a worker does not answer, as before what it did is recorded, or the server is starting or stopping",
            ),
        }
    }
}

impl From<Unanswered> for ApiRefusal {
    fn from(_: Unanswered) -> Self {
        Self::Unanswered
    }
}

impl From<BodyRefusal> for ApiRefusal {
    fn from(refusal: BodyRefusal) -> Self {
        match refusal {
            BodyRefusal::TooLong | BodyRefusal::TooManyChunks => Self::BodyTooLong,
            BodyRefusal::TooSlow => Self::BodyTooSlow,
            BodyRefusal::Full => Self::BodiesFull,
            BodyRefusal::Broken => Self::BodyBroken,
        }
    }
}

impl From<ApiRefusal> for Answer {
    fn from(refusal: ApiRefusal) -> Self {
        refusal.row().into()
    }
}

/// Why a request may not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GuardRefusal {
    /// The token is missing or wrong.
    Token,
    /// Too many wrong tokens came from this address.
    Guessing,
    /// The request is for another host than this machine.
    Host,
    /// Other machines reach the listener, and no token says who may read.
    Stranger,
    /// A proxy passes the request on, and no token says who may read.
    PassedOn,
}

impl GuardRefusal {
    pub(super) const ALL: [Self; 5] =
        [Self::Token, Self::Guessing, Self::Host, Self::Stranger, Self::PassedOn];

    pub(super) fn row(self) -> Row {
        match self {
            Self::Token => row(StatusCode::UNAUTHORIZED, "Authorization: Bearer TOKEN is needed"),
            Self::Guessing => row(
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong tokens from this address (limits.wrong_passwords)",
            ),
            Self::Host => row(
                StatusCode::MISDIRECTED_REQUEST,
                "without admin_token the host must be an IP address or localhost",
            ),
            Self::Stranger => row(
                StatusCode::FORBIDDEN,
                "beyond this machine only health and metrics are served without admin_token",
            ),
            Self::PassedOn => row(
                StatusCode::FORBIDDEN,
                "a proxy passes this request on, and without admin_token only health and metrics are for others",
            ),
        }
    }
}

impl From<GuardRefusal> for Answer {
    fn from(refusal: GuardRefusal) -> Self {
        let mut answer = Self::from(refusal.row());
        if refusal == GuardRefusal::Token {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The variants of an enum that the rows above are of.
    fn variants(of: &str) -> BTreeSet<String> {
        let (_, rest) = include_str!("refusal.rs").split_once(&format!("enum {of} {{")).unwrap();
        let (body, _) = rest.split_once("\n}").unwrap();
        let lines = body.lines().map(str::trim).filter(|line| line.ends_with(',') && !line.starts_with("//"));
        lines.map(|line| line.trim_end_matches(',').to_owned()).collect()
    }

    fn names<T: std::fmt::Debug>(all: &[T]) -> BTreeSet<String> {
        all.iter().map(|refusal| format!("{refusal:?}")).collect()
    }

    #[test]
    fn each_refusal_is_among_all() {
        assert_eq!(names(&ApiRefusal::ALL), variants("ApiRefusal"));
        assert_eq!(names(&GuardRefusal::ALL), variants("GuardRefusal"));
    }
}
