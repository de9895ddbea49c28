//! A message as a source gives it, and what became of it.

use std::sync::Arc;

use bytes::Bytes;
use turted_core::push::PushRefusal;
use turted_core::push::template::Values;

use crate::auth::passwords::Mismatch;

/// One message of a source. `T` is by what the source acknowledges it.
#[derive(Debug)]
pub(crate) struct Message<T> {
    pub(crate) tag: T,
    /// Its bytes, or why the source refuses it by itself: it was too long to be read whole, say.
    pub(crate) body: Result<Bytes, Refusal>,
    /// What the source calls it, each time it delivers it. An `id` in the body of a push counts instead.
    pub(crate) id: Option<String>,
    /// Whether the source says that it may have delivered it before. Without an id only such a message is compared.
    pub(crate) is_redelivered: bool,
    pub(crate) labels: Labels,
}

/// What a message has beside its body, for templates. What its source does not have is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    pub(crate) channel: Arc<str>,
    pub(crate) key: Arc<str>,
    pub(crate) file: Arc<str>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Labels {
    pub(crate) fn values(&self) -> Values<'_> {
        Values { channel: &self.channel, key: &self.key, file: &self.file, headers: &self.headers }
    }
}

/// Why a message is refused: the rule for programs, and for people. Neither has anything of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn line_too_long() -> Self {
        Self { rule: "line-too-long", detail: "the line is too long (sources.line_bytes)".to_owned() }
    }
}

impl From<Mismatch> for Refusal {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Missing | Mismatch::Wrong => Self {
                rule: "wrong-password",
                detail: "the push has no password that `require_auth` asks for".to_owned(),
            },
            Mismatch::Mixed => Self {
                rule: "auth-differs",
                detail: "the pushes of a batch have passwords of different keys".to_owned(),
            },
        }
    }
}

impl From<PushRefusal> for Refusal {
    fn from(refusal: PushRefusal) -> Self {
        Self { rule: refusal.rule, detail: refusal.to_string() }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is dispatched.
    Accepted,
    /// It was accepted before.
    Duplicate,
    /// The expression of the map does not match it.
    Skipped,
    /// It breaks a rule, and will break it again.
    Refused(Refusal),
}
