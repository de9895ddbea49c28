//! Accepts the connections of other nodes. Behind its preamble such a connection is an ordinary one of a client with the
//! address that the preamble names, on which requests are answered here, whatever they are for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use turted_core::wire::forwarded::{ACCEPTED, PREAMBLE_BYTES};

use crate::http::accept::accept_until;
use crate::http::endpoint::{Arrival, Endpoints};
use crate::http::{guests, one};
use crate::hub::cluster::peers::{Peers, PreambleRefusal};
use crate::hub::worker::worker::Worker;
use crate::io::permits::Permit;
use crate::io::seldom::warn_seldom;
use crate::io::socket::Channel;
use crate::io::tls::{AcceptError, TlsStream};

/// Why a connection is refused.
#[derive(Debug, thiserror::Error)]
enum NodeRefusal {
    #[error(transparent)]
    Preamble(#[from] PreambleRefusal),
    #[error(transparent)]
    Handshake(#[from] AcceptError),
    #[error("it ended before its preamble: {0}")]
    Lost(#[from] io::Error),
    #[error("its preamble took longer than limits.request_head_wait")]
    TooSlow,
}

/// Accepts connections of other nodes until the server ends: while it drains, its sessions still live.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    endpoints: Arc<Endpoints>,
    peers: Arc<Peers>,
    listener: TcpListener,
) {
    let ending = &worker.shared.life.ending;
    accept_until(&worker, &listener, ending, |stream, peer| {
        let shared = &worker.shared;
        // A connection for which there is no room ends; its node takes the session for lost.
        let Some(permit) = shared.permits.take().or_else(|| shared.spare.take()) else {
            return worker.metrics.refused("connections");
        };
        let (endpoints, peers) = (Arc::clone(&endpoints), Arc::clone(&peers));
        worker.spawn(enter(Rc::clone(&worker), (endpoints, peers), (stream, peer), permit));
    })
    .await;
}

async fn enter(
    worker: Rc<Worker>,
    (endpoints, peers): (Arc<Endpoints>, Arc<Peers>),
    (stream, peer): (TcpStream, SocketAddr),
    permit: Permit,
) {
    let wait = guests::head_wait(&worker, &permit);
    let ending = worker.shared.life.ending.clone();
    let entered = ending.run_until_cancelled(timeout(wait, pass(&peers, stream))).await;
    match entered.map(|in_time| in_time.unwrap_or(Err(NodeRefusal::TooSlow))) {
        Some(Ok(Entered::Plain(channel, client))) => serve(&worker, (channel, client), permit, endpoints),
        Some(Ok(Entered::Tls(channel, client))) => serve(&worker, (channel, client), permit, endpoints),
        // As a check does that only connects.
        Some(Err(refusal @ (NodeRefusal::Lost(_) | NodeRefusal::TooSlow))) => {
            tracing::debug!(peer = %peer.ip(), %refusal, "a connection to cluster.listen without a preamble");
        }
        Some(Err(refusal)) => {
            worker.metrics.refused("cluster-preamble");
            warn_seldom!(peer = %peer.ip(), %refusal, "refusing a connection to cluster.listen");
        }
        None => {}
    }
}

/// A connection whose preamble is right, and the client of its requests.
enum Entered {
    Plain(TcpStream, IpAddr),
    Tls(TlsStream, IpAddr),
}

async fn pass(peers: &Peers, mut stream: TcpStream) -> Result<Entered, NodeRefusal> {
    let Some(tls) = peers.tls() else {
        let client = read(peers, &mut stream).await?;
        return Ok(Entered::Plain(stream, client));
    };
    let mut stream = TlsStream::accept(tls.certificates.current(), stream).await?;
    let client = read(peers, &mut stream).await?;
    Ok(Entered::Tls(stream, client))
}

/// Reads a preamble and nothing behind it, and says that it is accepted. Returns the client that it names.
async fn read(
    peers: &Peers,
    channel: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<IpAddr, NodeRefusal> {
    let mut preamble = [0; PREAMBLE_BYTES];
    channel.read_exact(&mut preamble).await?;
    let client = peers.check(&preamble)?.client;
    channel.write_all(&[ACCEPTED]).await?;
    channel.flush().await?;
    Ok(client)
}

/// Goes on as with a connection of a client.
fn serve<C>(worker: &Rc<Worker>, (channel, peer): (C, IpAddr), permit: Permit, endpoints: Arc<Endpoints>)
where
    C: AsyncRead + AsyncWrite + Unpin + Into<Channel> + 'static,
{
    worker.spawn(one::serve(Rc::clone(worker), Arrival { channel, peer, permit, endpoints }));
}
