//! Ports for programs that cannot choose a free one themselves.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

/// The ports below those that the kernel gives to who asks for any (`ip_local_port_range`): no connection and no server of
/// another test has one of these before the program does, also after it was killed.
const FIRST: u16 = 10_000;
const COUNT: u64 = 20_000;

/// So many ports that are free.
pub(crate) fn free<const N: usize>() -> [u16; N] {
    // At random, because other tests look for some at the same time. All are held, so that they differ.
    let random = RandomState::new().build_hasher().finish();
    let candidates =
        (0..COUNT).map(|number| FIRST + u16::try_from((random % COUNT + number) % COUNT).unwrap());
    let mut listeners = candidates.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let held: [TcpListener; N] = std::array::from_fn(|_| listeners.next().expect("a free port"));
    held.map(|listener| listener.local_addr().unwrap().port())
}
