//! JSON Web Tokens: their signatures. What the claims must say is in [`turted_core::claims`].
//!
//! Keys and algorithm come from the configuration alone. Of a token's header `kid` chooses among these
//! keys, where they have names; `jku`, `jwk`, `x5u` and `x5c` are not looked at.

use std::collections::HashSet;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{
    AlgorithmFamily, EncodingKey, Header, TokenData, Validation, decode, decode_header, encode,
};
use serde::Serialize;
use serde_json::value::RawValue;
use turted_core::auth::{IdentRefusal, Verified};
use turted_core::claims::{ClaimRefusal, ClaimRules};
use turted_core::command::{Ident, UserField};
use turted_core::limits::JWT_BYTES_MAX;
use turted_core::secret::Secret;
use turted_core::time::UnixTime;

use super::keys::{JwtKeys, VerifyingKey};

pub use jsonwebtoken::Algorithm;

/// How tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRule {
    /// The only algorithm that counts.
    pub algorithm: Algorithm,
    /// The only keys that count, made for that algorithm.
    pub keys: JwtKeys,
    /// What the claims must say.
    pub claims: ClaimRules,
}

impl JwtRule {
    /// Decides at `now` which user the token of `ident` proves.
    ///
    /// # Errors
    /// The rule that the token breaks.
    pub fn verify(&self, ident: &Ident<'_>, now: UnixTime) -> Result<Verified, JwtRefusal> {
        let token = ident.token.as_ref().ok_or(JwtRefusal::Missing)?.reveal();
        self.verify_token(token, ident.user.as_ref(), now)
    }

    /// As [`verify`](Self::verify), for a token and the user `named` beside it.
    ///
    /// # Errors
    /// The rule that the token breaks.
    pub fn verify_token(
        &self,
        token: &str,
        named: Option<&UserField>,
        now: UnixTime,
    ) -> Result<Verified, JwtRefusal> {
        let payload = self.payload(token)?;
        self.claims.read(payload.get(), named, now).map_err(JwtRefusal::Claims)
    }

    /// Whether a signature is too strong to be guessed; with a shared secret it is only if the secret [is
    /// long](Secret::is_strong).
    pub(super) fn is_strong(&self) -> bool {
        self.algorithm.family() != AlgorithmFamily::Hmac || self.keys.text().is_strong()
    }

    /// The payload of a token whose signature is genuine.
    fn payload(&self, token: &str) -> Result<Box<RawValue>, JwtRefusal> {
        if token.len() > JWT_BYTES_MAX {
            return Err(JwtRefusal::TooLong);
        }
        let token = self.decode(token, self.keys.all())?;
        // RFC 7515 4.1.11: a token whose extensions are not understood is not valid.
        if token.header.crit.is_some() {
            return Err(JwtRefusal::Critical);
        }
        Ok(token.claims)
    }

    /// Whether one of `keys` signed `token`, whatever its claims are.
    pub(super) fn is_signed_by(&self, token: &str, keys: &[VerifyingKey]) -> bool {
        token.len() <= JWT_BYTES_MAX && self.decode(token, keys).is_ok()
    }

    /// The token, if one of `keys` signed it. If the token names a key, only that key and keys without a name
    /// are tried.
    fn decode(&self, token: &str, keys: &[VerifyingKey]) -> Result<TokenData<Box<RawValue>>, JwtRefusal> {
        let (named, validation) = (decode_header(token)?.kid, self.signature_only());
        let mut refusal = JwtRefusal::UnknownKey;
        for key in keys {
            if key.kid.is_some() && named.is_some() && key.kid != named {
                continue;
            }
            match decode(token, &key.key, &validation) {
                Ok(token) => return Ok(token),
                Err(error) => refusal = error.into(),
            }
            if refusal != JwtRefusal::Signature {
                break;
            }
        }
        Err(refusal)
    }

    /// Lets jsonwebtoken verify the signature, and no claims: it reads the clock itself and knows
    /// neither duplicates nor times in milliseconds.
    fn signature_only(&self) -> Validation {
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims = HashSet::new();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation
    }
}

/// Why a token proves nothing. For the log: the client is told less, see [`IdentRefusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtRefusal {
    /// The IDENT has no token.
    #[error("token missing")]
    Missing,
    /// The token has more than [`JWT_BYTES_MAX`].
    #[error("the token has more than {JWT_BYTES_MAX} bytes")]
    TooLong,
    /// It is no token, or of an algorithm that does not exist.
    #[error("malformed token")]
    Malformed,
    /// It is not signed by the algorithm that was agreed.
    #[error("alg is not auth.algorithm")]
    Algorithm,
    /// The signature is not of a key that was agreed.
    #[error("wrong signature: none of the keys made it")]
    Signature,
    /// It names a key that is not there.
    #[error("its kid names no key: if keys were changed, SIGHUP reads auth.key_file again")]
    UnknownKey,
    /// It is signed with a key that counted before keys were read again.
    #[error("signed with a key that was taken out of auth.key_file")]
    FormerKey,
    /// It asks for extensions.
    #[error("crit is not supported")]
    Critical,
    /// It is genuine, but its claims are not what they must be.
    #[error(transparent)]
    Claims(ClaimRefusal),
}

impl From<jsonwebtoken::errors::Error> for JwtRefusal {
    /// The texts of jsonwebtoken may quote the token.
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            ErrorKind::InvalidSignature => Self::Signature,
            _ => Self::Malformed,
        }
    }
}

impl From<JwtRefusal> for IdentRefusal {
    /// What the client may know.
    fn from(refusal: JwtRefusal) -> Self {
        match refusal {
            JwtRefusal::Claims(refusal) => refusal.into(),
            // The token was good before the keys were read again: the client is to get a new one.
            JwtRefusal::FormerKey => Self::Expired,
            _ => Self::NotVerified,
        }
    }
}

/// Why a token cannot be signed. Never carries the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the private key of the algorithm in PEM: -----BEGIN PRIVATE KEY----- (PKCS #8)")]
pub struct SignFailure;

/// Signs `claims`, the way a backend does. `key` is the shared secret for HMAC, else the private
/// key in PEM.
///
/// # Errors
/// `key` is no such key.
pub fn sign(algorithm: Algorithm, key: &Secret, claims: &impl Serialize) -> Result<String, SignFailure> {
    let text = key.reveal().as_bytes();
    let key = match algorithm.family() {
        AlgorithmFamily::Hmac => Ok(EncodingKey::from_secret(text)),
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(text),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(text),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(text),
    };
    let signed = key.and_then(|key| encode(&Header::new(algorithm), claims, &key));
    signed.map_err(|_| SignFailure)
}
