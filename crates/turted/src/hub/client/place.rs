//! A place for a session that lives by requests: another session may have to give way for it.

use std::net::IpAddr;
use std::rc::Rc;

use turted_core::close::Close;
use turted_core::registry::ConnectionKey;

use crate::hub::worker::places::{NoPlace, Place, Unreturned};
use crate::hub::worker::worker::Worker;

/// Takes a place for a session that this worker opens. A session of another worker gives way by
/// mail; while that worker's mail box is full, none of its sessions does.
///
/// # Errors
/// There is no place.
pub(crate) fn take(worker: &Worker, address: IpAddr) -> Result<Place, NoPlace> {
    let mut own = None;
    let place = worker.shared.places.take(address, |Unreturned { worker: owner, key, .. }| {
        if owner == worker.index {
            own = Some(key);
            return true;
        }
        let peer = worker.peers.get(usize::from(owner));
        peer.is_some_and(|peer| {
            peer.try_send(Box::new(move |owner: &Rc<Worker>| give_way(owner, key))).is_ok()
        })
    })?;
    // Only now, when the lock is free: the end of a session takes it.
    if let Some(key) = own {
        give_way(worker, key);
    }
    Ok(place)
}

/// Ends a session of this worker whose place was given to another one.
fn give_way(worker: &Worker, key: ConnectionKey) {
    let connection = worker.registry.borrow().get(key).cloned();
    if let Some(connection) = connection {
        connection.close(worker, Close::GaveWay);
    }
}
