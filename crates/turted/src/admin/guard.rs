//! Which requests may read what the admin listener knows.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use hyper::header::{HOST, HeaderMap};
use turted_core::secret::Secret;

use super::refusal::GuardRefusal;
use crate::auth::attempts::{Attempts, GuessCounted, bearer, tell_blocked};
use crate::config::Config;
use crate::config::secrets::Current;
use crate::io::seldom::warn_seldom;

/// What a request has to pass.
#[derive(Debug)]
pub(super) struct Guard {
    token: Current<Secret>,
    wrong_tokens: Attempts,
    is_loopback: bool,
}

impl Guard {
    pub(super) fn new(config: &Config, address: SocketAddr, token: Current<Secret>) -> Self {
        Self {
            token,
            wrong_tokens: Attempts::new(config.attempts(config.limits.wrong_passwords)),
            is_loopback: address.ip().to_canonical().is_loopback(),
        }
    }

    /// Forgets a portion of the guesses that are too old. Returns whether there are more.
    pub(super) fn tidy(&self, now: Instant) -> bool {
        self.wrong_tokens.tidy(now)
    }

    /// The token that counts, if there is one.
    pub(super) fn token(&self) -> &Current<Secret> {
        &self.token
    }

    /// Whether other machines may read without a token.
    pub(super) fn is_open_to_strangers(&self) -> bool {
        !self.is_loopback && !self.has_token()
    }

    /// Whether requests have to show a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.get().is_some()
    }

    pub(super) fn check(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), GuardRefusal> {
        let Some(token) = self.token.get() else {
            return if self.is_loopback { check_host(headers) } else { Ok(()) };
        };
        let given = bearer(headers);
        // Constant time, see `Secret`.
        let is_right = given.is_some_and(|given| token.matches(given));
        if self.wrong_tokens.blocked(peer, Instant::now()).is_some() {
            // `&` evaluates both sides: not even the time may show whether a short token is right.
            return if is_right & token.is_strong() { Ok(()) } else { Err(GuardRefusal::Guessing) };
        }
        match given {
            Some(_) if is_right => Ok(()),
            Some(_) => {
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
            None => Err(GuardRefusal::Token),
        }
    }
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
    use crate::config::secrets::Secrets;

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
        let gate = Guard::new(&config, address, Secrets::new(&config).admin);
        assert_forgotten(&gate.wrong_tokens, |now| gate.tidy(now));
    }
}
