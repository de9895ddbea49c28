//! Sends a batch once, and reads what the answer means.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::timeout;
use turted_core::secret::Secret;

use super::batch::seconds_now;
use super::signature;
use crate::config::Hook as Settings;
use crate::io::backend::{Backend, BackendLimits, Reply};
use crate::io::tasks::Tasks;

/// How long a backend may take for all of a batch, the connection included.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Bytes of an answer: room for a page that says what is wrong. Nothing but its status counts.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The backend of a hook.
pub(super) struct Mailbox {
    backend: Backend,
    tasks: Tasks,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The backend has the batch.
    Done,
    /// It wants to hear nothing any more.
    Ended,
    /// It cannot use this batch, however often it is sent.
    Refused(StatusCode),
    /// It may take the same batch later.
    Again(String),
}

impl Mailbox {
    pub(super) fn new(settings: &Settings, tasks: Tasks) -> Self {
        let limits = BackendLimits { connections: 1, answer_bytes: ANSWER_BYTES_MAX };
        let backend = Backend::new(settings.url.clone(), settings.ca.clone(), limits);
        Self { backend, tasks }
    }

    /// Sends a body, signed for this moment.
    ///
    /// # Errors
    /// There was no answer in time: why, for operators.
    pub(super) async fn post(&self, body: Bytes, secrets: &[Secret]) -> Result<Reply, String> {
        let header = signature::sign(secrets, seconds_now(), &body);
        let value = HeaderValue::try_from(header).map_err(|error| error.to_string())?;
        let headers = HeaderMap::from_iter([(HeaderName::from_static(signature::HEADER), value)]);
        match timeout(ANSWER_WAIT, self.backend.post(&self.tasks, headers, body)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(failure)) => Err(failure.to_string()),
            Err(_) => Err(format!("no answer within {} s", ANSWER_WAIT.as_secs())),
        }
    }
}

impl Verdict {
    pub(super) fn of(answer: &Result<Reply, String>) -> Self {
        match answer {
            Err(failure) => Self::Again(failure.clone()),
            Ok(Reply { status, .. }) => match *status {
                status if status.is_success() => Self::Done,
                StatusCode::GONE => Self::Ended,
                status @ (StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY) => Self::Refused(status),
                // 404, 401 and 429 come from backends that are busy or not deployed yet; a redirect is not followed.
                status => Self::Again(format!("it answered {status}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_done_the_end_a_refusal_or_to_be_tried_again() {
        let verdict = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            Verdict::of(&Ok(Reply { status, body: Bytes::new() }))
        };
        for done in [200, 201, 202, 204] {
            assert_eq!(verdict(done), Verdict::Done);
        }
        assert_eq!(verdict(410), Verdict::Ended);
        for refused in [400, 413, 422] {
            assert_eq!(verdict(refused), Verdict::Refused(StatusCode::from_u16(refused).unwrap()));
        }
        for again in [301, 302, 304, 307, 401, 403, 404, 408, 409, 429, 500, 502, 503, 504] {
            assert!(matches!(verdict(again), Verdict::Again(_)), "{again}");
        }
        assert!(matches!(Verdict::of(&Err("broken".to_owned())), Verdict::Again(_)));
    }
}
