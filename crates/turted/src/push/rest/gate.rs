//! What all pushes of a node have to pass: which pages may push, their credentials and guesses at them, idempotency keys.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use turted_core::push::{Parsed, PushLimits};

use super::answer::{Problem, again};
use super::idempotency::Idempotency;
use super::owners::{IdempotencyLimits, OwnedKey, Share};
use super::verifier::{Question, Verdict, Verifier};
use crate::auth::attempts::{Attempts, GuessCounted, tell_blocked};
use crate::auth::passwords::{Mismatch, Password, Passwords};
use crate::config::Config;
use crate::config::secrets::Current;
use crate::http::cors::Page;
use crate::hub::dispatch::log::disk::FoundKey;
use crate::io::seldom::warn_seldom;
use crate::io::tasks::Tasks;

/// What is told to a page that may not push: of its origin, and of the host that it names.
pub(super) const MAY_NOT_PUSH: [&str; 2] = [
    "pages of this origin may not push (push.allow_origins)",
    "without a password only requests for localhost or a loopback address may push: set \
     push.password_file or TURTED_PUSH_PASSWORD, or have your proxy send Host: 127.0.0.1",
];
/// The same to one that may not ask who is online.
pub(super) const MAY_NOT_ASK: [&str; 2] = [
    "pages of this origin may not ask (push.allow_origins)",
    "without a password only requests for localhost or a loopback address may ask: set \
     push.password_file or TURTED_PUSH_PASSWORD, or have your proxy send Host: 127.0.0.1",
];

/// Refuses the pages that may not push. A page whose name was made to resolve to this machine (DNS rebinding) counts as
/// one of the own host, so without a password the host that the request names is checked as well.
pub(super) fn check_page(
    config: &Config,
    (page, [of_origin, of_host]): (&Page, [&'static str; 2]),
    is_for_loopback: impl FnOnce() -> bool,
) -> Result<(), Problem> {
    if !page.is_allowed() {
        return Err(Problem::new("origin-not-allowed", of_origin));
    }
    let is_open = config.push.is_open() && config.listen.ip().to_canonical().is_loopback();
    if is_open && !is_for_loopback() {
        // Not 421: a client may repeat that on another connection (RFC 9110 15.5.20).
        return Err(Problem::new("host-not-loopback", of_host));
    }
    Ok(())
}

/// What all pushes of a node have to pass.
#[derive(Debug)]
pub(crate) struct PushGate {
    limits: PushLimits,
    passwords: Current<Passwords>,
    /// Asked instead, if there is one.
    verifier: Option<Verifier>,
    attempts: Attempts,
    idempotency: Idempotency,
}

impl PushGate {
    pub(crate) fn new(config: &Config, passwords: Current<Passwords>) -> Self {
        let limits = &config.limits;
        Self {
            limits: PushLimits {
                targets: limits.targets,
                dispatches: limits.batch_dispatches,
                expansion_bytes: limits.expansion_bytes,
            },
            passwords,
            verifier: Verifier::new(&config.push),
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

    /// Notes the keys of pushes that were accepted before this start, with their answers. If there is not enough room
    /// the oldest are left out.
    pub(crate) fn restore(&self, keys: &[FoundKey]) {
        let now = Instant::now();
        let own = keys.iter().filter_map(|found| Some((OwnedKey::found(&found.owner, &found.key)?, found)));
        let mut own: Vec<_> = own.collect();
        own.sort_unstable_by_key(|(_, found)| found.age);
        for (key, found) in own {
            self.idempotency.restore(&key, found.body, again(found), now);
        }
    }

    /// The wrong passwords of each address.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// How many idempotency keys are in use.
    pub(crate) fn idempotency_keys(&self) -> usize {
        self.idempotency.keys()
    }

    /// How much of the room for idempotency keys one push key may have.
    pub(super) fn share(&self) -> Share {
        Share::among(self.passwords.get().as_ref().map_or(0, |passwords| passwords.count()))
    }

    pub(super) fn idempotency(&self) -> &Idempotency {
        &self.idempotency
    }

    pub(super) fn limits(&self) -> PushLimits {
        self.limits
    }

    /// Whether a backend is asked about each push.
    pub(super) fn asks(&self) -> bool {
        self.verifier.is_some()
    }

    /// Refuses an address that guessed too often, unless `bearer` is a right password and too long to be guessed. A
    /// password in the body is not known before the body is read. What a backend wants to see may be short, and asking
    /// costs, so it is not asked.
    pub(super) fn check_address(&self, peer: IpAddr, bearer: Option<&str>) -> Result<(), Problem> {
        let passwords = self.passwords.get();
        if passwords.is_none() && self.verifier.is_none() {
            return Ok(());
        }
        let Some(wait) = self.attempts.blocked(peer, Instant::now()) else { return Ok(()) };
        // A short password is compared as a long one is: not even the time may show that it is right.
        let found = passwords.as_ref().zip(bearer).and_then(|(passwords, bearer)| passwords.find(bearer));
        if found.is_some_and(|password| password.is_strong) {
            return Ok(());
        }
        let detail = "too many wrong passwords from this address (limits.wrong_passwords)";
        let problem = Problem::new("too-many-wrong-passwords", detail);
        Err(problem.retry_after(wait.as_secs() + 1))
    }

    /// Checks the credentials: the header if there is one, else those of every item. Returns the password if there is
    /// one, which says what may be pushed.
    pub(super) async fn check_credentials(
        &self,
        tasks: &Tasks,
        peer: IpAddr,
        bearer: Option<&str>,
        parsed: &Parsed<'_>,
    ) -> Result<Option<Arc<Password>>, Problem> {
        if let Some(verifier) = &self.verifier {
            let question = Question::of(peer, bearer, parsed)?;
            // On the heap: other pushes do not need the room.
            let verdict = Box::pin(verifier.ask(tasks, &question)).await;
            return match verdict.ok_or_else(Problem::no_verdict)? {
                // While it was asked others may have guessed. A blocked address learns nothing.
                Verdict::Yes => self.check_address(peer, None).map(|()| None),
                Verdict::No => Err(self.refuse(peer, bearer, question.is_guess())),
            };
        }
        self.check_passwords(peer, bearer, parsed)
    }

    /// The same where no backend is asked.
    pub(super) fn check_passwords(
        &self,
        peer: IpAddr,
        bearer: Option<&str>,
        parsed: &Parsed<'_>,
    ) -> Result<Option<Arc<Password>>, Problem> {
        let Some(passwords) = self.passwords.get() else { return Ok(None) };
        // Checked again, because many guesses may have been let in before the first one was counted.
        self.check_address(peer, bearer)?;
        match passwords.of_push(bearer, parsed.credentials()) {
            Ok(password) => Ok(Some(Arc::clone(password))),
            Err(Mismatch::Mixed) => Err(Problem::auth_differs(
                "the pushes of a batch have passwords of different keys (push.keys)",
            )),
            // A push without any password, or with an empty one, is no guess.
            Err(mismatch) => Err(self.refuse(peer, bearer, mismatch == Mismatch::Wrong)),
        }
    }

    /// What a push with wrong credentials is answered. Counts a guess.
    fn refuse(&self, peer: IpAddr, bearer: Option<&str>, is_guess: bool) -> Problem {
        if is_guess {
            warn_seldom!(address = %peer, "wrong push password");
            match self.attempts.count(peer, Instant::now()) {
                GuessCounted::LetIn => {}
                GuessCounted::Last => tell_blocked(peer),
                GuessCounted::TooMany => {
                    if let Err(blocked) = self.check_address(peer, bearer) {
                        return blocked;
                    }
                }
            }
        }
        Problem::wrong_password()
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
