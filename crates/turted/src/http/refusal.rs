//! What a refused request is told, and what operators count: one row for each reason.

use std::borrow::Cow;

use hyper::StatusCode;

use super::answer::{Answer, Unavailable, answer};

/// One reason to refuse a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The rule that the request breaks, for metrics.
    pub(crate) rule: &'static str,
    pub(crate) status: StatusCode,
    /// The text goes to the client.
    pub(crate) text: Cow<'static, str>,
    /// When the client may try again, if it may.
    unavailable: Option<Unavailable>,
}

impl Row {
    pub(crate) fn new(rule: &'static str, status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { rule, status, text: text.into(), unavailable: None }
    }

    /// A request that breaks no rule, and may be made again.
    pub(crate) fn later(rule: &'static str, why: Unavailable, text: impl Into<Cow<'static, str>>) -> Self {
        Self { unavailable: Some(why), ..Self::new(rule, StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    /// The answer, whose body is the text.
    pub(crate) fn answer(self, content_type: &'static str) -> Answer {
        let body = match self.text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => super::body::Body::from(text),
        };
        let mut answer = answer(self.status, content_type, body);
        if let Some(unavailable) = self.unavailable {
            unavailable.mark(&mut answer);
        }
        answer
    }

    /// The answer in plain text.
    pub(crate) fn plain(self) -> Answer {
        self.answer("text/plain; charset=UTF-8")
    }
}
