//! The gate that every IDENT passes: the rules of the core, a JSON Web Token, the backend over HTTP, or
//! a part of the program that embeds the server.
//!
//! The first two decide at once. The others are asked about a bounded number of IDENTs at a time, and each has
//! to answer in time. Only the connection that sent the IDENT waits for that. Whatever decides, an address that
//! guessed wrong too often is refused for a while, unless its IDENT is right and too strong to be guessed.

use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_core::future::LocalBoxFuture;
use tracing::{Level, debug, enabled};
use turted_core::auth::{ClientAuthenticator, IdentRefusal, Verified};
use turted_core::command::Ident;
use turted_core::connection_id::ConnectionId;
use turted_core::name::Name;
use turted_core::time::UnixTime;

use super::attempts::{AttemptLimits, Attempts, GuessCounted};
use super::http::HttpAuthenticator;
use super::method::ClientAuth;
use super::request::{Authenticator, IdentRequest, Verification};
use super::rotation::Rotation;
use crate::io::questions::{Questions, Unanswered};
use crate::io::seldom::{Seldom, warn_seldom};
use crate::io::tasks::Tasks;
use crate::live::{Kind, Live, Record};

/// The time now, for what expires.
pub(crate) fn unix_now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The client that sends an IDENT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    /// Where the client connects from.
    pub(crate) address: IpAddr,
    /// How it connects.
    pub(crate) transport: &'static str,
    /// Its connection, if it has one already.
    pub(crate) connection: Option<ConnectionId>,
}

/// What comes of verifying an IDENT.
pub(crate) enum Verdict {
    /// It is decided.
    Now(Result<Verified, IdentRefusal>),
    /// The backend or the embedding program is asked.
    Later(LocalBoxFuture<'static, Result<Verified, IdentRefusal>>),
}

/// What verifies IDENTs.
enum Verifier {
    Core(ClientAuthenticator),
    Jwt(Rotation),
    Http(HttpAuthenticator),
    Custom(Arc<dyn Authenticator>),
}

impl Verifier {
    /// Its name in the log.
    fn describe(&self) -> String {
        match self {
            Self::Http(http) => http.shown_url(),
            Self::Core(_) | Self::Jwt(_) | Self::Custom(_) => "the authenticator of this program".to_owned(),
        }
    }

    /// Whether what it wants to see is too strong to be guessed. What a backend or an embedding program wants
    /// to see is not known here.
    fn is_strong(&self) -> bool {
        match self {
            Self::Core(core) => core.is_strong(),
            Self::Jwt(rule) => rule.is_strong(),
            Self::Http(_) | Self::Custom(_) => false,
        }
    }
}

/// How IDENTs are verified.
#[derive(Debug)]
pub(crate) struct GateSettings {
    pub(crate) method: ClientAuth,
    /// The file of the authorities that vouch for the backend over TLS; else those of the system do.
    pub(crate) ca: Option<PathBuf>,
    /// How long the backend or the embedding program may take.
    pub(crate) timeout: Duration,
    /// How many IDENTs it may be asked about at once.
    pub(crate) concurrency: usize,
    /// Wrong IDENTs of one address.
    pub(crate) wrong: AttemptLimits,
}

/// Verifies every IDENT of a node.
pub(crate) struct Gate {
    verifier: Verifier,
    questions: Questions,
    wrong: Attempts,
    /// The log line that an IDENT got no verdict.
    failure: Seldom,
    live: Live,
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// The gate that the configuration describes, or one with the embedder's own authenticator.
    pub(crate) fn new(settings: GateSettings, custom: Option<Arc<dyn Authenticator>>, live: Live) -> Self {
        let GateSettings { method, ca, timeout, concurrency, wrong } = settings;
        let verifier = match (custom, method) {
            (Some(custom), _) => Verifier::Custom(custom),
            (None, ClientAuth::Accept) => Verifier::Core(ClientAuthenticator::Accept),
            (None, ClientAuth::Password(secret)) => Verifier::Core(ClientAuthenticator::Password(secret)),
            (None, ClientAuth::Token(rule)) => Verifier::Core(ClientAuthenticator::Token(rule)),
            (None, ClientAuth::Jwt(rule)) => Verifier::Jwt(Rotation::new(*rule)),
            (None, ClientAuth::Http(url)) => Verifier::Http(HttpAuthenticator::new(url, ca, concurrency)),
        };
        Self {
            verifier,
            questions: Questions::new(concurrency, timeout),
            wrong: Attempts::new(wrong),
            failure: Seldom::new(),
            live,
        }
    }

    /// The wrong IDENTs of each address.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.wrong
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

    /// Forgets a portion of the guesses that are too old. Returns whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        self.wrong.tidy(now)
    }

    /// Decides which user `visitor` is, by the `ident` that it sent.
    pub(crate) fn verify(self: &Arc<Self>, tasks: &Tasks, visitor: Visitor, ident: &Ident<'_>) -> Verdict {
        let user = self.user_of(ident);
        match self.examine(tasks, visitor, ident) {
            Verdict::Now(result) => Verdict::Now(self.told(result, visitor, user.as_ref())),
            Verdict::Later(verification) => {
                let gate = Arc::clone(self);
                Verdict::Later(Box::pin(async move { gate.told(verification.await, visitor, user.as_ref()) }))
            }
        }
    }

    /// The result, after it was told if it is a refusal.
    fn told(
        &self,
        result: Result<Verified, IdentRefusal>,
        visitor: Visitor,
        user: Option<&Name>,
    ) -> Result<Verified, IdentRefusal> {
        if let Err(refusal) = result {
            self.tell_refused(visitor, user, &refusal);
        }
        result
    }

    /// Tells the log, and those who watch, that a client has not proved who it is.
    pub(crate) fn tell_refused(
        &self,
        visitor: Visitor,
        user: Option<&Name>,
        refusal: &dyn std::error::Error,
    ) {
        debug!(
            connection = visitor.connection.map(tracing::field::display),
            address = %visitor.address,
            user = user.map(Name::as_str),
            reason = %refusal,
            "IDENT refused"
        );
        self.live.tell(|| Record {
            connection: visitor.connection,
            address: Some(visitor.address),
            transport: Some(visitor.transport),
            users: user.cloned().into_iter().collect(),
            reason: Some(refusal.to_string().into()),
            ..Record::new(Kind::IdentRefused)
        });
    }

    /// The user that an IDENT names, if it will be told.
    fn user_of(&self, ident: &Ident<'_>) -> Option<Name> {
        let is_told = enabled!(Level::DEBUG) || self.live.is_watched();
        ident.user.as_ref().filter(|_| is_told).map(|user| user.name.clone())
    }

    fn examine(self: &Arc<Self>, tasks: &Tasks, visitor: Visitor, ident: &Ident<'_>) -> Verdict {
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
                let (gate, tasks) = (Arc::clone(self), tasks.clone());
                // What a backend looks at is not known here: every IDENT that it refuses was a guess.
                Verdict::Later(Box::pin(async move { gate.judge(address, gate.ask(&tasks, request).await) }))
            }
        }
    }

    /// Counts a wrong guess. The same address may have made other guesses while this one was verified. Then it
    /// learns no more of this result than if this guess had come after the others.
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
            GuessCounted::LetIn => {}
            GuessCounted::Last => {
                warn_seldom!(%address, "too many wrong IDENTs, no more from there are verified for a while");
            }
            GuessCounted::TooMany => return Err(IdentRefusal::TooManyWrong),
        }
        result
    }

    /// The result as its address may learn it. A blocked address learns nothing, unless its IDENT is right and
    /// too strong to be guessed.
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
    async fn ask(&self, tasks: &Tasks, request: IdentRequest) -> Result<Verified, IdentRefusal> {
        let asking = async {
            match &self.verifier {
                Verifier::Core(_) | Verifier::Jwt(_) => Err(IdentRefusal::NotVerified),
                Verifier::Http(http) => http.verify(tasks, &request).await.map_err(|failure| {
                    failure.unless_refused(|failure| self.note_failure(failure));
                    failure.into()
                }),
                Verifier::Custom(custom) => {
                    until_panic(Box::pin(async { custom.verify(request).await })).await
                }
            }
        };
        let answer = match self.questions.ask(tasks, asking).await {
            Ok(answer) => answer,
            Err(Unanswered::Ended) => return Err(IdentRefusal::Unavailable),
            Err(Unanswered::Late) => {
                self.note_failure(&"no answer within auth.timeout");
                return Err(IdentRefusal::Unavailable);
            }
        };
        if answer != Err(IdentRefusal::Unavailable)
            && let Some(untold) = self.failure.is_over()
        {
            let asked = self.verifier.describe();
            tracing::warn!(asked, untold, "an IDENT has a verdict again");
        }
        answer
    }

    /// Tells the operator that an IDENT got no verdict, seldom.
    fn note_failure(&self, failure: &dyn fmt::Display) {
        let asked = self.verifier.describe();
        match self.failure.tell(Instant::now()) {
            Some(untold) => tracing::warn!(
                asked, %failure, untold,
                "no verdict about an IDENT: its client is told to try again, and no guess is counted"
            ),
            None => tracing::debug!(asked, %failure, "no verdict about an IDENT"),
        }
    }
}

/// Turns a verification that panics into one that refuses: the panic must not end the task of the connection,
/// which would then never be closed.
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
        let gate = Gate::new(crate::config::Config::default().gate(), None, Live::default());
        assert_forgotten(&gate.wrong, |now| gate.tidy(now));
    }
}
