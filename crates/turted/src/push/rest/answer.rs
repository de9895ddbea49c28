//! The answers to pushes: in the words of the node server, or in JSON for callers that ask for it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::ext::ReasonPhrase;
use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::to_vec;
use turted_core::cursor::Cursor;
use turted_core::limits::PUSH_AUTH_BYTES_MAX;
use turted_core::push::{DATA_MISSING, NOT_JSON, PushRefusal, RefusalKind, Shape};
use turted_core::record::push::AnswerForm;

use super::idempotency::StoredAnswer;
use super::rules::status_of;
use crate::auth::passwords::Password;
use crate::http::negotiation::{Liking, Named, liking, liking_of};
use crate::http::{Answer, BodyRefusal, Unavailable, allow, answer as with_type, bare, text};
use crate::hub::dispatch::dispatcher::{DispatchRefusal, Positions};
use crate::hub::dispatch::log::disk::FoundKey;

/// Bytes of one [`Accepted`] and a comma: the largest numbers have 20 digits, four of nodes, and sixteen of the epoch.
const RESULT_BYTES_MAX: usize = r#"{"delivered":,"id":"-","nodes":,"silent":},"#.len() + 2 * 20 + 2 * 4 + 16;

/// The rule of a push whose disk did not answer in time: it may still be dispatched.
pub(super) const LOG_SLOW: &str = "log-slow";

/// The rule of a push that the log did not take; in a cluster it may still be dispatched.
pub(super) const LOG_UNAVAILABLE: &str = "log-unavailable";

/// A key belongs to one body.
pub(super) const OTHER_BODY: &str = "this Idempotency-Key was used for another body";

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
        Self::liked(|kind| liking(headers, kind))
    }

    /// The same where the `Accept` is this one, if there is one.
    pub(super) fn of_accept(accept: Option<&str>) -> Self {
        Self::liked(|kind| liking_of(accept.map(|line| [line]), kind))
    }

    fn liked(liking: impl Fn(&str) -> Liking) -> Self {
        let json = ["application/json", "application/problem+json"].map(&liking);
        let [json, problem] = json;
        let json = if json.weight >= problem.weight { json } else { problem };
        let plain = liking("text/plain");
        let is_named = json.named > Named::AsAny;
        let asked =
            json.weight > plain.weight || (json.weight == plain.weight && json.weight > 0 && is_named);
        if asked { Self::Json } else { Self::Plain }
    }
}

/// One accepted dispatch, for callers that read JSON.
#[derive(Debug, Serialize)]
pub(super) struct Accepted {
    /// Connections reached, in a cluster on all nodes that counted. Unknown after a restart that came before they were
    /// counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivered: Option<u64>,
    #[serde(serialize_with = "as_text")]
    pub(super) id: Cursor,
    /// How many nodes of a cluster have counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nodes: Option<usize>,
    /// How many nodes did not answer in time, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) silent: Option<usize>,
}

impl Accepted {
    /// Of which this node alone has counted what it reaches.
    pub(super) fn alone(delivered: Option<u64>, id: Cursor) -> Self {
        Self { delivered, id, nodes: None, silent: None }
    }
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

/// The position of the first event of an accepted push that was answered in JSON, and how many events it has.
pub(super) fn positions(answer: &StoredAnswer) -> Option<(Cursor, usize)> {
    #[derive(Deserialize)]
    struct Entry<'a> {
        id: &'a str,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entries<'a> {
        #[serde(borrow)]
        One(Entry<'a>),
        Batch(Vec<Entry<'a>>),
    }
    let (first, count) = match serde_json::from_slice(&answer.body).ok()? {
        Entries::One(only) => (only.id, 1),
        Entries::Batch(entries) => (entries.first()?.id, entries.len()),
    };
    Some((first.parse().ok()?, count))
}

/// The answer to a push that was accepted before this start.
pub(super) fn again(key: &FoundKey) -> StoredAnswer {
    let shape = match key.answer {
        AnswerForm::Plain => return ok(),
        AnswerForm::Single => Shape::Single,
        AnswerForm::Batch => Shape::Batch,
    };
    let ids = Positions::new(key.first, key.count as usize).iter();
    let delivered = |index: usize| key.delivered.as_ref()?.get(index).copied();
    let results: Vec<_> = ids.enumerate().map(|(index, id)| Accepted::alone(delivered(index), id)).collect();
    accepted(shape, &results)
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

/// Why a push was not accepted: one row for each reason.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// For programs.
    rule: &'static str,
    /// For people. In the plain format it is the whole body.
    detail: Box<str>,
    /// What the node server said instead. It said so without a content type.
    node: Option<&'static str>,
    field: Option<String>,
    index: Option<usize>,
    /// Seconds after which it makes sense to try again.
    retry_after: Option<u64>,
    unavailable: Option<Unavailable>,
    /// What the push has, for the log.
    password: Option<Arc<Password>>,
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
    /// A push broke `rule`, which has a row in `rules`.
    pub(super) fn new(rule: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into().into_boxed_str();
        Self {
            status: status_of(rule),
            rule,
            detail,
            node: None,
            field: None,
            index: None,
            retry_after: None,
            unavailable: None,
            password: None,
        }
    }

    /// A push that breaks no rule, and may be made again.
    fn later(rule: &'static str, why: Unavailable, detail: impl Into<String>) -> Self {
        Self { unavailable: Some(why), ..Self::new(rule, detail) }
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The password is missing or wrong.
    pub(super) fn wrong_password() -> Self {
        const TEXT: &str = "Wrong auth data";
        Self { node: Some(TEXT), ..Self::new("wrong-password", TEXT) }
    }

    /// The backend of `push.url` was asked and said neither yes nor no.
    pub(super) fn no_verdict() -> Self {
        let detail = "the push cannot be verified now: the backend of push.url gives no verdict";
        Self::later("push-unverified", Unavailable::Moment, detail)
    }

    /// The items of a batch do not carry the same credentials.
    pub(super) fn auth_differs(detail: &str) -> Self {
        Self::new("auth-differs", detail)
    }

    pub(super) fn auth_too_long() -> Self {
        let detail = format!("`auth` has more than {PUSH_AUTH_BYTES_MAX} bytes");
        Self::new("auth-too-long", detail)
    }

    /// The same of a push with this password.
    pub(super) fn with_password(self, password: Option<&Arc<Password>>) -> Self {
        Self { password: password.cloned(), ..self }
    }

    /// The name of the key whose password the push has.
    pub(super) fn key(&self) -> Option<&str> {
        self.password.as_ref()?.name.as_deref()
    }

    /// The field that breaks the rule.
    pub(super) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The rule that was broken.
    pub(super) fn rule(&self) -> &'static str {
        self.rule
    }

    /// The answer in the format the caller reads.
    pub(super) fn answer(&self, format: AnswerFormat) -> Answer {
        let mut answer = match format {
            AnswerFormat::Plain => match self.node {
                Some(words) => bare(self.status, words),
                None => text(self.status, self.detail.to_string()),
            },
            AnswerFormat::Json => with_type(self.status, "application/problem+json", self.body()),
        };
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(unavailable) = self.unavailable {
            unavailable.mark(&mut answer);
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
        let (node, detail) = match refusal.kind {
            RefusalKind::DataMissing => (Some(DATA_MISSING), refusal.to_string()),
            RefusalKind::NotJson => (Some(NOT_JSON), refusal.detail.clone().into_owned()),
            RefusalKind::Invalid | RefusalKind::NotAllowed | RefusalKind::TooLarge => {
                (None, refusal.to_string())
            }
        };
        Self { node, field: refusal.field, index: refusal.index, ..Self::new(refusal.rule, detail) }
    }
}

impl From<BodyRefusal> for Problem {
    fn from(refusal: BodyRefusal) -> Self {
        const TOO_LONG: &str = "the body is too long (limits.push_body_bytes)";
        const TOO_SLOW: &str = "the body took too long (limits.request_body_wait)";
        const BROKEN: &str = "the body is incomplete";
        match refusal {
            BodyRefusal::TooLong => Self::new("body-too-long", TOO_LONG),
            BodyRefusal::TooManyChunks => Self::new("body-chunks", BodyRefusal::TOO_MANY_CHUNKS),
            BodyRefusal::Full => Self::later("bodies-full", Unavailable::Unread, BodyRefusal::FULL),
            BodyRefusal::TooSlow => Self::new("body-too-slow", TOO_SLOW),
            BodyRefusal::Broken => Self::new("body-broken", BROKEN),
        }
    }
}

impl From<DispatchRefusal> for Problem {
    fn from(refusal: DispatchRefusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            DispatchRefusal::ExpansionTooLarge { .. } => Self::new("expansion-too-large", detail),
            DispatchRefusal::EntryTooLarge { .. } => Self::new("entry-too-large", detail),
            DispatchRefusal::TargetsTooMany { .. } => Self::new("targets-too-many", detail),
            DispatchRefusal::Overload => Self::later("overload", Unavailable::Moment, detail),
            DispatchRefusal::Repeated { .. } => Self::new("idempotency-key-reused", OTHER_BODY),
            DispatchRefusal::LogUnavailable | DispatchRefusal::Unreplicated => {
                Self::later(LOG_UNAVAILABLE, Unavailable::Moment, detail)
            }
            DispatchRefusal::BacklogsFull => Self::later("backlogs-full", Unavailable::Moment, detail),
            _ => Self::later("stopping", Unavailable::Stopping, detail),
        }
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
