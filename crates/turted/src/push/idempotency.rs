//! Answers to pushes with an `Idempotency-Key`: a backend that heard nothing may ask again without
//! dispatching twice.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// How many keys are kept, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdempotencyLimits {
    pub(crate) keys: usize,
    pub(crate) age: Duration,
}

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredAnswer {
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
}

/// What a key means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is new and belongs to this push now.
    Granted,
    /// It was used for the same body: this was the answer.
    Answered(StoredAnswer),
    /// It is being used for the same body at this moment.
    UnderWay,
    /// It was used for another body.
    OtherBody,
    /// There is no room for another key.
    Full,
}

/// The keys of the recent past. The lock is taken for pushes that carry a key.
#[derive(Debug)]
pub(crate) struct Idempotency {
    limits: IdempotencyLimits,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<String, Entry>,
    order: VecDeque<(Instant, String)>,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    claimed_at: Instant,
    answer: Option<StoredAnswer>,
}

impl Idempotency {
    pub(crate) fn new(limits: IdempotencyLimits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    /// Claims `key` for a push with this body.
    pub(crate) fn claim(&self, key: &str, body: &[u8], now: Instant) -> Claim {
        let body: [u8; 32] = Sha256::digest(body).into();
        let mut kept = self.kept();
        kept.evict(now, self.limits.age);
        match kept.by_key.get(key) {
            Some(entry) if entry.body != body => return Claim::OtherBody,
            Some(Entry { answer: Some(answer), .. }) => return Claim::Answered(answer.clone()),
            Some(_) => return Claim::UnderWay,
            None if kept.order.len() >= self.limits.keys => return Claim::Full,
            None => {}
        }
        kept.by_key.insert(key.to_owned(), Entry { body, claimed_at: now, answer: None });
        kept.order.push_back((now, key.to_owned()));
        Claim::Granted
    }

    /// Keeps the answer to the push that claimed `key`.
    pub(crate) fn answer(&self, key: &str, answer: StoredAnswer) {
        if let Some(entry) = self.kept().by_key.get_mut(key) {
            entry.answer = Some(answer);
        }
    }

    /// Frees `key`: the push that claimed it was not accepted and may be tried again.
    pub(crate) fn release(&self, key: &str) {
        let mut kept = self.kept();
        kept.by_key.remove(key);
        // Released as soon as claimed, so it stands at the very end.
        if kept.order.back().is_some_and(|(_, last)| last == key) {
            kept.order.pop_back();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn evict(&mut self, now: Instant, age: Duration) {
        while let Some((claimed_at, _)) = self.order.front()
            && now.duration_since(*claimed_at) > age
        {
            let Some((claimed_at, key)) = self.order.pop_front() else { return };
            // The key may have been released and claimed again since.
            if self.by_key.get(&key).is_some_and(|entry| entry.claimed_at == claimed_at) {
                self.by_key.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (Idempotency, Instant) {
        let limits = IdempotencyLimits { keys: 2, age: Duration::from_secs(300) };
        (Idempotency::new(limits), Instant::now())
    }

    #[test]
    fn the_same_push_gets_the_same_answer_and_another_body_is_told() {
        let (store, now) = store();
        let answer = StoredAnswer { content_type: None, body: "OK".into() };
        assert_eq!(store.claim("k", b"1", now), Claim::Granted);
        assert_eq!(store.claim("k", b"1", now), Claim::UnderWay);
        assert_eq!(store.claim("k", b"2", now), Claim::OtherBody);
        store.answer("k", answer.clone());
        assert_eq!(store.claim("k", b"1", now), Claim::Answered(answer));
        assert_eq!(store.claim("k", b"2", now), Claim::OtherBody);
    }

    #[test]
    fn keys_are_freed_by_release_and_by_age_and_bounded_in_number() {
        let (store, now) = store();
        assert_eq!(store.claim("a", b"", now), Claim::Granted);
        store.release("a");
        assert_eq!(store.claim("a", b"", now), Claim::Granted);
        assert_eq!(store.claim("b", b"", now), Claim::Granted);
        assert_eq!(store.claim("c", b"", now), Claim::Full);
        assert_eq!(store.claim("c", b"", now + Duration::from_secs(301)), Claim::Granted);
    }
}
