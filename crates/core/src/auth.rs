//! Who a client is: tokens, and the authenticators that need no I/O.
//!
//! An authenticator that asks another service passes on [`Ident::data`](crate::command::Ident) as it was
//! sent. It answers with an [`Identity`] as well.

use std::str::FromStr;
use std::time::Duration;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::channel::Grants;
use crate::command::{Ident, UserField};
use crate::limits::STRONG_SECRET_CHARACTERS_MIN;
use crate::name::Name;
use crate::secret::Secret;
use crate::time::UnixTime;

/// The hash function of a token.
///
/// ```
/// use turted_core::auth::Hash;
/// assert_eq!("sha256".parse(), Ok(Hash::Sha256));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// MD5, for tokens of existing backends only.
    Md5,
    /// SHA-1, for tokens of existing backends only.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    fn digest(self, parts: [&str; 3]) -> Vec<u8> {
        match self {
            Self::Md5 => digest::<Md5>(parts),
            Self::Sha1 => digest::<Sha1>(parts),
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }
}

fn digest<D: Digest>(parts: [&str; 3]) -> Vec<u8> {
    parts.iter().fold(D::new(), D::chain_update).finalize().to_vec()
}

impl FromStr for Hash {
    type Err = UnknownHash;

    fn from_str(text: &str) -> Result<Self, UnknownHash> {
        match text {
            "md5" => Ok(Self::Md5),
            "sha1" => Ok(Self::Sha1),
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(UnknownHash),
        }
    }
}

/// The text is not the name of a hash function of [`enum@Hash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is one of md5, sha1, sha256, sha512")]
pub struct UnknownHash;

/// How a backend proves that a browser belongs to a user: `hex(hash(prefix + username + suffix))`.
///
/// ```
/// use turted_core::auth::{Hash, TokenRule};
/// let rule = TokenRule { hash: Hash::Sha256, prefix: "salt".into(), suffix: "pepper".into() };
/// assert!(rule.verify("alice", &rule.sign("alice")));
/// assert!(!rule.verify("bob", &rule.sign("alice")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRule {
    /// The hash function.
    pub hash: Hash,
    /// What stands before the user name.
    pub prefix: Secret,
    /// What stands after the user name.
    pub suffix: Secret,
}

impl TokenRule {
    /// The token of `username`, in lower-case hexadecimal.
    #[must_use]
    pub fn sign(&self, username: &str) -> String {
        hex::encode(self.digest(username))
    }

    /// Whether `token`, hexadecimal in either case, proves `username`. Compares in constant time.
    #[must_use]
    pub fn verify(&self, username: &str, token: &str) -> bool {
        let expected = self.digest(username);
        hex::decode(token).is_ok_and(|given| expected.ct_eq(&given).into())
    }

    /// Whether prefix and suffix together are too long to be guessed, see [`Secret::is_strong`].
    #[must_use]
    pub fn is_strong(&self) -> bool {
        let characters = |secret: &Secret| secret.reveal().chars().count();
        characters(&self.prefix) + characters(&self.suffix) >= STRONG_SECRET_CHARACTERS_MIN
    }

    fn digest(&self, username: &str) -> Vec<u8> {
        self.hash.digest([self.prefix.reveal(), username, self.suffix.reveal()])
    }
}

/// Who a connection turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub name: Name,
    /// The user name as JSON for the reply: a client that sent a number is answered with the number.
    pub username_json: String,
}

impl From<&UserField> for Identity {
    fn from(user: &UserField) -> Self {
        Self { name: user.name.clone(), username_json: user.json.clone() }
    }
}

impl Identity {
    /// The user `name`. The reply repeats what the client wrote, if it named the same user.
    #[must_use]
    pub fn proved(name: Name, named: Option<&UserField>) -> Self {
        let named = named.filter(|user| user.name == name).cloned();
        Self::from(&named.unwrap_or_else(|| UserField::from_name(name)))
    }
}

/// What an IDENT proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who it is.
    pub identity: Identity,
    /// The channels with `join = "claim"` that it may join.
    pub channels: Grants,
    /// When the proof ends by its own word; `None` if it lasts as long as the connection.
    pub expires: Option<UnixTime>,
    /// How much longer it is accepted, because the clocks of issuer and server may differ.
    pub leeway: Duration,
}

impl Verified {
    /// The user `name`, without any channel and for as long as the connection lasts.
    #[must_use]
    pub fn user(name: Name) -> Self {
        Self::from(Identity::proved(name, None))
    }
}

impl From<Identity> for Verified {
    fn from(identity: Identity) -> Self {
        Self { identity, channels: Grants::default(), expires: None, leeway: Duration::ZERO }
    }
}

/// Decides whether an IDENT is genuine.
///
/// ```
/// use turted_core::auth::ClientAuthenticator;
/// use turted_core::command::Command;
/// let data: Box<serde_json::value::RawValue> = serde_json::from_str(r#"{"username":"alice","password":"tiger"}"#)?;
/// let Ok(Command::Ident(ident)) = Command::decode("IDENT", &[&data]) else { panic!() };
/// let identity = ClientAuthenticator::Password("tiger".into()).verify(&ident).unwrap();
/// assert_eq!(identity.name.as_str(), "alice");
/// assert!(ClientAuthenticator::Password("lion".into()).verify(&ident).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuthenticator {
    /// Accepts every client as the user it names.
    Accept,
    /// All users share one password: `{"username":U,"password":P}`.
    Password(Secret),
    /// The backend signed the user name: `{"username":U,"token":T}`.
    Token(TokenRule),
}

impl ClientAuthenticator {
    /// Whether the secret it asks for is too long to be guessed, see [`Secret::is_strong`].
    #[must_use]
    pub fn is_strong(&self) -> bool {
        match self {
            Self::Accept => false,
            Self::Password(secret) => secret.is_strong(),
            Self::Token(rule) => rule.is_strong(),
        }
    }

    /// Decides who sent `ident`. As in the node server the proof comes first: a wrong proof is refused as
    /// wrong, with a user name or without one.
    ///
    /// # Errors
    /// The proof is missing or wrong, or it is right and no user is named.
    pub fn verify(&self, ident: &Ident<'_>) -> Result<Identity, IdentRefusal> {
        let user = ident.user.as_ref();
        let genuine = match self {
            Self::Accept => true,
            Self::Password(secret) => matches(ident.password.as_ref(), |given| secret.matches(given)),
            Self::Token(rule) => user.is_some_and(|user| {
                matches(ident.token.as_ref(), |given| rule.verify(user.name.as_str(), given))
            }),
        };
        match user {
            _ if !genuine => Err(IdentRefusal::NotVerified),
            Some(user) => Ok(user.into()),
            None => Err(IdentRefusal::UserMissing),
        }
    }
}

fn matches(given: Option<&Secret>, rule: impl FnOnce(&str) -> bool) -> bool {
    given.is_some_and(|given| rule(given.reveal()))
}

/// Why an IDENT proves no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentRefusal {
    /// It has no user name, and the authenticator cannot supply one.
    #[error("user name missing")]
    UserMissing,
    /// The proof is missing or wrong. The node server answered with the same text.
    #[error("IDENT not verified")]
    NotVerified,
    /// The token has expired: the client should get a new one.
    #[error("token expired")]
    Expired,
    /// The service that verifies could not be asked: the client may try again later.
    #[error("IDENT cannot be verified now")]
    Unavailable,
    /// Its address sent too many wrong IDENTs, and this one is wrong too, or its proof is short enough to be
    /// guessed.
    #[error("too many wrong IDENTs from this address (limits.wrong_idents)")]
    TooManyWrong,
}
