//! Sets of JSON Web Keys (RFC 7517), as identity providers publish them.
//!
//! A set may hold keys for other algorithms, and for encryption: those do not count. If a key that counts is
//! damaged the whole set is refused, because its author meant something else.

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::keys::{JwtKeyRefusal, VerifyingKey, check};

#[derive(Deserialize)]
struct Set {
    keys: Vec<Key>,
}

/// The members of a key that matter for signatures (RFC 7517 4, RFC 7518 6, RFC 8037 2).
#[derive(Deserialize)]
struct Key {
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part.
    d: Option<IgnoredAny>,
}

/// Whether a text is a set, sound or not.
pub(super) fn is_set(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && text.contains("\"keys\"")
}

/// The keys of a set that sign by `algorithm`, at least one.
pub(super) fn read(algorithm: Algorithm, text: &str) -> Result<Vec<VerifyingKey>, JwtKeyRefusal> {
    let set: Set = serde_json::from_str(text).map_err(|_| JwtKeyRefusal::BrokenSet)?;
    let own = set.keys.into_iter().filter(|key| key.signs_by(algorithm));
    let keys = own.map(|key| key.read(algorithm)).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(JwtKeyRefusal::NoneInSet) } else { Ok(keys) }
}

impl Key {
    /// Whether it is for signatures of this algorithm.
    fn signs_by(&self, algorithm: Algorithm) -> bool {
        let (kty, crv) = match algorithm {
            Algorithm::ES256 => ("EC", Some("P-256")),
            Algorithm::ES384 => ("EC", Some("P-384")),
            Algorithm::EdDSA => ("OKP", Some("Ed25519")),
            _ => ("RSA", None),
        };
        let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        self.kty == kty
            && self.crv.as_deref() == crv
            && self.used_for.as_deref().is_none_or(|used_for| used_for == "sig")
            && self.key_ops.as_ref().is_none_or(verifies)
            && self.alg.as_deref().is_none_or(|alg| alg == format!("{algorithm:?}"))
    }

    fn read(self, algorithm: Algorithm) -> Result<VerifyingKey, JwtKeyRefusal> {
        if self.d.is_some() {
            return Err(JwtKeyRefusal::Private);
        }
        let key = match (algorithm.family(), &self) {
            (AlgorithmFamily::Rsa, Self { n: Some(n), e: Some(e), .. }) => {
                DecodingKey::from_rsa_components(n, e)
            }
            (AlgorithmFamily::Ec, Self { x: Some(x), y: Some(y), .. }) => {
                DecodingKey::from_ec_components(x, y)
            }
            (AlgorithmFamily::Ed, Self { x: Some(x), .. }) => DecodingKey::from_ed_components(x),
            _ => return Err(JwtKeyRefusal::BrokenSet),
        };
        let key = key.map_err(|_| JwtKeyRefusal::BrokenSet)?;
        check(algorithm, &key)?;
        Ok(VerifyingKey { kid: self.kid, key })
    }
}
