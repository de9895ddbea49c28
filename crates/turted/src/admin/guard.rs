//! Which requests may read what the admin listener knows, and which may change something.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use hyper::header::{HOST, HeaderMap};
use turted_core::secret::Secret;

use super::refusal::GuardRefusal;
use crate::auth::attempts::{Attempts, GuessCounted, bearer, tell_blocked};
use crate::config::Config;
use crate::config::secrets::{Current, Secrets};
use crate::io::seldom::warn_seldom;

/// What a request wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Numbers without names, which may be seen where nothing else may.
    Metrics,
    Everything,
}

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// What a request has to pass.
#[derive(Debug)]
pub(super) struct Guard {
    token: Current<Secret>,
    write_token: Current<Secret>,
    wrong_tokens: Attempts,
    is_loopback: bool,
}

/// What a request that passed has shown, and what it may do by that.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The token, and the one that counts in its place now; `None` where none is needed.
    token: Option<(Arc<Secret>, Current<Secret>)>,
    access: Access,
}

impl Shown {
    const NOTHING: Self = Self { token: None, access: Access::Read };

    /// Whether it may change something.
    pub(super) fn may_write(&self) -> bool {
        self.access == Access::Write
    }

    /// Whether it was a token: only then payloads are shown.
    pub(super) fn is_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether it counts still.
    pub(super) fn counts(&self) -> bool {
        self.token.as_ref().is_none_or(|(shown, current)| current.get().as_ref() == Some(shown))
    }
}

impl Guard {
    pub(super) fn new(config: &Config, address: SocketAddr, secrets: &Secrets) -> Self {
        Self {
            token: secrets.admin.clone(),
            write_token: secrets.admin_write.clone(),
            wrong_tokens: Attempts::new(config.attempts(config.limits.wrong_passwords)),
            is_loopback: address.ip().to_canonical().is_loopback(),
        }
    }

    /// Forgets a portion of the guesses that are too old. Returns whether there are more.
    pub(super) fn tidy(&self, now: Instant) -> bool {
        self.wrong_tokens.tidy(now)
    }

    /// Whether requests have to show a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.get().is_some() || self.has_write_token()
    }

    /// Whether there is a token with which something can be changed.
    pub(super) fn has_write_token(&self) -> bool {
        self.write_token.get().is_some()
    }

    /// Checks a request for the files of the page, which need no token.
    pub(super) fn check_visitor(&self, headers: &HeaderMap) -> Result<(), GuardRefusal> {
        if self.has_token() { Ok(()) } else { self.check_place(headers, Scope::Everything) }
    }

    pub(super) fn check(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<Shown, GuardRefusal> {
        if !self.has_token() {
            return self.check_place(headers, scope).map(|()| Shown::NOTHING);
        }
        let given = bearer(headers);
        let (right, is_strong) = self.find(given);
        if self.wrong_tokens.blocked(peer, Instant::now()).is_some() {
            return right.filter(|_| is_strong).ok_or(GuardRefusal::Guessing);
        }
        match (right, given) {
            (Some(shown), _) => Ok(shown),
            (None, Some(_)) => {
                warn_seldom!(address = %peer, "wrong admin token");
                match self.wrong_tokens.count(peer, Instant::now()) {
                    GuessCounted::LetIn => Err(GuardRefusal::Token),
                    GuessCounted::Last => {
                        tell_blocked(peer);
                        Err(GuardRefusal::Token)
                    }
                    GuessCounted::TooMany => Err(GuardRefusal::Guessing),
                }
            }
            (None, None) => Err(GuardRefusal::Token),
        }
    }

    /// The token that was given, and whether it is too long to be guessed. Each one is compared, in constant time (see
    /// `Secret`): not even the time may show which one is right, or whether a short one is.
    fn find(&self, given: Option<&str>) -> (Option<Shown>, bool) {
        let (mut right, mut is_strong) = (None, false);
        for (current, access) in [(&self.token, Access::Read), (&self.write_token, Access::Write)] {
            let Some(token) = current.get() else { continue };
            let is_right = given.is_some_and(|given| token.matches(given));
            is_strong |= is_right & token.is_strong();
            if is_right {
                right = Some(Shown { token: Some((token, current.clone())), access });
            }
        }
        (right, is_strong)
    }

    /// Checks where a request comes from, where no token says who may make it.
    fn check_place(&self, headers: &HeaderMap, scope: Scope) -> Result<(), GuardRefusal> {
        if self.is_loopback {
            check_host(headers)?;
        }
        match scope {
            Scope::Metrics => Ok(()),
            Scope::Everything if !self.is_loopback => Err(GuardRefusal::Stranger),
            Scope::Everything if is_passed_on(headers) => Err(GuardRefusal::PassedOn),
            Scope::Everything => Ok(()),
        }
    }
}

/// The headers by which proxies say that they pass a request on.
const PASSED_ON: [&str; 10] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
];

/// Whether a proxy says that it passes the request on. Not all of them do.
fn is_passed_on(headers: &HeaderMap) -> bool {
    PASSED_ON.iter().any(|name| headers.contains_key(*name))
}

/// Refuses requests that name another host than this machine. Without a token, any page in a browser on
/// this machine could read if its name resolves to this machine (DNS rebinding), but its requests name the
/// host of the page.
fn check_host(headers: &HeaderMap) -> Result<(), GuardRefusal> {
    let Some(host) = headers.get(HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or("");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_ours = name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok();
    is_ours.then_some(()).ok_or(GuardRefusal::Host)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::auth::attempts::tests::assert_forgotten;

    #[test]
    fn a_page_of_another_host_cannot_read_along() {
        let check = |host: &str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).unwrap())]);
            check_host(&headers).is_ok()
        };
        for host in ["localhost", "LOCALHOST:7118", "127.0.0.1:7118", "127.0.0.1", "[::1]:7118", "[::1]"] {
            assert!(check(host), "{host}");
        }
        for host in ["evil.example:7118", "evil.example", "localhost.evil.example", "", "127.0.0.1.evil:1"] {
            assert!(!check(host), "{host}");
        }
        assert!(check_host(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn guesses_are_forgotten_where_nobody_guesses_any_more() {
        let (config, address) = (Config::default(), SocketAddr::from(([127, 0, 0, 1], 0)));
        let gate = Guard::new(&config, address, &Secrets::new(&config));
        assert_forgotten(&gate.wrong_tokens, |now| gate.tidy(now));
    }
}
