//! Wrong guesses, counted per address: wrong passwords of pushes, wrong IDENTs, wrong tokens of operators.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{AUTHORIZATION, HeaderMap};
use turted_core::kept::{Kept, KeptLimits};
use turted_core::trust::{is_private, network};

use crate::io::seldom::{Seldom, warn_seldom};

/// The password or token that a request has in `Authorization: Bearer`. An empty one counts as none.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_of(std::str::from_utf8(headers.get(AUTHORIZATION)?.as_bytes()).ok()?)
}

/// The token in the value of such a header.
pub(crate) fn bearer_of(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Tells the operator that the passwords of an address are not checked for a while.
pub(crate) fn tell_blocked(address: IpAddr) {
    warn_seldom!(%address, "too many wrong passwords, no more from there are checked for a while");
}

/// Limits how often operators are told to name a proxy in `trusted_proxies`. Every request may be a reason to
/// tell them, and so may a header that any client sends from a private address.
pub(crate) static UNNAMED_PROXY: Seldom = Seldom::every(Duration::from_secs(5 * 60));

/// Tells the operator that an address is refused for a while because of its guesses, if all clients may come
/// from that address.
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
    /// Whether the operator named proxies. If not, a private address may be a proxy, and then all clients
    /// behind it are refused together.
    pub(crate) names_proxies: bool,
}

/// Wrong guesses of the recent past. The lock is taken once or twice per guess: to look the address up, and
/// to forget a portion of the guesses whose window is over.
#[derive(Debug)]
pub(crate) struct Attempts {
    limits: AttemptLimits,
    guesses: Mutex<Guesses>,
    /// Hears which addresses are refused from now on, and for how long.
    others: OnceLock<Others>,
}

/// Tells the other nodes of a cluster.
struct Others(Box<dyn Fn(IpAddr, Duration) + Send + Sync>);

impl fmt::Debug for Others {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Others").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Guesses {
    /// How many wrong guesses an address made in its window, which begins with the first guess.
    wrong: Kept<IpAddr, Wrong>,
    /// When operators were last told that the oldest addresses are forgotten.
    told_at: Option<Instant>,
}

/// The wrong guesses of one address.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    /// Until when another node refuses the address, if one does.
    blocked_elsewhere: Option<Instant>,
}

/// How a wrong guess counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuessCounted {
    LetIn,
    /// It is the last one that is checked.
    Last,
    /// It came at the same time as others. It is answered as if it had come after them.
    TooMany,
}

impl Attempts {
    pub(crate) fn new(limits: AttemptLimits) -> Self {
        // Every address takes the same memory, so only their number is bounded.
        let kept = KeptLimits { entries: limits.addresses, bytes: usize::MAX, age: limits.window };
        let wrong = Kept::new(kept, Instant::now());
        Self { limits, guesses: Mutex::new(Guesses { wrong, told_at: None }), others: OnceLock::new() }
    }

    /// How long an address has to wait before it may try again; `None` if it need not wait.
    ///
    /// In this time even a right guess is refused, because the answer would tell a guesser that it is right.
    /// A right secret that is [too long](turted_core::secret::Secret::is_strong) to be guessed is accepted all
    /// the same.
    pub(crate) fn blocked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let guesses = self.guesses();
        let (wrong, left) = guesses.wrong.get_with_time_left(&network(address), now)?;
        let here = (wrong.count >= self.limits.attempts).then_some(left);
        let elsewhere = wrong.blocked_elsewhere.and_then(|until| until.checked_duration_since(now));
        here.max(elsewhere.filter(|left| !left.is_zero()))
    }

    /// Says who tells other nodes which addresses are refused from now on, and for how long.
    pub(crate) fn tell_by(&self, tell: impl Fn(IpAddr, Duration) + Send + Sync + 'static) {
        let is_first = self.others.set(Others(Box::new(tell))).is_ok();
        debug_assert!(is_first, "a node is in one cluster");
    }

    /// Another node refuses an address for so long, and so does this one: no longer than its own limits refuse one.
    pub(crate) fn block(&self, address: IpAddr, left: Duration, now: Instant) {
        let until = now + left.min(self.limits.window);
        self.guesses().block(network(address), (until, now), self.limits);
    }

    /// Counts a wrong guess. Other guesses may have been counted since the address was found not to be
    /// [blocked](Self::blocked), so the same lock decides what the client may be told.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> GuessCounted {
        let count = self.guesses().count(network(address), now, self.limits);
        match count.cmp(&self.limits.attempts) {
            Ordering::Less => GuessCounted::LetIn,
            Ordering::Equal => {
                if let (Some(Others(tell)), Some(left)) = (self.others.get(), self.blocked(address, now)) {
                    tell(address, left);
                }
                if !self.limits.names_proxies {
                    tell_of_proxy(address, now);
                }
                GuessCounted::Last
            }
            Ordering::Greater => GuessCounted::TooMany,
        }
    }

    /// Forgets a portion of the guesses whose window is over. Returns whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        self.guesses().wrong.tidy(now)
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guesses {
    /// Counts a guess of an address in its window. Returns how many there are. If there is no place, the
    /// oldest address is forgotten: it may begin anew, but no address can guess without end, and none is kept
    /// out.
    fn count(&mut self, address: IpAddr, now: Instant, limits: AttemptLimits) -> u32 {
        self.wrong.forget_old(now);
        if let Some(wrong) = self.wrong.get_mut(&address, now) {
            wrong.count = wrong.count.saturating_add(1);
            return wrong.count;
        }
        self.insert(address, Wrong { count: 1, blocked_elsewhere: None }, (now, limits));
        1
    }

    /// Refuses an address until this moment, whatever it has guessed here.
    fn block(&mut self, address: IpAddr, (until, now): (Instant, Instant), limits: AttemptLimits) {
        self.wrong.forget_old(now);
        if self.wrong.get(&address, now).is_some_and(|wrong| wrong.count >= limits.attempts) {
            return;
        }
        // It is kept for a window from now on, and `until` is not behind its end.
        self.insert(address, Wrong { count: 0, blocked_elsewhere: Some(until) }, (now, limits));
    }

    fn insert(&mut self, address: IpAddr, wrong: Wrong, (now, limits): (Instant, AttemptLimits)) {
        if self.wrong.insert(address, wrong, 0, now) > 0 {
            self.tell(now, limits);
        }
    }

    /// Logs that the oldest addresses are forgotten, once in a window: a guesser with so many addresses could
    /// fill the log too.
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
    use std::sync::Arc;

    use turted_core::kept::PORTION;

    use hyper::header::HeaderValue;

    use super::*;

    /// Checks that the owner of `attempts` forgets them in its `tidy`, portion by portion.
    pub(crate) fn assert_forgotten(attempts: &Attempts, tidy: impl Fn(Instant) -> bool) {
        let now = Instant::now();
        for host in 0..=PORTION {
            attempts.count(IpAddr::from([127, 0, 0, u8::try_from(host).unwrap()]), now);
        }
        assert!(!tidy(now));
        let late = now + attempts.limits.window + Duration::from_secs(1);
        assert!(tidy(late), "more guesses than a portion are too old");
        assert!(!tidy(late));
    }

    const LIMITS: AttemptLimits =
        AttemptLimits { attempts: 3, window: Duration::from_secs(60), addresses: 2, names_proxies: true };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_in_the_header_may_be_any_text() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        for password in ["tiger", "sécret\"$x", "пароль"] {
            let value = HeaderValue::from_bytes(format!("Bearer {password}").as_bytes()).unwrap();
            headers.insert(AUTHORIZATION, value);
            assert_eq!(bearer(&headers), Some(password));
        }
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
        assert_eq!(bearer(&headers), None);
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
        assert_eq!(attempts.blocked(address("127.0.0.3"), later), None, "other addresses need not wait");
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
        assert_eq!(attempts.guesses().wrong.len(), 1, "guesses whose window is over are forgotten");
    }

    #[test]
    fn the_oldest_gives_way_and_everybody_has_as_many_attempts() {
        let (attempts, now) = (Attempts::new(LIMITS), Instant::now());
        for number in 1..=9 {
            let guesser = address(&format!("127.0.0.{number}"));
            let turn = now + Duration::from_secs(number);
            assert_eq!(attempts.blocked(guesser, turn), None, "no address is kept out");
            for guess in 1..=3 {
                assert_eq!(attempts.count(guesser, turn) == GuessCounted::Last, guess == 3);
            }
            assert!(attempts.blocked(guesser, turn).is_some());
            assert_eq!(attempts.count(guesser, turn), GuessCounted::TooMany, "the guess was under way");
        }
        let late = now + Duration::from_secs(9);
        assert!(attempts.blocked(address("127.0.0.8"), late).is_some());
        assert_eq!(attempts.blocked(address("127.0.0.7"), late), None, "two addresses are remembered");
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
        assert_eq!(
            attempts.guesses().wrong.get(&guesser(4_999), late).map(|wrong| wrong.count),
            Some(1),
            "the address begins anew"
        );
        assert!(attempts.tidy(late), "more windows are over");
        while attempts.tidy(late) {}
        assert_eq!(attempts.guesses().wrong.len(), 1, "an address that began anew stays");
        while attempts.tidy(late + late.duration_since(now)) {}
        let wrong = &attempts.guesses().wrong;
        assert_eq!((wrong.len(), wrong.keys().count()), (0, 0));
        assert!(wrong.capacity() < 100);
    }

    #[test]
    fn what_is_blocked_is_told_once_and_blocked_elsewhere_for_the_rest_of_its_time() {
        let limits = AttemptLimits { attempts: 2, ..LIMITS };
        let (here, elsewhere) = (Attempts::new(limits), Arc::new(Attempts::new(limits)));
        let (now, guesser) = (Instant::now(), address("192.0.2.1"));
        let other = Arc::clone(&elsewhere);
        here.tell_by(move |address, left| other.block(address, left, now));
        here.count(guesser, now - Duration::from_secs(20));
        assert_eq!(elsewhere.blocked(guesser, now), None);
        here.count(guesser, now);
        let left = here.blocked(guesser, now).unwrap();
        assert!(left <= Duration::from_secs(60), "{left:?}");
        assert_eq!(elsewhere.blocked(guesser, now), Some(left));
        assert_eq!(elsewhere.blocked(guesser, now + left), None);
        assert_eq!(elsewhere.count(guesser, now + left), GuessCounted::LetIn);
        // One that blocks it itself blocks it no longer because of others.
        here.block(guesser, Duration::from_secs(600), now + Duration::from_secs(1));
        assert_eq!(here.blocked(guesser, now), Some(left));
    }

    #[test]
    fn an_address_is_blocked_for_a_window_at_most_whatever_others_say() {
        let (attempts, now) = (Attempts::new(LIMITS), Instant::now());
        attempts.block(address("192.0.2.1"), Duration::from_secs(6_000), now);
        assert_eq!(attempts.blocked(address("192.0.2.1"), now), Some(LIMITS.window));
    }
}
