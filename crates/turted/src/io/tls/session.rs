//! One TLS connection after its handshake: plaintext in and out of a socket, without waiting.
//!
//! rustls does no I/O. What it encrypted and the kernel did not take stays with it as *unsent*;
//! it has to be [flushed](TlsSession::flush) when the socket is writable again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

use rustls::ServerConnection;
use tokio::net::TcpStream;

use crate::io::socket;

/// Ciphertext that may wait for a full socket: as much as the kernel takes at once by default
/// (`limits.send_buffer_bytes`). What exceeds it stays plaintext, which connections share.
pub(crate) const UNSENT_BYTES_MAX: usize = 32 * 1024;
/// Reads of the socket that one read of plaintext may need; then other tasks get their turn. Records may be
/// empty, and a peer may send them without end.
const READS_MAX: usize = 16;

/// The TLS state of one socket.
pub(crate) struct TlsSession {
    /// Borrowed within one call, never across an await.
    connection: RefCell<ServerConnection>,
    /// Whether neither rustls nor the kernel holds anything to read.
    drained: Cell<bool>,
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsSession").finish_non_exhaustive()
    }
}

impl TlsSession {
    pub(crate) fn new(connection: ServerConnection) -> Self {
        // The HTTP phase may have left plaintext behind.
        Self { connection: RefCell::new(connection), drained: Cell::new(false) }
    }

    /// Whether there may be something to read although the socket is not readable.
    pub(crate) fn may_have_unread(&self) -> bool {
        !self.drained.get()
    }

    /// Whether the kernel has not taken everything yet.
    pub(crate) fn has_unsent(&self) -> bool {
        self.connection.borrow().wants_write()
    }

    /// Reads plaintext. `Ok(0)` is the end the peer declared.
    ///
    /// # Errors
    /// `WouldBlock`: there is nothing at the moment. Anything else ends the connection.
    pub(crate) fn read(&self, tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        for _ in 0..READS_MAX {
            match connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => {
                    self.drained.set(false);
                    return read;
                }
            }
            if let Err(error) = connection.read_tls(&mut NonBlocking(tcp)) {
                self.drained.set(error.kind() == ErrorKind::WouldBlock);
                return Err(error);
            }
            let processed = connection.process_new_packets();
            // An alert or the answer to a key update. What the kernel does not take goes with the next write;
            // no task waits for it.
            let _ = flush(&mut connection, tcp);
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
        self.drained.set(false);
        Err(ErrorKind::WouldBlock.into())
    }

    /// Encrypts what there is room for and hands it to the kernel. Returns how many bytes of plaintext are done
    /// with; some of their ciphertext may still be unsent.
    ///
    /// # Errors
    /// `WouldBlock`: the socket is full and nothing was taken. Anything else ends the connection.
    pub(crate) fn write(&self, tcp: &TcpStream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut connection = self.connection.borrow_mut();
        flush(&mut connection, tcp)?;
        let taken = connection.writer().write_vectored(buffers)?;
        match flush(&mut connection, tcp) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Hands what is unsent to the kernel.
    ///
    /// # Errors
    /// `WouldBlock`: not all of it was taken. Anything else ends the connection.
    pub(crate) fn flush(&self, tcp: &TcpStream) -> io::Result<()> {
        flush(&mut self.connection.borrow_mut(), tcp)
    }

    /// Tells the peer that nothing more will be written, so that it can tell an end from a cut.
    pub(crate) fn finish(&self, tcp: &TcpStream) {
        let mut connection = self.connection.borrow_mut();
        connection.send_close_notify();
        // A full socket does not take this alert; the end of the stream follows either way.
        let _ = flush(&mut connection, tcp);
    }
}

fn flush(connection: &mut ServerConnection, tcp: &TcpStream) -> io::Result<()> {
    while connection.wants_write() {
        if connection.write_tls(&mut NonBlocking(tcp))? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// A socket as rustls wants it.
struct NonBlocking<'a>(&'a TcpStream);

impl Read for NonBlocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        socket::read(self.0, buffer)
    }
}

impl Write for NonBlocking<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.try_write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
