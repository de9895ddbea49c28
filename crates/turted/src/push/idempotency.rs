//! Answers to pushes with an `Idempotency-Key`: a backend that heard nothing may ask again without
//! dispatching twice.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::tidy::{PORTION, shrink_map, shrink_queue};

/// What a key takes beside its own text and its answer: its places in a map and a queue.
const ENTRY_BYTES: usize = 256;

/// How many keys are kept, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdempotencyLimits {
    pub(crate) keys: usize,
    /// Bytes of keys and answers.
    pub(crate) bytes: usize,
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
    /// Bytes of those, as large as their answers may become.
    bytes: usize,
    order: VecDeque<(Instant, String)>,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    claimed_at: Instant,
    answer: Option<StoredAnswer>,
    bytes: usize,
}

impl Idempotency {
    pub(crate) fn new(limits: IdempotencyLimits) -> Self {
        Self { limits, kept: Mutex::default() }
    }

    /// Claims `key` for a push with this body, whose answer will have at most `answer_bytes`.
    pub(crate) fn claim(&self, key: &str, body: &[u8], answer_bytes: usize, now: Instant) -> Claim {
        let body: [u8; 32] = Sha256::digest(body).into();
        let bytes = ENTRY_BYTES + 2 * key.len() + answer_bytes;
        let mut kept = self.kept();
        kept.evict(now, self.limits.age, usize::MAX);
        match kept.by_key.get(key) {
            Some(entry) if entry.body != body => return Claim::OtherBody,
            Some(Entry { answer: Some(answer), .. }) => return Claim::Answered(answer.clone()),
            Some(_) => return Claim::UnderWay,
            None if kept.order.len() >= self.limits.keys => return Claim::Full,
            None if kept.bytes + bytes > self.limits.bytes => return Claim::Full,
            None => {}
        }
        kept.bytes += bytes;
        kept.by_key.insert(key.to_owned(), Entry { body, claimed_at: now, answer: None, bytes });
        kept.order.push_back((now, key.to_owned()));
        Claim::Granted
    }

    /// Keeps the answer to the push that claimed `key`.
    pub(crate) fn answer(&self, key: &str, answer: StoredAnswer) {
        let kept = &mut *self.kept();
        if let Some(entry) = kept.by_key.get_mut(key) {
            let bytes = ENTRY_BYTES + 2 * key.len() + answer.body.len();
            kept.bytes = kept.bytes - entry.bytes + bytes;
            (entry.answer, entry.bytes) = (Some(answer), bytes);
        }
    }

    /// Frees `key`: the push that claimed it was not accepted and may be tried again.
    pub(crate) fn release(&self, key: &str) {
        let mut kept = self.kept();
        kept.remove(key);
        // Released as soon as claimed, so it stands at the very end.
        if kept.order.back().is_some_and(|(_, last)| last == key) {
            kept.order.pop_back();
        }
    }

    /// Frees a portion of the keys that are too old: whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        let mut kept = self.kept();
        let has_more = kept.evict(now, self.limits.age, PORTION);
        if !has_more {
            kept.shrink();
        }
        has_more
    }

    /// How many keys are in use.
    pub(crate) fn keys(&self) -> usize {
        self.kept().by_key.len()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    /// Frees at most so many keys that are too old: whether there are more.
    fn evict(&mut self, now: Instant, age: Duration, mut most: usize) -> bool {
        while let Some((claimed_at, _)) = self.order.front()
            && now.duration_since(*claimed_at) > age
        {
            if most == 0 {
                return true;
            }
            most -= 1;
            let Some((claimed_at, key)) = self.order.pop_front() else { break };
            // The key may have been released and claimed again since.
            if self.by_key.get(&key).is_some_and(|entry| entry.claimed_at == claimed_at) {
                self.remove(&key);
            }
        }
        false
    }

    fn shrink(&mut self) {
        shrink_map(&mut self.by_key);
        shrink_queue(&mut self.order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (Idempotency, Instant) {
        let limits = IdempotencyLimits { keys: 2, bytes: 1 << 20, age: Duration::from_secs(300) };
        (Idempotency::new(limits), Instant::now())
    }

    #[test]
    fn the_same_push_gets_the_same_answer_and_another_body_is_told() {
        let (store, now) = store();
        let answer = StoredAnswer { content_type: None, body: "OK".into() };
        assert_eq!(store.claim("k", b"1", 2, now), Claim::Granted);
        assert_eq!(store.claim("k", b"1", 2, now), Claim::UnderWay);
        assert_eq!(store.claim("k", b"2", 2, now), Claim::OtherBody);
        store.answer("k", answer.clone());
        assert_eq!(store.claim("k", b"1", 2, now), Claim::Answered(answer));
        assert_eq!(store.claim("k", b"2", 2, now), Claim::OtherBody);
    }

    #[test]
    fn keys_are_freed_by_release_and_by_age_and_bounded_in_number() {
        let (store, now) = store();
        assert_eq!(store.claim("a", b"", 2, now), Claim::Granted);
        store.release("a");
        assert_eq!(store.claim("a", b"", 2, now), Claim::Granted);
        assert_eq!(store.claim("b", b"", 2, now), Claim::Granted);
        assert_eq!(store.claim("c", b"", 2, now), Claim::Full);
        assert_eq!(store.claim("c", b"", 2, now + Duration::from_secs(301)), Claim::Granted);
    }

    #[test]
    fn keys_that_are_too_old_go_in_portions_and_their_memory_with_them() {
        let age = Duration::from_secs(300);
        let store = Idempotency::new(IdempotencyLimits { keys: 10_000, bytes: 1 << 30, age });
        let now = Instant::now();
        for number in 0..5_000 {
            assert_eq!(store.claim(&number.to_string(), b"", 2, now), Claim::Granted);
        }
        assert!(!store.tidy(now), "nothing is too old");
        let late = now + age + Duration::from_secs(1);
        assert!(store.tidy(late), "there is more");
        assert_eq!(store.keys(), 5_000 - PORTION);
        while store.tidy(late) {}
        let kept = store.kept();
        assert_eq!((kept.by_key.capacity(), kept.order.capacity(), kept.bytes), (0, 0, 0));
    }

    #[test]
    fn answers_are_bounded_in_bytes_with_room_for_those_to_come() {
        let (_, now) = store();
        let bytes = 2 * (ENTRY_BYTES + 2) + 1_000;
        let store = Idempotency::new(IdempotencyLimits { keys: 100, bytes, age: Duration::from_secs(300) });
        assert_eq!(store.claim("a", b"", 1_001 + ENTRY_BYTES + 2, now), Claim::Full);
        assert_eq!(store.claim("a", b"", 1_000, now), Claim::Granted);
        assert_eq!(store.claim("b", b"", 1, now), Claim::Full, "the answer of a is to come");
        store.answer("a", StoredAnswer { content_type: None, body: "OK".into() });
        assert_eq!(store.claim("b", b"", 998, now), Claim::Granted, "it was shorter");
        store.release("b");
        assert_eq!(store.claim("c", b"", 998, now + Duration::from_secs(301)), Claim::Granted);
        store.release("c");
        assert_eq!(store.kept().bytes, 0, "nothing is counted that is gone");
    }
}
