//! How a program that embeds the server verifies IDENTs: what it is asked, and the trait that it implements.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use serde_json::value::RawValue;
use turted_core::auth::{IdentRefusal, Verified};
use turted_core::command::UserField;

/// An IDENT that the core does not verify, but the embedding program or the backend. `Debug` shows no part of
/// what was sent.
#[derive(Clone)]
#[non_exhaustive]
pub struct IdentRequest {
    /// The object that the client sent, as it was sent. It may hold secrets.
    pub ident: Box<RawValue>,
    /// The user that the client says it is: `username`, else `user`.
    pub user: Option<UserField>,
    /// How the client connects: `socketio`, `websocket`, `sse` or `sockjs`.
    pub transport: &'static str,
    /// Where the client connects from.
    pub address: IpAddr,
}

impl fmt::Debug for IdentRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("IdentRequest");
        shown.field("user", &self.user).field("address", &self.address).finish_non_exhaustive()
    }
}

/// A verification that an [`Authenticator`] is at work on.
pub type Verification<'a> = Pin<Box<dyn Future<Output = Result<Verified, IdentRefusal>> + 'a>>;

/// Verifies IDENTs for a program that embeds the server; a closure will do as well.
///
/// It is called on the worker of the connection, so it must not block. The connection's later
/// packets wait for the answer, at most `auth.timeout`; after that the future is dropped and the
/// client is told [`IdentRefusal::Unavailable`]. At most `auth.concurrency` are at work at once.
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use turted::authenticator::{Grants, IdentRefusal, IdentRequest, Verified};
/// use turted::{config::Config, server::Server};
/// let server = Server::builder(Config::default())
///     .authenticator(|request: IdentRequest| async move {
///         let user = request.user.ok_or(IdentRefusal::UserMissing)?;
///         // Look the user up here, `.await` as you like.
///         let channels = Grants::parse(&["news.*"]).map_err(|_| IdentRefusal::NotVerified)?;
///         Ok(Verified { channels, ..Verified::user(user.name) })
///     })
///     .bind()?;
/// # Ok(())
/// # }
/// ```
pub trait Authenticator: Send + Sync + 'static {
    /// Decides which user sent `request`.
    ///
    /// # Cancel safety
    /// The future is dropped when the time is over or the server stops.
    fn verify(&self, request: IdentRequest) -> Verification<'_>;
}

impl<F, V> Authenticator for F
where
    F: Fn(IdentRequest) -> V + Send + Sync + 'static,
    V: Future<Output = Result<Verified, IdentRefusal>> + 'static,
{
    fn verify(&self, request: IdentRequest) -> Verification<'_> {
        Box::pin(self(request))
    }
}
