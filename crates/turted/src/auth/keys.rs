//! The keys that JSON Web Tokens are verified with: a shared secret, public keys in PEM, or a set of JSON Web
//! Keys (RFC 7517).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use turted_core::limits::JWT_KEYS_MAX;
use turted_core::secret::Secret;

use super::jwk;

/// Bits of the shortest modulus of RSA that RFC 7518 3.3 allows.
const RSA_BITS_MIN: usize = 2_048;
/// Bytes of the DER form of such a key: the modulus alone has 256.
const RSA_DER_BYTES_MIN: usize = RSA_BITS_MIN / 8 + 8;
/// Bytes of an uncompressed point on the curves P-256 and P-384, and of an Ed25519 key.
const P256_POINT_BYTES: usize = 65;
const P384_POINT_BYTES: usize = 97;
const ED25519_KEY_BYTES: usize = 32;
/// Characters of a line of PEM (RFC 7468 2).
const PEM_LINE_CHARACTERS: usize = 64;

/// The keys that signatures are verified with, all for one algorithm. `Debug` does not show them.
#[derive(Clone, Debug)]
pub struct JwtKeys {
    text: Secret,
    /// Where they can be read again.
    file: Option<PathBuf>,
    keys: Vec<VerifyingKey>,
}

/// One of the keys.
#[derive(Clone, Debug)]
pub(super) struct VerifyingKey {
    /// Its name in a set of JSON Web Keys.
    pub(super) kid: Option<String>,
    pub(super) key: DecodingKey,
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        let same = match (self.key.kind(), other.key.kind()) {
            (DecodingKeyKind::SecretOrDer(own), DecodingKeyKind::SecretOrDer(given)) => own == given,
            (
                DecodingKeyKind::RsaModulusExponent { n, e },
                DecodingKeyKind::RsaModulusExponent { n: modulus, e: exponent },
            ) => n == modulus && e == exponent,
            _ => false,
        };
        same && self.kid == other.kid && self.key.family() == other.key.family()
    }
}

impl PartialEq for JwtKeys {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys && self.file == other.file
    }
}

impl Eq for JwtKeys {}

impl JwtKeys {
    /// The keys for `algorithm`: the shared secret for HMAC; else public keys in PEM, one behind the other, or a
    /// set of JSON Web Keys. Keys of a set that are for something else do not count.
    ///
    /// # Errors
    /// The text holds no such key, or one that could not be used.
    pub fn new(algorithm: Algorithm, text: Secret) -> Result<Self, JwtKeyRefusal> {
        let written = text.reveal();
        let (is_pem, is_set) = (written.contains("-----BEGIN "), jwk::is_set(written));
        let keys = match algorithm.family() {
            AlgorithmFamily::Hmac if is_pem => return Err(JwtKeyRefusal::PemForHmac),
            AlgorithmFamily::Hmac if is_set => return Err(JwtKeyRefusal::SetForHmac),
            AlgorithmFamily::Hmac => vec![of(algorithm, DecodingKey::from_secret(written.as_bytes()))?],
            _ if is_set => jwk::read(algorithm, written)?,
            _ => read_pem(algorithm, written)?,
        };
        match keys.len() {
            0 => Err(JwtKeyRefusal::NoPublicKey),
            1..=JWT_KEYS_MAX => Ok(Self { text, file: None, keys }),
            _ => Err(JwtKeyRefusal::TooMany),
        }
    }

    /// They can be read again from `file`.
    #[must_use]
    pub fn from_file(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// The text that the keys were made of. For HMAC it is also what tokens are signed with.
    #[must_use]
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Where they can be read again.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub(super) fn all(&self) -> &[VerifyingKey] {
        &self.keys
    }
}

/// A key without a name, if it is one of `algorithm`.
fn of(algorithm: Algorithm, key: DecodingKey) -> Result<VerifyingKey, JwtKeyRefusal> {
    check(algorithm, &key)?;
    Ok(VerifyingKey { kid: None, key })
}

/// Whether `key` is one of `algorithm`, and long enough.
pub(super) fn check(algorithm: Algorithm, key: &DecodingKey) -> Result<(), JwtKeyRefusal> {
    let fits = match (algorithm, key.kind()) {
        (_, DecodingKeyKind::RsaModulusExponent { n, .. }) => {
            let zeros = n.iter().take_while(|byte| **byte == 0).count();
            if (n.len() - zeros) * 8 < RSA_BITS_MIN {
                return Err(JwtKeyRefusal::ShortRsa);
            }
            true
        }
        (Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512, DecodingKeyKind::SecretOrDer(secret)) => {
            !secret.is_empty()
        }
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => point.len() == P256_POINT_BYTES,
        (Algorithm::ES384, DecodingKeyKind::SecretOrDer(point)) => point.len() == P384_POINT_BYTES,
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => key.len() == ED25519_KEY_BYTES,
        (_, DecodingKeyKind::SecretOrDer(der)) if der.len() < RSA_DER_BYTES_MIN => {
            return Err(JwtKeyRefusal::ShortRsa);
        }
        _ => true,
    };
    if fits { Ok(()) } else { Err(JwtKeyRefusal::OtherKind) }
}

/// The public keys in PEM, one behind the other; what stands between them is a comment (RFC 7468 2). Line ends may
/// be missing, or be written as `\n`: variables of the environment are often filled so.
fn read_pem(algorithm: Algorithm, text: &str) -> Result<Vec<VerifyingKey>, JwtKeyRefusal> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let blocks = text.split("-----BEGIN ").skip(1);
    blocks.map(|block| of(algorithm, read_block(algorithm, block)?)).collect()
}

/// The key of one block, whose text begins with its label.
fn read_block(algorithm: Algorithm, block: &str) -> Result<DecodingKey, JwtKeyRefusal> {
    let (label, rest) = block.split_once("-----").ok_or(JwtKeyRefusal::BrokenPem)?;
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        "CERTIFICATE" => return Err(JwtKeyRefusal::Certificate),
        _ if label.ends_with("PRIVATE KEY") => return Err(JwtKeyRefusal::Private),
        _ => return Err(JwtKeyRefusal::NoPublicKey),
    }
    let end = format!("-----END {label}-----");
    let (body, _) = rest.split_once(&end).ok_or(JwtKeyRefusal::BrokenPem)?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(&body).map_err(|_| JwtKeyRefusal::BrokenPem)?;
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(PEM_LINE_CHARACTERS) {
        pem.extend(line.iter().copied().map(char::from).chain(['\n']));
    }
    pem.push_str(&end);
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
        AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem.as_bytes()),
        AlgorithmFamily::Ed | AlgorithmFamily::Hmac => DecodingKey::from_ed_pem(pem.as_bytes()),
    };
    key.map_err(|_| JwtKeyRefusal::OtherKind)
}

/// Why a text holds no keys of an algorithm. Never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtKeyRefusal {
    /// A PEM key for HMAC: public keys are public, and everyone who knows one could sign with it.
    #[error("a PEM key is no shared secret; it belongs to an RS, PS, ES or EdDSA algorithm")]
    PemForHmac,
    /// A set of JSON Web Keys for HMAC.
    #[error("a set of JSON Web Keys is no shared secret; it belongs to an RS, PS, ES or EdDSA algorithm")]
    SetForHmac,
    /// A private key.
    #[error("this is a private key, which stays with the signer; expected its public key")]
    Private,
    /// A certificate.
    #[error("this is a certificate; expected its public key: openssl x509 -pubkey -noout -in FILE")]
    Certificate,
    /// No public key.
    #[error(
        "expected public keys in PEM (-----BEGIN PUBLIC KEY-----) or a set of JSON Web Keys ({{\"keys\":[..]}})"
    )]
    NoPublicKey,
    /// PEM without its end, or whose content is not base64.
    #[error("the PEM text is damaged: its end is missing, or what is inside is not base64")]
    BrokenPem,
    /// A set of JSON Web Keys that is not JSON, or a key without its numbers.
    #[error("the set of JSON Web Keys is damaged: it is not JSON, or a key lacks its numbers")]
    BrokenSet,
    /// No key of the set is for the algorithm.
    #[error("no key of the set is for signatures of this algorithm: look at kty, crv, alg, use and key_ops")]
    NoneInSet,
    /// A public key of another kind than the algorithm's.
    #[error("the key is not one of this algorithm (ES256 needs P-256, ES384 P-384, EdDSA Ed25519)")]
    OtherKind,
    /// An RSA key of less than 2048 bits.
    #[error("an RSA key has at least 2048 bits")]
    ShortRsa,
    /// More keys than [`JWT_KEYS_MAX`].
    #[error("there are more than {JWT_KEYS_MAX} keys")]
    TooMany,
}
