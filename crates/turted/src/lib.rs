//! turted: the universal real-time event dispatcher.
//!
//! A backend pushes one named event; turted delivers it to users, channels or everyone, over
//! whatever connection each client already has. This library is what the program `turted` is made
//! of; to embed a server in a program of your own start with [`server::Server`].

// From top to bottom: a module imports those below it and none above. `tests/layers` keeps it.
pub mod cli;
pub mod server;
mod admin;
mod push;
mod transport;
mod http;
mod webhook;
mod hub;
mod engine;
pub mod config;
mod auth;
mod live;
mod io;

pub use cli::banner;
pub use cli::logging;
pub use config::secrets;
pub use hub::dispatch::dispatcher;
pub use hub::dispatch::handlers::HandlerId;
pub use hub::dispatch::log;
pub use io::tls;

/// What verifies an IDENT: the types of an [`Authenticator`](authenticator::Authenticator) of the embedding
/// program, and JSON Web Tokens.
pub mod authenticator {
    pub use crate::auth::{
        Algorithm, Authenticator, ClaimRules, Grants, HttpUrl, IdentRefusal, IdentRequest, Identity,
        JwtKeyRefusal, JwtKeys, JwtRefusal, JwtRule, KeysError, Rotation, SignFailure, UnixTime, UrlRefusal,
        UserField, Verification, Verified, sign,
    };
}
