//! Asks the backend whether a push may pass (`push.method = "http"`).
//!
//! `{"auth":..,"address":"192.0.2.7"}` goes out; 200 with `{}` is a yes, whatever the object has. 401 and 403 are a no,
//! everything else is no verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use turted_core::limits::{PUSH_AUTH_BYTES_MAX, VERDICT_BYTES_MAX};
use turted_core::push::Parsed;

use super::answer::Problem;
use crate::config::Push;
use crate::io::backend::{AskFailure, Backend, BackendLimits};
use crate::io::questions::{Questions, Unanswered};
use crate::io::seldom::Seldom;
use crate::io::tasks::Tasks;

/// The backend behind `push.url`.
pub(super) struct Verifier {
    backend: Backend,
    questions: Questions,
    /// The log line that a push got no verdict.
    failure: Seldom,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Verifier").finish_non_exhaustive()
    }
}

/// The question to the backend.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    auth: Option<Auth<'a>>,
    address: IpAddr,
}

/// What a push shows.
#[derive(Serialize)]
#[serde(untagged)]
enum Auth<'a> {
    /// In the header.
    Bearer(&'a str),
    /// In the body, as it was written.
    Written(&'a RawValue),
}

/// What the backend says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
}

/// Why there is no verdict. Never carries what the caller or the backend sent.
#[derive(Debug, thiserror::Error)]
enum NoVerdict {
    #[error(transparent)]
    Unanswered(#[from] AskFailure),
    #[error("the answer is not {{}}: a yes is 200 with an object of JSON")]
    Malformed,
    #[error("the backend answered {0}: 200 is a yes, 401 and 403 are a no")]
    Status(StatusCode),
    #[error("no answer within push.timeout")]
    Late,
}

impl<'a> Question<'a> {
    /// The question about a push: one for all of its items.
    pub(super) fn of(address: IpAddr, bearer: Option<&'a str>, parsed: &Parsed<'a>) -> Result<Self, Problem> {
        if let Some(bearer) = bearer {
            return Ok(Self { auth: Some(Auth::Bearer(bearer)), address });
        }
        let mut auths = parsed.auths().map(|auth| auth.map(RawValue::get));
        let first = auths.next().flatten();
        if auths.any(|auth| auth != first) {
            return Err(Problem::auth_differs("the pushes of a batch carry different `auth`"));
        }
        if first.is_some_and(|auth| auth.len() > PUSH_AUTH_BYTES_MAX) {
            return Err(Problem::auth_too_long());
        }
        Ok(Self { auth: parsed.auths().next().flatten().map(Auth::Written), address })
    }

    /// Whether the push shows something that may be a guess.
    pub(super) fn is_guess(&self) -> bool {
        match &self.auth {
            None => false,
            Some(Auth::Bearer(_)) => true,
            Some(Auth::Written(written)) => written.get() != r#""""#,
        }
    }
}

impl Verifier {
    /// `None` if no backend is asked.
    pub(super) fn new(push: &Push) -> Option<Self> {
        let url = push.url.clone()?;
        let limits = BackendLimits { connections: push.concurrency, answer_bytes: VERDICT_BYTES_MAX };
        Some(Self {
            backend: Backend::new(url, push.ca.clone(), limits),
            questions: Questions::new(push.concurrency, push.timeout),
            failure: Seldom::new(),
        })
    }

    /// Asks, and waits for the verdict no longer than it may take or the server runs; `None` if there is none.
    pub(super) async fn ask(&self, tasks: &Tasks, question: &Question<'_>) -> Option<Verdict> {
        let verdict = match self.questions.ask(tasks, self.post(tasks, question)).await {
            Ok(verdict) => verdict,
            Err(Unanswered::Ended) => return None,
            Err(Unanswered::Late) => Err(NoVerdict::Late),
        };
        let asked = self.backend.url().shown();
        match &verdict {
            Ok(_) => {
                if let Some(untold) = self.failure.is_over() {
                    tracing::warn!(asked, untold, "a push has a verdict again");
                }
            }
            Err(failure) => match self.failure.tell(Instant::now()) {
                Some(untold) => tracing::warn!(
                    asked, %failure, untold,
                    "no verdict about a push: it is answered 503, and no guess is counted"
                ),
                None => tracing::debug!(asked, %failure, "no verdict about a push"),
            },
        }
        verdict.ok()
    }

    async fn post(&self, tasks: &Tasks, question: &Question<'_>) -> Result<Verdict, NoVerdict> {
        let question = serde_json::to_vec(question).map_err(|_| NoVerdict::Malformed)?;
        let reply = self.backend.post(tasks, HeaderMap::new(), question.into()).await?;
        match reply.status {
            // A page that a backend shows at every path it does not know is no yes.
            StatusCode::OK => match serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&reply.body) {
                Ok(_) => Ok(Verdict::Yes),
                Err(_) => Err(NoVerdict::Malformed),
            },
            // 404, 408, 419 and 429 come from backends that are broken, busy or not deployed yet.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(Verdict::No),
            status => Err(NoVerdict::Status(status)),
        }
    }
}
