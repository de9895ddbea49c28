//! Guesses, counted per address: wrong passwords of pushes, wrong IDENTs, wrong tokens of operators.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often one address may guess wrong in a window, and how many addresses are remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptLimits {
    pub(crate) attempts: u32,
    pub(crate) window: Duration,
    pub(crate) addresses: usize,
}

/// Wrong guesses of the recent past. The lock is taken once or twice per guess, for a look-up.
#[derive(Debug)]
pub(crate) struct Attempts {
    limits: AttemptLimits,
    wrong: Mutex<HashMap<IpAddr, Wrong>>,
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    since: Instant,
}

impl Attempts {
    pub(crate) fn new(limits: AttemptLimits) -> Self {
        Self { limits, wrong: Mutex::default() }
    }

    /// How long an address has to wait before it may try again; `None` if it need not.
    ///
    /// A right guess does not help meanwhile: the answer would tell a guesser that it is one.
    pub(crate) fn blocked(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let wrong = *self.wrong().get(&network(address))?;
        let left = self.limits.window.checked_sub(now.duration_since(wrong.since))?;
        (wrong.count >= self.limits.attempts).then_some(left)
    }

    /// Counts a wrong guess: whether it was the last one that is let in.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> bool {
        let AttemptLimits { window, addresses, .. } = self.limits;
        let is_over = |entry: &Wrong| now.duration_since(entry.since) > window;
        let mut wrong = self.wrong();
        if wrong.len() >= addresses {
            wrong.retain(|_, entry| !is_over(entry));
        }
        if wrong.len() >= addresses && !wrong.contains_key(&network(address)) {
            tracing::warn!(addresses, "wrong guesses from more addresses than are remembered");
            return false;
        }
        let entry = wrong.entry(network(address)).or_insert(Wrong { count: 0, since: now });
        if is_over(entry) {
            *entry = Wrong { count: 0, since: now };
        }
        entry.count = entry.count.saturating_add(1);
        entry.count == self.limits.attempts
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<IpAddr, Wrong>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address: an IPv6 customer is given a /64 and may use all of it.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AttemptLimits =
        AttemptLimits { attempts: 3, window: Duration::from_secs(60), addresses: 2 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_attempt_is_allowed_and_the_next_one_waits_for_the_window() {
        let (attempts, now) = (Attempts::new(LIMITS), Instant::now());
        let guesser = address("127.0.0.2");
        for number in 1..=3 {
            assert_eq!(attempts.blocked(guesser, now), None);
            assert_eq!(attempts.count(guesser, now), number == 3);
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
        assert_eq!(attempts.wrong().len(), 2);
        attempts.count(address("127.0.1.1"), now + Duration::from_secs(61));
        assert_eq!(attempts.wrong().len(), 1, "those that are over give way");
    }
}
