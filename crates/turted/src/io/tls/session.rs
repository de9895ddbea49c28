//! One TLS connection and its socket: plaintext in and out, without waiting.
//!
//! Ciphertext goes through two buffers that all connections of a thread share. What the kernel did not take stays
//! with the connection as *unsent*; it has to be [flushed](TlsSession::flush) when the socket is writable again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpStream;

use super::record_layer::{HANDSHAKE_BYTES_MAX, RECORD_OVERHEAD_BYTES, RecordLayer, Sink};
use crate::io::tcp;

/// Plaintext that is encrypted at once, and so the ciphertext that may wait for a full socket: as much as the
/// kernel takes at once by default (`limits.send_buffer_bytes`). What exceeds it stays plaintext, which
/// connections share.
pub(crate) const UNSENT_BYTES_MAX: usize = 32 * 1024;
/// Plaintext that one call writes while the kernel takes it; then other connections get their turn.
const WRITE_BYTES_MAX: usize = 8 * UNSENT_BYTES_MAX;
/// Reads of the socket that one read of plaintext may need; then other tasks get their turn. Records may be
/// empty, and a peer may send them without end.
const READS_MAX: usize = 16;

thread_local! {
    /// Borrowed within one call, never across an await.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// What one call reads and writes through. It is about 100 kB for each thread, and nothing for a connection.
struct Scratch {
    /// Ciphertext that comes, or plaintext of several buffers that goes out together.
    input: Box<[u8]>,
    /// Ciphertext that goes out.
    output: Box<[u8]>,
}

impl Scratch {
    fn new() -> Self {
        Self {
            input: vec![0; HANDSHAKE_BYTES_MAX].into(),
            output: vec![0; UNSENT_BYTES_MAX + 2 * RECORD_OVERHEAD_BYTES].into(),
        }
    }
}

/// The TLS state of one socket.
pub(crate) struct TlsSession {
    /// Borrowed within one call, never across an await.
    layer: RefCell<RecordLayer>,
    /// Whether neither we nor the kernel hold anything to read.
    drained: Cell<bool>,
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsSession").finish_non_exhaustive()
    }
}

impl TlsSession {
    /// A session before its handshake, which goes on with each [`receive`](Self::receive).
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self { layer: RefCell::new(RecordLayer::new(config)?), drained: Cell::new(false) })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.layer.borrow().is_handshaking()
    }

    /// Whether both sides have agreed on this protocol.
    pub(super) fn speaks(&self, protocol: &[u8]) -> bool {
        self.layer.borrow().protocol() == Some(protocol)
    }

    /// Whether there may be something to read although the socket is not readable.
    pub(crate) fn may_have_unread(&self) -> bool {
        !self.drained.get()
    }

    /// Whether the kernel has not taken everything yet.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.layer.borrow().unsent().is_empty()
    }

    /// Reads plaintext. `Ok(0)` is the end the peer declared.
    ///
    /// # Errors
    /// `WouldBlock`: there is nothing at the moment. Anything else ends the connection.
    pub(crate) fn read(&self, tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        self.read_into(tcp, &mut |plaintext| {
            let taken = plaintext.len().min(buffer.len() - filled);
            buffer[filled..filled + taken].copy_from_slice(&plaintext[..taken]);
            filled += taken;
            taken
        })?;
        Ok(filled)
    }

    /// The same, with plaintext for a `sink` that takes at least one byte. `Ok` without a byte is the end.
    pub(super) fn read_into(&self, tcp: &TcpStream, sink: &mut Sink<'_>) -> io::Result<()> {
        let layer = &mut *self.layer.borrow_mut();
        self.drained.set(false);
        if layer.has_unread() {
            layer.read(sink);
            return Ok(());
        }
        for _ in 0..READS_MAX {
            if let Some(end) = layer.ended() {
                return end;
            }
            if self.receive_from(tcp, layer, sink)? > 0 {
                return Ok(());
            }
        }
        self.drained.set(false);
        Err(ErrorKind::WouldBlock.into())
    }

    /// Reads the socket once, and keeps the plaintext as unread. This is how a handshake goes on.
    ///
    /// # Errors
    /// `WouldBlock`: there is nothing at the moment. Anything else ends the connection.
    pub(super) fn receive(&self, tcp: &TcpStream) -> io::Result<()> {
        self.receive_from(tcp, &mut self.layer.borrow_mut(), &mut |_| 0).map(|_| ())
    }

    /// Reads the socket once. Returns how much plaintext came.
    fn receive_from(
        &self,
        tcp: &TcpStream,
        layer: &mut RecordLayer,
        sink: &mut Sink<'_>,
    ) -> io::Result<usize> {
        SCRATCH.with_borrow_mut(|Scratch { input, .. }| {
            let room = layer.prepare(input);
            let (begin, size) = (room.start, room.len());
            let read = match tcp::read(tcp, &mut input[room]) {
                // An attacker can cut a connection, so only a declared end is one.
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) => {
                    self.drained.set(error.kind() == ErrorKind::WouldBlock);
                    return Err(error);
                }
            };
            let received = layer.receive(&mut input[..begin + read], sink);
            // An alert, or a part of the handshake. What the kernel does not take goes with the next write.
            let _ = flush(layer, tcp);
            // A read that does not fill the buffer has emptied the socket.
            self.drained.set(read < size && !layer.has_unread() && layer.ended().is_none());
            received
        })
    }

    /// Encrypts what there is room for and hands it to the kernel. Returns how many bytes of plaintext are done
    /// with; some of their ciphertext may still be unsent.
    ///
    /// # Errors
    /// `WouldBlock`: the socket is full and nothing was taken. Anything else ends the connection.
    pub(crate) fn write(&self, tcp: &TcpStream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let layer = &mut *self.layer.borrow_mut();
        flush(layer, tcp)?;
        let most = buffers.iter().map(|buffer| buffer.len()).sum::<usize>().min(WRITE_BYTES_MAX);
        SCRATCH.with_borrow_mut(|Scratch { input, output }| {
            let mut taken = 0;
            while taken < most {
                let plaintext = gather(buffers, taken, &mut input[..UNSENT_BYTES_MAX]);
                let records = layer.encrypt(plaintext, output)?;
                taken += plaintext.len();
                if !send(layer, tcp, &output[..records])? {
                    break;
                }
            }
            Ok(taken)
        })
    }

    /// Hands what is unsent to the kernel.
    ///
    /// # Errors
    /// `WouldBlock`: not all of it was taken. Anything else ends the connection.
    pub(crate) fn flush(&self, tcp: &TcpStream) -> io::Result<()> {
        flush(&mut self.layer.borrow_mut(), tcp)
    }

    /// Tells the peer that nothing more will be written, so that it can tell an end from a cut. A full socket does
    /// not take this alert; the end of the stream follows either way.
    pub(crate) fn finish(&self, tcp: &TcpStream) {
        self.close_notify();
        let _ = self.flush(tcp);
    }

    /// The same without a try to send it: the alert becomes unsent.
    pub(super) fn close_notify(&self) {
        let layer = &mut *self.layer.borrow_mut();
        let mut alert = [0; RECORD_OVERHEAD_BYTES];
        // A connection that has failed has sent an alert already.
        if let Ok(bytes) = layer.close_notify(&mut alert) {
            layer.keep(&alert[..bytes]);
        }
    }
}

/// Sends what is unsent. `WouldBlock` if the kernel does not take all of it.
fn flush(layer: &mut RecordLayer, tcp: &TcpStream) -> io::Result<()> {
    while !layer.unsent().is_empty() {
        let sent = tcp::write(tcp, layer.unsent())?;
        layer.sent(sent);
    }
    Ok(())
}

/// Sends ciphertext and keeps what the kernel does not take. Returns whether it took all.
fn send(layer: &mut RecordLayer, tcp: &TcpStream, ciphertext: &[u8]) -> io::Result<bool> {
    let sent = match tcp::write(tcp, ciphertext) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        sent => sent?,
    };
    layer.keep(&ciphertext[sent..]);
    Ok(sent == ciphertext.len())
}

/// What stands in the buffers behind the first `skip` bytes, as much as `space` has room for. What lies in one
/// buffer is not copied.
fn gather<'a>(buffers: &'a [IoSlice<'_>], mut skip: usize, space: &'a mut [u8]) -> &'a [u8] {
    // A delivery of one event.
    if let [only] = buffers {
        return &only[skip..only.len().min(skip + space.len())];
    }
    let mut rest = buffers.iter().filter_map(|buffer| {
        let skipped = skip.min(buffer.len());
        skip -= skipped;
        Some(&buffer[skipped..]).filter(|rest| !rest.is_empty())
    });
    let Some(first) = rest.next() else { return &[] };
    if first.len() >= space.len() {
        return &first[..space.len()];
    }
    let Some(second) = rest.next() else { return first };
    let mut filled = 0;
    for bytes in [first, second].into_iter().chain(rest) {
        let count = bytes.len().min(space.len() - filled);
        space[filled..filled + count].copy_from_slice(&bytes[..count]);
        filled += count;
    }
    &space[..filled]
}
