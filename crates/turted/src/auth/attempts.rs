//! Guesses, counted per address: wrong passwords of pushes, wrong IDENTs, wrong tokens of operators.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{AUTHORIZATION, HeaderMap};
use turted_core::kept::{Kept, KeptLimits};
use turted_core::trust::{is_private, network};

use crate::io::seldom::{Seldom, warn_seldom};

/// The password or token that a request shows in `Authorization: Bearer`. An empty one is none.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Tells the operator that passwords of an address are not looked at for a while.
pub(crate) fn tell_blocked(address: IpAddr) {
    warn_seldom!(%address, "too many wrong passwords, no more from there are heard for a while");
}

/// That a proxy is not named in `trusted_proxies`. Every request may be a reason to say so, and so may anybody's header
/// from a private address.
pub(crate) static UNNAMED_PROXY: Seldom = Seldom::every(Duration::from_secs(5 * 60));

/// Tells the operator that an address is not heard for a while because of its guesses, if all clients may come from it.
fn tell_of_proxy(address: IpAddr, now: Instant) {
    if is_private(address) && UNNAMED_PROXY.tell(now).is_some() {
        tracing::warn!(
            %address,
            "too many wrong guesses from this private address; if it is a proxy, name it in trusted_proxies: \
             all clients behind it count as one, and wait with it"
        );
    }
}

/// How often one address may guess wrong in a window, and how many addresses are remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptLimits {
    pub(crate) attempts: u32,
    pub(crate) window: Duration,
    pub(crate) addresses: usize,
    /// Whether the operator named proxies. Otherwise a private address may be one, and all clients behind it wait together.
    pub(crate) names_proxies: bool,
}

/// Wrong guesses of the recent past. The lock is taken once or twice per guess, for a look-up and a
/// portion of what is over.
#[derive(Debug)]
pub(crate) struct Attempts {
    limits: AttemptLimits,
    guesses: Mutex<Guesses>,
}

#[derive(Debug)]
struct Guesses {
    /// How many there were in the window of an address, which begins with the first.
    wrong: Kept<IpAddr, u32>,
    /// When it was last told that the oldest give way.
    told_at: Option<Instant>,
}

/// What a wrong guess was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuessCounted {
    LetIn,
    /// The last one that is let in.
    Last,
    /// It came at once with others, and is to hear no more than if it had come after them.
    TooMany,
}

impl Attempts {
    pub(crate) fn new(limits: AttemptLimits) -> Self {
        // What an address takes is always the same, so they are bounded in number alone.
        let kept = KeptLimits { entries: limits.addresses, bytes: usize::MAX, age: limits.window };
        let wrong = Kept::new(kept, Instant::now());
        Self { limits, guesses: Mutex::new(Guesses { wrong, told_at: None }) }
    }

    /// How long an address has to wait before it may try again; `None` if it need not.
    ///
    /// A right guess does not help meanwhile, unless it is [too long](turted_core::auth::Secret::is_strong) to be one: the
    /// answer would tell a guesser that it is right.
    pub(crate) fn blocked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let guesses = self.guesses();
        let (count, left) = guesses.wrong.get_with_time_left(&network(address), now)?;
        (*count >= self.limits.attempts).then_some(left)
    }

    /// Counts a wrong guess. Others may have been counted since it was found not to be
    /// [blocked](Self::blocked): what it may be told is decided under the same lock.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> GuessCounted {
        let count = self.guesses().count(network(address), now, self.limits);
        match count.cmp(&self.limits.attempts) {
            Ordering::Less => GuessCounted::LetIn,
            Ordering::Equal => {
                if !self.limits.names_proxies {
                    tell_of_proxy(address, now);
                }
                GuessCounted::Last
            }
            Ordering::Greater => GuessCounted::TooMany,
        }
    }

    /// Forgets a portion of the guesses whose window is over: whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        self.guesses().wrong.tidy(now)
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guesses {
    /// Counts a guess of an address in its window: how many there are. The oldest gives way if there is
    /// no place: it may begin anew, but nobody can guess without end, and nobody else is kept out.
    fn count(&mut self, address: IpAddr, now: Instant, limits: AttemptLimits) -> u32 {
        self.wrong.forget_old(now);
        if let Some(count) = self.wrong.get_mut(&address, now) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.wrong.insert(address, 1, 0, now) > 0 {
            self.tell(now, limits);
        }
        1
    }

    /// Logs that the oldest give way, once in a window: whoever has so many addresses could fill the log too.
    fn tell(&mut self, now: Instant, AttemptLimits { window, addresses, .. }: AttemptLimits) {
        if self.told_at.is_none_or(|told| now.duration_since(told) > window) {
            self.told_at = Some(now);
            tracing::warn!(
                addresses,
                "wrong guesses from more addresses than are remembered: the oldest are forgotten"
            );
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use turted_core::kept::PORTION;

    use super::*;

    /// Checks that whoever owns `attempts` has them forgotten, portion by portion, by its `tidy`.
    pub(crate) fn assert_forgotten(attempts: &Attempts, tidy: impl Fn(Instant) -> bool) {
        let now = Instant::now();
        for host in 0..=PORTION {
            attempts.count(IpAddr::from([127, 0, 0, u8::try_from(host).unwrap()]), now);
        }
        assert!(!tidy(now));
        let late = now + attempts.limits.window + Duration::from_secs(1);
        assert!(tidy(late), "there is more than a portion");
        assert!(!tidy(late));
    }

    const LIMITS: AttemptLimits =
        AttemptLimits { attempts: 3, window: Duration::from_secs(60), addresses: 2, names_proxies: true };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_attempt_is_allowed_and_the_next_one_waits_for_the_window() {
        let (attempts, now) = (Attempts::new(LIMITS), Instant::now());
        let guesser = address("127.0.0.2");
        for number in 1..=3 {
            assert_eq!(attempts.blocked(guesser, now), None);
            assert_eq!(attempts.count(guesser, now) == GuessCounted::Last, number == 3);
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(attempts.blocked(guesser, later), Some(Duration::from_secs(40)));
        assert_eq!(attempts.blocked(address("127.0.0.3"), later), None, "others are not concerned");
        assert_eq!(attempts.blocked(guesser, now + Duration::from_secs(61)), None);
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let (attempts, now) = (Attempts::new(LIMITS), Instant::now());
        for host in 1..=3 {
            attempts.count(address(&format!("fd00::{host}")), now);
        }
        assert!(attempts.blocked(address("fd00::ffff"), now).is_some());
        assert!(attempts.blocked(address("fd00:0:0:1::1"), now).is_none());
    }

    #[test]
    fn no_more_addresses_are_remembered_than_allowed() {
        let (attempts, now) = (Attempts::new(LIMITS), Instant::now());
        for host in 1..=9 {
            attempts.count(address(&format!("127.0.0.{host}")), now);
        }
        assert_eq!(attempts.guesses().wrong.len(), 2);
        attempts.count(address("127.0.1.1"), now + Duration::from_secs(61));
        assert_eq!(attempts.guesses().wrong.len(), 1, "those that are over give way");
    }

    #[test]
    fn the_oldest_gives_way_and_everybody_has_as_many_attempts() {
        let (attempts, now) = (Attempts::new(LIMITS), Instant::now());
        for number in 1..=9 {
            let guesser = address(&format!("127.0.0.{number}"));
            let turn = now + Duration::from_secs(number);
            assert_eq!(attempts.blocked(guesser, turn), None, "nobody is kept out");
            for guess in 1..=3 {
                assert_eq!(attempts.count(guesser, turn) == GuessCounted::Last, guess == 3);
            }
            assert!(attempts.blocked(guesser, turn).is_some());
            assert_eq!(attempts.count(guesser, turn), GuessCounted::TooMany, "it was under way");
        }
        let late = now + Duration::from_secs(9);
        assert!(attempts.blocked(address("127.0.0.8"), late).is_some());
        assert_eq!(attempts.blocked(address("127.0.0.7"), late), None, "two are remembered");
    }

    #[test]
    fn guesses_whose_window_is_over_go_in_portions_and_their_memory_with_them() {
        let attempts = Attempts::new(AttemptLimits { addresses: 5_000, ..LIMITS });
        let now = Instant::now();
        let guesser = |number: u32| IpAddr::from((0x7f00_0000 + number).to_be_bytes());
        for number in 0..5_000 {
            attempts.count(guesser(number), now);
        }
        assert!(!attempts.tidy(now), "no window is over");
        let late = now + LIMITS.window + Duration::from_secs(1);
        attempts.count(guesser(4_999), late);
        assert_eq!(attempts.guesses().wrong.len(), 5_000 - PORTION, "a guess forgets a portion");
        assert_eq!(attempts.guesses().wrong.get(&guesser(4_999), late), Some(&1), "and begins anew");
        assert!(attempts.tidy(late), "there is more");
        while attempts.tidy(late) {}
        assert_eq!(attempts.guesses().wrong.len(), 1, "what began anew stays");
        while attempts.tidy(late + late.duration_since(now)) {}
        let wrong = &attempts.guesses().wrong;
        assert_eq!((wrong.len(), wrong.keys().count()), (0, 0));
        assert!(wrong.capacity() < 100);
    }
}
