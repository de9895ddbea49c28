//! JSON Web Tokens: keys and signatures. What the claims must say is in [`turted_core::claims`].
//!
//! The key and the algorithm come from the configuration alone. Nothing in a token's header
//! chooses either: `kid`, `jku`, `jwk`, `x5u` and `x5c` are not looked at.

use std::collections::HashSet;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::Serialize;
use serde_json::value::RawValue;
use turted_core::auth::{IdentRefusal, Secret, Verified};
use turted_core::claims::{ClaimRefusal, ClaimRules};
use turted_core::command::{Ident, UserField};
use turted_core::limits::JWT_BYTES_MAX;
use turted_core::standing::UnixTime;

pub use jsonwebtoken::Algorithm;

/// Bytes of the DER form of an RSA key of 2048 bits, the shortest that RFC 7518 3.3 allows: the
/// modulus alone has 256.
const RSA_DER_BYTES_MIN: usize = 256 + 8;
/// Bytes of an uncompressed point on the curves P-256 and P-384, and of an Ed25519 key.
const P256_POINT_BYTES: usize = 65;
const P384_POINT_BYTES: usize = 97;
const ED25519_KEY_BYTES: usize = 32;

/// The key that signatures are verified with. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct JwtKey {
    text: Secret,
    key: DecodingKey,
}

impl PartialEq for JwtKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.key.family() == other.key.family()
    }
}

impl Eq for JwtKey {}

impl JwtKey {
    /// The key for `algorithm`: the shared secret for HMAC, else a public key in PEM.
    ///
    /// # Errors
    /// The text is no such key.
    pub fn new(algorithm: Algorithm, text: Secret) -> Result<Self, JwtKeyRefusal> {
        let pem = text.reveal().trim_ascii_start();
        let is_pem = pem.starts_with("-----BEGIN ");
        let key = match algorithm.family() {
            AlgorithmFamily::Hmac if is_pem => return Err(JwtKeyRefusal::PemForHmac),
            AlgorithmFamily::Hmac => DecodingKey::from_secret(text.reveal().as_bytes()),
            _ if is_pem && pem.lines().next().is_some_and(|line| line.contains("PRIVATE")) => {
                return Err(JwtKeyRefusal::Private);
            }
            _ if !pem.starts_with("-----BEGIN PUBLIC KEY-----")
                && !pem.starts_with("-----BEGIN RSA PUBLIC KEY-----") =>
            {
                return Err(JwtKeyRefusal::NoPublicKey);
            }
            AlgorithmFamily::Rsa => public(DecodingKey::from_rsa_pem, pem)?,
            AlgorithmFamily::Ec => public(DecodingKey::from_ec_pem, pem)?,
            AlgorithmFamily::Ed => public(DecodingKey::from_ed_pem, pem)?,
        };
        let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
        let fits = match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => bytes > 0,
            Algorithm::ES256 => bytes == P256_POINT_BYTES,
            Algorithm::ES384 => bytes == P384_POINT_BYTES,
            Algorithm::EdDSA => bytes == ED25519_KEY_BYTES,
            _ if bytes < RSA_DER_BYTES_MIN => return Err(JwtKeyRefusal::ShortRsa),
            _ => true,
        };
        if fits { Ok(Self { text, key }) } else { Err(JwtKeyRefusal::OtherKind) }
    }

    /// The text it was made of: for HMAC what tokens are signed with as well.
    #[must_use]
    pub fn text(&self) -> &Secret {
        &self.text
    }
}

fn public(
    read: fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>,
    pem: &str,
) -> Result<DecodingKey, JwtKeyRefusal> {
    read(pem.as_bytes()).map_err(|_| JwtKeyRefusal::OtherKind)
}

/// Why a text is not the key of an algorithm. Never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtKeyRefusal {
    /// A PEM key for HMAC: public keys are public, whoever knows it could sign.
    #[error("a PEM key is no shared secret; it belongs to an RS, PS, ES or EdDSA algorithm")]
    PemForHmac,
    /// A private key.
    #[error("this is a private key, which stays with whoever signs; expected its public key")]
    Private,
    /// No public key in PEM.
    #[error("expected a public key in PEM: -----BEGIN PUBLIC KEY-----")]
    NoPublicKey,
    /// A public key of another kind than the algorithm's.
    #[error("the key is not one of this algorithm (ES256 needs P-256, ES384 P-384, EdDSA Ed25519)")]
    OtherKind,
    /// An RSA key of less than 2048 bits.
    #[error("an RSA key has at least 2048 bits")]
    ShortRsa,
}

/// How tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRule {
    /// The only algorithm that counts.
    pub algorithm: Algorithm,
    /// The only key that counts, made for that algorithm.
    pub key: JwtKey,
    /// What the claims must say.
    pub claims: ClaimRules,
}

impl JwtRule {
    /// Decides at `now` whom the token of `ident` proves.
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

    /// Whether nobody guesses a signature: that of a shared secret only if the secret [is long](Secret::is_strong).
    pub(super) fn is_strong(&self) -> bool {
        self.algorithm.family() != AlgorithmFamily::Hmac || self.key.text.is_strong()
    }

    /// The payload of a token whose signature is genuine.
    fn payload(&self, token: &str) -> Result<Box<RawValue>, JwtRefusal> {
        if token.len() > JWT_BYTES_MAX {
            return Err(JwtRefusal::TooLong);
        }
        let token = decode::<Box<RawValue>>(token, &self.key.key, &self.signature_only())?;
        // RFC 7515 4.1.11: a token whose extensions are not understood is not valid.
        if token.header.crit.is_some() {
            return Err(JwtRefusal::Critical);
        }
        Ok(token.claims)
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
    /// The signature is not of the key that was agreed.
    #[error("wrong signature")]
    Signature,
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
