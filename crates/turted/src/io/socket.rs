//! A client's socket, with or without TLS: reads and writes that never wait, and the ways to end it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

use crate::io::permits::Permit;
use crate::io::tcp;
use crate::io::tls::{TlsSession, TlsStream};

/// How long we read on after our last bytes, so that the client sees them before the connection ends.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// How much we read meanwhile.
const LINGER_BYTES: usize = 1024 * 1024;

/// What bytes go through: a TCP connection, and TLS above it if the server has a certificate.
#[derive(Debug)]
pub(crate) struct Channel {
    tcp: TcpStream,
    tls: Option<Box<TlsSession>>,
}

impl From<TcpStream> for Channel {
    fn from(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }
}

impl From<TlsStream> for Channel {
    fn from(stream: TlsStream) -> Self {
        let (tcp, session) = stream.into_parts();
        Self { tcp, tls: Some(session) }
    }
}

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    tls: Option<Box<TlsSession>>,
    permit: Permit,
}

impl Socket {
    pub(crate) fn new(channel: impl Into<Channel>, permit: Permit) -> Self {
        let Channel { tcp, tls } = channel.into();
        Self { tcp, tls, permit }
    }

    /// Takes the socket off this worker's runtime, for another worker.
    ///
    /// # Errors
    /// The runtime cannot let go of it.
    pub(crate) fn detach(self) -> io::Result<DetachedSocket> {
        Ok(DetachedSocket { tcp: self.tcp.into_std()?, tls: self.tls, permit: self.permit })
    }

    /// Waits for bytes to read, or for the end. Cancel safe. One task at a time may wait: the one
    /// that reads. So it needs no place in a list of waiters, which would make every task larger.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        if self.may_have_unread() {
            // Gives way to other tasks, even if the peer never stops sending.
            consume_budget().await;
            return Ok(());
        }
        poll_fn(|context| self.tcp.poll_read_ready(context)).await
    }

    /// Waits until a write may succeed. Cancel safe.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.tcp.writable().await
    }

    /// Whether a read may find something although the socket was not reported readable again.
    pub(crate) fn may_have_unread(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.may_have_unread())
    }

    /// Reads what is there. `Ok(0)` is the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => tcp::read(&self.tcp, buffer),
            Some(tls) => tls.read(&self.tcp, buffer),
        }
    }

    /// Whether the peer has ended the connection, or its side of it. Bytes may still be unread.
    pub(crate) fn is_gone(&self) -> bool {
        let interest = PollFlags::RDHUP;
        let mut polled = [PollFd::new(&self.tcp, interest)];
        // With a timeout of zero the call asks and does not wait.
        let now = Timespec::default();
        let ended = interest | PollFlags::HUP | PollFlags::ERR;
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().intersects(ended)
    }

    /// The TCP connection, if bytes go onto it as they are.
    pub(crate) fn plain(&self) -> Option<&TcpStream> {
        self.tls.is_none().then_some(&self.tcp)
    }

    /// Writes what there is room for of one buffer.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => tcp::write(&self.tcp, bytes),
            Some(tls) => tls.write(&self.tcp, &[IoSlice::new(bytes)]),
        }
    }

    /// Writes what there is room for of several buffers.
    pub(crate) fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            None => self.tcp.try_write_vectored(buffers),
            Some(tls) => tls.write(&self.tcp, buffers),
        }
    }

    /// Whether bytes that were written have not reached the kernel: the socket is full, and they
    /// have to be [flushed](Self::try_flush).
    pub(crate) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_unsent())
    }

    /// Hands what is unsent to the kernel; `WouldBlock` if it does not take all of it.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.flush(&self.tcp))
    }

    /// Writes all bytes as there is room for them, and what is unsent.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() || self.has_unsent() {
            self.writable().await?;
            let written = match bytes {
                [] => self.try_flush().map(|()| 0),
                _ => self.try_write(bytes),
            };
            match written {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends both directions: the task that reads sees the end.
    pub(crate) fn shutdown(&self) {
        // An error means that the connection is gone already.
        let _ = SockRef::from(&self.tcp).shutdown(Shutdown::Both);
    }

    /// Ends the connection at once and gives up what the kernel still holds for the client.
    pub(crate) fn reset(&self) {
        let socket = SockRef::from(&self.tcp);
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.shutdown(Shutdown::Both);
    }

    /// Says that nothing more will be written; the client may still be read.
    pub(crate) fn finish(&self) {
        if let Some(tls) = &self.tls {
            tls.finish(&self.tcp);
        }
        let _ = SockRef::from(&self.tcp).shutdown(Shutdown::Write);
    }

    /// After [`finish`](Self::finish): reads and drops what the client still sends. Closing with
    /// unread bytes would make the kernel throw away our last bytes.
    pub(crate) async fn linger(&self) {
        self.finish();
        let _ = timeout(LINGER, self.discard()).await;
    }

    async fn discard(&self) {
        // On the heap, and only now: an array would make the task of every open connection as large.
        let mut buffer = vec![0; 4096];
        let mut left = LINGER_BYTES;
        while left > 0 && self.readable().await.is_ok() {
            match self.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// A socket on its way from one worker to another.
#[derive(Debug)]
pub(crate) struct DetachedSocket {
    tcp: std::net::TcpStream,
    tls: Option<Box<TlsSession>>,
    permit: Permit,
}

impl DetachedSocket {
    /// Puts the socket onto this worker's runtime.
    ///
    /// # Errors
    /// The runtime cannot take it.
    pub(crate) fn attach(self) -> io::Result<Socket> {
        Ok(Socket { tcp: TcpStream::from_std(self.tcp)?, tls: self.tls, permit: self.permit })
    }
}
