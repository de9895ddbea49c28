//! The answers to pushes: in the words of the node server, or in JSON for callers that ask for it.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::{Serialize, Serializer};
use serde_json::to_vec;
use turted_core::cursor::Cursor;
use turted_core::push::{NOT_JSON, PushRefusal, RefusalKind, Shape};

use super::idempotency::StoredAnswer;
use crate::http::negotiation::{Named, liking};
use crate::http::{Answer, BodyRefusal, Unavailable, allow, answer as with_type, bare, text};
use crate::hub::dispatch::dispatcher::DispatchRefusal;

/// The rule under which a server that stops refuses pushes.
const STOPPING: &str = "stopping";
/// The rule of a body that is no JSON: where it is none is said in JSON alone.
const NOT_JSON_RULE: &str = "not-json";
/// The rule under which a push is refused whose body finds no room.
const BODIES_FULL: &str = "bodies-full";

/// Bytes of one [`Accepted`] and a comma: the largest numbers have 20 digits, and eight of the epoch.
const RESULT_BYTES_MAX: usize = r#"{"delivered":,"id":"-"},"#.len() + 2 * 20 + 8;

/// What the caller reads best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerFormat {
    /// What the node server said.
    Plain,
    /// JSON: results, and problems as RFC 9457 has them.
    Json,
}

impl AnswerFormat {
    /// The format a request asks for: what it reads best, and JSON if it names it and reads both alike. `*/*` names
    /// nothing. A caller that reads neither gets the answer of the node server.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let json = ["application/json", "application/problem+json"].map(|kind| liking(headers, kind));
        let [json, problem] = json;
        let json = if json.weight >= problem.weight { json } else { problem };
        let plain = liking(headers, "text/plain");
        let is_named = json.named > Named::AsAny;
        let asked =
            json.weight > plain.weight || (json.weight == plain.weight && json.weight > 0 && is_named);
        if asked { Self::Json } else { Self::Plain }
    }
}

/// One accepted dispatch, for callers that read JSON.
#[derive(Debug, Serialize)]
pub(super) struct Accepted {
    /// Connections reached on this node.
    pub(super) delivered: usize,
    #[serde(serialize_with = "as_text")]
    pub(super) id: Cursor,
}

fn as_text<S: Serializer>(cursor: &Cursor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cursor)
}

/// The answer to an accepted push as the node server gave it.
pub(super) fn ok() -> StoredAnswer {
    StoredAnswer { content_type: None, body: Bytes::from_static(b"OK") }
}

/// The answer to an accepted push for callers that read JSON.
pub(super) fn accepted(shape: Shape, results: &[Accepted]) -> StoredAnswer {
    let body = match (shape, results) {
        (Shape::Single, [result]) => to_vec(result),
        _ => to_vec(results),
    };
    let body = body.expect("numbers and texts can be written as JSON").into();
    StoredAnswer { content_type: Some("application/json"), body }
}

/// How many bytes the answer to an accepted push of so many dispatches has at most.
pub(super) fn bytes_max(format: AnswerFormat, dispatches: usize) -> usize {
    match format {
        AnswerFormat::Plain => 2,
        AnswerFormat::Json => 2 + RESULT_BYTES_MAX * dispatches,
    }
}

impl From<StoredAnswer> for Answer {
    fn from(stored: StoredAnswer) -> Self {
        match stored.content_type {
            Some(content_type) => with_type(StatusCode::OK, content_type, stored.body),
            None => bare(StatusCode::OK, stored.body),
        }
    }
}

/// Why a push was not accepted.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// For programs.
    rule: &'static str,
    /// For people. In the plain format it is the whole body.
    detail: String,
    field: Option<String>,
    index: Option<usize>,
    /// Seconds after which it makes sense to try again.
    retry_after: Option<u64>,
}

/// A problem as RFC 9457 has it, with the rule, the field and the index as extensions.
#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, rule: &'static str, detail: impl Into<String>) -> Self {
        Self { status, rule, detail: detail.into(), field: None, index: None, retry_after: None }
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The password is missing or wrong.
    pub(super) fn wrong_password() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "wrong-password", "Wrong auth data")
    }

    /// The rule that was broken.
    pub(super) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    pub(super) fn rule(&self) -> &'static str {
        self.rule
    }

    /// The answer in the format the caller reads.
    pub(super) fn answer(&self, format: AnswerFormat) -> Answer {
        let mut answer = match format {
            // What the node server said carried no content type.
            AnswerFormat::Plain if self.rule == NOT_JSON_RULE => bare(self.status, NOT_JSON),
            AnswerFormat::Plain if self.is_old() => bare(self.status, self.detail.clone()),
            AnswerFormat::Plain => text(self.status, self.detail.clone()),
            AnswerFormat::Json => with_type(self.status, "application/problem+json", self.body()),
        };
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match self.rule {
            STOPPING => Unavailable::Stopping.mark(&mut answer),
            BODIES_FULL => Unavailable::Unread.mark(&mut answer),
            _ => {}
        }
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            // RFC 9110 15.5.16: what would have been taken.
            answer.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        answer
    }

    fn is_old(&self) -> bool {
        matches!(self.rule, "data-missing" | "wrong-password")
    }

    fn body(&self) -> Vec<u8> {
        let body = ProblemBody {
            r#type: format!("urn:turted:problem:{}", self.rule),
            title: self.status.canonical_reason().unwrap_or("refused"),
            status: self.status.as_u16(),
            detail: &self.detail,
            rule: self.rule,
            field: self.field.as_deref(),
            index: self.index,
        };
        to_vec(&body).expect("numbers and texts can be written as JSON")
    }
}

impl From<PushRefusal> for Problem {
    fn from(refusal: PushRefusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::DataMissing => StatusCode::UNAUTHORIZED,
            RefusalKind::NotJson | RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        };
        let detail = match refusal.kind {
            RefusalKind::NotJson => refusal.detail.clone().into_owned(),
            _ => refusal.to_string(),
        };
        Self { field: refusal.field, index: refusal.index, ..Self::new(status, refusal.rule, detail) }
    }
}

impl From<BodyRefusal> for Problem {
    fn from(refusal: BodyRefusal) -> Self {
        let (status, rule, detail) = match refusal {
            BodyRefusal::TooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-long",
                "the body is too long (limits.push_body_bytes)",
            ),
            BodyRefusal::TooManyChunks => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body-chunks", BodyRefusal::TOO_MANY_CHUNKS)
            }
            BodyRefusal::Full => (StatusCode::SERVICE_UNAVAILABLE, BODIES_FULL, BodyRefusal::FULL),
            BodyRefusal::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "body-too-slow",
                "the body took too long (limits.request_body_wait)",
            ),
            BodyRefusal::Broken => (StatusCode::BAD_REQUEST, "body-broken", "the body is incomplete"),
        };
        Self::new(status, rule, detail)
    }
}

impl From<DispatchRefusal> for Problem {
    fn from(refusal: DispatchRefusal) -> Self {
        let detail = refusal.to_string();
        let rule = match refusal {
            DispatchRefusal::ExpansionTooLarge { .. } => {
                return Self::new(StatusCode::PAYLOAD_TOO_LARGE, "expansion-too-large", detail);
            }
            DispatchRefusal::Overload => "overload",
            DispatchRefusal::BacklogsFull => "backlogs-full",
            _ => STOPPING,
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, rule, detail).retry_after(1)
    }
}

/// The node server's answer to methods other than POST and OPTIONS, reason phrase included. It did not
/// say which methods there are.
pub(super) fn method_not_supported() -> Answer {
    const BODY: &str = "<html><head><title>405 - Method not supported</title></head>\
<body><h1>Method not supported.</h1></body></html>";
    let mut answer = with_type(StatusCode::METHOD_NOT_ALLOWED, "text/html", BODY);
    allow(&mut answer, "OPTIONS, POST");
    answer.extensions_mut().insert(ReasonPhrase::from_static(b"Method not supported"));
    answer
}
