//! Places for sessions that live by requests, polling and SockJS: how many there are in all, how many of them
//! one address may have, and which session gives way when all are taken.
//!
//! Such a session outlives its connections, so the limit of connections does not bound it, and a handshake of
//! 60 bytes takes a place for as long as a client may be silent. So a session whose client sent nothing since
//! its handshake gives way to a new session: the oldest first, on whatever worker it is. All of them stand in
//! one line, behind the lock that counts. The lock is taken at the handshake, at the first request after it and
//! at the end, for a look-up and a step down a tree.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use turted_core::registry::ConnectionKey;
use turted_core::shrink::shrink_map;
use turted_core::trust::{is_private, network};

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaceLimits {
    pub(crate) all: usize,
    /// Of one address.
    pub(crate) per_address: usize,
    /// The addresses that this limit holds for.
    pub(crate) counted: CountedAddresses,
}

/// Which addresses may have only so many places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedAddresses {
    All,
    /// A loopback or private address may be a proxy that the operator did not name, with all clients behind it.
    Public,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken by clients that came back.
    All,
    /// The address has as many as it may have.
    OfAddress,
}

/// The places of a node.
#[derive(Debug)]
pub(crate) struct Places {
    limits: PlaceLimits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    /// The same by address; an address without a place is not in it.
    by_address: HashMap<IpAddr, usize>,
    /// Sessions whose clients did not come back, in the order of their handshakes.
    unreturned: BTreeMap<u64, Unreturned>,
    /// The number of the next one.
    next: u64,
    /// Whether it was logged that an address has more than its places, and keeps them.
    told: bool,
}

/// A session whose client has sent nothing since its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreturned {
    pub(crate) worker: u8,
    pub(crate) key: ConnectionKey,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(limits: PlaceLimits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.locked().count
    }

    /// How many there are.
    pub(crate) fn limit(&self) -> usize {
        self.limits.all
    }

    /// Takes a place for a session of this address, given back when it is dropped. If all are taken `dismiss`
    /// is told which session gives way. It returns whether that is possible, and must not give back any place.
    ///
    /// # Errors
    /// There is no place.
    pub(crate) fn take(
        self: &Arc<Self>,
        address: IpAddr,
        dismiss: impl FnOnce(Unreturned) -> bool,
    ) -> Result<Place, NoPlace> {
        let is_counted = self.limits.counted == CountedAddresses::All || !is_private(address);
        let address = network(address);
        let taken = &mut *self.locked();
        if taken.of(address) >= self.limits.per_address {
            if is_counted {
                return Err(NoPlace::OfAddress);
            }
            taken.tell(address, self.limits.per_address);
        }
        if taken.count >= self.limits.all && !taken.make_room(dismiss) {
            return Err(NoPlace::All);
        }
        taken.count += 1;
        *taken.by_address.entry(address).or_default() += 1;
        Ok(Place { places: Arc::clone(self), address, number: Cell::new(None) })
    }

    fn locked(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    /// Gives another session the place of the oldest one whose client did not come back.
    fn make_room(&mut self, dismiss: impl FnOnce(Unreturned) -> bool) -> bool {
        let Some((number, oldest)) = self.unreturned.pop_first() else { return false };
        if dismiss(oldest) {
            self.give_back(oldest.address);
            return true;
        }
        self.unreturned.insert(number, oldest);
        false
    }

    fn give_back(&mut self, address: IpAddr) {
        self.count -= 1;
        if let Some(own) = self.by_address.get_mut(&address) {
            *own -= 1;
            if *own == 0 {
                self.by_address.remove(&address);
                shrink_map(&mut self.by_address);
            }
        }
    }

    /// Logs, once, that an address is above the limit, which does not hold for it.
    fn tell(&mut self, address: IpAddr, limit: usize) {
        if !self.told {
            self.told = true;
            tracing::warn!(
                %address,
                limit,
                "a private address has more sessions than limits.sessions_per_address, and keeps them while \
                 trusted_proxies is empty: if it is a proxy, name it there"
            );
        }
    }
}

/// The place of one session.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    /// As it is counted.
    address: IpAddr,
    /// Its number among those that did not come back.
    number: Cell<Option<u64>>,
}

impl Place {
    /// From now on the session gives way, until its client comes back.
    fn await_return(&self, worker: u8, key: ConnectionKey) {
        let taken = &mut *self.places.locked();
        taken.unreturned.insert(taken.next, Unreturned { worker, key, address: self.address });
        self.number.set(Some(taken.next));
        taken.next += 1;
    }

    /// The client has sent another request: its session gives way no more, unless it has already.
    fn came_back(&self) {
        if let Some(number) = self.number.get()
            && self.places.locked().unreturned.remove(&number).is_some()
        {
            self.number.set(None);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &mut *self.places.locked();
        // One that gave way has given its place back already.
        if self.number.get().is_none_or(|number| taken.unreturned.remove(&number).is_some()) {
            taken.give_back(self.address);
        }
    }
}

/// Where a session keeps its place, if it has one. As small as can be: most connections have none.
#[derive(Default)]
pub(crate) struct HeldPlace(Cell<Option<Box<Place>>>);

impl HeldPlace {
    pub(crate) fn of(place: Place) -> Self {
        Self(Cell::new(Some(Box::new(place))))
    }

    /// From now on the session with this key on this worker gives way, until its client comes back.
    pub(crate) fn await_return(&self, worker: u8, key: ConnectionKey) {
        self.with(|place| place.await_return(worker, key));
    }

    /// The client has sent another request.
    pub(crate) fn came_back(&self) {
        self.with(Place::came_back);
    }

    /// Takes the place out, for another session or to be dropped.
    pub(crate) fn release(&self) -> Option<Box<Place>> {
        self.0.take()
    }

    fn with(&self, look: impl FnOnce(&Place)) {
        let place = self.0.take();
        if let Some(place) = &place {
            look(place);
        }
        self.0.set(place);
    }
}

impl fmt::Debug for HeldPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HeldPlace").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
