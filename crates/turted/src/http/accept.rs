//! Opens the listening sockets and accepts connections, also when file descriptors run out.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::task::Poll;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use turted_core::limits::{ACCEPT_BACKOFF_MAX, ACCEPT_BACKOFF_MIN};

use crate::config::{Config, Limits};
use crate::http::entrance;
use crate::hub::worker::worker::Worker;
use crate::io::seldom::warn_seldom;
use crate::server::ServerError;

/// What a client reads that comes when all connections are taken.
const OVERLOAD: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
Content-Type: text/plain\r\nContent-Length: 50\r\n\r\nthe server has no connection left, try again later";

/// The first port that everybody may listen on (`ip_unprivileged_port_start`, unless an operator changed it).
const UNPRIVILEGED_PORT_MIN: u16 = 1024;

/// Where a server listens.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// One for each worker.
    pub(crate) sockets: Vec<StdListener>,
    pub(crate) address: SocketAddr,
    pub(crate) queue: Queue,
}

/// Whose the connections are that wait in the kernel when the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// The kernel would reset them with our socket: they are answered.
    Ours,
    /// Somebody keeps the socket, systemd say: they are served by whoever is started next.
    Kept,
}

/// Opens a listener for each worker, all on one address; or serves `given`, which listens already.
///
/// # Errors
/// The address is taken or not ours, or `given` cannot be used.
pub(crate) fn open_all(config: &Config, given: Option<&StdListener>) -> Result<Listeners, ServerError> {
    if let Some(given) = given {
        return share(given, config).map_err(ServerError::HandedOver);
    }
    let wanted = possible(config.listen);
    let refused = |address| move |source| ServerError::Listen { address, source };
    check(wanted).map_err(refused(wanted))?;
    let first = open(wanted, &config.limits).map_err(refused(wanted))?;
    let address = first.local_addr().map_err(refused(wanted))?;
    let mut sockets = vec![first];
    for _ in 1..config.workers {
        sockets.push(open(address, &config.limits).map_err(refused(address))?);
    }
    Ok(Listeners { sockets, address, queue: Queue::Ours })
}

/// One socket for all workers: who is free accepts. Others may not open the port beside the one who has it, so
/// there are no listeners of their own.
fn share(given: &StdListener, config: &Config) -> io::Result<Listeners> {
    set_options(&SockRef::from(given), &config.limits)?;
    let sockets = (0..config.workers).map(|_| given.try_clone()).collect::<io::Result<_>>()?;
    Ok(Listeners { sockets, address: given.local_addr()?, queue: Queue::Kept })
}

/// `address`, or where there is no IPv6 and all addresses were asked for, all of IPv4.
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

/// Opens a socket that nobody shares, for operators: a second server must notice that it is taken.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn open_alone(address: SocketAddr, limits: &Limits, backlog: i32) -> io::Result<StdListener> {
    let socket = socket_for(address)?;
    socket.set_reuse_address(true)?;
    // Accepted connections inherit these.
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_tcp_user_timeout(Some(limits.tcp_user_timeout))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Makes sure that nobody listens on `address` yet. A second server of the same user could share it
/// without an error, and each would have half of the clients.
///
/// # Errors
/// The address is taken or not ours.
fn check(address: SocketAddr) -> io::Result<()> {
    let socket = socket_for(address)?;
    // Connections of a server that has ended are no obstacle.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// Opens one listening socket; several may be open on one address, and the kernel spreads
/// connections over them (`SO_REUSEPORT`).
///
/// # Errors
/// The address is taken or not ours.
fn open(address: SocketAddr, limits: &Limits) -> io::Result<StdListener> {
    let socket = socket_for(address)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    set_options(&SockRef::from(&socket), limits)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(limits.listen_backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Accepted connections inherit these from the listener: no system call per connection.
fn set_options(socket: &SockRef<'_>, limits: &Limits) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_tcp_mss(segment_bytes(limits))?;
    socket.set_tcp_user_timeout(Some(limits.tcp_user_timeout))?;
    socket.set_nonblocking(true)
}

/// Bytes of a TCP segment at most. A receiver acknowledges at once when it has more than one whole
/// segment, else after 40 ms. Over loopback, where proxies connect, a segment has 64 KiB: it would
/// fill the send buffer alone and every buffer would wait for its acknowledgement. Networks have
/// smaller segments anyway.
fn segment_bytes(limits: &Limits) -> u32 {
    // What Linux accepts (`TCP_MIN_MSS`), and a record of TLS.
    const SMALLEST: usize = 88;
    const LARGEST: usize = 16 * 1024;
    let half = (limits.send_buffer_bytes / 2).clamp(SMALLEST, LARGEST);
    u32::try_from(half).expect("it is not above the largest")
}

/// Accepts connections until the server drains. When none can be accepted it waits longer and
/// longer instead of spinning, and recovers by itself.
pub(crate) async fn accept(worker: Rc<Worker>, listener: TcpListener, queue: Queue) {
    let draining = worker.shared.life.draining.clone();
    let mut backoff = ACCEPT_BACKOFF_MIN;
    while let Some(accepted) = draining.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                backoff = ACCEPT_BACKOFF_MIN;
                admit(&worker, stream, peer);
            }
            Err(error) => {
                worker.metrics.accept_errors.add(1);
                tracing::warn!(%error, ?backoff, "cannot accept connections");
                draining.run_until_cancelled(sleep(backoff)).await;
                backoff = (backoff * 2).min(ACCEPT_BACKOFF_MAX);
            }
        }
    }
    if queue == Queue::Kept {
        return;
    }
    // Closing the listener resets whoever waits in the kernel's queue: they get an answer instead.
    for _ in 0..worker.config.limits.listen_backlog {
        let next = poll_fn(|context| Poll::Ready(listener.poll_accept(context))).await;
        let Poll::Ready(Ok((stream, peer))) = next else { return };
        admit(&worker, stream, peer);
    }
}

fn admit(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let shared = &worker.shared;
    let permit = shared.permits.take().or_else(|| {
        tell_full(shared.permits.limit());
        shared.spare.take()
    });
    match permit {
        Some(permit) => entrance::enter(worker, stream, peer, permit),
        None => {
            worker.metrics.refused("connections");
            worker.spawn(refuse(stream));
        }
    }
}

/// Tells the operator that clients are turned away.
fn tell_full(limit: usize) {
    warn_seldom!(
        limit,
        "all connections are taken (limits.connections): only pushes and health checks are let in"
    );
}

/// Says why there is no service. The request is not read: reading is what we have no room for.
async fn refuse(stream: TcpStream) {
    if stream.writable().await.is_ok() {
        // Whether it arrives is up to the client's timing; the connection ends either way.
        let _ = stream.try_write(OVERLOAD);
    }
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
