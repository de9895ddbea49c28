//! The ways in which clients prove who they are.

use turted_core::auth::TokenRule;
use turted_core::secret::Secret;

use super::{HttpUrl, JwtRule};

/// `auth.method` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Every client is the user that it names.
    Accept,
    /// All users share one password.
    Password(Secret),
    /// The backend signed the user name, as for the node server.
    Token(TokenRule),
    /// The backend, or an identity provider, signed a JSON Web Token.
    Jwt(Box<JwtRule>),
    /// The backend is asked.
    Http(HttpUrl),
}
