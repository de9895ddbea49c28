//! What all pushes of a node have to pass: which pages may push, the password and its guesses, idempotency keys.

use std::net::IpAddr;
use std::time::Instant;

use hyper::{Request, StatusCode};
use turted_core::push::PushLimits;
use turted_core::secret::Secret;

use super::answer::Problem;
use super::idempotency::{Idempotency, IdempotencyLimits};
use crate::auth::attempts::{Attempts, GuessCounted, tell_blocked};
use crate::config::Config;
use crate::config::secrets::Current;
use crate::http::cors::{self, Page};
use crate::io::seldom::warn_seldom;

/// Refuses the pages that may not push. A page whose name was made to resolve to this machine (DNS rebinding) counts as
/// one of the own host, so without a password the host that the request names is checked as well.
pub(super) fn check_page<B>(config: &Config, page: &Page, request: &Request<B>) -> Result<(), Problem> {
    if !page.is_allowed() {
        let detail = "pages of this origin may not push (push.allow_origins)";
        return Err(Problem::new(StatusCode::FORBIDDEN, "origin-not-allowed", detail));
    }
    let is_open = config.push.password.is_none() && config.listen.ip().to_canonical().is_loopback();
    if is_open && !cors::is_for_loopback(request) {
        let detail = "without a password only requests for localhost or a loopback address may push: set \
                      push.password_file or TURTED_PUSH_PASSWORD, or have your proxy send Host: 127.0.0.1";
        // Not 421: a client may repeat that on another connection (RFC 9110 15.5.20).
        return Err(Problem::new(StatusCode::FORBIDDEN, "host-not-loopback", detail));
    }
    Ok(())
}

/// What all pushes of a node have to pass.
#[derive(Debug)]
pub(crate) struct PushGate {
    limits: PushLimits,
    password: Current,
    attempts: Attempts,
    idempotency: Idempotency,
}

impl PushGate {
    pub(crate) fn new(config: &Config, password: Current) -> Self {
        let limits = &config.limits;
        Self {
            limits: PushLimits {
                targets: limits.targets,
                dispatches: limits.batch_dispatches,
                expansion_bytes: limits.expansion_bytes,
            },
            password,
            attempts: Attempts::new(config.attempts(limits.wrong_passwords)),
            idempotency: Idempotency::new(IdempotencyLimits {
                keys: limits.idempotency_keys,
                bytes: limits.idempotency_bytes,
                age: limits.idempotency_age,
            }),
        }
    }

    /// Forgets a portion of the guesses and idempotency keys that are too old. Returns whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        let guesses = self.attempts.tidy(now);
        let keys = self.idempotency.tidy(now);
        guesses || keys
    }

    /// How many idempotency keys are in use.
    pub(crate) fn idempotency_keys(&self) -> usize {
        self.idempotency.keys()
    }

    pub(super) fn idempotency(&self) -> &Idempotency {
        &self.idempotency
    }

    pub(super) fn limits(&self) -> PushLimits {
        self.limits
    }

    /// Refuses an address that guessed too often, unless `bearer` is the right password and too long to be guessed. A
    /// password in the body is not known before the body is read.
    pub(super) fn check_address(&self, peer: IpAddr, bearer: Option<&str>) -> Result<(), Problem> {
        let Some(password) = self.password.get() else { return Ok(()) };
        let Some(wait) = self.attempts.blocked(peer, Instant::now()) else { return Ok(()) };
        // `&` evaluates both sides: not even the time may show whether a short password is right.
        if bearer.is_some_and(|bearer| password.matches(bearer)) & password.is_strong() {
            return Ok(());
        }
        let detail = "too many wrong passwords from this address (limits.wrong_passwords)";
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-wrong-passwords", detail);
        Err(problem.retry_after(wait.as_secs() + 1))
    }

    /// Checks the password: the header if there is one, else that of every item.
    pub(super) fn check_password<'a>(
        &self,
        peer: IpAddr,
        bearer: Option<&str>,
        mut given: impl Iterator<Item = Option<&'a Secret>>,
    ) -> Result<(), Problem> {
        let Some(password) = self.password.get() else { return Ok(()) };
        // Checked again, because many guesses may have been let in before the first one was counted.
        self.check_address(peer, bearer)?;
        let mut is_guess = bearer.is_some();
        let is_right = match bearer {
            Some(bearer) => password.matches(bearer),
            None => given.all(|given| {
                is_guess |= given.is_some_and(|given| !given.is_empty());
                given.is_some_and(|given| password.matches(given.reveal()))
            }),
        };
        if is_right {
            return Ok(());
        }
        // A push without any password, or with an empty one, is no guess.
        if is_guess {
            warn_seldom!(address = %peer, "wrong push password");
            match self.attempts.count(peer, Instant::now()) {
                GuessCounted::LetIn => {}
                GuessCounted::Last => tell_blocked(peer),
                GuessCounted::TooMany => self.check_address(peer, bearer)?,
            }
        }
        Err(Problem::wrong_password())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::attempts::tests::assert_forgotten;
    use crate::config::secrets::Secrets;

    #[test]
    fn guesses_are_forgotten_where_nobody_guesses_any_more() {
        let gate = PushGate::new(&Config::default(), Secrets::new(&Config::default()).push);
        assert_forgotten(&gate.attempts, |now| gate.tidy(now));
    }
}
