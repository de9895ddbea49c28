//! A store for what is kept for a while: bounded in entries, bytes and age. The oldest entry is forgotten
//! first.
//!
//! It reads no clock and takes no lock. Its owner decides what an entry means, and whether the oldest entry
//! gives way or the new one is refused when there is no room.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::Bound;
use std::time::{Duration, Instant};

use crate::shrink::shrink_map;

/// How many entries that are too old are forgotten while a lock is held. Other threads wait about 50 us for
/// it.
pub const PORTION: usize = 64;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLimits {
    /// Entries.
    pub entries: usize,
    /// Bytes of all entries, as counted when they were put in.
    pub bytes: usize,
    /// Age of an entry. An older one is no longer found.
    pub age: Duration,
}

/// Entries by key, each with its number of bytes and the time at which it was put in.
///
/// ```
/// use std::time::{Duration, Instant};
/// use turted_core::kept::{Kept, KeptLimits};
/// let now = Instant::now();
/// let limits = KeptLimits { entries: 2, bytes: 100, age: Duration::from_secs(60) };
/// let mut kept = Kept::new(limits, now);
/// kept.insert("a", 1, 40, now);
/// kept.insert("b", 2, 40, now);
/// assert_eq!(kept.insert("c", 3, 40, now), 1, "the oldest gives way");
/// assert_eq!((kept.get("a", now), kept.get("b", now)), (None, Some(&2)));
/// assert_eq!(kept.get("b", now + Duration::from_secs(61)), None);
/// ```
#[derive(Debug)]
pub struct Kept<K, V> {
    limits: KeptLimits,
    /// The time from which the times of entries are counted.
    start: Instant,
    entries: HashMap<K, Entry<V>>,
    /// Bytes of all entries.
    bytes: usize,
    /// The keys of the entries, oldest first. A removed entry leaves this order at once: otherwise a client
    /// that comes and goes would push out all others.
    order: BTreeMap<u64, K>,
    /// The earliest time for the next entry.
    next: u64,
}

#[derive(Debug)]
struct Entry<V> {
    /// When it was put in, in nanoseconds since the start; also its place in the order. No two entries have
    /// the same time: the second of two entries at one moment counts as a nanosecond younger.
    at: u64,
    bytes: usize,
    value: V,
}

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    /// An empty store. No time that is passed in later may be before `start`.
    #[must_use]
    pub fn new(limits: KeptLimits, start: Instant) -> Self {
        Self { limits, start, entries: HashMap::new(), bytes: 0, order: BTreeMap::new(), next: 0 }
    }

    /// How many entries there are, including those that are too old and not yet forgotten.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries it has allocated memory for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Bytes of all entries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The keys of all entries, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.order.values()
    }

    /// The entries behind a place in the order of their age, each with its own place. An entry that is put in meanwhile
    /// comes last, so a caller that goes on from place to place sees every entry that was there the whole time.
    pub fn behind(&self, place: Option<u64>) -> impl Iterator<Item = (u64, &K, &V)> {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.order.range((from, Bound::Unbounded));
        entries.filter_map(|(place, key)| Some((*place, key, &self.entries.get(key)?.value)))
    }

    /// Whether one more entry of so many bytes fits without an old one giving way.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.entries.len() < self.limits.entries && bytes <= self.limits.bytes - self.bytes
    }

    /// Puts an entry in, in place of one with the same key. Returns how many other entries gave way; the
    /// oldest go first.
    ///
    /// # Limits
    /// An entry larger than the whole store may be is not kept, and no other gives way to it.
    pub fn insert(&mut self, key: K, value: V, bytes: usize, now: Instant) -> usize {
        self.insert_telling((key, value), bytes, now, |_| ())
    }

    /// As [`insert`](Self::insert), and tells what is not kept any more, the new entry included if it is too large.
    pub fn insert_telling(
        &mut self,
        (key, value): (K, V),
        bytes: usize,
        now: Instant,
        mut gone: impl FnMut(K),
    ) -> usize {
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            self.remove(&key);
            gone(key);
            return 0;
        }
        let at = self.moment(now).max(self.next);
        self.next = at + 1;
        self.bytes += bytes;
        self.order.insert(at, key.clone());
        if let Some(earlier) = self.entries.insert(key, Entry { at, bytes, value }) {
            self.order.remove(&earlier.at);
            self.bytes -= earlier.bytes;
        }
        let mut gave_way = 0;
        while self.is_over_limit()
            && let Some(key) = self.forget_oldest()
        {
            gone(key);
            gave_way += 1;
        }
        gave_way
    }

    /// The entry with this key, if it is not too old.
    pub fn get<Q>(&self, key: &Q, now: Instant) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.get_with_time_left(key, now).map(|(value, _)| value)
    }

    /// As [`get`](Self::get), and how much longer the entry is kept.
    pub fn get_with_time_left<Q>(&self, key: &Q, now: Instant) -> Option<(&V, Duration)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entry = self.entries.get(key)?;
        Some((&entry.value, self.limits.age.checked_sub(age(entry.at, self.moment(now)))?))
    }

    /// As [`get`](Self::get), to change the value. The age and the bytes of the entry stay as they are.
    pub fn get_mut<Q>(&mut self, key: &Q, now: Instant) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let now = self.moment(now);
        let entry = self.entries.get_mut(key)?;
        (age(entry.at, now) <= self.limits.age).then_some(&mut entry.value)
    }

    /// Lowers the bytes that an entry counts, and lets its value be changed. They cannot be raised: there may
    /// be no room for more.
    pub fn reduce<Q>(&mut self, key: &Q, bytes: usize) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entry = self.entries.get_mut(key)?;
        let bytes = bytes.min(entry.bytes);
        self.bytes -= entry.bytes - bytes;
        entry.bytes = bytes;
        Some(&mut entry.value)
    }

    /// Takes an entry out, whatever its age.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let Entry { at, bytes, value } = self.entries.remove(key)?;
        self.order.remove(&at);
        self.bytes -= bytes;
        Some(value)
    }

    /// Forgets a [portion](PORTION) of the entries that are too old, and returns whether there are more.
    /// Forgetting all of them after a quiet time would take milliseconds, in which other threads wait for the
    /// lock.
    pub fn forget_old(&mut self, now: Instant) -> bool {
        self.forget_old_telling(now, |_| ())
    }

    /// As [`forget_old`](Self::forget_old), and tells which entries are forgotten.
    pub fn forget_old_telling(&mut self, now: Instant, mut forgotten: impl FnMut(K)) -> bool {
        let now = self.moment(now);
        for _ in 0..PORTION {
            if !self.has_old(now) {
                return false;
            }
            self.forget_oldest().into_iter().for_each(&mut forgotten);
        }
        self.has_old(now)
    }

    /// As [`forget_old`](Self::forget_old). Once no entry is too old it also gives back the memory that is no
    /// longer used.
    pub fn tidy(&mut self, now: Instant) -> bool {
        self.tidy_telling(now, |_| ())
    }

    /// As [`tidy`](Self::tidy), and tells which entries are forgotten.
    pub fn tidy_telling(&mut self, now: Instant, forgotten: impl FnMut(K)) -> bool {
        let has_more = self.forget_old_telling(now, forgotten);
        if !has_more {
            shrink_map(&mut self.entries);
        }
        has_more
    }

    fn is_over_limit(&self) -> bool {
        self.entries.len() > self.limits.entries || self.bytes > self.limits.bytes
    }

    fn has_old(&self, now: u64) -> bool {
        self.order.first_key_value().is_some_and(|(at, _)| age(*at, now) > self.limits.age)
    }

    /// Returns the key of the entry, if there was one.
    fn forget_oldest(&mut self) -> Option<K> {
        let (_, key) = self.order.pop_first()?;
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.bytes;
        }
        Some(key)
    }

    /// Nanoseconds since the start; a `u64` of them lasts five centuries.
    fn moment(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Lets a store forget its oldest entries while they are too old, at most a [portion](PORTION) of them.
/// Returns whether there are more.
pub fn forget_portion<S>(
    store: &mut S,
    has_old: impl Fn(&S) -> bool,
    forget_oldest: impl Fn(&mut S),
) -> bool {
    for _ in 0..PORTION {
        if !has_old(store) {
            return false;
        }
        forget_oldest(store);
    }
    has_old(store)
}

fn age(at: u64, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(at))
}

#[cfg(test)]
mod tests;
