//! Accepts connections, also when file descriptors run out.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use turted_core::limits::{ACCEPT_BACKOFF_MAX, ACCEPT_BACKOFF_MIN};

use super::endpoint::Endpoints;
use super::{Arrival, entrance};
use crate::hub::worker::worker::Worker;
use crate::io::seldom::warn_seldom;

/// The answer to a client that connects when all connections are taken.
const OVERLOAD: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
Content-Type: text/plain\r\nContent-Length: 50\r\n\r\nthe server has no connection left, try again later";

/// What becomes of the connections that wait in the kernel's queue when the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// The server answers them, because the kernel resets them when our socket closes.
    Ours,
    /// The server leaves them: another process, systemd say, keeps the socket for the next server it starts.
    Kept,
}

/// Accepts connections until the server drains. When none can be accepted it waits longer and
/// longer instead of spinning, and recovers by itself.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    endpoints: Arc<Endpoints>,
    listener: TcpListener,
    queue: Queue,
) {
    let draining = &worker.shared.life.draining;
    accept_until(&worker, &listener, draining, |stream, peer| admit(&worker, &endpoints, stream, peer)).await;
    if queue == Queue::Kept {
        return;
    }
    // Closing the listener resets the connections in the kernel's queue, so they get an answer first.
    for _ in 0..worker.config.limits.listen_backlog {
        let next = poll_fn(|context| Poll::Ready(listener.poll_accept(context))).await;
        let Poll::Ready(Ok((stream, peer))) = next else { return };
        admit(&worker, &endpoints, stream, peer);
    }
}

/// Accepts connections until `end`.
pub(super) async fn accept_until(
    worker: &Worker,
    listener: &TcpListener,
    end: &CancellationToken,
    mut admit: impl FnMut(TcpStream, SocketAddr),
) {
    let mut backoff = ACCEPT_BACKOFF_MIN;
    while let Some(accepted) = end.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                backoff = ACCEPT_BACKOFF_MIN;
                admit(stream, peer);
            }
            Err(error) => {
                worker.metrics.accept_errors.add(1);
                tracing::warn!(%error, ?backoff, "cannot accept connections");
                end.run_until_cancelled(sleep(backoff)).await;
                backoff = (backoff * 2).min(ACCEPT_BACKOFF_MAX);
            }
        }
    }
}

fn admit(worker: &Rc<Worker>, endpoints: &Arc<Endpoints>, stream: TcpStream, peer: SocketAddr) {
    let shared = &worker.shared;
    let permit = shared.permits.take().or_else(|| {
        tell_full(shared.permits.limit());
        shared.spare.take()
    });
    match permit {
        Some(permit) => {
            let (peer, endpoints) = (peer.ip().to_canonical(), Arc::clone(endpoints));
            entrance::enter(worker, Arrival { channel: stream, peer, permit, endpoints });
        }
        None => {
            worker.metrics.refused("connections");
            worker.spawn(refuse(stream));
        }
    }
}

/// Tells the operator that clients are turned away.
fn tell_full(limit: usize) {
    warn_seldom!(
        limit,
        "all connections are taken (limits.connections): only pushes and health checks are let in"
    );
}

/// Tells a client that the server is full. Its request is not read, because there is no room to read it.
async fn refuse(stream: TcpStream) {
    if stream.writable().await.is_ok() {
        // Whether the answer arrives depends on the client's timing. The connection ends either way.
        let _ = stream.try_write(OVERLOAD);
    }
}
