//! What verifies an IDENT, and what counts wrong guesses.
//!
//! | file | what |
//! |---|---|
//! | `gate` | the gate that every IDENT passes, and its limits |
//! | `method`, `request` | the ways in which clients prove who they are; the authenticator of an embedding program |
//! | `jwt`, `keys`, `jwk`, `rotation` | JSON Web Tokens; their keys, and the change of those |
//! | `http` | asks the backend |
//! | `passwords` | the passwords that a push may have |
//! | `attempts` | guesses by address: IDENTs, push passwords, admin tokens |

pub(crate) mod gate;
mod method;
mod request;
mod jwt;
mod keys;
mod jwk;
mod rotation;
mod http;
pub(crate) mod passwords;
pub(crate) mod attempts;

pub(crate) use gate::{Gate, GateSettings, Verdict, Visitor, unix_now};
pub(crate) use rotation::read_key_file;

pub use crate::io::backend::{HttpUrl, UrlRefusal};
pub use jwt::{Algorithm, JwtRefusal, JwtRule, SignFailure, sign};
pub use keys::{JwtKeyRefusal, JwtKeys};
pub use method::ClientAuth;
pub use request::{Authenticator, IdentRequest, Verification};
pub use rotation::{KeysError, Rotation};
pub use turted_core::auth::{IdentRefusal, Identity, Verified};
pub use turted_core::channel::Grants;
pub use turted_core::claims::ClaimRules;
pub use turted_core::command::UserField;
pub use turted_core::time::UnixTime;
