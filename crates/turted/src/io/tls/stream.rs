//! A TLS connection for those who read and write in the way of the runtime: hyper, until a transport takes the
//! connection over.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;

use super::HTTP2;
use super::session::TlsSession;

/// The server's side of a connection after its handshake.
#[derive(Debug)]
pub(crate) struct TlsStream {
    tcp: TcpStream,
    session: Box<TlsSession>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    /// The client does not speak TLS, and was sent nothing.
    #[error("the connection does not start with a TLS handshake")]
    NoTls(TcpStream),
    /// The client breaks a rule of TLS, or shares no version, cipher or key with us. It was told so by an alert, if
    /// its socket had room for one. Or the connection is broken.
    #[error("the handshake failed: {0}")]
    Failed(#[from] io::Error),
}

impl TlsStream {
    /// Shakes hands with a client. The caller limits how long it may take.
    ///
    /// # Errors
    /// The connection is broken, or the client cannot be agreed with.
    pub(crate) async fn accept(config: Arc<ServerConfig>, tcp: TcpStream) -> Result<Self, AcceptError> {
        // A connection that is silent has no session.
        tcp.readable().await?;
        let session = TlsSession::new(config).map_err(io::Error::other)?;
        let session = Box::new(session);
        match shake_hands(&session, &tcp).await {
            Ok(()) => Ok(Self { tcp, session }),
            Err(error) if error.kind() == ErrorKind::Unsupported => Err(AcceptError::NoTls(tcp)),
            Err(error) => Err(AcceptError::Failed(error)),
        }
    }

    /// Whether client and server have agreed on HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        self.session.speaks(HTTP2)
    }

    /// The socket, and the state of TLS, which may hold plaintext that came early.
    pub(crate) fn into_parts(self) -> (TcpStream, Box<TlsSession>) {
        (self.tcp, self.session)
    }
}

async fn shake_hands(session: &TlsSession, tcp: &TcpStream) -> io::Result<()> {
    while session.is_handshaking() {
        retry(session.receive(tcp))?;
        flush(session, tcp).await?;
        if session.is_handshaking() {
            tcp.readable().await?;
        }
        // A client may send one byte at a time.
        consume_budget().await;
    }
    Ok(())
}

/// Sends what is unsent, and waits for the socket meanwhile.
async fn flush(session: &TlsSession, tcp: &TcpStream) -> io::Result<()> {
    while session.has_unsent() {
        tcp.writable().await?;
        retry(session.flush(tcp))?;
    }
    Ok(())
}

/// A socket that is not ready after all is no error: the runtime knows it, and waits again.
fn retry(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == ErrorKind::WouldBlock { Ok(()) } else { Err(error) })
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { tcp, session } = &*self;
        loop {
            let read = session.read_into(tcp, &mut |plaintext| {
                let taken = plaintext.len().min(buffer.remaining());
                buffer.put_slice(&plaintext[..taken]);
                taken
            });
            match read {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            if session.may_have_unread() {
                // Other tasks have their turn, even if the peer never stops sending.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(tcp.poll_read_ready(context))?;
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        when_writable(&self.tcp, context, || self.session.write(&self.tcp, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        when_writable(&self.tcp, context, || self.session.flush(&self.tcp))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close_notify();
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// Tries to write, and again when the socket has room.
fn when_writable<T>(
    tcp: &TcpStream,
    context: &mut Context<'_>,
    write: impl Fn() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        match write() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(tcp.poll_write_ready(context))?,
            written => return Poll::Ready(written),
        }
    }
}
