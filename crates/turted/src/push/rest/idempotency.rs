//! Answers to pushes with an `Idempotency-Key`: a backend that got no answer may push again, and nothing is
//! dispatched twice.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::owners::{IdempotencyLimits, OwnedKey, Owners, Share};

/// What a key takes beside its own text and its answer: its places by name and by age.
const ENTRY_BYTES: usize = 256;

/// What a push claims a key for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimant {
    /// The digest of its body.
    pub(crate) body: [u8; 32],
    /// Its answer will have at most so many bytes.
    pub(crate) answer_bytes: usize,
    /// The share of its owner.
    pub(crate) share: Share,
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
pub(crate) struct Idempotency(Mutex<Owners<Claimed>>);

/// A key that belongs to a push. Until there is an answer it counts as many bytes as that may become.
#[derive(Debug)]
struct Claimed {
    body: [u8; 32],
    answer: Option<StoredAnswer>,
}

impl Idempotency {
    pub(crate) fn new(limits: IdempotencyLimits) -> Self {
        Self(Mutex::new(Owners::new(limits, Instant::now())))
    }

    /// Claims a key for a push.
    pub(crate) fn claim(&self, key: &OwnedKey, claimant: Claimant, now: Instant) -> Claim {
        let bytes = bytes_of(&key.key, claimant.answer_bytes);
        let owners = &mut *self.owners();
        owners.forget_old(now);
        match owners.get(key, now) {
            Some(claimed) if claimed.body != claimant.body => return Claim::OtherBody,
            Some(Claimed { answer: Some(answer), .. }) => return Claim::Answered(answer.clone()),
            Some(_) => return Claim::UnderWay,
            // It is new, or one of many that are too old.
            None => {}
        }
        while !owners.has_room(&key.owner, bytes, claimant.share) {
            // A long answer may need the room of several portions of short ones.
            if !owners.forget_old(now) {
                return Claim::Full;
            }
        }
        owners.insert(key, Claimed { body: claimant.body, answer: None }, bytes, now);
        Claim::Granted
    }

    /// Notes a key that was answered before the start, if there is room.
    pub(crate) fn restore(&self, key: &OwnedKey, body: [u8; 32], answer: StoredAnswer, now: Instant) {
        let bytes = bytes_of(&key.key, answer.body.len());
        let owners = &mut *self.owners();
        if owners.has_room(&key.owner, bytes, Share::Whole) {
            owners.insert(key, Claimed { body, answer: Some(answer) }, bytes, now);
        }
    }

    /// Keeps the answer to the push that claimed `key`.
    pub(crate) fn answer(&self, key: &OwnedKey, answer: StoredAnswer) {
        let bytes = bytes_of(&key.key, answer.body.len());
        if let Some(claimed) = self.owners().reduce(key, bytes) {
            claimed.answer = Some(answer);
        }
    }

    /// Frees `key`: the push that claimed it was not accepted and may be tried again.
    pub(crate) fn release(&self, key: &OwnedKey) {
        self.owners().remove(key);
    }

    /// Frees a portion of the keys that are too old: whether there may be more.
    pub(crate) fn tidy(&self, now: Instant) -> bool {
        self.owners().tidy(now)
    }

    /// How many keys are in use.
    pub(crate) fn keys(&self) -> usize {
        self.owners().size().keys
    }

    fn owners(&self) -> MutexGuard<'_, Owners<Claimed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By what the body of a push is compared.
pub(crate) fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// What a key and its answer count.
fn bytes_of(key: &str, answer_bytes: usize) -> usize {
    ENTRY_BYTES + 2 * key.len() + answer_bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use turted_core::kept::PORTION;

    use super::super::owners::Size;
    use super::*;

    fn key(key: &str) -> OwnedKey {
        OwnedKey::new(None, key)
    }

    fn claim(store: &Idempotency, name: &str, body: &[u8], answer_bytes: usize, now: Instant) -> Claim {
        let claimant = Claimant { body: digest(body), answer_bytes, share: Share::Whole };
        store.claim(&key(name), claimant, now)
    }

    fn store() -> (Idempotency, Instant) {
        let limits = IdempotencyLimits { keys: 2, bytes: 1 << 20, age: Duration::from_secs(300) };
        (Idempotency::new(limits), Instant::now())
    }

    #[test]
    fn the_same_push_gets_the_same_answer_and_another_body_is_told() {
        let (store, now) = store();
        let answer = StoredAnswer { content_type: None, body: "OK".into() };
        assert_eq!(claim(&store, "k", b"1", 2, now), Claim::Granted);
        assert_eq!(claim(&store, "k", b"1", 2, now), Claim::UnderWay);
        assert_eq!(claim(&store, "k", b"2", 2, now), Claim::OtherBody);
        store.answer(&key("k"), answer.clone());
        assert_eq!(claim(&store, "k", b"1", 2, now), Claim::Answered(answer));
        assert_eq!(claim(&store, "k", b"2", 2, now), Claim::OtherBody);
    }

    #[test]
    fn keys_are_freed_by_release_and_by_age_and_bounded_in_number() {
        let (store, now) = store();
        assert_eq!(claim(&store, "a", b"", 2, now), Claim::Granted);
        store.release(&key("a"));
        assert_eq!(claim(&store, "a", b"", 2, now), Claim::Granted);
        assert_eq!(claim(&store, "b", b"", 2, now), Claim::Granted);
        assert_eq!(claim(&store, "c", b"", 2, now), Claim::Full);
        assert_eq!(claim(&store, "c", b"", 2, now + Duration::from_secs(301)), Claim::Granted);
    }

    #[test]
    fn keys_that_are_too_old_go_in_portions_and_their_memory_with_them() {
        let age = Duration::from_secs(300);
        let store = Idempotency::new(IdempotencyLimits { keys: 10_000, bytes: 1 << 30, age });
        let now = Instant::now();
        for number in 0..5_000 {
            assert_eq!(claim(&store, &number.to_string(), b"", 2, now), Claim::Granted);
        }
        assert!(!store.tidy(now), "nothing is too old");
        let late = now + age + Duration::from_secs(1);
        assert!(store.tidy(late), "there is more");
        assert_eq!(store.keys(), 5_000 - PORTION);
        while store.tidy(late) {}
        assert!(store.owners().is_empty());
    }

    #[test]
    fn a_key_that_is_released_takes_no_place_whoever_claimed_since() {
        let (store, now) = store();
        for round in 0..10 {
            // Two workers claim, and neither push is accepted.
            for key in ["a", "b"] {
                assert_eq!(claim(&store, key, b"", 2, now), Claim::Granted, "round {round}");
            }
            assert_eq!(claim(&store, "c", b"", 2, now), Claim::Full);
            store.release(&key("a"));
            store.release(&key("b"));
        }
        assert_eq!(store.owners().size(), Size { keys: 0, bytes: 0 });
    }

    #[test]
    fn a_claim_frees_a_portion_and_takes_no_key_for_valid_that_is_too_old() {
        let age = Duration::from_secs(300);
        let one = ENTRY_BYTES + 2 * 3 + 2;
        let bytes = 1_000 * one;
        let store = Idempotency::new(IdempotencyLimits { keys: 1_000, bytes, age });
        let now = Instant::now();
        for number in 0..1_000 {
            assert_eq!(claim(&store, &format!("{number:03}"), b"", 2, now), Claim::Granted);
        }
        let late = now + age + Duration::from_secs(1);
        assert_eq!(claim(&store, "999", b"other", 2, late), Claim::Granted);
        assert_eq!(store.keys(), 1_000 - PORTION, "it took the place of the old one");
        assert_eq!(claim(&store, "999", b"other", 2, late), Claim::UnderWay);
        let most = bytes - one - (ENTRY_BYTES + 2);
        assert_eq!(claim(&store, "1", b"", most, late), Claim::Granted, "by as many portions as it needs");
        assert_eq!((store.keys(), store.owners().size().bytes), (2, bytes));
        assert_eq!(claim(&store, "2", b"", 0, late), Claim::Full, "what is valid stays");
    }

    #[test]
    fn answers_are_bounded_in_bytes_with_room_for_those_to_come() {
        let (_, now) = store();
        let bytes = 2 * (ENTRY_BYTES + 2) + 1_000;
        let store = Idempotency::new(IdempotencyLimits { keys: 100, bytes, age: Duration::from_secs(300) });
        assert_eq!(claim(&store, "a", b"", 1_001 + ENTRY_BYTES + 2, now), Claim::Full);
        assert_eq!(claim(&store, "a", b"", 1_000, now), Claim::Granted);
        assert_eq!(claim(&store, "b", b"", 1, now), Claim::Full, "the answer of a is to come");
        store.answer(&key("a"), StoredAnswer { content_type: None, body: "OK".into() });
        assert_eq!(claim(&store, "b", b"", 998, now), Claim::Granted, "it was shorter");
        store.release(&key("b"));
        assert_eq!(claim(&store, "c", b"", 998, now + Duration::from_secs(301)), Claim::Granted);
        store.release(&key("c"));
        assert_eq!(store.owners().size().bytes, 0, "nothing is counted that is gone");
    }

    fn of(owner: &str, share: Share, store: &Idempotency, name: &str, now: Instant) -> Claim {
        let claimant = Claimant { body: digest(owner.as_bytes()), answer_bytes: 0, share };
        store.claim(&OwnedKey::new(Some(owner), name), claimant, now)
    }

    #[test]
    fn two_push_keys_may_use_the_same_key() {
        let (store, now) = store();
        for claimed in [Claim::Granted, Claim::UnderWay] {
            assert_eq!(of("shop", Share::Whole, &store, "k", now), claimed);
            assert_eq!(of("news", Share::Whole, &store, "k", now), claimed);
        }
        store.release(&OwnedKey::new(Some("shop"), "k"));
        assert_eq!(of("shop", Share::Whole, &store, "k", now), Claim::Granted);
        assert_eq!(of("news", Share::Whole, &store, "k", now), Claim::UnderWay);
        assert_eq!(claim(&store, "k", b"", 0, now), Claim::Full, "the bounds are those of all");
    }

    #[test]
    fn one_of_several_push_keys_has_half_of_the_places_and_of_the_bytes() {
        let (now, age) = (Instant::now(), Duration::from_secs(300));
        let one = ENTRY_BYTES + 2;
        for (keys, bytes) in [(4, 1 << 20), (100, 4 * one)] {
            let store = Idempotency::new(IdempotencyLimits { keys, bytes, age });
            let claims = |owner: &str, share: Share| {
                ["a", "b", "c"].map(|name| of(owner, share, &store, name, now) != Claim::Full)
            };
            assert_eq!(claims("news", Share::Half), [true, true, false]);
            assert_eq!(claims("shop", Share::Half), [true, true, false]);
            let late = now + age + Duration::from_secs(1);
            assert_eq!(of("news", Share::Half, &store, "c", late), Claim::Granted, "by age as ever");
        }
        let store = Idempotency::new(IdempotencyLimits { keys: 1, bytes: 1 << 20, age });
        assert_eq!(of("news", Share::Half, &store, "a", now), Claim::Granted, "one place is not halved");
    }

    #[test]
    fn the_log_on_disk_gives_each_push_key_its_own_and_none_of_a_source() {
        let (store, now) = store();
        let answer = StoredAnswer { content_type: None, body: "OK".into() };
        for (owner, body) in [("", "old"), ("push:news", "news")] {
            let found = OwnedKey::found(owner, b"k").unwrap();
            store.restore(&found, digest(body.as_bytes()), answer.clone(), now);
        }
        assert_eq!(claim(&store, "k", b"old", 0, now), Claim::Answered(answer.clone()));
        assert_eq!(of("news", Share::Half, &store, "k", now), Claim::Answered(answer));
        assert!(OwnedKey::found("news", b"k").is_none(), "a source of the same name");
        let more = OwnedKey::found("push:news", b"more").unwrap();
        store.restore(&more, digest(b""), StoredAnswer { content_type: None, body: "".into() }, now);
        assert_eq!(store.keys(), 2, "no more than there is room for");
    }
}
