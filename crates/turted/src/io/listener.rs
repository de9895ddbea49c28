//! Listening sockets: how they are opened, and what can be done where that fails.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// The first port that every user of the system may listen on (`ip_unprivileged_port_start`, unless an operator
/// changed it).
const UNPRIVILEGED_PORT_MIN: u16 = 1024;

/// What a listening socket passes on to the connections that are accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    pub(crate) send_buffer_bytes: usize,
    /// How long sent bytes may stay unacknowledged.
    pub(crate) tcp_user_timeout: Duration,
    /// Connections the kernel holds before they are accepted.
    pub(crate) backlog: i32,
}

/// `address`; or all addresses of IPv4, if `address` is `[::]` and there is no IPv6 here.
pub(crate) fn possible(address: SocketAddr) -> SocketAddr {
    let tried = socket_for(address).and_then(|socket| socket.bind(&SocketAddr::new(address.ip(), 0).into()));
    let Err(error) = tried else { return address };
    let Some(instead) = without_ipv6(address, &error) else { return address };
    tracing::warn!(%address, %instead, %error, "there is no IPv6 here");
    instead
}

fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let is_missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    let is_all = address.is_ipv6() && address.ip().is_unspecified();
    (is_missing && is_all).then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
}

/// What can be done where `address` cannot be listened on, behind a semicolon.
pub(crate) fn advice(address: SocketAddr, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied if address.port() < UNPRIVILEGED_PORT_MIN => {
            "; ports below 1024 need the capability CAP_NET_BIND_SERVICE, which the systemd unit gives"
        }
        io::ErrorKind::AddrInUse => {
            "; another program has it, perhaps another turted (ss -ltnp tells which): end that, or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address: choose one of its own",
        _ => "",
    }
}

/// A socket for `address`. One of `[::]` takes IPv4 too, whatever `net.ipv6.bindv6only` says.
fn socket_for(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

/// Opens a socket that cannot be shared, for operators: a second server must notice that its address is taken.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn open_alone(address: SocketAddr, options: SocketOptions) -> io::Result<StdListener> {
    let socket = socket_for(address)?;
    socket.set_reuse_address(true)?;
    // Accepted connections inherit these.
    socket.set_send_buffer_size(options.send_buffer_bytes)?;
    socket.set_tcp_user_timeout(Some(options.tcp_user_timeout))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(options.backlog)?;
    Ok(socket.into())
}

/// Makes sure that no program listens on `address` yet. A second server of the same user could share it without
/// an error, and each would have half of the clients.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn check(address: SocketAddr) -> io::Result<()> {
    let socket = socket_for(address)?;
    // Connections of a server that has ended are no obstacle.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// A socket that has an address, and does not listen there yet: who connects is refused.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: Socket,
    backlog: i32,
}

impl Bound {
    /// Takes an address; several sockets may have one, and the kernel spreads connections over those that listen
    /// (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub(crate) fn new(address: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let socket = socket_for(address)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        set_options(&SockRef::from(&socket), options)?;
        socket.bind(&address.into())?;
        Ok(Self { socket, backlog: options.backlog })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        let address = self.socket.local_addr()?;
        address.as_socket().ok_or_else(|| io::Error::other("the socket has no address of the internet"))
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// The address is taken.
    pub(crate) fn listen(self) -> io::Result<StdListener> {
        self.socket.listen(self.backlog)?;
        Ok(self.socket.into())
    }
}

/// Accepted connections inherit these from the listener: no system call per connection.
pub(crate) fn set_options(socket: &SockRef<'_>, options: SocketOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(options.send_buffer_bytes)?;
    socket.set_tcp_mss(segment_bytes(options))?;
    socket.set_tcp_user_timeout(Some(options.tcp_user_timeout))?;
    socket.set_nonblocking(true)
}

/// Bytes of a TCP segment at most. A receiver acknowledges at once when it has more than one whole
/// segment, else after 40 ms. Over loopback, where proxies connect, a segment has 64 KiB: it would
/// fill the send buffer alone and every buffer would wait for its acknowledgement. Networks have
/// smaller segments anyway.
fn segment_bytes(options: SocketOptions) -> u32 {
    // What Linux accepts (`TCP_MIN_MSS`), and a record of TLS.
    const SMALLEST: usize = 88;
    const LARGEST: usize = 16 * 1024;
    let half = (options.send_buffer_bytes / 2).clamp(SMALLEST, LARGEST);
    u32::try_from(half).expect("it is not above the largest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_those_of_ipv4_where_there_is_no_ipv6() {
        let missing = io::Error::from_raw_os_error(Errno::AFNOSUPPORT.raw_os_error());
        let disabled = io::Error::from_raw_os_error(Errno::ADDRNOTAVAIL.raw_os_error());
        let taken = io::Error::from_raw_os_error(Errno::ADDRINUSE.raw_os_error());
        let instead = |address: &str, error| without_ipv6(address.parse().unwrap(), error);
        let all = Some("0.0.0.0:7".parse().unwrap());
        assert_eq!((instead("[::]:7", &missing), instead("[::]:7", &disabled)), (all, all));
        assert_eq!((instead("[::]:7", &taken), instead("[::1]:7", &missing)), (None, None));
        assert_eq!(instead("192.0.2.1:7", &disabled), None);
    }

    #[test]
    fn a_port_that_needs_a_capability_is_told() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(advice(([127, 0, 0, 1], 443).into(), &denied).contains("CAP_NET_BIND_SERVICE"));
        assert_eq!(advice(([127, 0, 0, 1], 1024).into(), &denied), "");
    }
}
