//! Whose an `Idempotency-Key` is, and how much room its owner has.
//!
//! An owner is the push key whose password a push has, by its name, so a new password changes nothing. Two backends may
//! number their orders alike: neither meets the keys of the other, or takes all the room.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use turted_core::kept::{Kept, KeptLimits};

/// What stands before the name of a push key in the name of an owner. Names of sources have no colon.
const PUSH_KEY: &str = "push:";

/// How many keys are kept, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdempotencyLimits {
    pub(crate) keys: usize,
    /// Bytes of keys and answers.
    pub(crate) bytes: usize,
    pub(crate) age: Duration,
}

/// How much of the room one owner may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// There is no other owner.
    Whole,
    /// There are others, and one may not take their room.
    Half,
}

/// A key, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct OwnedKey {
    /// As the log on disk names it, which names sources too. Empty without a push key: `push.password`, open pushes,
    /// and those about which a backend decides.
    pub(crate) owner: Box<str>,
    pub(crate) key: Box<str>,
}

/// What is kept for the keys of each owner that has any. The owners are the push keys of the configuration, and those
/// that were in it when their keys came.
#[derive(Debug)]
pub(super) struct Owners<V> {
    limits: IdempotencyLimits,
    start: Instant,
    kept: HashMap<Box<str>, Kept<Box<str>, V>>,
}

/// Keys, and the bytes of them and their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) keys: usize,
    pub(super) bytes: usize,
}

impl Share {
    /// The share of an owner where there are so many.
    pub(crate) fn among(owners: usize) -> Self {
        if owners > 1 { Self::Half } else { Self::Whole }
    }

    /// The share of so much. Of one place each has all of it, or there would be none.
    fn of(self, whole: usize) -> usize {
        match self {
            Self::Whole => whole,
            Self::Half => whole.div_ceil(2),
        }
    }
}

impl OwnedKey {
    /// The key of a push whose password has this name, if it has one.
    pub(crate) fn new(name: Option<&str>, key: &str) -> Self {
        let owner = name.map(|name| format!("{PUSH_KEY}{name}")).unwrap_or_default();
        Self { owner: owner.into(), key: key.into() }
    }

    /// A key that the log on disk has, if it is one of a push by REST and not one of a source.
    pub(crate) fn found(owner: &str, key: &[u8]) -> Option<Self> {
        let is_of_pushes = owner.is_empty() || owner.starts_with(PUSH_KEY);
        let key = str::from_utf8(key).ok().filter(|_| is_of_pushes)?;
        Some(Self { owner: owner.into(), key: key.into() })
    }
}

impl Size {
    /// Whether one more key of so many bytes fits below these limits.
    fn leaves_room(self, bytes: usize, most: Self) -> bool {
        self.keys < most.keys && bytes <= most.bytes.saturating_sub(self.bytes)
    }
}

impl<V> Owners<V> {
    /// An empty store. No time that is passed in later may be before `start`.
    pub(super) fn new(limits: IdempotencyLimits, start: Instant) -> Self {
        Self { limits, start, kept: HashMap::new() }
    }

    /// What is kept for this key, if it is not too old.
    pub(super) fn get(&self, key: &OwnedKey, now: Instant) -> Option<&V> {
        self.kept.get(&key.owner)?.get(&key.key, now)
    }

    /// Whether one more key of this owner fits: into its share, and beside the keys of all others.
    pub(super) fn has_room(&self, owner: &str, bytes: usize, share: Share) -> bool {
        let IdempotencyLimits { keys: most_keys, bytes: most_bytes, .. } = self.limits;
        let own = self.kept.get(owner).map_or(Size { keys: 0, bytes: 0 }, size_of);
        let most = |share: Share| Size { keys: share.of(most_keys), bytes: share.of(most_bytes) };
        own.leaves_room(bytes, most(share)) && self.size().leaves_room(bytes, most(Share::Whole))
    }

    /// Puts a key in, for which there [is room](Self::has_room).
    pub(super) fn insert(&mut self, key: &OwnedKey, value: V, bytes: usize, now: Instant) {
        let IdempotencyLimits { keys: entries, bytes: most, age } = self.limits;
        let kept = || Kept::new(KeptLimits { entries, bytes: most, age }, self.start);
        let own = self.kept.entry(key.owner.clone()).or_insert_with(kept);
        own.insert(key.key.clone(), value, bytes, now);
    }

    /// Lowers the bytes that a key counts, and lets its value be changed.
    pub(super) fn reduce(&mut self, key: &OwnedKey, bytes: usize) -> Option<&mut V> {
        self.kept.get_mut(&key.owner)?.reduce(&key.key, bytes)
    }

    pub(super) fn remove(&mut self, key: &OwnedKey) {
        if let Some(own) = self.kept.get_mut(&key.owner) {
            own.remove(&key.key);
        }
    }

    /// Forgets a portion of the keys of one owner that are too old. Returns whether there were any.
    pub(super) fn forget_old(&mut self, now: Instant) -> bool {
        self.kept.values_mut().any(|own| {
            let before = own.len();
            own.forget_old(now);
            own.len() < before
        })
    }

    /// The same, and gives back the memory that is no longer used.
    pub(super) fn tidy(&mut self, now: Instant) -> bool {
        let has_forgotten = self.forget_old(now);
        if !has_forgotten {
            self.kept.retain(|_, own| {
                own.tidy(now);
                !own.is_empty()
            });
        }
        has_forgotten
    }

    /// All keys there are, including those that are too old and not yet forgotten.
    pub(super) fn size(&self) -> Size {
        let sizes = self.kept.values().map(size_of);
        sizes.fold(Size { keys: 0, bytes: 0 }, |sum, own| Size {
            keys: sum.keys + own.keys,
            bytes: sum.bytes + own.bytes,
        })
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

fn size_of<V>(kept: &Kept<Box<str>, V>) -> Size {
    Size { keys: kept.len(), bytes: kept.bytes() }
}
