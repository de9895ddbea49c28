//! How many bytes the bodies of requests take while they are read and dealt with. All of them together have a
//! bound, and one address may take a part of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use turted_core::limits::BODIES_SHARE;
use turted_core::trust::{is_private, network};

/// How much bodies may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// All of them.
    pub(crate) bytes: usize,
    /// The largest body that is read. One address may always take as much, so that such a body can be read.
    pub(crate) largest: usize,
    /// Whether a private address may be a proxy that the operator did not name, with many clients behind it.
    pub(crate) spares_private: bool,
}

/// There is no room for so many bytes of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// How much all bodies that are being read or dealt with take, on all workers.
#[derive(Debug)]
pub(crate) struct Bodies {
    bytes_max: usize,
    /// What the bodies of one address may take.
    share_max: usize,
    spares_private: bool,
    bytes: AtomicUsize,
    /// Bytes by address, or by the network of one customer. Locked for an addition.
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

impl Bodies {
    pub(crate) fn new(limits: BodyLimits) -> Arc<Self> {
        Arc::new(Self {
            bytes_max: limits.bytes,
            share_max: (limits.bytes / BODIES_SHARE).max(limits.largest),
            spares_private: limits.spares_private,
            bytes: AtomicUsize::new(0),
            by_address: Mutex::default(),
        })
    }

    /// Bytes that the bodies take at the moment.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The charge of a new body from this address: no bytes yet.
    pub(crate) fn charge(self: &Arc<Self>, peer: IpAddr) -> Charge {
        let counts = !(self.spares_private && is_private(peer));
        Charge { bodies: Arc::clone(self), address: counts.then(|| network(peer)), bytes: 0 }
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body takes, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    bodies: Arc<Bodies>,
    /// The address in whose share it counts; `None` if this address has no share.
    address: Option<IpAddr>,
    bytes: usize,
}

impl Charge {
    /// Takes `bytes` in all, those that it has already included.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        // Noted before the comparisons: what is refused is given back with the rest.
        self.bytes += more;
        let all = self.bodies.bytes.fetch_add(more, Ordering::Relaxed) + more;
        let own = self.address.map_or(0, |address| {
            let mut by_address = self.bodies.by_address();
            let own = by_address.entry(address).or_default();
            *own += more;
            *own
        });
        let fits = all <= self.bodies.bytes_max && own <= self.bodies.share_max;
        fits.then_some(()).ok_or(Full)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.bodies.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        if let Entry::Occupied(mut own) = self.bodies.by_address().entry(address) {
            *own.get_mut() = own.get().saturating_sub(self.bytes);
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(spares_private: bool) -> Arc<Bodies> {
        Bodies::new(BodyLimits { bytes: 8_000_000, largest: 1_000_000, spares_private })
    }

    #[test]
    fn one_address_takes_a_quarter_and_a_private_one_all_unless_proxies_are_trusted() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (open, behind) = (bodies(true), bodies(false));
        let cases = [
            (&open, "192.0.2.1", 2_000_000),
            (&open, "10.0.0.1", 8_000_000),
            (&open, "::1", 8_000_000),
            (&behind, "192.0.2.1", 2_000_000),
            (&behind, "10.0.0.1", 2_000_000),
        ];
        for (bodies, peer, most) in cases {
            let mut charge = bodies.charge(address(peer));
            assert_eq!(charge.grow(most), Ok(()), "{peer}");
            assert_eq!(charge.grow(most + 1), Err(Full), "{peer}");
        }
        let mut neighbour = open.charge(address("2001:db8::1"));
        assert_eq!(neighbour.grow(2_000_000), Ok(()));
        assert_eq!(open.charge(address("2001:db8::2")).grow(1), Err(Full), "the same /64");
        assert_eq!(open.charge(address("2001:db8:0:1::2")).grow(1), Ok(()));
        drop(neighbour);
        assert_eq!((open.bytes(), open.by_address().len()), (0, 0));
    }
}
