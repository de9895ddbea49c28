//! Which messages of a source were accepted before, so that what it delivers again is dispatched once.
//!
//! The store is one of the source, in memory, and the oldest give way. With a log on disk, messages with an id are known
//! over a restart too. It has hashes
//! alone, 16 bytes of SHA-256, because a stranger who could make two messages collide could have one of them lost.

use std::collections::{HashMap, HashSet, VecDeque};

use sha2::{Digest, Sha256};
use turted_core::record::push::AnswerForm;

use crate::hub::dispatch::queue::PushedKey;

/// Messages that are remembered for one source. At 1,000 messages a second that is 100 seconds, longer than a broker
/// takes to deliver again what a lost connection left unacknowledged.
const KEYS_MAX: usize = 100_000;

type Hash = u128;

/// What a message is remembered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// It has an id: the hash of id and body, because ids are used again.
    Named(Hash),
    /// It has none: the hash of the body, which other messages may have too.
    Nameless(Hash),
}

/// The message was accepted before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known;

/// The messages of the recent past.
#[derive(Debug, Default)]
pub(super) struct Keys {
    named: HashSet<Hash>,
    order: VecDeque<Hash>,
    /// Messages without id that were accepted on earlier connections, and how often: each covers one redelivery.
    covered: HashMap<Hash, usize>,
    cover_order: VecDeque<Hash>,
    /// Those that were accepted or covered on this connection. A broker does not deliver them again on it.
    fresh: VecDeque<Hash>,
}

impl Key {
    /// What the log keeps of it. A message without an id is no key: its text may come a second time.
    pub(super) fn pushed(self, source: &str) -> Option<PushedKey> {
        let Self::Named(hash) = self else { return None };
        Some(PushedKey {
            owner: source.into(),
            key: hash.to_be_bytes().into(),
            // It is part of the key.
            body: [0; 32],
            answer: AnswerForm::Plain,
        })
    }
}

impl Keys {
    /// Notes a [key](Key::pushed) that was accepted before the start.
    pub(super) fn restore(&mut self, key: &[u8]) {
        if let Ok(hash) = key.try_into() {
            self.insert(Key::Named(Hash::from_be_bytes(hash)));
        }
    }

    /// The key of a message, if it was not accepted before.
    pub(super) fn find(&mut self, id: Option<&str>, body: &[u8], is_redelivered: bool) -> Result<Key, Known> {
        let hash = hash(id, body);
        if id.is_some() {
            return if self.named.contains(&hash) { Err(Known) } else { Ok(Key::Named(hash)) };
        }
        if is_redelivered && self.uncover(hash) {
            // It may be delivered once more, if the connection is lost before it is acknowledged.
            self.note_fresh(hash);
            return Err(Known);
        }
        Ok(Key::Nameless(hash))
    }

    /// A message with this key was accepted.
    pub(super) fn insert(&mut self, key: Key) {
        match key {
            Key::Nameless(hash) => self.note_fresh(hash),
            Key::Named(hash) => {
                if self.order.len() == KEYS_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.named.remove(&oldest);
                }
                if self.named.insert(hash) {
                    self.order.push_back(hash);
                }
            }
        }
    }

    /// A message with this key was not accepted after all.
    pub(super) fn remove(&mut self, key: Key) {
        match key {
            Key::Named(hash) => {
                if self.named.remove(&hash) {
                    remove_last(&mut self.order, hash);
                }
            }
            Key::Nameless(hash) => remove_last(&mut self.fresh, hash),
        }
    }

    /// What was accepted until now may be delivered again.
    pub(super) fn reconnected(&mut self) {
        for hash in std::mem::take(&mut self.fresh) {
            if self.cover_order.len() == KEYS_MAX
                && let Some(oldest) = self.cover_order.pop_front()
            {
                self.uncover(oldest);
            }
            *self.covered.entry(hash).or_default() += 1;
            self.cover_order.push_back(hash);
        }
    }

    /// Uses one earlier acceptance of a message. Its place in the order stays: it is dropped when its turn comes.
    fn uncover(&mut self, hash: Hash) -> bool {
        let Some(count) = self.covered.get_mut(&hash) else { return false };
        *count -= 1;
        if *count == 0 {
            self.covered.remove(&hash);
        }
        true
    }

    fn note_fresh(&mut self, hash: Hash) {
        if self.fresh.len() == KEYS_MAX {
            self.fresh.pop_front();
        }
        self.fresh.push_back(hash);
    }
}

/// Takes out the last one that is equal. What is taken out was noted lately, so it is near the end.
fn remove_last(hashes: &mut VecDeque<Hash>, hash: Hash) {
    if let Some(place) = hashes.iter().rposition(|other| *other == hash) {
        hashes.remove(place);
    }
}

fn hash(id: Option<&str>, body: &[u8]) -> Hash {
    let id = id.unwrap_or_default();
    // The length keeps the end of an id from counting as the beginning of a body.
    let digest =
        Sha256::new().chain_update(id.len().to_be_bytes()).chain_update(id).chain_update(body).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Hash::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers a message and returns whether it was dispatched.
    fn deliver(keys: &mut Keys, id: Option<&str>, body: &str, is_redelivered: bool) -> bool {
        keys.find(id, body.as_bytes(), is_redelivered).map(|key| keys.insert(key)).is_ok()
    }

    #[test]
    fn a_message_with_an_id_is_dispatched_once_and_an_id_may_be_used_again() {
        let keys = &mut Keys::default();
        assert!(deliver(keys, Some("1"), "a", false));
        assert!(!deliver(keys, Some("1"), "a", false));
        keys.reconnected();
        assert!(!deliver(keys, Some("1"), "a", true));
        assert!(deliver(keys, Some("1"), "b", false), "another message with its id");
        assert!(deliver(keys, Some("1b"), "", false), "id and body do not run into each other");
    }

    #[test]
    fn the_oldest_ids_give_way() {
        let keys = &mut Keys::default();
        for number in 0..=KEYS_MAX {
            assert!(deliver(keys, Some(&number.to_string()), "", false));
        }
        assert!(!deliver(keys, Some("1"), "", false));
        assert!(deliver(keys, Some("0"), "", false), "it was forgotten");
        assert_eq!((keys.named.len(), keys.order.len()), (KEYS_MAX, KEYS_MAX));
    }

    #[test]
    fn a_message_that_was_not_accepted_after_all_leaves_nothing_behind() {
        let keys = &mut Keys::default();
        for id in [Some("1"), None] {
            assert!(deliver(keys, id, "before", false));
            let key = keys.find(id, b"a", false).unwrap();
            keys.insert(key);
            keys.remove(key);
        }
        assert_eq!((keys.named.len(), keys.order.len(), keys.fresh.len()), (1, 1, 1));
        keys.reconnected();
        assert!(deliver(keys, Some("1"), "a", true));
        assert!(deliver(keys, None, "a", true));
        assert!(!deliver(keys, None, "before", true), "this one was accepted");
    }

    #[test]
    fn without_an_id_each_acceptance_covers_one_redelivery() {
        let keys = &mut Keys::default();
        assert!(deliver(keys, None, "a", false));
        assert!(deliver(keys, None, "a", false), "the same text twice is two messages");
        assert!(deliver(keys, None, "a", true), "redelivered, but not of this connection");
        keys.reconnected();
        let again: Vec<_> = (0..4).map(|_| deliver(keys, None, "a", true)).collect();
        assert_eq!(again, [false, false, false, true]);
        keys.reconnected();
        assert!(!deliver(keys, None, "a", true), "what was covered may come once more");
    }

    #[test]
    fn messages_without_an_id_are_bounded_too() {
        let keys = &mut Keys::default();
        for round in 0..3 {
            for number in 0..KEYS_MAX {
                deliver(keys, None, &format!("{round} {number}"), false);
            }
            keys.reconnected();
        }
        assert_eq!((keys.covered.len(), keys.cover_order.len(), keys.fresh.len()), (KEYS_MAX, KEYS_MAX, 0));
    }
}
