//! The entrance: what a connection has to pass before its first request, the PROXY header of a
//! trusted proxy and the TLS handshake.
//!
//! A connection holds its permit meanwhile, so all of it has one deadline,
//! `limits.request_head_wait`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Once;

use tokio::net::TcpStream;
use tokio::time::timeout;
use turted_core::wire::proxy::{self, Violation};

use crate::http::guests;
use crate::http::two as http2;
use crate::http::{self, Arrival};
use crate::hub::worker::worker::Worker;
use crate::io::permits::Permit;
use crate::io::seldom::warn_seldom;
use crate::io::socket::Socket;
use crate::io::tls::{AcceptError, TlsStream};

/// Bytes that are peeked at together to find the end of a PROXY header. Most headers fit.
const WINDOW_BYTES: usize = 256;
/// The answer to a client that speaks HTTP on a port that speaks TLS.
const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
Content-Type: text/plain\r\nContent-Length: 39\r\n\r\nthis port speaks TLS: use https and wss";

/// Why a connection did not come in.
#[derive(Debug, thiserror::Error)]
enum EntranceRefusal {
    #[error("the connection does not come from one of trusted_proxies")]
    Stranger,
    #[error(transparent)]
    Header(#[from] Violation),
    #[error(transparent)]
    Handshake(#[from] AcceptError),
    #[error(transparent)]
    Lost(#[from] io::Error),
    #[error("the entrance took longer than limits.request_head_wait")]
    TooSlow,
}

/// A connection that may speak HTTP.
enum Entered {
    Plain(TcpStream, IpAddr),
    Tls(TlsStream, IpAddr),
}

/// Serves a connection that was just accepted.
pub(crate) fn enter(worker: &Rc<Worker>, arrival: Arrival<TcpStream>) {
    if worker.config.proxy_protocol || worker.shared.certificates.is_some() {
        worker.spawn(examine(Rc::clone(worker), arrival));
    } else {
        worker.spawn(http::serve(Rc::clone(worker), arrival));
    }
}

/// Lets a connection pass or refuses it. A connection that passes goes on as a task of its own, so that
/// nothing of the entrance stays in memory.
async fn examine(worker: Rc<Worker>, arrival: Arrival<TcpStream>) {
    let Arrival { channel: stream, peer, permit, endpoints } = arrival;
    let wait = guests::head_wait(&worker, &permit);
    let entered =
        worker.shared.life.ending.run_until_cancelled(timeout(wait, pass(&worker, stream, peer))).await;
    match entered.map(|in_time| in_time.unwrap_or(Err(EntranceRefusal::TooSlow))) {
        Some(Ok(Entered::Plain(channel, peer))) => {
            worker.spawn(http::serve(Rc::clone(&worker), Arrival { channel, peer, permit, endpoints }));
        }
        Some(Ok(Entered::Tls(channel, peer))) if channel.speaks_http2() => {
            worker.spawn(http2::serve(Rc::clone(&worker), Arrival { channel, peer, permit, endpoints }));
        }
        Some(Ok(Entered::Tls(channel, peer))) => {
            worker.spawn(http::serve(Rc::clone(&worker), Arrival { channel, peer, permit, endpoints }));
        }
        Some(Err(refusal)) => refuse(refusal, peer, permit).await,
        None => {}
    }
}

async fn pass(worker: &Worker, stream: TcpStream, peer: IpAddr) -> Result<Entered, EntranceRefusal> {
    let mut peer = peer;
    if worker.config.proxy_protocol {
        if !worker.config.trusted_proxies.trusts(peer) {
            return Err(EntranceRefusal::Stranger);
        }
        if let Some(source) = read_header(&stream).await? {
            peer = source.ip().to_canonical();
        }
    }
    match &worker.shared.certificates {
        None => Ok(Entered::Plain(stream, peer)),
        Some(certificates) => {
            Ok(Entered::Tls(TlsStream::accept(certificates.current(), stream).await?, peer))
        }
    }
}

/// Reads a PROXY header and nothing behind it. Returns the address of the client that the proxy connects for.
async fn read_header(stream: &TcpStream) -> Result<Option<SocketAddr>, EntranceRefusal> {
    let mut header = Vec::new();
    let mut window = [0; WINDOW_BYTES];
    loop {
        let peeked = stream.peek(&mut window).await?;
        if peeked == 0 {
            return Err(Violation::Missing.into());
        }
        let known = header.len();
        header.extend_from_slice(&window[..peeked]);
        let decoded = proxy::decode(&header)?;
        // All bytes of an incomplete header belong to it.
        take(stream, decoded.map_or(peeked, |complete| complete.bytes - known)).await?;
        if let Some(complete) = decoded {
            return Ok(complete.source);
        }
    }
}

/// Reads bytes that were seen already, up to [`WINDOW_BYTES`].
async fn take(stream: &TcpStream, bytes: usize) -> io::Result<()> {
    let mut window = [0; WINDOW_BYTES];
    let mut left = bytes;
    while left > 0 {
        stream.readable().await?;
        match stream.try_read(&mut window[..left]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => left -= read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Refuses a connection, with an answer if the client can read one. The connection ends.
async fn refuse(refusal: EntranceRefusal, peer: IpAddr, permit: Permit) {
    static TOLD: Once = Once::new();
    tracing::debug!(%peer, %refusal, "refusing a connection");
    match refusal {
        EntranceRefusal::Stranger => TOLD.call_once(|| {
            // Only once, because any client can cause it. An operator who forgot a proxy has to see it.
            tracing::warn!(%peer, "proxy_protocol is on and this peer is not in trusted_proxies");
        }),
        EntranceRefusal::Handshake(AcceptError::NoTls(stream)) => {
            warn_seldom!(%peer, "a client does not speak TLS, which this port does: it has to use https and wss");
            let socket = Socket::new(stream, permit);
            // A client that does not speak HTTP either reads garbage.
            let _ = socket.try_write(NO_TLS);
            socket.linger().await;
        }
        _ => {}
    }
}
