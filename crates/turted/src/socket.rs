//! A client's socket: reads and writes that never wait, and the two ways to end it.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::shared::Permit;

/// How long we read on after our last word, so that the client sees it before the connection ends.
const LINGER: Duration = Duration::from_secs(1);
/// How much we read meanwhile.
const LINGER_BYTES: usize = 1024 * 1024;

/// One client's TCP connection.
#[derive(Debug)]
pub(crate) struct Socket(TcpStream, Permit);

impl Socket {
    pub(crate) fn new(stream: TcpStream, permit: Permit) -> Self {
        Self(stream, permit)
    }

    /// Takes the socket off this worker's runtime, for another worker.
    ///
    /// # Errors
    /// The runtime cannot let go of it.
    pub(crate) fn detach(self) -> io::Result<DetachedSocket> {
        Ok(DetachedSocket(self.0.into_std()?, self.1))
    }

    /// Waits for bytes to read, or for the end. Cancel safe.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Waits until a write may succeed. Cancel safe.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.0.writable().await
    }

    /// Reads what is there. `Ok(0)` is the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }

    /// Writes what the kernel takes of one buffer.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    /// Writes what the kernel takes of several buffers.
    pub(crate) fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(buffers)
    }

    /// Ends both directions: the task that reads sees the end.
    pub(crate) fn shutdown(&self) {
        // An error means that the connection is gone already.
        let _ = SockRef::from(&self.0).shutdown(Shutdown::Both);
    }

    /// Ends the connection at once and gives up what the kernel still holds for the client.
    pub(crate) fn reset(&self) {
        let socket = SockRef::from(&self.0);
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.shutdown(Shutdown::Both);
    }

    /// Says that nothing more will be written; the client may still be read.
    pub(crate) fn finish(&self) {
        let _ = SockRef::from(&self.0).shutdown(Shutdown::Write);
    }

    /// After [`finish`](Self::finish): reads and drops what the client still sends. Closing with
    /// unread bytes would make the kernel throw away our last word.
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
pub(crate) struct DetachedSocket(std::net::TcpStream, Permit);

impl DetachedSocket {
    /// Puts the socket onto this worker's runtime.
    ///
    /// # Errors
    /// The runtime cannot take it.
    pub(crate) fn attach(self) -> io::Result<Socket> {
        Ok(Socket(TcpStream::from_std(self.0)?, self.1))
    }
}
