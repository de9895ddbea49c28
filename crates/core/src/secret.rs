//! Secrets: what is compared in constant time, and never shown.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::json;
use crate::limits::STRONG_SECRET_CHARACTERS_MIN;

/// A password or a part of a token that must not be shown: its `Debug` prints `***`.
///
/// ```
/// use turted_core::secret::Secret;
/// let secret = Secret::from("tiger");
/// assert!(secret.matches("tiger"));
/// assert_eq!(format!("{secret:?}"), "***");
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Whether `candidate` is this secret. No candidate matches an empty secret, so that a forgotten setting
    /// lets no client in.
    ///
    /// The time it takes reveals at most the length of `candidate`: digests of equal length are compared, in
    /// constant time.
    #[must_use]
    pub fn matches(&self, candidate: &str) -> bool {
        self.digested().matches(&Digested::of(candidate))
    }

    /// The secret as it is compared with many candidates, or with others one candidate.
    #[must_use]
    pub fn digested(&self) -> Digested {
        Digested { digest: Sha256::digest(&self.0).into(), is_empty: self.is_empty() }
    }

    /// Whether it is too long to be guessed, if it is random: [`STRONG_SECRET_CHARACTERS_MIN`] or more.
    #[must_use]
    pub fn is_strong(&self) -> bool {
        self.0.chars().count() >= STRONG_SECRET_CHARACTERS_MIN
    }

    /// Whether it is empty. A client that sends an empty secret does not guess.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret in a JSON string; `None` for other values.
    pub(crate) fn read(raw: &RawValue) -> Option<Self> {
        json::text(raw).map(|text| Self(text.into_owned()))
    }

    /// The secret itself, for code that must send or hash it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// A secret, or a candidate for one, by its digest: where one is compared with many, each is hashed once.
///
/// ```
/// use turted_core::secret::{Digested, Secret};
/// let (secrets, candidate) = ([Secret::from("a"), Secret::from("b")].map(|secret| secret.digested()), Digested::of("b"));
/// assert_eq!(secrets.each_ref().map(|secret| secret.matches(&candidate)), [false, true]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digested {
    digest: [u8; 32],
    is_empty: bool,
}

impl Digested {
    /// The digest of a candidate.
    #[must_use]
    pub fn of(candidate: &str) -> Self {
        Self { digest: Sha256::digest(candidate).into(), is_empty: candidate.is_empty() }
    }

    /// Whether `candidate` is this secret, as [`Secret::matches`] says it. Takes the same time for any two digests.
    #[must_use]
    pub fn matches(&self, candidate: &Self) -> bool {
        bool::from(self.digest.ct_eq(&candidate.digest)) && !self.is_empty
    }
}

impl fmt::Debug for Digested {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}
