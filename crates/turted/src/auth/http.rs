//! Asks the backend: POSTs what the client sent, and takes 200 with a user for a yes.
//!
//! `{"ident":{..},"transport":"socketio","address":"192.0.2.7"}` goes out;
//! `{"user":"alice","channels":["news.*"],"expires_in":600}` comes back, all but the user may be left out. 401 and
//! 403 are a no, everything else is no verdict. Nothing that the answer names is followed or looked up.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use turted_core::auth::{IdentRefusal, Identity, Verified};
use turted_core::channel::{GrantRefusal, Grants};
use turted_core::claims::SECONDS_MAX;
use turted_core::command::UserField;
use turted_core::limits::VERDICT_BYTES_MAX;
use turted_core::time::UnixTime;

use super::{IdentRequest, unix_now};
use crate::io::backend::{AskFailure, Backend, BackendLimits, HttpUrl};
use crate::io::tasks::Tasks;

/// The backend behind `auth.url`.
pub(super) struct HttpAuthenticator(Backend);

/// The question to the backend.
#[derive(Serialize)]
struct Question<'a> {
    ident: &'a RawValue,
    transport: &'static str,
    address: IpAddr,
}

/// The answer of the backend. It may have more members.
#[derive(Deserialize)]
struct BackendAnswer<'a> {
    #[serde(borrow)]
    user: &'a RawValue,
    #[serde(borrow)]
    channels: Option<&'a RawValue>,
    /// Seconds for which the user is good. `null` is no number: it does not mean that there is no end.
    #[serde(borrow, default, deserialize_with = "given")]
    expires_in: Option<&'a RawValue>,
}

/// A member that is there, also if it is `null`.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

impl HttpAuthenticator {
    /// Asks at `url`, which the certificates in `ca` vouch for over TLS, and keeps at most `most` connections.
    pub(super) fn new(url: HttpUrl, ca: Option<PathBuf>, most: usize) -> Self {
        let limits = BackendLimits { connections: most, answer_bytes: VERDICT_BYTES_MAX };
        Self(Backend::new(url, ca, limits))
    }

    /// The address without its query, which may hold a secret.
    pub(super) fn shown_url(&self) -> String {
        self.0.url().shown()
    }

    /// Asks once. Takes as long as the backend does: the caller has to bound it.
    pub(super) async fn verify(
        &self,
        tasks: &Tasks,
        request: &IdentRequest,
    ) -> Result<Verified, HttpFailure> {
        let question =
            Question { ident: &request.ident, transport: request.transport, address: request.address };
        let question = Bytes::from(serde_json::to_vec(&question).map_err(|_| HttpFailure::Malformed)?);
        let reply = self.0.post(tasks, HeaderMap::new(), question).await?;
        match reply.status {
            StatusCode::OK => read(&reply.body, request.user.as_ref(), unix_now()),
            status => Err(HttpFailure::Status(status)),
        }
    }
}

fn read(answer: &[u8], named: Option<&UserField>, now: UnixTime) -> Result<Verified, HttpFailure> {
    let answer: BackendAnswer<'_> = serde_json::from_slice(answer).map_err(|_| HttpFailure::Malformed)?;
    let user = UserField::decode(answer.user).map_err(|_| HttpFailure::User)?;
    let channels = answer.channels.map_or(Ok(Grants::default()), Grants::read)?;
    let lasts = answer.expires_in.map(|raw| lasts(raw).ok_or(HttpFailure::ExpiresIn)).transpose()?;
    let expires = lasts.map(|lasts| UnixTime(now.0.saturating_add(lasts)));
    let identity = match named {
        Some(named) if named.name == user.name => Identity::from(named),
        _ => Identity::from(&user),
    };
    Ok(Verified { channels, expires, ..Verified::from(identity) })
}

/// A number of seconds above 0. A longer time than to the year 9999 is taken for that.
fn lasts(raw: &RawValue) -> Option<Duration> {
    let seconds: f64 = serde_json::from_str(raw.get()).ok()?;
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}

/// Why there is no yes. Never carries what the client or the backend sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpFailure {
    #[error(transparent)]
    Unanswered(#[from] AskFailure),
    #[error("the answer is not {{\"user\": name, \"channels\": [names], \"expires_in\": seconds}}")]
    Malformed,
    #[error("the user of the answer is no name")]
    User,
    #[error("expires_in of the answer is no number of seconds above 0")]
    ExpiresIn,
    #[error("the channels of the answer: {0}")]
    Channels(#[from] GrantRefusal),
    #[error("the backend answered {0}: 200 is a yes, 401 and 403 are a no")]
    Status(StatusCode),
}

impl HttpFailure {
    /// Whether the backend said no, as opposed to nothing of use.
    fn is_refusal(&self) -> bool {
        // 404, 408, 419 and 429 come from backends that are broken, busy or not deployed yet.
        matches!(self, Self::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// Passes on a failure that an operator has to look at.
    pub(super) fn unless_refused(&self, note: impl FnOnce(&dyn fmt::Display)) {
        if !self.is_refusal() {
            note(self);
        }
    }
}

impl From<HttpFailure> for IdentRefusal {
    /// What the client may know.
    fn from(failure: HttpFailure) -> Self {
        if failure.is_refusal() { Self::NotVerified } else { Self::Unavailable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(Duration::from_secs(1_800_000_000));

    #[test]
    fn an_answer_may_say_for_how_many_seconds_its_user_is_good() {
        let read = |more: &str| {
            let verified = read(format!(r#"{{"user":"alice"{more}}}"#).as_bytes(), None, NOW)?;
            assert_eq!(verified.leeway, Duration::ZERO, "it counts from the answer");
            Ok::<_, HttpFailure>(verified.expires.map(|expires| expires.0 - NOW.0))
        };
        for (more, lasts) in [
            ("", None),
            (r#","expires_in":600"#, Some(Duration::from_secs(600))),
            (r#","expires_in":0.25"#, Some(Duration::from_millis(250))),
            (r#","expires_in":6e2"#, Some(Duration::from_secs(600))),
            (r#","expires_in":1e-300"#, Some(Duration::ZERO)),
            (r#","expires_in":1e300"#, Some(Duration::from_secs(253_402_300_799))),
        ] {
            assert_eq!(read(more).unwrap(), lasts, "{more}");
        }
        for other in ["null", "0", "-0", "-1", "1e-400", "1e400", r#""600""#, "true", "[600]", "{}"] {
            let more = format!(r#","expires_in":{other}"#);
            assert!(matches!(read(&more), Err(HttpFailure::ExpiresIn)), "{other}");
        }
        let twice = read(r#","expires_in":1,"expires_in":2"#);
        assert!(matches!(twice, Err(HttpFailure::Malformed)));
    }
}
