//! Answers to pushes with an `Idempotency-Key`: a backend that got no answer may push again, and nothing is
//! dispatched twice.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use turted_core::kept::{Kept, KeptLimits};

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
pub(crate) struct Idempotency(Mutex<Kept<String, Claimed>>);

/// A key that belongs to a push. Until there is an answer it counts as many bytes as that may become.
#[derive(Debug)]
struct Claimed {
    body: [u8; 32],
    answer: Option<StoredAnswer>,
}

impl Idempotency {
    pub(crate) fn new(IdempotencyLimits { keys, bytes, age }: IdempotencyLimits) -> Self {
        Self(Mutex::new(Kept::new(KeptLimits { entries: keys, bytes, age }, Instant::now())))
    }

    /// Claims `key` for a push with this body, whose answer will have at most `answer_bytes`.
    pub(crate) fn claim(&self, key: &str, body: &[u8], answer_bytes: usize, now: Instant) -> Claim {
        let body: [u8; 32] = Sha256::digest(body).into();
        let bytes = bytes_of(key, answer_bytes);
        let kept = &mut *self.kept();
        let mut has_more = kept.forget_old(now);
        match kept.get(key, now) {
            Some(claimed) if claimed.body != body => return Claim::OtherBody,
            Some(Claimed { answer: Some(answer), .. }) => return Claim::Answered(answer.clone()),
            Some(_) => return Claim::UnderWay,
            // It is new, or one of many that are too old.
            None => {}
        }
        while !kept.has_room(bytes) {
            // A long answer may need the room of several portions of short ones.
            if !has_more {
                return Claim::Full;
            }
            has_more = kept.forget_old(now);
        }
        kept.insert(key.to_owned(), Claimed { body, answer: None }, bytes, now);
        Claim::Granted
    }

    /// Keeps the answer to the push that claimed `key`.
    pub(crate) fn answer(&self, key: &str, answer: StoredAnswer) {
        if let Some(claimed) = self.kept().reduce(key, bytes_of(key, answer.body.len())) {
            claimed.answer = Some(answer);
        }
    }

    /// Frees `key`: the push that claimed it was not accepted and may be tried again.
    pub(crate) fn release(&self, key: &str) {
        self.kept().remove(key);
    }

    /// Frees a portion of the keys that are too old: whether there are more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        self.kept().tidy(now)
    }

    /// How many keys are in use.
    pub(crate) fn keys(&self) -> usize {
        self.kept().len()
    }

    fn kept(&self) -> MutexGuard<'_, Kept<String, Claimed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a key and its answer count.
fn bytes_of(key: &str, answer_bytes: usize) -> usize {
    ENTRY_BYTES + 2 * key.len() + answer_bytes
}

#[cfg(test)]
mod tests {
    use turted_core::kept::PORTION;

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
        assert_eq!((kept.capacity(), kept.keys().count(), kept.bytes()), (0, 0, 0));
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
        assert_eq!((kept.len(), kept.keys().count(), kept.bytes()), (0, 0, 0));
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
        assert_eq!((store.keys(), store.kept().bytes()), (2, bytes));
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
        assert_eq!(store.kept().bytes(), 0, "nothing is counted that is gone");
    }
}
