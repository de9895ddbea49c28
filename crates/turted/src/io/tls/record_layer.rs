//! The records of one TLS connection, without a socket: ciphertext in, plaintext out, and the reverse.
//!
//! rustls keeps no bytes of a connection here, because a read buffer for each would be most of what an idle
//! connection takes. What is half there, unread or unsent is kept here and given back when it is used up.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::unbuffered::{InsufficientSizeError, WriteTraffic};
use rustls::{Error, ServerConfig};

/// The content type of a TLS record that carries a handshake (RFC 8446 5.1).
pub(crate) const HANDSHAKE: u8 = 22;
/// The largest record: 16 KiB, what a cipher may add in TLS 1.2, and a header (RFC 5246 6.2.3, RFC 8446 5.2).
const RECORD_BYTES_MAX: usize = 16 * 1024 + 2048 + 5;
/// What may be kept of handshake messages that are not complete. Hellos take some hundred bytes, with keys that
/// resist quantum computers about 2 kB.
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 64 * 1024 - 1;
/// What the records of some plaintext take beside it: for each begun 16 KiB a header, a nonce and a tag, and an
/// update of the keys before them.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 512;

/// Takes plaintext and returns how much of it; the rest is kept.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> usize + 'a;

/// How a connection has ended for those who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer has declared it (`close_notify`).
    Declared,
    /// One side has broken a rule of TLS.
    Failed,
}

/// The server's side of one connection.
pub(crate) struct RecordLayer {
    connection: UnbufferedServerConnection,
    /// Ciphertext of a record, or of a handshake message, that is not complete.
    partial: Vec<u8>,
    /// Plaintext that is not read yet.
    unread: Vec<u8>,
    /// Ciphertext that the kernel did not take.
    unsent: Vec<u8>,
    end: Option<End>,
    /// Whether the client has begun to shake hands.
    has_begun: bool,
}

impl RecordLayer {
    /// # Errors
    /// The configuration contradicts itself.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self {
            connection,
            partial: Vec::new(),
            unread: Vec::new(),
            unsent: Vec::new(),
            end: None,
            has_begun: false,
        })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// What both sides will speak above TLS, if they have agreed on it.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// How many bytes of memory are kept: none while the connection is idle.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.partial.capacity() + self.unread.capacity() + self.unsent.capacity()
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.unsent
    }

    /// Hands over what is unread, as much as `sink` takes.
    pub(crate) fn read(&mut self, sink: &mut Sink<'_>) {
        let taken = sink(&self.unread);
        forget(&mut self.unread, taken);
    }

    /// Whether nothing will be received any more: `Ok` if the peer has declared the end.
    pub(crate) fn ended(&self) -> Option<io::Result<()>> {
        self.end.map(|end| match end {
            End::Declared => Ok(()),
            End::Failed => Err(io::Error::new(ErrorKind::InvalidData, "the TLS connection has failed")),
        })
    }

    /// Puts what is half there to the front of `buffer`. Returns where ciphertext is to be added, one byte at
    /// least. `buffer` has room for [`HANDSHAKE_BYTES_MAX`].
    pub(crate) fn prepare(&self, buffer: &mut [u8]) -> Range<usize> {
        let kept = self.partial.len();
        buffer[..kept].copy_from_slice(&self.partial);
        kept..self.partial_max()
    }

    /// As much may be half there, and one byte less is kept, so that another one can come.
    fn partial_max(&self) -> usize {
        if self.is_handshaking() { HANDSHAKE_BYTES_MAX } else { RECORD_BYTES_MAX }
    }

    /// Takes ciphertext, which stands behind what [`prepare`](Self::prepare) put into the buffer. Plaintext goes
    /// to `sink`; what it does not take becomes unread, and an answer of rustls becomes unsent. Returns how much
    /// plaintext has come.
    ///
    /// # Errors
    /// The peer has broken a rule of TLS. The alert for it is unsent. `Unsupported`: it does not speak TLS, and
    /// would not understand an alert.
    pub(crate) fn receive(&mut self, incoming: &mut [u8], sink: &mut Sink<'_>) -> io::Result<usize> {
        if !self.has_begun && incoming.first() != Some(&HANDSHAKE) {
            self.end = Some(End::Failed);
            return Err(ErrorKind::Unsupported.into());
        }
        self.has_begun = true;
        let received = self.process(incoming, sink).and_then(|(consumed, received)| {
            let rest: &[u8] = if self.end.is_some() { &[] } else { &incoming[consumed..] };
            if rest.len() >= self.partial_max() {
                return Err(Error::General("a handshake message is too long".to_owned()));
            }
            // An empty one takes no memory.
            self.partial = rest.to_vec();
            Ok(received)
        });
        received.map_err(|error| {
            self.fail();
            io::Error::new(ErrorKind::InvalidData, error)
        })
    }

    /// Processes all records that are complete. Returns how many bytes are used up, and how much plaintext they
    /// have brought.
    fn process(&mut self, incoming: &mut [u8], sink: &mut Sink<'_>) -> Result<(usize, usize), Error> {
        let (mut consumed, mut received) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut incoming[consumed..]);
            let mut is_over = false;
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        received += record.payload.len();
                        hand_over(record.payload, &mut self.unread, sink);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, &mut self.unsent)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.end = Some(End::Declared),
                ConnectionState::BlockedHandshake
                | ConnectionState::WriteTraffic(_)
                | ConnectionState::Closed => is_over = true,
                // Early data is refused in the handshake.
                _ => return Err(Error::General("rustls is in a state that is not expected".to_owned())),
            }
            consumed += discard;
            if is_over {
                return Ok((consumed, received));
            }
        }
    }

    /// Nothing is processed from here on, except for the alert that tells the peer.
    fn fail(&mut self) {
        self.end = Some(End::Failed);
        self.partial = Vec::new();
        while self.connection.wants_write() {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut []);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
            if encode(&mut data, &mut self.unsent).is_err() {
                return;
            }
        }
    }

    /// Encrypts plaintext and returns how many bytes of `outgoing` the records take. It has to have room for the
    /// plaintext and [`RECORD_OVERHEAD_BYTES`] for each begun 16 KiB.
    ///
    /// # Errors
    /// Nothing can be sent: during the handshake, after a failure, or when the keys of TLS 1.2 are used up.
    pub(crate) fn encrypt(&mut self, plaintext: &[u8], outgoing: &mut [u8]) -> io::Result<usize> {
        self.emit(outgoing, |mut traffic, room| traffic.encrypt(plaintext, room))
    }

    /// Writes the alert that declares the end of what we send. Returns how many bytes it takes.
    ///
    /// # Errors
    /// The handshake is not complete, or the connection has failed.
    pub(crate) fn close_notify(&mut self, outgoing: &mut [u8]) -> io::Result<usize> {
        self.emit(outgoing, |mut traffic, room| traffic.queue_close_notify(room))
    }

    fn emit(
        &mut self,
        outgoing: &mut [u8],
        write: impl FnOnce(WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        if self.end == Some(End::Failed) {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut written = 0;
        loop {
            // rustls looks at handshake messages that are half there. No record is complete.
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.partial);
            match state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(traffic) => {
                    return write(traffic, &mut outgoing[written..])
                        .map(|more| written + more)
                        .map_err(io::Error::other);
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    written += data.encode(&mut outgoing[written..]).map_err(io::Error::other)?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.end = Some(End::Declared),
                _ => return Err(ErrorKind::NotConnected.into()),
            }
            forget(&mut self.partial, discard);
        }
    }

    /// Keeps ciphertext that the kernel did not take.
    pub(crate) fn keep(&mut self, ciphertext: &[u8]) {
        self.unsent.extend_from_slice(ciphertext);
    }

    /// Forgets ciphertext that the kernel has taken.
    pub(crate) fn sent(&mut self, bytes: usize) {
        forget(&mut self.unsent, bytes);
    }
}

/// Hands plaintext to `sink`, unless earlier plaintext is still unread. The rest becomes unread.
fn hand_over(plaintext: &[u8], unread: &mut Vec<u8>, sink: &mut Sink<'_>) {
    let taken = if unread.is_empty() { sink(plaintext) } else { 0 };
    unread.extend_from_slice(&plaintext[taken..]);
}

/// Drops bytes at the front, and the memory with them.
fn forget(bytes: &mut Vec<u8>, front: usize) {
    if front == bytes.len() {
        *bytes = Vec::new();
    } else {
        bytes.drain(..front);
        if bytes.capacity() > 4 * bytes.len() {
            bytes.shrink_to_fit();
        }
    }
}

/// Appends a record that rustls has ready.
fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, to: &mut Vec<u8>) -> Result<(), Error> {
    let begin = to.len();
    if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = data.encode(&mut [])
    {
        to.resize(begin + required_size, 0);
        data.encode(&mut to[begin..]).map_err(|error| Error::General(error.to_string()))?;
    }
    Ok(())
}
