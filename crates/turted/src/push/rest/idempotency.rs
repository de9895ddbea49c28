//! Answers to pushes with an `Idempotency-Key`: a backend that heard nothing may ask again without
//! dispatching twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use turted_core::kept::PORTION;
use turted_core::shrink::shrink_map;

/// What a key takes beside its own text and its answer: its places by name and by age.
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
    /// The same keys by the number of their claim: the oldest first, and each is found to be freed.
    by_claim: BTreeMap<u64, String>,
    /// The number of the next claim.
    next: u64,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    claim: u64,
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
        let kept = &mut *self.kept();
        let mut has_more = kept.evict(now, self.limits.age);
        match kept.by_key.get(key) {
            // Perhaps one of many that are too old.
            Some(entry) if entry.is_old(now, self.limits.age) => kept.remove(key),
            Some(entry) if entry.body != body => return Claim::OtherBody,
            Some(Entry { answer: Some(answer), .. }) => return Claim::Answered(answer.clone()),
            Some(_) => return Claim::UnderWay,
            None => {}
        }
        while !kept.has_room(bytes, self.limits) {
            // A long answer may need the room of several portions of short ones.
            if !has_more {
                return Claim::Full;
            }
            has_more = kept.evict(now, self.limits.age);
        }
        kept.insert(key, Entry { body, claim: kept.next, claimed_at: now, answer: None, bytes });
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
        self.kept().remove(key);
    }

    /// Frees a portion of the keys that are too old: whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        let mut kept = self.kept();
        let has_more = kept.evict(now, self.limits.age);
        if !has_more {
            shrink_map(&mut kept.by_key);
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

impl Entry {
    fn is_old(&self, now: Instant, age: Duration) -> bool {
        now.duration_since(self.claimed_at) > age
    }
}

impl Kept {
    fn has_room(&self, bytes: usize, limits: IdempotencyLimits) -> bool {
        self.by_key.len() < limits.keys && self.bytes + bytes <= limits.bytes
    }

    fn insert(&mut self, key: &str, entry: Entry) {
        self.bytes += entry.bytes;
        self.next = entry.claim + 1;
        self.by_claim.insert(entry.claim, key.to_owned());
        self.by_key.insert(key.to_owned(), entry);
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.bytes;
            self.by_claim.remove(&entry.claim);
        }
    }

    /// Frees a portion of the keys that are too old: whether there are more. Were it all, the first
    /// push after a quiet time would hold the lock for milliseconds.
    fn evict(&mut self, now: Instant, age: Duration) -> bool {
        for _ in 0..PORTION {
            if !self.has_old(now, age) {
                return false;
            }
            if let Some((_, key)) = self.by_claim.pop_first() {
                self.remove(&key);
            }
        }
        self.has_old(now, age)
    }

    fn has_old(&self, now: Instant, age: Duration) -> bool {
        let oldest = self.by_claim.first_key_value().and_then(|(_, key)| self.by_key.get(key));
        oldest.is_some_and(|entry| entry.is_old(now, age))
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
        assert_eq!((kept.by_key.capacity(), kept.by_claim.len(), kept.bytes), (0, 0, 0));
    }

    #[test]
    fn a_key_that_is_released_takes_no_place_whoever_claimed_since() {
        let (store, now) = store();
        for round in 0..10 {
            // Two workers claim, and neither push is accepted.
            for key in ["a", "b"] {
                assert_eq!(store.claim(key, b"", 2, now), Claim::Granted, "round {round}");
            }
            assert_eq!(store.claim("c", b"", 2, now), Claim::Full);
            store.release("a");
            store.release("b");
        }
        let kept = store.kept();
        assert_eq!((kept.by_key.len(), kept.by_claim.len(), kept.bytes), (0, 0, 0));
    }

    #[test]
    fn a_claim_frees_a_portion_and_takes_no_key_for_valid_that_is_too_old() {
        let age = Duration::from_secs(300);
        let one = ENTRY_BYTES + 2 * 3 + 2;
        let bytes = 1_000 * one;
        let store = Idempotency::new(IdempotencyLimits { keys: 1_000, bytes, age });
        let now = Instant::now();
        for number in 0..1_000 {
            assert_eq!(store.claim(&format!("{number:03}"), b"", 2, now), Claim::Granted);
        }
        let late = now + age + Duration::from_secs(1);
        assert_eq!(store.claim("999", b"other", 2, late), Claim::Granted);
        assert_eq!(store.keys(), 1_000 - PORTION, "it took the place of the old one");
        assert_eq!(store.claim("999", b"other", 2, late), Claim::UnderWay);
        let most = bytes - one - (ENTRY_BYTES + 2);
        assert_eq!(store.claim("1", b"", most, late), Claim::Granted, "by as many portions as it needs");
        assert_eq!((store.keys(), store.kept().bytes), (2, bytes));
        assert_eq!(store.claim("2", b"", 0, late), Claim::Full, "what is valid stays");
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
