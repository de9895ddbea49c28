//! One system call on a TCP connection: what reads and writes have in common, with or without TLS.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads what is there, with one system call. A read that does not fill the buffer has emptied the socket. The
/// runtime is told so, which saves the second call that would find nothing.
///
/// # Errors
/// `WouldBlock`: there is nothing at the moment. Anything else ends the connection.
pub(crate) fn read(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let read = tcp.try_read(buffer)?;
    if 0 < read && read < buffer.len() {
        // epoll reports what comes from now on: the runtime asks it for edges.
        let _ = tcp.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
    Ok(read)
}

/// Writes what there is room for. The runtime is asked about the socket only after the kernel took nothing:
/// what it knows lies in memory of its own, and a fan-out visits thousands of sockets, none of them in the
/// processor's cache.
///
/// # Errors
/// `WouldBlock`: there is no room. Anything else ends the connection.
pub(crate) fn write(tcp: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match send_now(tcp.as_fd(), bytes) {
        // Once more, through the runtime: it has to watch the socket from now on.
        Err(Errno::AGAIN) => tcp.try_write(bytes),
        sent => Ok(sent?),
    }
}

/// Hands bytes to the kernel, which takes what it has room for. The runtime is not told of a socket that is
/// full.
pub(crate) fn send_now(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
}
