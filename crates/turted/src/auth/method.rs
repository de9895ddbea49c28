//! The ways in which clients prove who they are.

use turted_core::auth::{Secret, TokenRule};

use super::{HttpUrl, JwtRule};

/// `auth.method` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Everyone is who they say they are.
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
