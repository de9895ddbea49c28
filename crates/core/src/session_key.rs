//! The name under which a session is kept, which does not give its id away.

use std::fmt;

use sha2::{Digest, Sha256};

/// Names a session whose client may come back: the first 16 bytes of the SHA-256 of its id.
///
/// The id is a secret by which a client gets the session; who reads this name, on a disk say, cannot show the id. An
/// id has 64 random bits or more, so that trying ids is hopeless already, and of 2^32 sessions two have the same 16 bytes with
/// a probability of 2^-65. The other half of the hash would add nothing but memory for each session.
///
/// ```
/// use turted_core::session_key::SessionKey;
/// assert_eq!(SessionKey::of(b"id"), SessionKey::of(b"id"));
/// assert_ne!(SessionKey::of(b"id"), SessionKey::of(b"another id"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey([u8; Self::BYTES]);

impl SessionKey {
    /// Bytes of a name.
    pub const BYTES: usize = 16;

    /// The name of the session with this id.
    ///
    /// # Panics
    /// Never: a SHA-256 has 32 bytes.
    #[must_use]
    pub fn of(id: &[u8]) -> Self {
        let hash = Sha256::digest(id);
        Self(*hash.first_chunk().expect("a SHA-256 has 32 bytes"))
    }

    /// The name that was written as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be written.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey(..)")
    }
}
