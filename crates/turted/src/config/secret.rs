//! Text that must not reach a log, a metric, an error or the output of `turted check`.

use std::fmt;

/// A password or a part of a token. `Debug` prints `***`; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text out of reach of every printer.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that needs it: an authenticator or an outgoing request.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// What a client's token must be: `hex(hash(prefix + user + suffix))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRule {
    /// The hash function. Default: sha256.
    pub hash: TokenHash,
    /// What is hashed before the user's name. Default: nothing.
    pub prefix: Secret,
    /// What is hashed after the user's name. Default: nothing.
    pub suffix: Secret,
}

/// The hash functions of the node server's TokenAuthenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenHash {
    /// For tokens that an existing backend makes; not for new ones.
    Md5,
    /// For tokens that an existing backend makes; not for new ones.
    Sha1,
    /// The default.
    Sha256,
    /// As good as sha256, twice as long.
    Sha512,
}
