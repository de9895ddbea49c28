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
        let equal = Sha256::digest(&self.0).ct_eq(&Sha256::digest(candidate));
        bool::from(equal) && !self.0.is_empty()
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
