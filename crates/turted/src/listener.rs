//! Opens the listening sockets and accepts connections, also when file descriptors run out.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use turted_core::limits::{ACCEPT_BACKOFF_MAX, ACCEPT_BACKOFF_MIN};

use crate::config::Limits;
use crate::entrance;
use crate::worker::Worker;

/// What a client reads that comes when all connections are taken.
const OVERLOAD: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
Content-Type: text/plain\r\nContent-Length: 50\r\n\r\nthe server has no connection left, try again later";

/// Makes sure that nobody listens on `address` yet. A second server of the same user could share it
/// without an error, and each would have half of the clients.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn check(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a server that has ended are no obstacle.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// Opens one listening socket; several may be open on one address, and the kernel spreads
/// connections over them (`SO_REUSEPORT`).
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn open(address: SocketAddr, limits: &Limits) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted connections inherit these from the listener: no system call per connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_tcp_mss(segment_bytes(limits))?;
    socket.set_tcp_user_timeout(Some(limits.tcp_user_timeout))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(limits.listen_backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
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
pub(crate) async fn accept(worker: Rc<Worker>, listener: TcpListener) {
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
    // Closing the listener resets whoever waits in the kernel's queue: they get an answer instead.
    for _ in 0..worker.config.limits.listen_backlog {
        let next = poll_fn(|context| Poll::Ready(listener.poll_accept(context))).await;
        let Poll::Ready(Ok((stream, peer))) = next else { return };
        admit(&worker, stream, peer);
    }
}

fn admit(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    match worker.shared.permits.take() {
        Some(permit) => entrance::enter(worker, stream, peer, permit),
        None => {
            worker.metrics.refused("connections");
            worker.spawn(refuse(stream));
        }
    }
}

/// Says why there is no service. The request is not read: reading is what we have no room for.
async fn refuse(stream: TcpStream) {
    if stream.writable().await.is_ok() {
        // Whether it arrives is up to the client's timing; the connection ends either way.
        let _ = stream.try_write(OVERLOAD);
    }
}
