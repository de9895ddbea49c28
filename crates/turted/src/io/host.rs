//! The name of this server among others.

use std::net::SocketAddr;

use rustix::system::uname;

/// The name of a server that listens at `address`: others on the machine have other ports.
pub(crate) fn node_name(address: SocketAddr) -> String {
    format!("{}:{}", uname().nodename().to_string_lossy(), address.port())
}
