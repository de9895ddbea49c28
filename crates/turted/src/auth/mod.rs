//! Who decides whether an IDENT is genuine: the rules of the core, a JSON Web Token, the backend
//! over HTTP, or a part of the program that embeds the server.
//!
//! The first two answer at once. The others are asked: within a time, a bounded number of them at
//! once, and while one connection waits no other does. Whoever decides, an address that was wrong
//! too often is not heard for a while, unless it is right where nobody can guess.

pub(crate) mod attempts;
mod http;
mod jwk;
mod jwt;
mod keys;
mod rotation;
mod url;

use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_core::future::LocalBoxFuture;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use turted_core::auth::ClientAuthenticator;
use turted_core::command::Ident;
use turted_core::name::Name;

use crate::auth::attempts::{AttemptLimits, Attempts, Counted};
use crate::config::{ClientAuth, Config};
use crate::hub::worker::census::ConnectionId;
use crate::hub::worker::journal;
use crate::hub::worker::worker::Worker;
use crate::io::seldom::{Seldom, warn_seldom};
use http::HttpAuthenticator;

pub(crate) use rotation::read_key_file;

pub use jwt::{Algorithm, JwtRefusal, JwtRule, SignFailure, sign};
pub use keys::{JwtKeyRefusal, JwtKeys};
pub use rotation::{KeysError, Rotation};
pub use turted_core::auth::{IdentRefusal, Identity, Verified};
pub use turted_core::channel::Grants;
pub use turted_core::claims::ClaimRules;
pub use turted_core::command::UserField;
pub use turted_core::standing::UnixTime;
pub use url::{HttpUrl, UrlRefusal};

/// An IDENT that somebody else than the core verifies. `Debug` shows no part of what was sent.
#[derive(Clone)]
#[non_exhaustive]
pub struct IdentRequest {
    /// The object that the client sent, as it was sent. It may hold secrets.
    pub ident: Box<RawValue>,
    /// Whom the client says it is: `username`, else `user`.
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

/// What an [`Authenticator`] is at work on.
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
    /// Decides who sent `request`.
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

/// The time, for what expires.
pub(crate) fn unix_now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Who sends an IDENT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    /// Where the client connects from.
    pub(crate) address: IpAddr,
    /// How it connects.
    pub(crate) transport: &'static str,
    /// Its connection, if it has one already.
    pub(crate) connection: Option<ConnectionId>,
}

/// What comes of verifying.
pub(crate) enum Verdict {
    /// It is decided.
    Now(Result<Verified, IdentRefusal>),
    /// Somebody is asked.
    Later(LocalBoxFuture<'static, Result<Verified, IdentRefusal>>),
}

/// Who is asked.
enum Verifier {
    Core(ClientAuthenticator),
    Jwt(Rotation),
    Http(HttpAuthenticator),
    Custom(Arc<dyn Authenticator>),
}

impl Verifier {
    /// Who it is, for the log.
    fn describe(&self) -> String {
        match self {
            Self::Http(http) => http.shown_url(),
            Self::Core(_) | Self::Jwt(_) | Self::Custom(_) => "the authenticator of this program".to_owned(),
        }
    }

    /// Whether nobody guesses what it wants to see. What others want to see, nobody here knows.
    fn is_strong(&self) -> bool {
        match self {
            Self::Core(core) => core.is_strong(),
            Self::Jwt(rule) => rule.is_strong(),
            Self::Http(_) | Self::Custom(_) => false,
        }
    }
}

/// Verifies every IDENT of a node.
pub(crate) struct Gate {
    verifier: Verifier,
    timeout: Duration,
    /// Places for those who are asked. Whoever waits for one has a connection that waits, so the
    /// queue is no longer than there are connections.
    places: Semaphore,
    wrong: Attempts,
    /// That somebody who was asked gave no verdict.
    failure: Seldom,
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// The gate that the configuration describes, or one with the embedder's own authenticator.
    pub(crate) fn new(config: &Config, custom: Option<Arc<dyn Authenticator>>) -> Self {
        let (auth, limits) = (&config.auth, &config.limits);
        let verifier = match (custom, &auth.method) {
            (Some(custom), _) => Verifier::Custom(custom),
            (None, ClientAuth::Accept) => Verifier::Core(ClientAuthenticator::Accept),
            (None, ClientAuth::Password(secret)) => {
                Verifier::Core(ClientAuthenticator::Password(secret.clone()))
            }
            (None, ClientAuth::Token(rule)) => Verifier::Core(ClientAuthenticator::Token(rule.clone())),
            (None, ClientAuth::Jwt(rule)) => Verifier::Jwt(Rotation::new((**rule).clone())),
            (None, ClientAuth::Http(url)) => {
                Verifier::Http(HttpAuthenticator::new(url.clone(), auth.concurrency))
            }
        };
        Self {
            verifier,
            timeout: auth.timeout,
            places: Semaphore::new(auth.concurrency.min(Semaphore::MAX_PERMITS)),
            wrong: Attempts::new(AttemptLimits::of(config, limits.wrong_idents)),
            failure: Seldom::new(),
        }
    }

    /// The keys of JSON Web Tokens, to be read again.
    pub(crate) fn keys(&self) -> Option<Rotation> {
        match &self.verifier {
            Verifier::Jwt(rotation) => Some(rotation.clone()),
            Verifier::Core(_) | Verifier::Http(_) | Verifier::Custom(_) => None,
        }
    }

    /// How users prove who they are, as `auth.method` names it, or `custom` for an embedding program.
    pub(crate) fn method(&self) -> &'static str {
        match &self.verifier {
            Verifier::Core(ClientAuthenticator::Accept) => "accept",
            Verifier::Core(ClientAuthenticator::Password(_)) => "password",
            Verifier::Core(ClientAuthenticator::Token(_)) => "token",
            Verifier::Jwt(_) => "jwt",
            Verifier::Http(_) => "http",
            Verifier::Custom(_) => "custom",
        }
    }

    /// Whether an IDENT without a user name may prove one.
    pub(crate) fn names_users(&self) -> bool {
        !matches!(self.verifier, Verifier::Core(_))
    }

    /// Forgets a portion of the guesses that are too old: whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        self.wrong.tidy(now)
    }

    /// Decides who `visitor` is, who sent `ident`.
    pub(crate) fn verify(&self, worker: &Rc<Worker>, visitor: Visitor, ident: &Ident<'_>) -> Verdict {
        let user = journal::user_of(ident);
        match self.examine(worker, visitor, ident) {
            Verdict::Now(result) => Verdict::Now(told(result, visitor, user.as_ref())),
            Verdict::Later(verification) => {
                Verdict::Later(Box::pin(async move { told(verification.await, visitor, user.as_ref()) }))
            }
        }
    }

    fn examine(&self, worker: &Rc<Worker>, visitor: Visitor, ident: &Ident<'_>) -> Verdict {
        let address = visitor.address;
        if !self.verifier.is_strong() && self.wrong.blocked(address, Instant::now()).is_some() {
            return Verdict::Now(Err(IdentRefusal::TooManyWrong));
        }
        let judge = |result| match ident.is_guess() {
            true => self.judge(address, result),
            false => self.unless_blocked(address, result),
        };
        match &self.verifier {
            Verifier::Core(core) => Verdict::Now(judge(core.verify(ident).map(Verified::from))),
            Verifier::Jwt(rule) => Verdict::Now(judge(rule.verify(ident, unix_now()).map_err(|refusal| {
                warn_seldom!(%address, reason = %refusal, "JSON Web Token refused");
                refusal.into()
            }))),
            Verifier::Http(_) | Verifier::Custom(_) => {
                let request = IdentRequest {
                    ident: ident.data.to_owned(),
                    user: ident.user.clone(),
                    transport: visitor.transport,
                    address: visitor.address,
                };
                let worker = Rc::clone(worker);
                // What a backend looks at, nobody here knows: whatever it refuses was a guess.
                Verdict::Later(Box::pin(async move {
                    let gate = &worker.shared.gate;
                    gate.judge(address, gate.ask(&worker, request).await)
                }))
            }
        }
    }

    /// Counts a wrong guess. Others from the same address may have been made while this one was
    /// verified: it then hears no more of its result than if it had come after them.
    fn judge(
        &self,
        address: IpAddr,
        result: Result<Verified, IdentRefusal>,
    ) -> Result<Verified, IdentRefusal> {
        let result = self.unless_blocked(address, result);
        if result != Err(IdentRefusal::NotVerified) {
            return result;
        }
        match self.wrong.count(address, Instant::now()) {
            Counted::LetIn => {}
            Counted::Last => {
                warn_seldom!(%address, "too many wrong IDENTs, no more from there are verified for a while");
            }
            Counted::TooMany => return Err(IdentRefusal::TooManyWrong),
        }
        result
    }

    /// What an address hears that may be blocked: nothing of its result, unless it is right and nobody guesses that.
    fn unless_blocked(
        &self,
        address: IpAddr,
        result: Result<Verified, IdentRefusal>,
    ) -> Result<Verified, IdentRefusal> {
        let passes = result.is_ok() && self.verifier.is_strong();
        match passes || self.wrong.blocked(address, Instant::now()).is_none() {
            true => result,
            false => Err(IdentRefusal::TooManyWrong),
        }
    }

    /// Asks, and waits for the answer no longer than it may take or the server runs.
    async fn ask(&self, worker: &Rc<Worker>, request: IdentRequest) -> Result<Verified, IdentRefusal> {
        let asking = async {
            // The semaphore is never closed.
            let _place = self.places.acquire().await.map_err(|_| IdentRefusal::Unavailable)?;
            match &self.verifier {
                Verifier::Core(_) | Verifier::Jwt(_) => Err(IdentRefusal::NotVerified),
                Verifier::Http(http) => http.verify(worker, &request).await.map_err(|failure| {
                    failure.unless_refused(|failure| self.note_failure(failure));
                    failure.into()
                }),
                Verifier::Custom(custom) => {
                    until_panic(Box::pin(async { custom.verify(request).await })).await
                }
            }
        };
        let Some(answer) = worker.shared.life.ending.run_until_cancelled(timeout(self.timeout, asking)).await
        else {
            return Err(IdentRefusal::Unavailable);
        };
        let Ok(answer) = answer else {
            self.note_failure(&"no answer within auth.timeout");
            return Err(IdentRefusal::Unavailable);
        };
        if answer != Err(IdentRefusal::Unavailable)
            && let Some(untold) = self.failure.is_over()
        {
            let asked = self.verifier.describe();
            tracing::warn!(asked, untold, "an IDENT has a verdict again");
        }
        answer
    }

    /// Tells the operator, now and then.
    fn note_failure(&self, failure: &dyn fmt::Display) {
        let asked = self.verifier.describe();
        match self.failure.tell(Instant::now()) {
            Some(untold) => tracing::warn!(
                asked, %failure, untold,
                "no verdict about an IDENT: its client is told to try again, and it is counted for nobody"
            ),
            None => tracing::debug!(asked, %failure, "no verdict about an IDENT"),
        }
    }
}

/// The result, after it was logged if it is a refusal.
fn told(
    result: Result<Verified, IdentRefusal>,
    visitor: Visitor,
    user: Option<&Name>,
) -> Result<Verified, IdentRefusal> {
    if let Err(refusal) = result {
        journal::ident_refused(visitor, user, &refusal);
    }
    result
}

/// A verification that panics refuses; it must not take its connection with it unclosed.
async fn until_panic(mut verification: Verification<'_>) -> Result<Verified, IdentRefusal> {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| verification.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            tracing::error!("an authenticator panicked");
            Poll::Ready(Err(IdentRefusal::Unavailable))
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::attempts::tests::assert_forgotten;

    #[test]
    fn guesses_are_forgotten_where_nobody_guesses_any_more() {
        let gate = Gate::new(&Config::default(), None);
        assert_forgotten(&gate.wrong, |now| gate.tidy(now));
    }
}
